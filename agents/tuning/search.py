"""The search for a rule's best parameters in a market, so that PPO is compared with the best rule
and no straw man."""

import dataclasses
import shlex
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import optuna

from mm_gym import MarketConfig
from mm_gym.config import nearest
from mm_gym.evaluation.rollout import Cell, run_cells
from mm_gym.evaluation.statistics import difference, mean
from mm_gym.reporting.artefacts import package_versions

from ..base import AgentError, Range
from ..registry import make_agent
from ..rules import RULES
from ..rules.tuned import Tuned, tuned_rule

_SEARCH, _FINAL = range(2)  # stages: each has sessions of its own
_FAMILY = 1936024946  # any fixed number: seeds of tuning share no session with those of evaluation and training


@dataclass(frozen=True)
class Effort:
    """How hard to search.

    Raises:
        ValueError: for a number out of range.
    """

    trials: int = 80
    """Parameters tried, all on the same sessions."""
    sessions: int = 64
    """Of each trial."""
    finalists: int = 6
    """Best trials that, with the rule's defaults, are tried again on other sessions."""
    final_sessions: int = 384
    """Of each finalist."""
    seed: int = 0
    """Of the sessions and of the sampler."""

    @property
    def all_sessions(self) -> int:
        """Of the whole search for one rule in one market, at most."""
        return (
            self.trials * self.sessions
            + (1 + min(self.finalists, self.trials)) * self.final_sessions
        )

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            lowest = 0 if name == "seed" else 1
            if value < lowest:
                raise ValueError(f"{name}={value} came; write a whole number from {lowest} up")


def tunable_rules() -> list[str]:
    """Names of the rules that declare a search space."""
    return [name for name, rule in RULES.items() if rule.search_space]


def search_space(rule: str) -> Mapping[str, Range]:
    """The parameters of a rule that may be chosen.

    Raises:
        AgentError: if there is no such rule, or nothing of it to tune.
    """
    if rule not in tunable_rules():
        raise AgentError(
            f"agent {rule!r} is no rule with a search space; {nearest(rule, tunable_rules())}"
        )
    return RULES[rule].search_space


def tune(
    rule: str,
    config: MarketConfig,
    effort: Effort | None = None,
    on_batch: Callable[[int], None] | None = None,
    only: Collection[str] = (),
) -> Tuned:
    """Search for the parameters of the highest mean objective, by Optuna's tree-structured Parzen
    estimator.

    Every trial lives through the same sessions (common random numbers), and is scored without luck
    (`variance_reduced_objective`). The best of many noisy scores is lucky, so the few best trials are scored
    again on sessions of their own, and the best of those is chosen; the rule's defaults are among
    them (and what was found before, if only some parameters are searched for), so that tuning makes
    no rule worse. No trial is pruned: one takes a tenth of a second.

    Args:
        rule: in `RULES`, with a search space.
        config: of the market.
        effort: by default `Effort()`.
        on_batch: called with the number of sessions done after each batch, to show progress.
        only: parameters to search for; the others stay as they were found before. By default all.

    Raises:
        AgentError: if there is no such rule or parameter, nothing of it to tune, or nothing was
            found before.
    """
    effort = Effort() if effort is None else effort
    ranges = search_space(rule)
    for name in only:
        if name not in ranges:
            raise AgentError(
                f"{rule} has no parameter {name!r} to tune; {nearest(name, list(ranges))}"
            )
    space: dict[str, optuna.distributions.BaseDistribution] = {
        name: optuna.distributions.FloatDistribution(range_.low, range_.high, log=range_.log)
        for name, range_ in ranges.items()
        if not only or name in only
    }
    before = dict(tuned_rule(rule, config).parameters) if only else {}

    def objectives(
        parameters: dict[str, Any], sessions: int, stage: int
    ) -> npt.NDArray[np.float64]:
        """Of each session, shape (sessions,)."""
        cell = Cell(rule, partial(make_agent, rule, **parameters), config)
        seed = tuning_seed(effort.seed, stage)
        return run_cells([cell], sessions, seed, horizons=(), on_batch=on_batch)[
            0
        ].variance_reduced_objective

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=effort.seed, multivariate=True),
    )
    parameters_by_score: dict[
        float, dict[str, Any]
    ] = {}  # equal scores are equal quotes: prices are whole ticks
    for _ in range(effort.trials):
        trial = study.ask(space)
        parameters = before | {name: float(f"{value:.4g}") for name, value in trial.params.items()}
        score = float(objectives(parameters, effort.sessions, _SEARCH).mean())
        study.tell(trial, score)
        parameters_by_score.setdefault(score, parameters)
    ranked = [parameters_by_score[score] for score in sorted(parameters_by_score, reverse=True)]
    finalists = [{}, *([before] if before else []), *ranked][
        : 1 + min(effort.finalists, effort.trials)
    ]
    scores = [objectives(parameters, effort.final_sessions, _FINAL) for parameters in finalists]
    best = int(np.argmax([score.mean() for score in scores]))
    objective, gain = mean(scores[best]), difference(scores[best], scores[0])
    return Tuned(
        rule,
        config.regime,
        config.p_informed,
        finalists[best],
        *objective,
        *gain,
        effort=dataclasses.asdict(effort),
        command=shlex.join(["python", "-m", "agents.tuning", *sys.argv[1:]]),
        versions=package_versions(),
    )


def tuning_seed(seed: int, stage: int) -> int:
    """Seed of the sessions of one stage of tuning.

    By the spawn key it is of another family than the seeds of evaluations and of training, so that
    one seed may serve all of them (see `agents.training.trainer.stream_seed`).
    """
    return int(np.random.SeedSequence(seed, spawn_key=(_FAMILY, stage)).generate_state(1)[0])
