"""The batch as stable-baselines3's `VecEnv`: `MarketMakingVecEnv`, which its algorithms take as
they are.

Stable-baselines3 wants a list of info dictionaries each step. Filling all of them would cost more
than the markets themselves, so only a market whose session has ended says anything; the others hand
over empty ones.
"""

import time
from collections.abc import Iterable
from typing import Any, Never

import numpy as np
import numpy.typing as npt
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv

from mm_gym.actions import action_space, check_action_format, to_offsets
from mm_gym.config import ConfigurationError, MarketConfig
from mm_gym.core.layout import Outcome
from mm_gym.markets import Markets, check_count, info_of
from mm_gym.observations import observation_space
from mm_gym.reset_options import check_options, episode_config
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
"""What `info["episode"]` tells of an ended session beside Monitor's r, l and t; money in ticks x
lots, fills counted, inventory in lots at decisions. pnl = spread_pnl + inventory_pnl - fees -
close_out."""


_OPTIONS = ("config",)


class MarketMakingVecEnv(VecEnv):
    """`num_envs` markets of one configuration; what `MarketMakingEnv` says of one holds for each.

    Equal, bit for bit, to stable-baselines3's `DummyVecEnv` over `Monitor`ed single environments:
    observations, rewards, ends, and at an end the info with `terminal_observation` and `episode`
    (and `SESSION_FIGURES` in the latter). Infos of markets whose session goes on are empty.

    Args:
        num_envs: number of markets.
        regime, task, action, variance_reduction, unwinding_time, **fields: as of `MarketMakingEnv`.
        staggered: have `reset` leave the markets at evenly spread times of their sessions, after
            quotes at `max_offset`. Otherwise all sessions end together, and no batch of experience
            holds more than one part of the session.
        threads: that step the markets, as of `Markets`.

    Raises:
        ConfigurationError: for an unknown regime or keyword, or a value out of range.
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
        threads: int = 1,
        **fields: Any,
    ) -> None:
        num_envs = check_count("num_envs", num_envs, "markets")
        self.config, self._named = market_config(regime, task, fields)
        self.render_mode = None
        self.staggered = bool(staggered)
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
        self._lots_held = np.zeros(num_envs)  # sum of |inventory| over the decisions of the session
        self._started_at = time.time()
        super().__init__(num_envs, observation_space(), action_space(self._action_format))

    def reset(self) -> npt.NDArray[np.float32]:
        """Start a session in every market, with the seeds of the last `seed()`, or else the next of
        its generator.

        `set_options({"config": {...}})` before it overrides fields of the configuration for this
        session.

        Raises:
            ConfigurationError: for an unknown option or field, or a value out of range.
        """
        wanted = self._options
        self._reset_options()  # used up, also where they are refused
        configs = [
            episode_config(check_options(options, _OPTIONS), self.config, self._named)
            for options in wanted
        ]
        if self.staggered and any(config is not None for config in configs):
            raise ConfigurationError(
                "reset option 'config' has no effect on staggered markets: expected staggered=False, got True"
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
        return observations

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        """Take the actions, of shape (num_envs, 2); `step_wait` acts on them.

        Raises:
            ResetNeeded: before the first reset.
            ValueError: if the actions have a wrong shape or are not finite.
        """
        if not self._generators:
            raise ResetNeeded("step() came before the markets were started; call reset()")
        self._offsets = to_offsets(self._action_format, actions, self.num_envs)

    def step_wait(
        self,
    ) -> tuple[
        npt.NDArray[np.float32],
        npt.NDArray[np.float32],
        npt.NDArray[np.bool_],
        list[dict[str, Any]],
    ]:
        """One decision in every market; one whose session ends starts the next at once."""
        observations, outcomes = self._advance(self._offsets)
        paid = outcomes[:, Outcome.REWARD].astype(np.float32)
        ended = outcomes[:, Outcome.TERMINATED] > 0.0
        # Fresh ones each step, since callers may keep or fill them; an empty dictionary costs next
        # to nothing.
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if ended.any():
            chosen = np.flatnonzero(ended)
            for market in chosen:
                infos[market] = self._last_info(market, observations[market], outcomes[market])
            self._start(chosen, observations, outcomes)
        return observations, paid, ended, infos

    def truth(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """The signal and V - mid [ticks] of each market, shape (num_envs,) each. Hidden state:
        never for a policy."""
        records = self._markets.records
        return records["signal"].copy(), records["efficient_price"] - records["mid"]

    def close(self) -> None:
        """Nothing to let go of."""

    def get_attr(self, attr_name: str, indices: int | Iterable[int] | None = None) -> list[Any]:
        """An attribute that all markets share, such as `config`, once for each market asked for.

        Raises:
            AttributeError: if there is none of that name.
        """
        value = getattr(self, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(
        self, attr_name: str, value: Any, indices: int | Iterable[int] | None = None
    ) -> Never:
        """Refused: what the markets share was settled when they were made."""
        raise AttributeError(
            f"set_attr({attr_name!r}, {value!r}) came, but the markets of a batch share one configuration, which does "
            "not change; make another MarketMakingVecEnv"
        )

    def env_method(
        self,
        method_name: str,
        *method_args: Any,
        indices: int | Iterable[int] | None = None,
        **method_kwargs: Any,
    ) -> Never:
        """Refused: a market of a batch is a record and has no methods."""
        raise AttributeError(
            f"env_method({method_name!r}) came, but the markets of a batch are records without methods; make "
            "gymnasium.make('MarketMaking-v0') environments in a DummyVecEnv to call them one by one"
        )

    def env_is_wrapped(
        self, wrapper_class: type[Any], indices: int | Iterable[int] | None = None
    ) -> list[bool]:
        """True for `Monitor`, whose figures stand in the infos, so that nobody measures sessions
        twice."""
        return [issubclass(Monitor, wrapper_class) for _ in self._get_indices(indices)]

    def _start(
        self,
        chosen: npt.NDArray[Any],
        observations: npt.NDArray[np.float32],
        outcomes: npt.NDArray[np.float64],
        config: MarketConfig | None = None,
    ) -> None:
        self._markets.reset(chosen, self._generators, observations, outcomes, config)
        self._returns[chosen] = 0.0
        self._lots_held[chosen] = 0.0
        for market in chosen:
            self.reset_infos[market] = info_of(outcomes[market])

    def _advance(
        self, offsets: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
        observations, outcomes = self._markets.step(offsets)
        self._returns += outcomes[:, Outcome.REWARD]
        self._lots_held += np.abs(outcomes[:, Outcome.INVENTORY])
        return observations, outcomes

    def _stagger(
        self, decisions: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
        """Start every market anew and let so many decisions pass in it, all fewer than a session
        has."""
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
        info["TimeLimit.truncated"] = (
            False  # the close settles the position: nothing is left to bootstrap
        )
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
