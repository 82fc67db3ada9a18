"""What every experiment needs: a runner of agents in markets, and checks decided by intervals.

A check holds if its whole 95 percent interval lies in the required range. "No difference" is an
equivalence test: the interval has to lie inside a stated tolerance. So a small sample cannot make a
check hold.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mm_gym import display
from mm_gym.config import MarketConfig
from mm_gym.evaluation.metrics import against_value
from mm_gym.evaluation.rollout import Cell, Predicts, run_cells
from mm_gym.evaluation.sessions import Sessions
from mm_gym.evaluation.statistics import Estimate

AgentFactory = Callable[[MarketConfig], Predicts]
AgentNamer = Callable[[str], AgentFactory]
"""Turns an agent's name, such as `name:parameter=value`, into the function that makes it."""


@dataclass(frozen=True)
class Check:
    """A statement about a market, the estimate that tests it, and whether it holds."""

    sentence: str
    """The statement."""
    estimate: Estimate
    unit: str
    """Of the estimate."""
    wanted: str
    """The range in which the interval has to lie, in words."""
    holds: bool
    sample: str
    """Number of sessions and fills behind the estimate, in words."""


@dataclass
class ExperimentResult:
    """The result of an experiment: its checks, and the sessions behind them."""

    name: str
    question: str
    checks: list[Check]
    """Of the effect."""
    sessions: dict[str, Sessions]
    """By label, for tables and pictures."""
    agents: dict[str, str]
    """The agent of each label."""
    audit: list[Check] = field(default_factory=list)
    """Checks of the set-up. The other checks mean something only if these hold."""
    notes: list[str] = field(default_factory=list)
    effect: bool = True
    """False for the negative control, from which the cause of the effect is removed."""

    def plain_checks(self) -> list[dict[str, Any]]:
        """The checks as plain values for JSON, with None in place of NaN."""
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

    def _repr_html_(self) -> str:
        """The checks as a table, for notebooks."""
        rows = [
            (
                check.sentence,
                "holds" if check.holds else "does not hold",
                f"{check.estimate} {check.unit}",
                check.wanted,
                check.sample,
            )
            for check in self.audit + self.checks
        ]
        heads = ("check", "verdict", "estimate [95 %]", "wanted", "sample")
        return display.table(heads, rows, f"{self.name}: {self.question}")

    @property
    def holds(self) -> bool:
        """Whether every check holds, including those of the set-up."""
        return all(check.holds for check in self.audit + self.checks)


@dataclass
class ExperimentRunner:
    """Runs agents in markets on common random numbers, and each pair of agent and market only once.

    Args:
        name_agent: turns an agent's name into the function that makes it.
        episodes, seed, jobs: see `run_cells`.
        on_batch: called after each batch with its number of sessions, to show progress.
        effect: False runs the negative control of each experiment.
    """

    name_agent: AgentNamer
    episodes: int = 256
    seed: int = 0
    jobs: int | None = None
    on_batch: Callable[[int], None] | None = None
    effect: bool = True
    _done: dict[tuple[str, MarketConfig], Sessions] = field(default_factory=dict)

    def run(self, plan: dict[str, tuple[str, MarketConfig]]) -> dict[str, Sessions]:
        """Run agents in markets.

        Args:
            plan: label -> name of the agent, and market.

        Returns:
            Label -> sessions.
        """
        missing = list(dict.fromkeys(pair for pair in plan.values() if pair not in self._done))
        cells = [Cell(name, self.name_agent(name), config) for name, config in missing]
        if cells:
            results = run_cells(cells, self.episodes, self.seed, self.jobs, on_batch=self.on_batch)
            self._done.update(zip(missing, results, strict=True))
        return {label: self._done[pair] for label, pair in plan.items()}

    def result(
        self,
        name: str,
        question: str,
        plan: dict[str, tuple[str, MarketConfig]],
        checks: list[Check],
        audit: Sequence[Check] = (),
        notes: Sequence[str] = (),
    ) -> ExperimentResult:
        """The result of an experiment with this plan."""
        agents = {label: agent for label, (agent, _) in plan.items()}
        return ExperimentResult(
            name,
            question,
            checks,
            self.run(plan),
            agents,
            audit=list(audit),
            notes=list(notes),
            effect=self.effect,
        )


def describe_sample(*sessions: Sessions) -> str:
    """The sample behind an estimate, in words: number of sessions and fills."""
    fills = sum(len(result.fills) for result in sessions)
    return f"{len(sessions[0])} sessions, {fills:,} fills"


def adverse_move(sessions: Sessions, horizon: float = 50.0) -> npt.NDArray[np.float64]:
    """The adverse move [ticks] of V at a horizon [s] after each fill, shape (f,)."""
    return against_value(sessions).adverse_move[:, sessions.horizons.index(horizon)]


def above(sentence: str, estimate: Estimate, bound: float, unit: str, sample: str) -> Check:
    """A check that holds if the interval lies above the bound."""
    return Check(sentence, estimate, unit, f"above {bound:g}", bool(estimate.low > bound), sample)


def below(sentence: str, estimate: Estimate, bound: float, unit: str, sample: str) -> Check:
    """A check that holds if the interval lies below the bound."""
    return Check(sentence, estimate, unit, f"below {bound:g}", bool(estimate.high < bound), sample)


def within(sentence: str, estimate: Estimate, tolerance: float, unit: str, sample: str) -> Check:
    """A check that holds if the interval lies between -tolerance and tolerance."""
    inside = bool(-tolerance < estimate.low and estimate.high < tolerance)
    return Check(sentence, estimate, unit, f"within {tolerance:.3g} of 0", inside, sample)
