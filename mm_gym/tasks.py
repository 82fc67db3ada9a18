"""The benchmark suite: named, versioned tasks, each a frozen market with two reference scores.

`TASKS` maps a task's name to its `Task`. The reference scores are in `tasks.json`, which `python -m
agents.tools.reference_scores` writes. A task that has not been scored yet has None in their place.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mm_gym.config import FIELD_NAMES, ConfigurationError, MarketConfig, configure, nearest

REFERENCES_FILE = Path(__file__).with_name("tasks.json")


@dataclass(frozen=True)
class Reference:
    """What one agent earns in a task: one end of the scale of normalised scores."""

    agent: str
    """Its name, with its parameters, as `evaluate.py --agents` takes it."""
    score: float
    """[ticks x lots] Mean objective of a session."""
    standard_error: float
    """[ticks x lots] Of the score; 0 where it was computed exactly."""
    sessions: int
    """Number of sessions, 0 where the score was computed exactly."""


@dataclass(frozen=True)
class Task:
    """One task of the suite. Its configuration changes only together with its version."""

    name: str
    version: int
    description: str
    """One sentence: what the task asks of a maker."""
    config: MarketConfig
    zero: Reference | None = None
    """The score that means 0: the best tuned rule that ignores the flow."""
    one: Reference | None = None
    """The score that means 1: the strongest reference that is told every parameter of the
    market."""

    @property
    def scored(self) -> bool:
        """Whether both reference scores are known, so that objectives can be normalised."""
        return self.zero is not None and self.one is not None

    def normalise(self, objective: float) -> float:
        """The normalised score of a mean objective [ticks x lots]; NaN while the task has no
        reference scores."""
        if self.zero is None or self.one is None:
            return math.nan
        return (objective - self.zero.score) / (self.one.score - self.zero.score)

    def normalise_error(self, standard_error: float) -> float:
        """The standard error of a normalised score. The reference scores define the scale and count
        as exact."""
        if self.zero is None or self.one is None:
            return math.nan
        return standard_error / (self.one.score - self.zero.score)

    def fields(self) -> dict[str, Any]:
        """The fields in which the configuration differs from its regime's defaults."""
        usual = configure(self.config.regime).to_dict()
        return {
            name: value for name, value in self.config.to_dict().items() if value != usual[name]
        }


def market_config(
    regime: str | None, task: str | None, fields: Mapping[str, Any]
) -> tuple[MarketConfig, dict[str, Any]]:
    """The configuration that a face's keywords ask for: that of a task, or of a regime with some
    fields overridden.

    And what was named, as `mm_gym.reset_options.episode_config` takes it: the task, or the regime
    and the fields.

    Args:
        regime: a key of `mm_gym.REGIMES`; None: not given, which means `noise` where there is no
            task either.
        task: a key of `TASKS`, or None.
        fields: the face's keywords that are not its own: fields of `MarketConfig`.

    Raises:
        ConfigurationError: for an unknown task (naming the nearest), a regime or field beside a
            task, and whatever `configure` refuses.
    """
    if task is None:
        named = {"regime": "noise" if regime is None else regime, **fields}
        return configure(**named), named
    for name in fields:
        if name not in FIELD_NAMES:
            configure(**{name: fields[name]})  # raises, in its own words
    found = find_task(task)
    beside = ([] if regime is None else ["regime"]) + list(fields)
    if beside:
        raise ConfigurationError(
            f"task {task!r} is frozen: expected no regime and no market field beside it, got {', '.join(beside)}"
        )
    return found.config, {"task": task}


def find_task(name: Any, tasks: Mapping[str, Task] | None = None) -> Task:
    """The task of this name.

    Raises:
        ConfigurationError: if there is none, naming the nearest.
    """
    tasks = TASKS if tasks is None else tasks
    if not isinstance(name, str) or name not in tasks:
        raise ConfigurationError(
            f"task is unknown: expected a key of mm_gym.TASKS, got {name!r}; {nearest(str(name), tasks)}"
        )
    return tasks[name]


def plain_config(config: MarketConfig) -> dict[str, Any]:
    """The configuration as strict JSON holds it: an infinite number is the string "inf", a tuple is
    a list."""
    return {
        name: "inf" if value == math.inf else list(value) if isinstance(value, tuple) else value
        for name, value in config.to_dict().items()
    }


def read_references(path: Path = REFERENCES_FILE) -> dict[str, dict[str, Any]]:
    """The reference scores by task: `version`, `config`, and `zero` and `one`, each a `Reference`
    or None.

    Raises:
        ConfigurationError: if the file is missing or damaged.
    """
    try:
        tasks = json.loads(path.read_text())["tasks"]
        return {name: {**entry, **_checked(entry)} for name, entry in tasks.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigurationError(
            f"{path} cannot be read: expected what `python -m agents.tools.reference_scores` writes, got "
            f"{type(error).__name__}: {error}"
        ) from error


def _checked(entry: dict[str, Any]) -> dict[str, Any]:
    zero, one = (_reference(entry[end]) for end in ("zero", "one"))
    if not isinstance(entry["version"], int):
        raise ValueError(f"version is no number: expected an int, got {entry['version']!r}")
    if zero is not None and one is not None and not one.score > zero.score:
        raise ValueError(
            f"the scale is empty: expected one above zero, got {one.score} and {zero.score}"
        )
    return {"zero": zero, "one": one}


def _reference(plain: Any) -> Reference | None:
    if plain is None:
        return None
    found = Reference(**plain)
    if not isinstance(found.agent, str) or not found.agent.isprintable():
        raise ValueError(f"agent is no name: expected printable text, got {found.agent!r}")
    for name in ("score", "standard_error"):
        value = getattr(found, name)
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or not math.isfinite(value)
        ):
            raise ValueError(f"{name} is out of range: expected a finite number, got {value!r}")
    if (
        isinstance(found.sessions, bool)
        or not isinstance(found.sessions, int)
        or found.sessions < 0
    ):
        raise ValueError(
            f"sessions is out of range: expected a whole number, at least 0, got {found.sessions!r}"
        )
    if found.standard_error < 0.0:
        raise ValueError(
            f"standard_error is out of range: expected at least 0, got {found.standard_error}"
        )
    return found


# The dealer markets are those of two papers, in ticks of a hundredth of the paper's unit of price.
_TICKS = 100.0

# Avellaneda and Stoikov (2008), section 3.3: A = 140 a side, k = 1.5, sigma = 2, gamma = 0.1, T =
# 1, dt = 0.005. The objective has gamma sigma^2 / 2 as running price of squared inventory: the
# second-order certainty equivalent of the paper's exponential utility.
_AVELLANEDA_STOIKOV: dict[str, Any] = {
    "taker_rate": 280.0,
    "taker_tolerance": _TICKS / 1.5,
    "volatility": 2.0 * _TICKS,
    "decision_interval": 0.005,
    "value_interval": 0.005,
    "session_steps": 200,
    "inventory_penalty": 0.5 * 0.1 * 2.0**2 * _TICKS,
    "max_inventory": 50,
    "max_offset": 400.0,
    "reward_scale": 0.02,  # a fill is worth 70 ticks, and there is one in two or three decisions
}

# Cartea, Jaimungal and Penalva (2015), section 10.2: lambda = 10 a side, kappa = 1, phi = 0.5,
# alpha = 0.001, T = 1. At the book's phi = 0.01 constant depths get 99.7 percent of the optimum,
# which leaves nothing to learn.
_CARTEA_JAIMUNGAL: dict[str, Any] = {
    "taker_rate": 20.0,
    "taker_tolerance": _TICKS,
    "decision_interval": 0.01,
    "value_interval": 0.01,
    "session_steps": 100,
    "inventory_penalty": 0.5 * _TICKS,
    "close_out_impact": 0.001 * _TICKS,
    "max_inventory": 20,
    "max_offset": 400.0,
    "reward_scale": 0.02,
}


def _informed(p_informed: float, **fields: Any) -> MarketConfig:
    return configure("informed", p_informed=p_informed, **fields)


# Name, version, description, configuration. A change of a configuration needs a new version.
_MARKETS: tuple[tuple[str, int, str, MarketConfig], ...] = (
    ("noise", 1, "Earn the spread from symmetric, uninformed flow.", configure("noise")),
    (
        "imbalanced",
        1,
        "One side is hit more often, for minutes on end, and nobody knows anything.",
        configure("imbalanced"),
    ),
    (
        "naive-informed",
        1,
        "Some takers are called informed and trade larger, but know nothing.",
        configure("naive_informed"),
    ),
    (
        "informed-20",
        1,
        "One taker in five acts on a signal that predicts the price.",
        _informed(0.2),
    ),
    ("informed-40", 1, "Two takers in five act on the signal.", _informed(0.4)),
    ("informed-60", 1, "Three takers in five act on the signal.", _informed(0.6)),
    ("informed-80", 1, "Four takers in five act on the signal.", _informed(0.8)),
    (
        "mixed",
        1,
        "Each session draws its own flow, and the maker is not told which.",
        configure("mixed"),
    ),
    (
        "latency-250ms",
        1,
        "As informed-40, but new quotes arrive after a quarter of a second.",
        _informed(0.4, latency=0.25),
    ),
    (
        "latency-1s",
        1,
        "As informed-40, but new quotes arrive after a second.",
        _informed(0.4, latency=1.0),
    ),
    # A fifth of a tick is about what US exchanges pay and charge for a lot, and an eighth of a
    # typical half-spread.
    ("fee", 1, "As informed-40, with a fee of 0.2 ticks a lot.", _informed(0.4, maker_fee=0.2)),
    (
        "rebate",
        1,
        "As informed-40, with a rebate of 0.2 ticks a lot.",
        _informed(0.4, maker_fee=-0.2),
    ),
    (
        "large-quotes",
        1,
        "As noise, but each quote is five lots: a queue is long and inventory comes in blocks.",
        configure("noise", quote_size=5),
    ),
    (
        "short-session",
        1,
        "As noise, but the close settles the position after 100 decisions.",
        configure("noise", session_steps=100),
    ),
    (
        "dealer-avellaneda-stoikov",
        1,
        "The dealer market of Avellaneda and Stoikov (2008): the optimum is known.",
        configure("dealer", **_AVELLANEDA_STOIKOV),
    ),
    (
        "dealer-cartea-jaimungal",
        1,
        "The dealer market of Cartea, Jaimungal and Penalva (2015), with phi = 0.5: the optimum is known.",
        configure("dealer", **_CARTEA_JAIMUNGAL),
    ),
    (
        "zero-intelligence",
        1,
        "The order book of Cont, Stoikov and Talreja (2010), in which the book alone makes the price.",
        configure("zero_intelligence"),
    ),
)


def _with_references(
    markets: Iterable[tuple[str, int, str, MarketConfig]],
    references: Mapping[str, Mapping[str, Any]],
) -> dict[str, Task]:
    """The tasks, with the scores that were written for the version in question; others have
    none."""
    tasks = {}
    for name, version, description, config in markets:
        found = references.get(name, {})
        current = found.get("version") == version
        zero, one = (found[end] if current else None for end in ("zero", "one"))
        tasks[name] = Task(name, version, description, config, zero, one)
    return tasks


TASKS: Mapping[str, Task] = MappingProxyType(_with_references(_MARKETS, read_references()))
"""The benchmark suite: name -> task. Read-only."""
