"""One market as a Gymnasium environment."""

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.error import ResetNeeded

from mm_gym.actions import action_space, check_dialect, to_offsets
from mm_gym.config import configure
from mm_gym.core.layout import Outcome
from mm_gym.markets import (
    PATH_ROWS_PER_FILL,
    Markets,
    Recorded,
    Snapshot,
    check_record,
    info_of,
)
from mm_gym.observations import observation_space
from mm_gym.rendering.renderer import Frame, Renderer, check_render_mode
from mm_gym.reset_options import check_options, episode_config

_FIRST = np.zeros(1, dtype=np.int64)
_OPTIONS = ("config",)
_KEPT = ("_np_random", "_np_random_seed", "_needs_reset", "config")  # in a snapshot, beside the market


class MarketMakingEnv(gymnasium.Env[Any, Any]):
    """A market maker quotes both sides of a limit order book with price-time priority.

    ## Action space
    `Box(-1, 1, (2,), float32)`: bid and ask offset from the public mid, linear onto [0, `max_offset`] ticks.
    `action="spread_skew"`: half-spread and skew (a positive skew moves both quotes up), likewise scaled.
    `action="discrete"`: `Discrete(64)`, eight offsets a side (`mm_gym.actions.DISCRETE_OFFSETS`).
    Quotes are rounded away from the mid to whole ticks and are post-only. A quote whose price does not change keeps its
    place in the queue.

    ## Observation space
    `Box(float32)`, scaled by fixed numbers and clipped; the columns, named in `mm_gym.OBSERVATION_NAMES`, are

    | column | meaning | low | high |
    |---|---|---|---|
    | inventory | inventory / max_inventory | -1 | 1 |
    | spread | public spread / max_offset | 0 | 5 |
    | flow_fast | signed lots taken, half-life 2 s, in standard deviations of noise flow | -5 | 5 |
    | flow_medium | the same, 10 s | -5 | 5 |
    | flow_slow | the same, 50 s | -5 | 5 |
    | mid_move_fast | mid minus its running mean, half-life 2 s, scaled by the volatility | -5 | 5 |
    | mid_move_medium | the same, 10 s | -5 | 5 |
    | mid_move_slow | the same, 50 s | -5 | 5 |
    | book_imbalance | (bid - ask) / (bid + ask) lots at the public touch | -1 | 1 |
    | activity | lots taken, half-life 10 s, relative to the arrival rate | 0 | 5 |
    | bid_offset | distance of the resting bid from the mid / max_offset; 1 when none rests | -5 | 5 |
    | ask_offset | the same for the ask | -5 | 5 |
    | bid_queue_ahead | lots before the resting bid in its queue / 10 | 0 | 5 |
    | ask_queue_ahead | the same for the ask | 0 | 5 |
    | bid_size | unfilled lots of the resting bid / quote_size | 0 | 1 |
    | ask_size | the same for the ask | 0 | 1 |
    | volatility | realised volatility of the mid, half-life 60 s / configured volatility | 0 | 5 |
    | time_left | share of the session that is left | 0 | 1 |

    ## Rewards
    Change of marked wealth, minus `inventory_penalty * inventory**2 * decision_interval`, minus the close-out at the
    end, in ticks x lots. Inventory is marked to the public mid, without the agent's own orders. Other choices of
    `reward`: `pnl` (no penalty), `dampened` (Spooner et al. 2018) and `cara` (change of exponential utility). The parts
    are in `info` as `reward_wealth`, `reward_risk` and `reward_close_out`, and sum to the reward.

    ## Info
    `pnl`, `cash`, `inventory`, `mid`, `spread`, `fills` (in the last step) and the reward's parts; and the truth, for
    evaluation only: `efficient_price` and `signal`.

    ## Starting state
    Flat, in a book that background makers have filled for `warm_up` seconds.

    ## Episode end
    `terminated` after `session_steps` decisions: the position is settled at the close. Never `truncated`, but by a
    `TimeLimit` put on from outside.

    ## Arguments
    Args:
        regime: name of the order flow, a key of `mm_gym.REGIMES`.
        action: `offsets` (default), `spread_skew` or `discrete`.
        record: room for this many fills, and ten times as many changes of mid, price or inventory, to be recorded in
            each session for `recorded()`; 0 records nothing.
        render_mode: None; `ansi`, the order book as text; `rgb_array`, an image of book, price, inventory and PnL;
            `human`, that image in a window. Both need `pip install "mm-gym[render]"`.
        **fields: any field of `mm_gym.MarketConfig`.

    Raises:
        ConfigurationError: for an unknown regime or keyword, or a value out of range.

    ## Version history
    - v0: first version.
    """

    metadata: dict[str, Any] = {"render_modes": ["human", "rgb_array", "ansi"], "render_fps": 20}

    def __init__(
        self,
        regime: str = "noise",
        *,
        action: str = "offsets",
        record: int = 0,
        variance_reduction: bool = False,
        unwinding_time: float | None = None,
        render_mode: str | None = None,
        **fields: Any,
    ) -> None:
        self._base_config = configure(regime, **fields)
        self._named = {"regime": regime, **fields}
        self.config = self._base_config
        self.render_mode = check_render_mode(render_mode, self.metadata["render_modes"])
        self.observation_space = observation_space()
        self._dialect = check_dialect(action)
        self.action_space = action_space(self._dialect)
        self._markets = Markets(
            self.config,
            1,
            check_record(record),
            PATH_ROWS_PER_FILL * record,
            variance_reduction=variance_reduction,
            unwinding_time=unwinding_time,
        )
        self._renderer = Renderer(self.render_mode)
        self._needs_reset = True

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        """Start a new session. Equal seeds start equal sessions; without one, the next in this generator's sequence.

        Args:
            seed: of this and, by the generator that it seeds, of later sessions.
            options: `{"config": {...}}` overrides fields of the configuration for this session.

        Raises:
            ConfigurationError: for an unknown option or field, or a value out of range.
        """
        config = episode_config(check_options(options, _OPTIONS), self._base_config, self._named)
        super().reset(seed=seed)
        observations, outcomes = self._markets.empty_results()
        self._markets.reset(_FIRST, [self.np_random], observations, outcomes, config)
        self.config = self._base_config if config is None else config
        self._needs_reset = False
        self._renderer.update(self._markets.records, self.metadata["render_fps"])
        return observations[0], info_of(outcomes[0])

    def step(self, action: Any) -> tuple[npt.NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Quote, and live through one decision interval.

        Raises:
            ResetNeeded: if no session is under way.
            ValueError: if the action has a wrong shape or is not finite.
        """
        if self._needs_reset:
            raise ResetNeeded(
                "step() came, but no session is under way: none was started, or it has closed; call reset()"
            )
        observations, outcomes = self._markets.step(to_offsets(self._dialect, np.asarray(action)[None], 1))
        outcome = outcomes[0]
        self._needs_reset = bool(outcome[Outcome.TERMINATED] > 0.0)
        self._renderer.update(self._markets.records, self.metadata["render_fps"])
        return observations[0], float(outcome[Outcome.REWARD]), self._needs_reset, False, info_of(outcome)

    def render(self) -> Frame | None:
        """The present frame: text with `ansi`, an image with `rgb_array`, otherwise None.

        In `human` mode `reset` and `step` draw by themselves.
        """
        frames = self._renderer.render(self._markets.records)
        return None if frames is None else frames[0]

    def close(self) -> None:
        """Close the window of `human` mode."""
        self._renderer.close()
        super().close()

    def recorded(self) -> Recorded:
        """What was recorded of the current session so far: its fills and its path, with the truth about them.

        Raises:
            ValueError: if the environment was made without `record`, or its room was too small.
        """
        return self._markets.recorded(0)

    def snapshot(self) -> Snapshot:
        """A checkpoint: the market and the generator that seeds later sessions."""
        _ = self.np_random  # is made when first asked for; later sessions have to follow from the one that is kept
        return self._markets.snapshot({name: getattr(self, name) for name in _KEPT})

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a checkpoint of this environment or of one made with the same arguments.

        Raises:
            TypeError, ValueError: if it is no such checkpoint.
        """
        for name, value in self._markets.restore(snapshot, _KEPT).items():
            setattr(self, name, value)
        self._renderer.forget(self._markets.records)
