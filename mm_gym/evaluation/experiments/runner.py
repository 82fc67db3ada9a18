"""What every experiment needs: a runner that runs agents in markets, and checks that are judged
by intervals.

A check holds when its whole 95 percent interval lies where it should. "No difference" is claimed as
equivalence: the interval has to lie inside a stated tolerance, so too little data cannot make it
hold.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mm_gym.config import MarketConfig, configure
from mm_gym.evaluation.metrics import against_value
from mm_gym.evaluation.rollout import Cell, Predicts, Sessions, run_cells
from mm_gym.evaluation.statistics import Estimate

AgentFactory = Callable[[MarketConfig], Predicts]
AgentNamer = Callable[[str], AgentFactory]
"""Turns the name of an agent, with parameters as `name:parameter=value`, into what makes it."""


@dataclass(frozen=True)
class Check:
    """One sentence, the figure it rests on, and whether it holds."""

    sentence: str
    estimate: Estimate
    unit: str
    wanted: str
    """Where the interval has to lie."""
    holds: bool
    sample: str
    """How much data: sessions and fills."""


@dataclass
class ExperimentResult:
    """What an experiment found."""

    name: str
    question: str
    checks: list[Check]
    sessions: dict[str, Sessions]
    """By label, for tables and pictures."""
    agents: dict[str, str]
    """The agent of each label."""
    audit: list[Check] = field(default_factory=list)
    """Checks about the set-up that have to hold before the results mean anything."""
    notes: list[str] = field(default_factory=list)
    effect: bool = True
    """False for the control, in which what causes the effect was taken out."""

    def plain_checks(self) -> list[dict[str, Any]]:
        """The checks as JSON holds them; a figure that is missing is null."""
        return [
            {
                "experiment": self.name,
                "negative_control": not self.effect,
                "audit": check in self.audit,
                "check": check.sentence,
                "holds": check.holds,
                **{
                    key: value if math.isfinite(value) else None
                    for key, value in zip(("value", "low", "high"), check.estimate, strict=True)
                },
                "unit": check.unit,
                "wanted": check.wanted,
                "sample": check.sample,
            }
            for check in self.audit + self.checks
        ]

    @property
    def holds(self) -> bool:
        """Whether every check holds, and the set-up is what it should be."""
        return all(check.holds for check in self.audit + self.checks)


@dataclass
class ExperimentRunner:
    """Runs agents in markets on common random numbers, each pair once however many experiments ask
    for it.

    Args:
        name_agent: makes agents from names.
        episodes, seed, jobs: of `run_cells`.
        on_batch: called with the number of sessions done, to show progress.
        effect: False runs each experiment's control.
    """

    name_agent: AgentNamer
    episodes: int = 256
    seed: int = 0
    jobs: int | None = None
    on_batch: Callable[[int], None] | None = None
    effect: bool = True
    _done: dict[tuple[str, MarketConfig], Sessions] = field(default_factory=dict)

    def run(self, plan: dict[str, tuple[str, MarketConfig]]) -> dict[str, Sessions]:
        """Run a plan, label to agent's name and market; returns label to sessions."""
        missing = list(dict.fromkeys(pair for pair in plan.values() if pair not in self._done))
        cells = [Cell(name, self.name_agent(name), config) for name, config in missing]
        if cells:
            results = run_cells(cells, self.episodes, self.seed, self.jobs, on_batch=self.on_batch)
            self._done.update(zip(missing, results, strict=True))
        return {label: self._done[pair] for label, pair in plan.items()}


def market(regime: str, **fields: Any) -> MarketConfig:
    """The market of a regime at its defaults, but for these fields."""
    return configure(regime, **fields)


def sample(*sessions: Sessions) -> str:
    """How much data stands behind a figure."""
    fills = sum(len(result.fills) for result in sessions)
    return f"{len(sessions[0])} sessions, {fills:,} fills"


def adverse_move(sessions: Sessions, horizon: float = 50.0) -> npt.NDArray[np.float64]:
    """[ticks] The adverse move against the efficient price a horizon [s] after each fill, shape
    (f,)."""
    return against_value(sessions).adverse_move[:, sessions.horizons.index(horizon)]


def above(sentence: str, estimate: Estimate, bound: float, unit: str, data: str) -> Check:
    """Holds if the interval lies above the bound."""
    return Check(sentence, estimate, unit, f"above {bound:g}", bool(estimate.low > bound), data)


def below(sentence: str, estimate: Estimate, bound: float, unit: str, data: str) -> Check:
    """Holds if the interval lies below the bound."""
    return Check(sentence, estimate, unit, f"below {bound:g}", bool(estimate.high < bound), data)


def within(sentence: str, estimate: Estimate, tolerance: float, unit: str, data: str) -> Check:
    """Holds if the interval lies within the tolerance on either side of zero."""
    inside = bool(-tolerance < estimate.low and estimate.high < tolerance)
    return Check(sentence, estimate, unit, f"within {tolerance:.3g} of 0", inside, data)
