"""One market as a Gymnasium environment."""

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.error import ResetNeeded

from mm_gym.actions import action_space, check_action_format, to_offsets
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
from mm_gym.tasks import market_config

_FIRST = np.zeros(1, dtype=np.int64)
_OPTIONS = ("config",)
_KEPT = (
    "_np_random",
    "_np_random_seed",
    "_needs_reset",
    "config",
)  # in a snapshot, beside the market


class MarketMakingEnv(gymnasium.Env[Any, Any]):
    """A market maker quotes both sides of a limit order book with price-time priority.

    ## Action space `Box(-1, 1, (2,), float32)`: bid and ask offset from the public mid. The offset
    is `max_offset * ((1 + action) / 2)**3` ticks: -1 is the mid, 0 an eighth of `max_offset`, 1 is
    `max_offset`. An action of 0 quotes close to the touch, so an untrained policy trades.

    `action="spread_skew"`: half-spread and skew. The half-spread is on the same scale; the skew is
    `max_offset * action**3` ticks, and a positive one moves both quotes up.

    `action="discrete"`: `Discrete(64)`. Action `8 * i + j` chooses bid offset i and ask offset j of
    `mm_gym.actions.DISCRETE_OFFSETS`; action 0 is that of the continuous formats.

    Quotes are post-only and are rounded away from the mid to whole ticks. A resting quote keeps its
    place in the queue if it is within half a tick plus `requote_threshold` of where the new one
    would go.

    ## Observation space `Box(float32)`: 18 columns, scaled by fixed numbers that follow from the
    configuration, so that each varies by about one unit in ordinary trading, and clipped. Their
    names are in `mm_gym.OBSERVATION_NAMES`. A longer decision interval than 1 s lengthens all
    half-lives by the same factor.

    | column | meaning | low | high |
    |---|---|---|---|
    | inventory | asinh(inventory / 2 lots) | -25 | 25 |
    | spread | public spread * 4 / max_offset | 0 | 25 |
    | flow_fast | signed lots taken, half-life 2 s, in standard deviations of noise flow | -10 | 10 |
    | flow_medium | the same, half-life 10 s | -10 | 10 |
    | flow_slow | the same, half-life 50 s | -10 | 10 |
    | mid_move_fast | mid minus its running mean, half-life 2 s, in units of a typical move | -10 | 10 |
    | mid_move_medium | the same, half-life 10 s | -10 | 10 |
    | mid_move_slow | the same, half-life 50 s | -10 | 10 |
    | book_imbalance | (bid - ask) / (bid + ask) lots at the public touch | -1 | 1 |
    | activity | lots taken, half-life 10 s, minus their mean, in standard deviations of noise flow | -25 | 25 |
    | bid_offset | offset of the resting bid from the mid, on the scale of the action; 1 when none rests | -10 | 10 |
    | ask_offset | the same for the ask | -10 | 10 |
    | bid_queue_ahead | lots before the resting bid in its queue / (2 * maker_size) | 0 | 25 |
    | ask_queue_ahead | the same for the ask | 0 | 25 |
    | bid_size | 2 * unfilled lots of the resting bid / quote_size | 0 | 2 |
    | ask_size | the same for the ask | 0 | 2 |
    | volatility | 5 * (volatility of the mid, half-life 60 s / configured volatility - 1) | -25 | 25 |
    | time_left | share of the session that is left | 0 | 1 |

    The columns `bid_offset` and `ask_offset`, given back as an action, keep both quotes where they
    are. `mm_gym.observations` converts columns to lots, ticks and seconds.

    ## Rewards `reward_scale` times the sum of three parts in ticks x lots: the change of marked
    wealth, minus `inventory_penalty * inventory**2 * decision_interval`, minus the cost of the
    close-out at the end. `reward_scale` is 0.1 by default, so that rewards are of order one a
    decision. Inventory is marked to the public mid without the agent's own orders. Other choices of
    `reward`: `pnl` (no penalty), `dampened` (Spooner et al. 2018) and `cara` (change of exponential
    utility; losses beyond 30 units of risk tolerance count as 30).

    With `variance_reduction=True` the reward is reduced by a control variate that is computed from
    hidden state. Its sum over a session has mean zero for every policy, so expected returns stay
    the same and their variance falls. Use it for training only. Trajectories, observations and
    `info` are the same with and without it.

    ## Info NumPy scalars. For the agent: `pnl`, `cash`, `inventory`, `mid`, `spread`, `fills` (in
    the last step). About the reward, without variance reduction: `objective`, the unscaled total so
    far [ticks x lots], and the parts of this step's reward, `reward_wealth`, `reward_risk` and
    `reward_close_out`. For evaluation only, the hidden truth: `efficient_price` and `signal`.

    ## Starting state
    Flat, in a book that background makers have filled for `warm_up` seconds.

    ## Episode end `terminated` after `session_steps` decisions: the position is settled at the
    close. Never `truncated`, except by a `TimeLimit` put on from outside.

    ## Arguments
    Args:
        regime: name of the order flow, a key of `mm_gym.REGIMES`; `noise` by default.
        task: name of a task of the benchmark suite, a key of `mm_gym.TASKS`, in place of `regime`
            and all `fields`.
        action: `offsets` (default), `spread_skew` or `discrete`.
        record: number of fills that `recorded()` has room for in each session, and ten times as
            many changes of mid, price or inventory; 0 records nothing.
        variance_reduction: whether the control variate is taken from the reward; for training only.
        unwinding_time: [s] how long inventory is held, as the control variate assumes
            (potential-based shaping: any value leaves the objective unchanged). The default is 37
            s, or 37 decision intervals where that is less. Needs `variance_reduction=True`.
        render_mode: None; `ansi`, the order book as text; `rgb_array`, an image of book, price,
            inventory and PnL; `human`, that image in a window. The last two need `pip install
            "mm-gym[render]"`.
        **fields: any field of `mm_gym.MarketConfig`, such as `requote_threshold` [ticks] and
            `reward_scale`.

    `reset(options={"config": {...}})` overrides fields for one episode; `unwrapped.config` is the
    configuration in use. `max_offset` and `reward_scale`, the units of actions and rewards, cannot
    be overridden.

    Raises:
        UnknownKeywordError: for an unknown keyword, with the nearest known one; a `TypeError`.
        ConfigurationError: for an unknown regime, or a value out of range.

    ## Version history
    - v0: first version.
    """

    metadata: dict[str, Any] = {"render_modes": ["human", "rgb_array", "ansi"], "render_fps": 20}

    def __init__(
        self,
        regime: str | None = None,
        *,
        task: str | None = None,
        action: str = "offsets",
        record: int = 0,
        variance_reduction: bool = False,
        unwinding_time: float | None = None,
        render_mode: str | None = None,
        **fields: Any,
    ) -> None:
        self._base_config, self._named = market_config(regime, task, fields)
        self.config = self._base_config
        self.render_mode = check_render_mode(render_mode, self.metadata["render_modes"])
        self.observation_space = observation_space()
        self._action_format = check_action_format(action)
        self.action_space = action_space(self._action_format)
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
        """Start a new session. Equal seeds start equal sessions; without one, the next in this
        generator's sequence.

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
        if self.render_mode is not None:
            self._renderer.update(self._markets.records, self.metadata["render_fps"])
        return observations[0], info_of(outcomes[0])

    def step(
        self, action: Any
    ) -> tuple[npt.NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Quote, and live through one decision interval.

        Raises:
            ResetNeeded: if no session is under way.
            ValueError: if the action has a wrong shape or is not finite.
        """
        if self._needs_reset:
            raise ResetNeeded(
                "step() came, but no session is under way: none was started, or it has closed; call reset()"
            )
        observations, outcomes = self._markets.step(
            to_offsets(self._action_format, np.asarray(action)[None], 1)
        )
        outcome = outcomes[0]
        self._needs_reset = bool(outcome[Outcome.TERMINATED] > 0.0)
        if self.render_mode is not None:
            self._renderer.update(self._markets.records, self.metadata["render_fps"])
        return (
            observations[0],
            float(outcome[Outcome.REWARD]),
            self._needs_reset,
            False,
            info_of(outcome),
        )

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
        """What was recorded of the current session so far: its fills and its path, with the truth
        about them.

        Raises:
            ValueError: if the environment was made without `record`, or its room was too small.
        """
        return self._markets.recorded(0)

    def snapshot(self) -> Snapshot:
        """A checkpoint: the market and the generator that seeds later sessions."""
        _ = (
            self.np_random
        )  # is made when first asked for; later sessions have to follow from the one that is kept
        return self._markets.snapshot({name: getattr(self, name) for name in _KEPT})

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a checkpoint of this environment or of one made with the same arguments.

        Raises:
            TypeError, ValueError: if it is no such checkpoint.
        """
        for name, value in self._markets.restore(snapshot, _KEPT).items():
            setattr(self, name, value)
        self._renderer.forget(self._markets.records)
