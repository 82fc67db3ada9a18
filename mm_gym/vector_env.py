"""Many markets as one Gymnasium vector environment. One call into the core steps all of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from mm_gym.actions import action_space, check_action_format, to_offsets
from mm_gym.argument_checks import check_count
from mm_gym.config import MarketConfig
from mm_gym.core.layout import Outcome
from mm_gym.errors import ConfigurationError
from mm_gym.markets import Markets
from mm_gym.observations import observation_space
from mm_gym.recorded_fills import PATH_ROWS_PER_FILL, Recorded
from mm_gym.rendering.renderer import Frame, Renderer, check_render_mode, check_show_truth
from mm_gym.reset_options import check_options, episode_config
from mm_gym.snapshots import Snapshot
from mm_gym.step_info import INFO_COLUMNS, WHOLE_INFO, info_columns
from mm_gym.tasks import market_config

_OPTIONS = ("config", "reset_mask")
_Observations = npt.NDArray[np.float32]
# Attributes that a snapshot holds beside the markets.
_KEPT = {"_generators": list, "_ended": np.ndarray}
# Plain integers: the members of an enumeration are slower to look up.
_REWARD, _TERMINATED = int(Outcome.REWARD), int(Outcome.TERMINATED)
_INFO_KEYS = (*INFO_COLUMNS, *("_" + name for name in INFO_COLUMNS))


class MarketMakingVectorEnv(VectorEnv[_Observations, Any, npt.NDArray[Any]]):
    """`num_envs` independent markets of one configuration; `MarketMakingEnv` describes each.

    It equals `SyncVectorEnv` over single environments bit for bit. Market i after `reset(seed=n)`
    is the single environment after `reset(seed=n + i)`.

    Args:
        num_envs: number of markets.
        regime: as in `MarketMakingEnv`.
        task: as in `MarketMakingEnv`.
        action: as in `MarketMakingEnv`.
        record: as in `MarketMakingEnv`, for each market.
        variance_reduction: as in `MarketMakingEnv`.
        unwinding_time: as in `MarketMakingEnv`.
        autoreset_mode: when a market starts its next session, as a `gymnasium.vector.AutoresetMode`
            or its value: `NextStep` (default), `SameStep` or `Disabled`.
        max_episode_steps: number of decisions after which a session is truncated, as by a
            `TimeLimit` wrapper. None or -1 means no limit.
        render_mode: None, `ansi` or `rgb_array`. `mm_gym.rendering.grid` tiles the pictures.
        show_truth: as in `MarketMakingEnv`.
        threads: number of threads that step the markets. Results do not depend on it.
        **fields: any field of `mm_gym.MarketConfig`.

    Raises:
        UnknownKeywordError: for an unknown keyword.
        ConfigurationError: for an unknown regime or task, or a value out of range.
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
        show_truth: bool = False,
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
        self._markets = Markets(
            self.config,
            self.num_envs,
            check_count("record", record, "fills", least=0),
            PATH_ROWS_PER_FILL * record,
            threads=threads,
            variance_reduction=variance_reduction,
            unwinding_time=unwinding_time,
        )
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._renderer = Renderer(
            self.render_mode, self.num_envs, check_show_truth(show_truth, self.render_mode)
        )
        self._generators: list[np.random.Generator] = []
        self._ended = np.zeros(self.num_envs, dtype=np.bool_)
        self._quiet_steps = 0  # number of steps from now in which certainly no session ends

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[_Observations, dict[str, Any]]:
        """Start new sessions in all markets, or in those of a mask.

        Args:
            seed: a number n, with which market i gets the seed n + i; or one seed per market; or
                None to continue with the present generators.
            options: `reset_mask` chooses the markets, as an array of booleans of shape (num_envs,).
                `config` overrides fields of the configuration for one session of these markets.

        Returns:
            Observations, shape (num_envs, columns), and `info` as arrays of shape (num_envs,).

        Raises:
            ValueError: for a wrong number of seeds, a wrong mask, or an unknown option or field.
            ResetNeeded: for a mask of some markets before the first reset.
        """
        options = dict(check_options(options, _OPTIONS))
        config = episode_config(options, self.config, self._named)
        mask = self._reset_mask(options)
        self._seed(seed, mask)
        observations, outcomes = self._markets.empty_results()
        observations[:] = self._markets.records["observation"]
        self._start(mask, observations, outcomes, config)
        self._ended[mask] = False
        self._renderer.update(self._markets, self.metadata["render_fps"])
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
        """Simulate one decision interval in every market.

        Args:
            actions: an element of the batched action space.

        Returns:
            Observations, shape (num_envs, columns); rewards, terminations and truncations, shape
            (num_envs,); and `info` as arrays.

        Raises:
            ResetNeeded: before the first reset, and for an ended session if autoreset is disabled.
            ValueError: if the actions have a wrong shape or are not finite.
        """
        if not self._generators:
            raise ResetNeeded("no session is running: expected a call of reset() first, got step()")
        restarted = self._ended
        # While no session can end, nothing needs to be known about ends.
        quiet = self._quiet_steps > 0
        restarts = not quiet and np.count_nonzero(restarted) > 0
        if restarts and self.autoreset_mode == AutoresetMode.DISABLED:
            raise ResetNeeded(
                "sessions have ended: expected a reset of their markets before step(), got ended "
                f"markets {np.flatnonzero(restarted).tolist()} "
                '(write reset(options={"reset_mask": mask}))'
            )
        if restarts and np.shape(actions)[:1] == (self.num_envs,):
            actions = np.array(actions)
            actions[restarted] = 0  # NEXT_STEP ignores these actions, so they may be invalid
        observations, outcomes = self._markets.step(
            to_offsets(self._action_format, actions, self.num_envs)
        )
        final_infos: dict[str, Any] | None = None
        if restarts:
            self._start(restarted, observations, outcomes)
        rewards = outcomes[:, _REWARD]
        if quiet:
            self._quiet_steps -= 1
            terminations = np.zeros(self.num_envs, np.bool_)
            truncations = np.zeros(self.num_envs, np.bool_)
        else:
            terminations = outcomes[:, _TERMINATED] > 0.0
            truncations = self._out_of_time(terminations)
            ended = terminations | truncations
            if self.autoreset_mode == AutoresetMode.SAME_STEP and ended.any():
                final_infos = _final_infos(observations, outcomes, ended)
                rewards = rewards.copy()  # the next line overwrites the outcomes of ended sessions
                self._start(ended, observations, outcomes)
                ended = np.zeros_like(ended)
            self._ended = ended
            self._quiet_steps = self._markets.decisions_left(self.max_episode_steps) - 1
        infos = _infos(outcomes)
        if final_infos is not None:
            infos |= final_infos
        if self.render_mode is not None:
            self._renderer.update(self._markets, self.metadata["render_fps"])
        return observations, rewards, terminations, truncations, infos

    def render(self) -> tuple[Frame, ...] | None:
        """A frame for each market: text for `ansi`, an image for `rgb_array`, otherwise None."""
        return self._renderer.render(self._markets)

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """The frames of `render`, or an attribute once per market, as in `SyncVectorEnv.call`.

        Args:
            name: `render`, or the name of an attribute such as `config`.

        Raises:
            AttributeError: for another method or an unknown name.
        """
        value = getattr(self, name)
        if name == "render":
            value = value(*args, **kwargs)
            return (None,) * self.num_envs if value is None else tuple(value)
        if callable(value):
            raise AttributeError(
                f"call({name!r}) is not offered: "
                f"expected 'render' or an attribute of the markets, got {name!r}"
            )
        return (value,) * self.num_envs

    def recorded(self) -> list[Recorded]:
        """The fills and paths of the current sessions, one `Recorded` per market.

        With the autoreset mode `SAME_STEP`, an ended session is no longer the current one.

        Raises:
            ValueError: if the environment was made without `record`, or with too small a number.
        """
        return [self._markets.recorded(market) for market in range(self.num_envs)]

    def snapshot(self) -> Snapshot:
        """A checkpoint: the markets, and the generators that seed later sessions."""
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
        self._quiet_steps = 0
        self._renderer.forget(self._markets)

    def _start(
        self,
        mask: npt.NDArray[np.bool_],
        observations: _Observations,
        outcomes: npt.NDArray[Any],
        config: MarketConfig | None = None,
    ) -> None:
        self._markets.reset(np.flatnonzero(mask), self._generators, observations, outcomes, config)
        self._quiet_steps = 0

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
                    f"seed has a wrong length: expected one number, or {self.num_envs} numbers, "
                    f"one for each market, got {len(seeds)}"
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
                f"reset_mask is wrong: expected a NumPy array of {self.num_envs} booleans, "
                f"one for each market, got {mask!r}"
            )
        if not mask.any():
            raise ValueError(
                f"reset_mask chooses no market: expected at least one True, got {mask!r}"
            )
        if not self._generators and not mask.all():
            raise ResetNeeded(
                "no session is running: expected a call of reset() without reset_mask first, "
                f"got reset_mask={mask!r}"
            )
        return mask.copy()


def _autoreset_mode(mode: AutoresetMode | str) -> AutoresetMode:
    for known in AutoresetMode:
        if isinstance(mode, (str, AutoresetMode)) and mode in (known, known.value, known.name):
            return known
    offered = ", ".join(repr(known.value) for known in AutoresetMode)
    raise ConfigurationError(
        f"autoreset_mode={mode!r} is not offered: expected one of {offered}, got {mode!r}"
    )


def _max_episode_steps(limit: int | None) -> int | None:
    """The limit, or None for no limit. `gymnasium.make` writes -1 for no limit."""
    if limit is None or (isinstance(limit, (int, np.integer)) and limit == -1):
        return None
    if isinstance(limit, bool) or not isinstance(limit, (int, np.integer)) or limit < 1:
        raise ConfigurationError(
            f"max_episode_steps={limit!r} is out of range: "
            f"expected a whole number of decisions, at least 1, or None, got {limit!r}"
        )
    return int(limit)


def _infos(outcomes: npt.NDArray[Any], mask: npt.NDArray[np.bool_] | None = None) -> dict[str, Any]:
    """`info` in Gymnasium's vector form.

    Each key has an array of values, and `_key` has an array of booleans: which markets have one.
    The arrays are views of the outcomes, which no later step changes. The keys share their
    booleans.

    Args:
        outcomes: one row per market.
        mask: the markets that have values; None for all.
    """
    shown = info_columns(outcomes)
    if mask is None:
        mask = np.empty(len(outcomes), np.bool_)
        mask.fill(True)  # takes a third of the time of np.ones
    else:
        shown = np.where(mask, shown, 0.0)
        mask = mask.copy()
    infos: dict[str, Any] = dict.fromkeys(_INFO_KEYS, mask)
    infos.update(zip(INFO_COLUMNS, shown, strict=True))
    for name in WHOLE_INFO:
        infos[name] = infos[name].astype(np.int64)
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
