"""One market as a Gymnasium environment."""

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.error import ResetNeeded

from mm_gym.actions import action_space, check_action_format, to_offsets_of_one
from mm_gym.argument_checks import check_count
from mm_gym.config import MarketConfig
from mm_gym.core.layout import Outcome
from mm_gym.display import Image
from mm_gym.markets import Markets
from mm_gym.observations import observation_space
from mm_gym.recorded_fills import PATH_ROWS_PER_FILL, Recorded
from mm_gym.rendering.renderer import Frame, Renderer, check_render_mode, check_show_truth
from mm_gym.reset_options import check_options, episode_config
from mm_gym.snapshots import Snapshot
from mm_gym.step_info import info_of
from mm_gym.tasks import market_config

_FIRST = np.zeros(1, dtype=np.int64)
# Plain integers: the members of an enumeration are slower to look up.
_REWARD, _TERMINATED = int(Outcome.REWARD), int(Outcome.TERMINATED)
_OPTIONS = ("config",)
# Attributes that a snapshot holds beside the market.
_KEPT: dict[str, type | tuple[type, ...]] = {
    "_np_random": np.random.Generator,
    "_np_random_seed": (int, np.integer, type(None)),
    "_needs_reset": bool,
    "config": MarketConfig,
}


class MarketMakingEnv(gymnasium.Env[Any, Any]):
    """A market maker in a simulated limit order book with price-time priority.

    ## Description
    The agent quotes a bid and an ask price in a limit order book. Takers arrive and trade against
    the best prices, and background makers add and cancel orders around an efficient price. Some
    takers may be informed: they see a signal that predicts the efficient price. The agent earns the
    spread from uninformed takers and loses to informed ones. The share of informed takers is the
    parameter `p_informed`.

    A session is one episode. The agent makes `session_steps` decisions in it, one every
    `decision_interval` seconds. Prices are in ticks, times in seconds, sizes in lots, and money in
    ticks x lots. The public mid and the public spread leave out the agent's own orders.

    ## Action space
    `Box(-1, 1, (2,), float32)`: the offsets of bid and ask from the public mid. An action `a` means
    `max_offset * ((1 + a) / 2)**3` ticks. So -1 is the mid, 0 is an eighth of `max_offset`, and 1
    is `max_offset`. Action 0 quotes close to the touch, so an untrained policy trades.

    The argument `action` offers three other formats:

    - `spread_skew`: half-spread and skew. The half-spread is on the scale above. The skew is
      `max_offset * a**3` ticks, and a positive skew moves both quotes up.
    - `discrete`: `Discrete(64)`. Action `8 * i + j` chooses bid offset `i` and ask offset `j` of
      `mm_gym.actions.DISCRETE_OFFSETS`. Action 0 is the same as action 0 of the other formats.
    - `quotes_and_take`: `Box(-1, 1, (3,), float32)`. The first two numbers are the offsets. Above
      0.5, the third one sends a market order that flattens the inventory. It pays the spread and
      `taker_fee`.

    Quotes are post-only orders. Their prices are rounded away from the mid to whole ticks. A
    resting quote keeps its place in the queue if it is within half a tick plus `requote_threshold`
    of the new price.

    ## Observation space
    `Box(float32)` with 18 columns. Fixed scales follow from the configuration. The standard
    deviation of each column is between 0.2 and 3 in ordinary trading. Values beyond the range are
    clipped. The names are also in `mm_gym.OBSERVATION_NAMES`.

    Columns 1 to 7, 9 and 16 describe the market. With anchored makers they are 0.3 times the value
    in the unit below, so that an untrained network responds to its inventory first.

    | index | name | meaning | unit | range |
    |---|---|---|---|---|
    | 0 | inventory | lots held, negative if short | 1.2 asinh(lots / 2) | -25 to 25 |
    | 1 | spread | public spread | max_offset / 4 ticks | 0 to 25 |
    | 2 | flow_fast | signed lots taken, half-life 2 s | s.d. | -10 to 10 |
    | 3 | flow_medium | signed lots taken, half-life 10 s | s.d. | -10 to 10 |
    | 4 | flow_slow | signed lots taken, half-life 50 s | s.d. | -10 to 10 |
    | 5 | mid_move_fast | mid minus its average, half-life 2 s | typical move | -10 to 10 |
    | 6 | mid_move_medium | mid minus its average, half-life 10 s | typical move | -10 to 10 |
    | 7 | mid_move_slow | mid minus its average, half-life 50 s | typical move | -10 to 10 |
    | 8 | book_imbalance | (bid - ask) / (bid + ask) lots at the public touch | share | -1 to 1 |
    | 9 | activity | lots taken minus their mean, half-life 10 s | s.d. | -25 to 25 |
    | 10 | bid_offset | offset of the resting bid; 1 without one | action | -10 to 10 |
    | 11 | ask_offset | offset of the resting ask; 1 without one | action | -10 to 10 |
    | 12 | bid_queue_ahead | lots ahead of the resting bid | 2 maker_size lots | 0 to 25 |
    | 13 | ask_queue_ahead | lots ahead of the resting ask | 2 maker_size lots | 0 to 25 |
    | 14 | bid_size | unfilled lots of the resting bid | quote_size / 2 lots | 0 to 2 |
    | 15 | ask_size | unfilled lots of the resting ask | quote_size / 2 lots | 0 to 2 |
    | 16 | volatility | excess volatility of the mid, half-life 60 s | volatility / 5 | -25 to 25 |
    | 17 | time_left | part of the session that is left | share | 0 to 1 |

    The unit "s.d." is the standard deviation of the column in noise flow. The unit "typical move"
    is the standard deviation of the column for a random walk with the configured `volatility`, and
    at least one tick (or `maker_depth`, if that is less). The queue columns have a smaller unit in
    a sparse book, down to half of `maker_size`. If `decision_interval` is longer than 1 s, all
    half-lives are longer by the same factor.

    With recorded data, columns 1 to 7, 9 and 16 are 0.3 times their standard deviation in the file.

    The unit "action" is the scale of the continuous actions: the action `(bid_offset, ask_offset)`
    keeps both resting quotes. `mm_gym.observations` converts columns to lots, ticks and seconds.

    ## Rewards
    The reward is `reward_scale` times the sum of three parts in ticks x lots:

    1. the change of marked wealth;
    2. minus `inventory_penalty * inventory**2 * decision_interval`;
    3. minus the cost of closing out the position, at the close only.

    Inventory is marked to the public mid. The default `reward_scale` is 0.1, so that rewards are of
    order one per decision. The field `reward` chooses other rewards: `pnl` has no second part,
    `dampened` takes away a share of inventory gains (Spooner et al. 2018), and `cara` is the change
    of exponential utility. For `cara`, losses beyond 30 units of risk tolerance count as 30.

    With `variance_reduction=True`, a control variate is subtracted from the reward. It is computed
    from hidden state, and its sum over a session has mean zero for every policy. So expected
    returns stay the same and their variance falls. Use it for training only. Trajectories,
    observations and `info` are the same with and without it.

    ## Info
    All values are NumPy scalars.

    | key | meaning |
    |---|---|
    | pnl, cash | wealth marked to the public mid, and cash [ticks x lots] |
    | inventory | lots held, negative if short |
    | mid, spread | public mid and spread [ticks] |
    | fills | number of the agent's fills since the last decision |
    | objective | sum of the reward's parts so far, unscaled [ticks x lots] |
    | reward_wealth, reward_risk, reward_close_out | parts of this reward, scaled |
    | efficient_price, signal | privileged, for evaluation only: V [ticks] and s |

    `objective` and the parts of the reward are without variance reduction.

    ## Starting state
    The agent has no position and no cash. Background makers have filled the book for `warm_up`
    seconds.

    ## Episode end
    The episode is `terminated` after `session_steps` decisions, when the close settles the
    position. It is never `truncated`, except by a `TimeLimit` wrapper.

    ## Arguments
    Args:
        regime: name of the order flow, a key of `mm_gym.REGIMES`, or `replay` for recorded data
            (with the field `data`, the path of a file). The default is `noise`.
        task: name of a task of the benchmark suite, a key of `mm_gym.TASKS`. It replaces `regime`
            and all `fields`.
        action: `offsets` (default), `spread_skew`, `discrete` or `quotes_and_take`.
        record: number of fills per session that `recorded()` has room for. It has room for ten
            times as many changes of mid, efficient price or inventory. 0 records nothing.
        variance_reduction: whether to subtract the control variate from the reward.
        unwinding_time: [s] assumption of the control variate about how long inventory is held. It
            is potential-based shaping, so any value keeps expected returns. The default is 37 s, or
            37 decision intervals if that is less. It needs `variance_reduction=True`.
        render_mode: None, `ansi` (book, trades, own quotes and PnL as text), `rgb_array` (a picture
            of book, trades, price, quotes, fills, inventory and PnL) or `human` (the picture in a
            window). The last two need `pip install "mm-gym[render]"`.
        show_truth: whether pictures show what no participant sees: the efficient price, and by
            colour which fills were with informed takers. The default is False, so a policy may
            learn from pixels.
        **fields: any field of `mm_gym.MarketConfig`, such as `latency`.

    `reset(options={"config": {...}})` overrides fields for one episode, except `max_offset` and
    `reward_scale`, the units of actions and rewards. `unwrapped.config` is the configuration in
    use.

    Raises:
        UnknownKeywordError: for an unknown keyword. It is a `TypeError`, and its message names the
            nearest field.
        ConfigurationError: for an unknown regime or task, or a value out of range.

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
        show_truth: bool = False,
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
            check_count("record", record, "fills", least=0),
            PATH_ROWS_PER_FILL * record,
            variance_reduction=variance_reduction,
            unwinding_time=unwinding_time,
        )
        self._renderer = Renderer(
            self.render_mode, show_truth=check_show_truth(show_truth, self.render_mode)
        )
        self._needs_reset = True

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        """Start a new session.

        Args:
            seed: seed of the generator of this session and all later ones. Equal seeds give equal
                sessions. None continues with the present generator.
            options: `{"config": {...}}` overrides fields of the configuration for this session.

        Returns:
            The observation, shape (columns,), and `info`.

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
            self._renderer.update(self._markets, self.metadata["render_fps"])
        return observations[0], info_of(outcomes[0])

    def step(
        self, action: Any
    ) -> tuple[npt.NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Quote, and simulate one decision interval.

        Args:
            action: an element of the action space. Numbers beyond [-1, 1] are clipped.

        Returns:
            Observation, reward, terminated, truncated, and `info`.

        Raises:
            ResetNeeded: before the first reset and after the end of a session.
            ValueError: if the action has a wrong shape or is not finite.
        """
        if self._needs_reset:
            raise ResetNeeded("no session is running: expected a call of reset() first, got step()")
        observations, outcomes = self._markets.step(to_offsets_of_one(self._action_format, action))
        self._needs_reset = outcomes.item(_TERMINATED) > 0.0
        if self.render_mode is not None:
            self._renderer.update(self._markets, self.metadata["render_fps"])
        return (
            observations[0],
            outcomes.item(_REWARD),
            self._needs_reset,
            False,
            info_of(outcomes[0]),
        )

    def render(self) -> Frame | None:
        """The present frame: text for `ansi`, an image for `rgb_array`, otherwise None.

        In `human` mode, `reset` and `step` draw the frame themselves.
        """
        frames = self._renderer.render(self._markets)
        return None if frames is None else frames[0]

    def _repr_png_(self) -> bytes | None:
        """The present picture, for notebooks. Only in `rgb_array` mode, after `reset`."""
        frame = self.render() if self.render_mode == "rgb_array" else None
        return frame._repr_png_() if isinstance(frame, Image) else None

    def close(self) -> None:
        """Close the window of `human` mode, if there is one."""
        self._renderer.close()
        super().close()

    def recorded(self) -> Recorded:
        """The fills and the path of the current session so far, with privileged information.

        Raises:
            ValueError: if the environment was made without `record`, or with too small a number.
        """
        return self._markets.recorded(0)

    def snapshot(self) -> Snapshot:
        """A checkpoint: the market, and the generator that seeds later sessions."""
        # Gymnasium makes the generator at the first access. The snapshot has to hold it.
        _ = self.np_random
        return self._markets.snapshot({name: getattr(self, name) for name in _KEPT})

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a checkpoint.

        Args:
            snapshot: from `snapshot()` of this environment or of one made with the same arguments.

        Raises:
            TypeError: if it is not a snapshot.
            ValueError: if it is a snapshot of another kind of environment, or damaged.
        """
        for name, value in self._markets.restore(snapshot, _KEPT).items():
            setattr(self, name, value)
        self._renderer.forget(self._markets)
