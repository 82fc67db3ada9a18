"""Many markets as one Gymnasium vector environment, stepped by one call into the compiled core."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from mm_gym.actions import action_space, check_action_format, to_offsets
from mm_gym.config import ConfigurationError, MarketConfig
from mm_gym.core.layout import Outcome
from mm_gym.markets import (
    INFO_COLUMNS,
    PATH_ROWS_PER_FILL,
    WHOLE_INFO,
    Markets,
    Recorded,
    Snapshot,
    check_count,
    check_record,
)
from mm_gym.observations import observation_space
from mm_gym.rendering.renderer import Frame, Renderer, check_render_mode
from mm_gym.reset_options import check_options, episode_config
from mm_gym.tasks import market_config

_OPTIONS = ("config", "reset_mask")
_Observations = npt.NDArray[np.float32]
_KEPT = ("_generators", "_observations", "_ended")  # in a snapshot, beside the markets


class MarketMakingVectorEnv(VectorEnv[_Observations, Any, npt.NDArray[Any]]):
    """`num_envs` markets of one configuration; what `MarketMakingEnv` says of one holds for each.

    Equal, bit for bit, to `SyncVectorEnv` over single environments: market i of `reset(seed=n)` is
    the single environment's with seed n + i.

    Args:
        num_envs: number of markets.
        regime, task, action, record, variance_reduction, unwinding_time, render_mode, **fields: as
        of `MarketMakingEnv`; the render mode `human` is not offered. autoreset_mode: what happens
        after a session's end, a `gymnasium.vector.AutoresetMode` or its value: `NextStep`
        (default), `SameStep` or `Disabled`. max_episode_steps: truncate sessions after so many
        decisions, as `TimeLimit` does to a single environment. threads: that step the markets, each
        its share; what happens is the same with any number.

    Raises:
        ConfigurationError: for an unknown regime or keyword, or a value out of range.
    """

    metadata: dict[str, Any] = {
        "render_modes": ["rgb_array", "ansi"],
        "render_fps": 20,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        num_envs: int = 1,
        regime: str | None = None,
        *,
        task: str | None = None,
        action: str = "offsets",
        record: int = 0,
        variance_reduction: bool = False,
        unwinding_time: float | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        threads: int = 1,
        **fields: Any,
    ) -> None:
        self.num_envs = check_count("num_envs", num_envs, "markets")
        self.config, self._named = market_config(regime, task, fields)
        self.render_mode = check_render_mode(render_mode, self.metadata["render_modes"])
        self.autoreset_mode = _autoreset_mode(autoreset_mode)
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        self.max_episode_steps = _max_episode_steps(max_episode_steps)
        self._action_format = check_action_format(action)
        self.single_observation_space = observation_space()
        self.single_action_space = action_space(self._action_format)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._markets = Markets(
            self.config,
            self.num_envs,
            check_record(record),
            PATH_ROWS_PER_FILL * record,
            threads=threads,
            variance_reduction=variance_reduction,
            unwinding_time=unwinding_time,
        )
        self._renderer = Renderer(self.render_mode, self.num_envs)
        self._generators: list[np.random.Generator] = []
        self._observations = self._markets.empty_results()[0]
        self._ended = np.zeros(self.num_envs, dtype=np.bool_)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[_Observations, dict[str, Any]]:
        """Start new sessions: in every market, or in those of `options["reset_mask"]` (booleans,
        one a market).

        Args:
            seed: of market 0, the next of market 1 and so on; or one per market; or None to go on.
            options: `reset_mask`, and `config` as of `MarketMakingEnv`, for the one next session of
                the markets that are reset.

        Raises:
            ValueError: for a wrong number of seeds, a wrong mask, or an unknown option or field.
        """
        options = dict(check_options(options, _OPTIONS))
        config = episode_config(options, self.config, self._named)
        mask = self._reset_mask(options)
        self._seed(seed, mask)
        observations, outcomes = self._markets.empty_results()
        observations[:] = self._observations
        self._start(mask, observations, outcomes, config)
        self._ended[mask] = False
        self._observations = observations.copy()
        self._renderer.update(self._markets.records, self.metadata["render_fps"])
        return observations, _infos(outcomes, mask)

    def step(
        self, actions: Any
    ) -> tuple[
        _Observations,
        npt.NDArray[np.float64],
        npt.NDArray[np.bool_],
        npt.NDArray[np.bool_],
        dict[str, Any],
    ]:
        """One decision in every market.

        Raises:
            ResetNeeded: before the first reset, and with autoreset disabled when a session has
                ended.
            ValueError: if the actions have a wrong shape or are not finite.
        """
        if not self._generators:
            raise ResetNeeded("step() came before the markets were started; call reset()")
        restarted = self._ended
        if self.autoreset_mode == AutoresetMode.DISABLED and restarted.any():
            raise ResetNeeded(
                f"the sessions of markets {np.flatnonzero(restarted).tolist()} have ended; start new ones with "
                'reset(options={"reset_mask": mask})'
            )
        if restarted.any() and np.shape(actions)[:1] == (self.num_envs,):
            actions = np.array(actions)
            actions[restarted] = 0  # NEXT_STEP: the actions of these are ignored, whatever they are
        observations, outcomes = self._markets.step(
            to_offsets(self._action_format, actions, self.num_envs)
        )
        infos: dict[str, Any] = {}
        if restarted.any():
            self._start(restarted, observations, outcomes)
        rewards = outcomes[:, Outcome.REWARD].copy()
        terminations = outcomes[:, Outcome.TERMINATED] > 0.0
        truncations = self._out_of_time(terminations)
        ended = terminations | truncations
        if self.autoreset_mode == AutoresetMode.SAME_STEP and ended.any():
            infos.update(_final_infos(observations, outcomes, ended))
            self._start(ended, observations, outcomes)
            ended = np.zeros_like(ended)
        self._ended = ended
        infos.update(_infos(outcomes, np.ones(self.num_envs, np.bool_)))
        self._observations = observations
        self._renderer.update(self._markets.records, self.metadata["render_fps"])
        return observations.copy(), rewards, terminations, truncations, infos

    def render(self) -> tuple[Frame, ...] | None:
        """A frame of each market: text with `ansi`, an image with `rgb_array`; None without a
        render mode."""
        return self._renderer.render(self._markets.records)

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """`render` or a shared attribute such as `config`, one for each market, as
        `SyncVectorEnv.call` gives it.

        Raises:
            AttributeError: for another method, or if there is none of that name.
        """
        value = getattr(self, name)
        if name == "render":
            value = value(*args, **kwargs)
            return (None,) * self.num_envs if value is None else tuple(value)
        if callable(value):
            raise AttributeError(
                f"call({name!r}) is not offered: expected 'render' or an attribute that markets share"
            )
        return (value,) * self.num_envs

    def recorded(self) -> list[Recorded]:
        """What was recorded of each market's current session; with `SAME_STEP` an ended one is
        already gone.

        Raises:
            ValueError: if the environment was made without `record`, or its room was too small.
        """
        return [self._markets.recorded(market) for market in range(self.num_envs)]

    def snapshot(self) -> Snapshot:
        """A checkpoint: the markets and the generators that seed later sessions."""
        return self._markets.snapshot({name: getattr(self, name) for name in _KEPT})

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a checkpoint of this environment or of one made with the same arguments.

        Raises:
            TypeError, ValueError: if it is no such checkpoint.
        """
        for name, value in self._markets.restore(snapshot, _KEPT).items():
            setattr(self, name, value)
        self._renderer.forget(self._markets.records)

    def _start(
        self,
        mask: npt.NDArray[np.bool_],
        observations: _Observations,
        outcomes: npt.NDArray[Any],
        config: MarketConfig | None = None,
    ) -> None:
        self._markets.reset(np.flatnonzero(mask), self._generators, observations, outcomes, config)

    def _out_of_time(self, terminations: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        if self.max_episode_steps is None:
            return np.zeros(self.num_envs, dtype=np.bool_)
        out: npt.NDArray[np.bool_] = self._markets.records["steps"] >= self.max_episode_steps
        return out

    def _seed(self, seed: int | Sequence[int | None] | None, mask: npt.NDArray[np.bool_]) -> None:
        if seed is None or isinstance(seed, (int, np.integer)):
            seeds = [
                None if seed is None else int(seed) + market for market in range(self.num_envs)
            ]
        else:
            seeds = list(seed)
            if len(seeds) != self.num_envs:
                raise ValueError(
                    f"{len(seeds)} seeds came for {self.num_envs} markets; write one for each, or just one"
                )
        generators = list(self._generators)
        if not generators:
            generators = [seeding.np_random(None)[0] for _ in seeds]
        for market in np.flatnonzero(mask):
            if seeds[market] is not None:
                generators[market] = seeding.np_random(seeds[market])[0]
        self._generators = generators

    def _reset_mask(self, options: dict[str, Any]) -> npt.NDArray[np.bool_]:
        if "reset_mask" not in options:
            return np.ones(self.num_envs, dtype=np.bool_)
        mask = options["reset_mask"]
        if (
            not isinstance(mask, np.ndarray)
            or mask.dtype != np.bool_
            or mask.shape != (self.num_envs,)
        ):
            raise ValueError(
                f"reset_mask={mask!r} came, a NumPy array of {self.num_envs} booleans was wanted; write for each "
                "market whether it is to be reset"
            )
        if not mask.any():
            raise ValueError("reset_mask names no market; set at least one to True")
        if not self._generators and not mask.all():
            raise ResetNeeded(
                "reset_mask came before the markets were started; call reset() without it first"
            )
        return mask.copy()


def _autoreset_mode(mode: AutoresetMode | str) -> AutoresetMode:
    for known in AutoresetMode:
        if mode in (known, known.value, known.name):
            return known
    offered = ", ".join(repr(known.value) for known in AutoresetMode)
    raise ConfigurationError(f"autoreset_mode={mode!r} is not offered; write one of {offered}")


def _max_episode_steps(limit: int | None) -> int | None:
    """The limit; None for no limit, which is -1 in `gymnasium.make`'s words."""
    if limit is None or (limit == -1 and not isinstance(limit, bool)):
        return None
    if isinstance(limit, bool) or not isinstance(limit, (int, np.integer)) or limit < 1:
        raise ConfigurationError(
            f"max_episode_steps={limit!r} came, a number of decisions was wanted; write 1 or more, or None for no limit"
        )
    return int(limit)


def _infos(outcomes: npt.NDArray[Any], mask: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Gymnasium's vector form of `info`: an array per key and, under `_key`, which markets have
    it."""
    columns = outcomes.T if mask.all() else np.where(mask, outcomes.T, 0.0)
    infos: dict[str, Any] = {}
    for name, column in INFO_COLUMNS.items():
        infos[name] = columns[column].astype(np.int64 if name in WHOLE_INFO else np.float64)
        infos["_" + name] = mask.copy()
    return infos


def _final_infos(
    observations: _Observations, outcomes: npt.NDArray[Any], ended: npt.NDArray[np.bool_]
) -> dict[str, Any]:
    final_observations = np.full(len(ended), None, dtype=object)
    for market in np.flatnonzero(ended):
        final_observations[market] = observations[market].copy()
    return {
        "final_obs": final_observations,
        "_final_obs": ended.copy(),
        "final_info": _infos(outcomes, ended),
        "_final_info": ended.copy(),
    }
