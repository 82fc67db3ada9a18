"""The benchmark suite: named, versioned tasks, each a frozen market with two reference scores.

`TASKS` maps a task's name to its `Task`. The reference scores are None for a task without scores.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from mm_gym.config import FIELD_NAMES, MarketConfig, configure
from mm_gym.errors import ConfigurationError, nearest
from mm_gym.reference_scores import Reference, read_references


@dataclass(frozen=True)
class Task:
    """One task of the suite. A change of its configuration needs a new version."""

    name: str
    version: int
    description: str
    """One sentence that describes the task."""
    config: MarketConfig
    zero: Reference | None = None
    """The reference with the normalised score 0: the best tuned rule that ignores the flow."""
    one: Reference | None = None
    """The reference with the normalised score 1: the strongest full-information maker, which knows
    every parameter of the market."""

    @property
    def scored(self) -> bool:
        """Whether both reference scores exist, so that objectives can be normalised."""
        return self.zero is not None and self.one is not None

    def normalise(self, objective: float) -> float:
        """The normalised score of a mean objective [ticks x lots].

        It is NaN if the task has no reference scores.
        """
        if self.zero is None or self.one is None:
            return math.nan
        return (objective - self.zero.score) / (self.one.score - self.zero.score)

    def normalise_error(self, standard_error: float) -> float:
        """The standard error of a normalised score, from that of the objective [ticks x lots].

        The reference scores define the scale and count as exact.
        """
        if self.zero is None or self.one is None:
            return math.nan
        return standard_error / (self.one.score - self.zero.score)

    def fields(self) -> dict[str, Any]:
        """The fields whose values differ from the defaults of the regime."""
        usual = configure(self.config.regime).to_dict()
        return {
            name: value for name, value in self.config.to_dict().items() if value != usual[name]
        }


def market_config(
    regime: str | None, task: str | None, fields: Mapping[str, Any]
) -> tuple[MarketConfig, dict[str, Any]]:
    """The configuration that the keywords of an environment describe.

    Args:
        regime: a key of `mm_gym.REGIMES`. None means `noise` if there is no task.
        task: a key of `TASKS`, or None.
        fields: fields of `MarketConfig`, to override those of the regime.

    Returns:
        The configuration, and the arguments that define it, as
        `mm_gym.reset_options.episode_config` takes them: `task`, or `regime` and the fields.

    Raises:
        UnknownKeywordError: for a keyword that is not a field.
        ConfigurationError: for an unknown task or regime, a value out of range, or a task together
            with a regime or a field.
    """
    if task is None:
        named = {"regime": "noise" if regime is None else regime, **fields}
        return configure(**named), named
    for name in fields:
        if name not in FIELD_NAMES:
            configure(**{name: fields[name]})  # raises UnknownKeywordError
    found = find_task(task)
    beside = ([] if regime is None else ["regime"]) + list(fields)
    if beside:
        raise ConfigurationError(
            f"task {task!r} is frozen: "
            f"expected no regime and no market field beside it, got {', '.join(beside)}"
        )
    return found.config, {"task": task}


def find_task(name: Any, tasks: Mapping[str, Task] | None = None) -> Task:
    """The task with this name.

    Args:
        name: the name of a task.
        tasks: the tasks to search; `TASKS` by default.

    Raises:
        ConfigurationError: if no task has this name. The message names the nearest one.
    """
    tasks = TASKS if tasks is None else tasks
    if not isinstance(name, str) or name not in tasks:
        raise ConfigurationError(
            f"task is unknown: "
            f"expected a key of mm_gym.TASKS, got {name!r}; {nearest(str(name), tasks)}"
        )
    return tasks[name]


# The dealer markets are those of two papers. A tick is a hundredth of the paper's unit of price.
_TICKS = 100.0

# Avellaneda and Stoikov (2008), section 3.3: A = 140 a side, k = 1.5, sigma = 2, gamma = 0.1,
# T = 1, dt = 0.005. The running cost of squared inventory in the objective is gamma sigma^2 / 2,
# the second-order certainty equivalent of the paper's exponential utility.
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
    "reward_scale": 0.02,  # a fill earns about 70 ticks, once in two or three decisions
}

# Cartea, Jaimungal and Penalva (2015), section 10.2: lambda = 10 a side, kappa = 1, phi = 0.5,
# alpha = 0.001, T = 1. The book has phi = 0.01. There, constant depths reach 99.7 percent of the
# optimum, so the task would measure nothing.
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
        "Takers favour one side for minutes at a time, and none of them is informed.",
        configure("imbalanced"),
    ),
    (
        "naive-informed",
        1,
        "Some takers are labelled informed and trade larger sizes, but have no information.",
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
        "Each session draws its own flow, and the maker does not observe which one.",
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
    # US exchanges charge and pay about a fifth of a tick per lot. This is an eighth of a typical
    # half-spread.
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
        "As noise, but each quote has five lots, so inventory changes in blocks.",
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
        "The dealer market of Cartea, Jaimungal and Penalva (2015), with phi = 0.5: "
        "the optimum is known.",
        configure("dealer", **_CARTEA_JAIMUNGAL),
    ),
    (
        "zero-intelligence",
        1,
        "The order book of Cont, Stoikov and Talreja (2010), in which the book alone makes the "
        "price.",
        configure("zero_intelligence"),
    ),
    (
        "clustered",
        1,
        "Uninformed takers come in bursts and split their orders, so that flow persists.",
        configure("clustered"),
    ),
    (
        "clustered-informed-40",
        1,
        "As clustered, and two takers in five act on the signal.",
        configure("clustered", p_informed=0.4),
    ),
    (
        "large-tick",
        1,
        "A spread of one tick and long queues, and three takers in ten act on the signal.",
        configure("large_tick", p_informed=0.3),
    ),
    (
        "small-tick",
        1,
        "A spread of many ticks and no queues, and three takers in ten act on the signal.",
        configure("small_tick", p_informed=0.3),
    ),
)


def _with_references(
    markets: Iterable[tuple[str, int, str, MarketConfig]],
    references: Mapping[str, Mapping[str, Any]],
) -> dict[str, Task]:
    """The tasks with their reference scores. A task without scores of its version has None."""
    tasks = {}
    for name, version, description, config in markets:
        found = references.get(name, {})
        current = found.get("version") == version
        zero, one = (found[end] if current else None for end in ("zero", "one"))
        tasks[name] = Task(name, version, description, config, zero, one)
    return tasks


TASKS: Mapping[str, Task] = MappingProxyType(_with_references(_MARKETS, read_references()))
"""The benchmark suite: a read-only mapping from names to tasks."""
