"""The search for the best parameters of a rule in a market.

Trained makers are compared with tuned rules, so that the comparison is fair.
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import optuna

from mm_gym import MarketConfig
from mm_gym.argument_checks import check_count
from mm_gym.errors import nearest
from mm_gym.evaluation.rollout import Cell, run_cells
from mm_gym.evaluation.statistics import difference, mean
from mm_gym.reporting.artefacts import package_versions

from ..base import AgentError, Range
from ..invocation import command_line
from ..registry import make_agent
from ..rules import RULES
from ..rules.tuned import Tuned, tuned_rule

_SEARCH, _FINAL = range(2)  # the stages, which have different sessions
_FAMILY = 1936024946  # spawn key: sessions of tuning differ from those of evaluation and training


@dataclass(frozen=True)
class Effort:
    """The size of a search.

    Raises:
        ValueError: if a number is out of range.
    """

    trials: int = 80
    """Number of parameter sets to try, all on the same sessions."""
    sessions: int = 64
    """Sessions of each trial."""
    finalists: int = 6
    """Number of best trials that are evaluated again, with the defaults, on other sessions."""
    final_sessions: int = 384
    """Sessions of each finalist, at least 2 for an interval."""
    seed: int = 0
    """Seed of the sessions and of the sampler."""

    @property
    def all_sessions(self) -> int:
        """The largest number of sessions of a search: at most one range has a value beside it."""
        return (
            self.trials * self.sessions
            + (2 + min(self.finalists, self.trials)) * self.final_sessions
        )

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            check_count(name, value, least={"seed": 0, "final_sessions": 2}.get(name, 1))


def tunable_rules() -> list[str]:
    """Names of the rules that declare a search space."""
    return [name for name, rule in RULES.items() if rule.search_space]


def search_space(rule: str) -> Mapping[str, Range]:
    """The ranges of the parameters of a rule.

    Raises:
        AgentError: if there is no such rule, or it has no search space.
    """
    if rule not in tunable_rules():
        raise AgentError(
            f"agent {rule!r} cannot be tuned: expected a rule with a search space, got {rule!r} "
            f"({nearest(rule, tunable_rules())})"
        )
    return RULES[rule].search_space


def tune(
    rule: str,
    config: MarketConfig,
    effort: Effort | None = None,
    on_batch: Callable[[int], None] | None = None,
    only: Collection[str] = (),
    previous: Mapping[str, float] | None = None,
) -> Tuned:
    """Search for the parameters with the highest mean objective, with Optuna's TPE sampler.

    All trials share their sessions (common random numbers), and the score is the
    `variance_reduced_objective`. The best of many noisy scores is biased upwards. Therefore the
    best trials are evaluated again on other sessions, and the best of these is chosen. The defaults
    of the rule always take part. So does the best trial with the value beside a range
    (`Range.also`), and the previous result if `only` is given.

    Args:
        rule: in `RULES`, with a search space.
        config: of the market.
        effort: size of the search. Default: `Effort()`.
        on_batch: called after each batch with its number of sessions, to show progress.
        only: parameters to search for. All others keep their previous values. Default: all.
        previous: the previous values, used if `only` is given. Default: those of `tuned.json`.

    Raises:
        AgentError: if the rule or a parameter is unknown or has no search space, or if `only` is
            given and there is no previous result.
    """
    effort = Effort() if effort is None else effort
    ranges = search_space(rule)
    for name in only:
        if name not in ranges:
            raise AgentError(
                f"{rule} has no parameter {name!r} to tune: expected {' or '.join(ranges)}, "
                f"got {name!r} ({nearest(name, list(ranges))})"
            )
    space: dict[str, optuna.distributions.BaseDistribution] = {
        name: optuna.distributions.FloatDistribution(range_.low, range_.high, log=range_.log)
        for name, range_ in ranges.items()
        if not only or name in only
    }
    before: dict[str, Any] = {}
    if only:
        before.update(tuned_rule(rule, config).parameters if previous is None else previous)

    def objectives(
        parameters: dict[str, Any], sessions: int, stage: int
    ) -> npt.NDArray[np.float64]:
        """The objective of each session, shape (sessions,)."""
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
    # Equal scores come from equal quotes, because prices are whole ticks. The first trial is kept.
    parameters_by_score: dict[float, dict[str, Any]] = {}
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
    finalists += [
        ranked[0] | {name: ranges[name].also} for name in space if ranges[name].also is not None
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
        command=command_line("agents.tuning"),
        versions=package_versions(),
    )


def tuning_seed(seed: int, stage: int) -> int:
    """Seed of the sessions of one stage of tuning.

    The spawn key separates it from the seeds of evaluations and of training
    (`agents.training.trainer.stream_seed`), so that all of them may use the same `seed`.
    """
    return int(np.random.SeedSequence(seed, spawn_key=(_FAMILY, stage)).generate_state(1)[0])
