"""Many markets as a `VecEnv` of stable-baselines3.

Stable-baselines3 expects a list of info dictionaries at each step. To fill all of them takes longer
than to step the markets, so only markets whose session ended fill theirs. The others are empty, and
are made when they are read.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Never

import numpy as np
import numpy.typing as npt
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv

from mm_gym.actions import action_space, check_action_format, to_offsets
from mm_gym.argument_checks import check_count, check_switch
from mm_gym.config import MarketConfig
from mm_gym.core.layout import Outcome
from mm_gym.errors import ConfigurationError
from mm_gym.markets import Markets
from mm_gym.observations import observation_space
from mm_gym.rendering.renderer import Renderer, check_render_mode, check_show_truth
from mm_gym.reset_options import check_options, episode_config
from mm_gym.step_info import info_of
from mm_gym.tasks import market_config

SESSION_FIGURES = (
    "objective",
    "pnl",
    "spread_pnl",
    "inventory_pnl",
    "fees",
    "close_out",
    "fills",
    "mean_abs_inventory",
)
"""Keys of `info["episode"]` of an ended session, beside `r`, `l` and `t` of `Monitor`.

Money is in ticks x lots. `fills` is a count, and `mean_abs_inventory` is in lots, a mean over
decisions. The identity pnl = spread_pnl + inventory_pnl - fees - close_out holds."""

# Plain integers: the members of an enumeration are slower to look up.
_REWARD, _TERMINATED, _INVENTORY = map(int, (Outcome.REWARD, Outcome.TERMINATED, Outcome.INVENTORY))
_OPTIONS = ("config",)
_RAMP_LEVELS = 20
_RENDER_MODES = ("rgb_array",)
_FPS = 20  # of videos

_UNREAD: Any = MappingProxyType({})  # NumPy sees it, which reads a list from within


class _Infos(list[dict[str, Any]]):
    """The infos of a step, each empty until it is assigned. An empty one is made when it is read.

    Args:
        n: number of infos.
    """

    def __init__(self, n: int) -> None:
        super().__init__((_UNREAD,) * n)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return list(self)[index]
        info = super().__getitem__(index)
        if info is _UNREAD:
            info = self[index] = {}  # not reused, since callers may keep or fill it
        return info

    def __iter__(self) -> Iterator[dict[str, Any]]:
        self[:] = [{} if info is _UNREAD else info for info in super().__iter__()]
        return super().__iter__()


class MarketMakingVecEnv(VecEnv):
    """`num_envs` independent markets of one configuration; `MarketMakingEnv` describes each.

    It equals a `DummyVecEnv` over single environments in `Monitor` wrappers bit for bit:
    observations, rewards, ends, and the infos of ended sessions. `info["episode"]` has the
    additional keys `SESSION_FIGURES`. The infos of running sessions are empty.

    Args:
        num_envs: number of markets.
        regime: as in `MarketMakingEnv`.
        task: as in `MarketMakingEnv`.
        action: as in `MarketMakingEnv`.
        variance_reduction: as in `MarketMakingEnv`.
        unwinding_time: as in `MarketMakingEnv`.
        staggered: whether `reset` leaves the markets at evenly spread times of their sessions, with
            quotes at `max_offset` until then. Otherwise all sessions end together, and a batch of
            experience covers only one part of the session.
        render_mode: None or `rgb_array`. `get_images()` draws each market as a picture, and
            `render()` tiles the pictures. They need `pip install "mm-gym[render]"`.
        show_truth: as in `MarketMakingEnv`.
        informed_ramp: for training: number of decisions of each market over which `p_informed` of
            new sessions rises linearly from 0 to its value. A learner that meets many informed
            takers from the start learns to withdraw, and later hardly tries to trade.
        threads: number of threads that step the markets. Results do not depend on it.
        **fields: any field of `mm_gym.MarketConfig`.

    Raises:
        UnknownKeywordError: for an unknown keyword.
        ConfigurationError: for an unknown regime or task, or a value out of range.
    """

    def __init__(
        self,
        num_envs: int,
        regime: str | None = None,
        *,
        task: str | None = None,
        action: str = "offsets",
        variance_reduction: bool = False,
        unwinding_time: float | None = None,
        staggered: bool = False,
        render_mode: str | None = None,
        show_truth: bool = False,
        informed_ramp: int = 0,
        threads: int = 1,
        **fields: Any,
    ) -> None:
        num_envs = check_count("num_envs", num_envs, "markets")
        self.config, self._named = market_config(regime, task, fields)
        self.render_mode = check_render_mode(render_mode, _RENDER_MODES)
        self.staggered = check_switch("staggered", staggered)
        self.decisions = 0
        """Decisions of each market so far. Set it to continue a training with `informed_ramp`."""
        self._ramp = informed_ramp
        if informed_ramp != 0:
            self._ramp = check_count("informed_ramp", informed_ramp, "decisions")
        self._action_format = check_action_format(action)
        self._markets = Markets(
            self.config,
            num_envs,
            threads=threads,
            variance_reduction=variance_reduction,
            unwinding_time=unwinding_time,
        )
        self._generators: list[np.random.Generator] = []
        self._returns = np.zeros(num_envs)
        self._quiet_steps = 0  # number of steps from now in which certainly no session ends
        self._lots_held = np.zeros(num_envs)  # sum of |inventory| over the session's decisions
        self._started_at = time.time()
        self._renderer = Renderer(
            self.render_mode, num_envs, check_show_truth(show_truth, self.render_mode)
        )
        super().__init__(num_envs, observation_space(), action_space(self._action_format))
        self.metadata["render_fps"] = _FPS  # type: ignore[assignment]

    def reset(self) -> npt.NDArray[np.float32]:
        """Start a session in every market.

        The seeds are those of the last `seed()`. Without one, the generators continue. A call of
        `set_options({"config": {...}})` before overrides fields of the configuration for this
        session.

        Returns:
            Observations, shape (num_envs, columns).

        Raises:
            ConfigurationError: for an unknown option or field, or a value out of range.
        """
        given = self._options
        self._reset_options()  # options hold for one reset, even if they are wrong
        configs = [
            episode_config(check_options(options, _OPTIONS), self.config, self._named)
            for options in given
        ]
        if self.staggered and any(config is not None for config in configs):
            raise ConfigurationError(
                "reset option 'config' has no effect on staggered markets: "
                "expected staggered=False, got True"
            )
        if not self._generators:
            self._generators = [seeding.np_random(None)[0] for _ in range(self.num_envs)]
        for market, seed in enumerate(self._seeds):
            if seed is not None:
                self._generators[market] = seeding.np_random(seed)[0]
        self._reset_seeds()
        everybody = np.arange(self.num_envs)
        observations, outcomes = self._markets.empty_results()
        own = np.array([config is not None for config in configs])
        self._start(everybody[~own], observations, outcomes)
        for market in everybody[own]:
            self._start(everybody[market : market + 1], observations, outcomes, configs[market])
        if self.staggered:
            observations, outcomes = self._stagger(
                everybody * self.config.session_steps // self.num_envs
            )
            self._renderer.forget(self._markets)
        self._renderer.update(self._markets, _FPS)
        return observations

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        """Take the actions for `step_wait`.

        Args:
            actions: shape (num_envs, 2), or (num_envs,) for the format `discrete`.

        Raises:
            ResetNeeded: before the first reset.
            ValueError: if the actions have a wrong shape or are not finite.
        """
        if not self._generators:
            raise ResetNeeded("no session is running: expected a call of reset() first, got step()")
        self._offsets = to_offsets(self._action_format, actions, self.num_envs)

    def step_wait(
        self,
    ) -> tuple[
        npt.NDArray[np.float32],
        npt.NDArray[np.float32],
        npt.NDArray[np.bool_],
        list[dict[str, Any]],
    ]:
        """Simulate one decision interval in every market. Ended sessions are followed by new ones.

        Returns:
            Observations, shape (num_envs, columns); rewards and ends, shape (num_envs,); and a list
            of infos.
        """
        observations, outcomes = self._advance(self._offsets)
        self.decisions += 1
        paid = outcomes[:, _REWARD].astype(np.float32)
        infos = _Infos(self.num_envs)
        if self._quiet_steps > 0:
            self._quiet_steps -= 1
            ended = np.zeros(self.num_envs, np.bool_)
        else:
            ended = outcomes[:, _TERMINATED] > 0.0
            chosen = np.flatnonzero(ended)
            if len(chosen):
                for market in chosen:
                    infos[market] = self._last_info(market, observations[market], outcomes[market])
                self._start(chosen, observations, outcomes)
            # Ends of staggered sessions are too close to each other for quiet steps to pay.
            self._quiet_steps = 0 if self.staggered else self._markets.decisions_left() - 1
        if self.render_mode is not None:
            self._renderer.update(self._markets, _FPS)
        return observations, paid, ended, infos

    def get_images(self) -> Sequence[npt.NDArray[np.uint8] | None]:
        """A picture of each market, shape (540, 960, 3), or None without a render mode."""
        if self.render_mode is None:
            return [None] * self.num_envs
        return self._renderer.pictures(self._markets)

    def privileged_state(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Privileged information for training targets: the signal, and V - mid [ticks].

        Returns:
            Two arrays of shape (num_envs,). A policy must not observe them.
        """
        records = self._markets.records
        return records["signal"].copy(), records["efficient_price"] - records["mid"]

    def close(self) -> None:
        """Do nothing: there are no resources to release."""

    def get_attr(self, attr_name: str, indices: int | Iterable[int] | None = None) -> list[Any]:
        """An attribute that all markets share, such as `config`, once for each chosen market.

        Raises:
            AttributeError: if there is no attribute with this name.
        """
        value = getattr(self, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(
        self, attr_name: str, value: Any, indices: int | Iterable[int] | None = None
    ) -> Never:
        """Raise an error: the attributes that the markets share cannot change.

        Raises:
            AttributeError: always.
        """
        raise AttributeError(
            "set_attr() is not offered: expected another MarketMakingVecEnv for other attributes, "
            f"got set_attr({attr_name!r}, {value!r})"
        )

    def env_method(
        self,
        method_name: str,
        *method_args: Any,
        indices: int | Iterable[int] | None = None,
        **method_kwargs: Any,
    ) -> Never:
        """Raise an error: a market of the batch is a record and has no methods.

        Raises:
            AttributeError: always.
        """
        raise AttributeError(
            "env_method() is not offered: expected a DummyVecEnv of "
            "gymnasium.make('MarketMaking-v0') for calls of methods, "
            f"got env_method({method_name!r})"
        )

    def env_is_wrapped(
        self, wrapper_class: type[Any], indices: int | Iterable[int] | None = None
    ) -> list[bool]:
        """True for `Monitor`, since the infos hold its values; stable-baselines3 adds none then."""
        return [issubclass(Monitor, wrapper_class) for _ in self._get_indices(indices)]

    def _start(
        self,
        chosen: npt.NDArray[Any],
        observations: npt.NDArray[np.float32],
        outcomes: npt.NDArray[np.float64],
        config: MarketConfig | None = None,
    ) -> None:
        if config is None and self.decisions < self._ramp:
            # A few levels, so that many markets share a row of parameters.
            level = _RAMP_LEVELS * self.decisions // self._ramp / _RAMP_LEVELS
            config = replace(self.config, p_informed=level * self.config.p_informed)
        self._markets.reset(chosen, self._generators, observations, outcomes, config)
        self._returns[chosen] = 0.0
        self._lots_held[chosen] = 0.0
        self._quiet_steps = 0
        for market in chosen:
            self.reset_infos[market] = info_of(outcomes[market])

    def _advance(
        self, offsets: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
        observations, outcomes = self._markets.step(offsets)
        self._returns += outcomes[:, _REWARD]
        self._lots_held += np.abs(outcomes[:, _INVENTORY])
        return observations, outcomes

    def _stagger(
        self, decisions: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
        """Restart the markets one after another, so that each is at its own time of the session.

        Args:
            decisions: number of decisions that each market is to be past its start, shape
                (num_envs,), less than those of a session.
        """
        far = np.ones((self.num_envs, 2), np.float32)
        for to_come in range(int(decisions.max()), -1, -1):
            observations, outcomes = self._advance(far)
            self._start(np.flatnonzero(decisions == to_come), observations, outcomes)
        return observations, outcomes

    def _last_info(
        self,
        market: np.intp,
        observation: npt.NDArray[np.float32],
        outcome: npt.NDArray[np.float64],
    ) -> dict[str, Any]:
        record = self._markets.records[market]
        account = record["account"]
        decisions = int(record["steps"])
        info = info_of(outcome)
        # The close settles the position, so there is no value to bootstrap.
        info["TimeLimit.truncated"] = False
        info["terminal_observation"] = observation.copy()
        info["episode"] = {
            "r": round(float(self._returns[market]), 6),
            "l": decisions,
            "t": round(time.time() - self._started_at, 6),
            "objective": float(outcome[Outcome.OBJECTIVE]),
            "pnl": float(outcome[Outcome.PNL]),
            "spread_pnl": float(account["spread_pnl"]),
            "inventory_pnl": float(account["inventory_pnl"]),
            "fees": float(account["fees"]),
            "close_out": float(account["close_out"]),
            "fills": int(account["n_fills"]),
            "mean_abs_inventory": float(self._lots_held[market]) / decisions,
        }
        return info
