"""Evaluation on held-out sessions: of the rules once, and of the maker in training now and then.

An evaluation takes a second for about 20,000 decisions. With two or more processes it runs beside
the training, in another process.
"""

import pickle
import signal
from collections import deque
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import torch
from joblib.externals.loky import ProcessPoolExecutor

from mm_gym import MarketConfig
from mm_gym.evaluation.rollout import Predicts, run_sessions
from mm_gym.evaluation.sessions import Sessions
from mm_gym.evaluation.statistics import Estimate, difference
from mm_gym.evaluation.summary import summarise

from ..registry import name_agent
from ..rules import rules_for
from .pictures import Picture, pictures_of

HELD_OUT_SEED = 2_718_281_828
"""Seed of the held-out sessions. They are never trained on, and differ from those of evaluations
with small seeds. All runs share them, so that their curves are comparable."""
HELD_OUT_SESSIONS = 256

_ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
_IDLE = 600.0  # [s] after which the other process ends, should this one have been killed


@dataclass(frozen=True)
class Rules:
    """What the rules that suit a market did in its held-out sessions, with their defaults."""

    rows: tuple[dict[str, Any], ...]
    """Of the summary, one per rule."""
    best: dict[str, Any]
    """The row with the highest objective."""
    sessions: Sessions
    """Of the best rule."""


@dataclass(frozen=True)
class Evaluation:
    """What the maker in training did in the held-out sessions."""

    steps_done: int
    """Decisions that it had learned from."""
    row: dict[str, Any]
    """Of the summary."""
    variance_reduced_objective: float
    """[ticks x lots] Mean per session."""
    rule: dict[str, Any]
    """The row of the best rule on the same sessions."""
    gap: Estimate
    """[ticks x lots] Paired difference of the objectives, maker minus best rule."""
    pictures: dict[str, Picture]


@lru_cache(maxsize=1)
def run_rules(config: MarketConfig, n_sessions: int) -> Rules:
    """Run the rules in the held-out sessions of a market."""
    found = {
        rule: run_sessions(name_agent(rule), config, n_sessions, HELD_OUT_SEED)
        for rule in rules_for(config)
    }
    rows = tuple(summarise(rule, sessions) for rule, sessions in found.items())
    best = max(rows, key=lambda row: float(row["objective"]))
    return Rules(rows, best, found[best["agent"]])


def evaluate(
    name: str,
    agent: Predicts,
    config: MarketConfig,
    n_sessions: int,
    steps_done: int,
    rules: Rules | None = None,
) -> Evaluation:
    """Run an agent in the held-out sessions of a market, and draw it.

    Args:
        name: of the agent, for tables and pictures.
        agent: to evaluate.
        config: of the market.
        n_sessions: number of sessions.
        steps_done: decisions that the agent has learned from.
        rules: results of the rules on the same sessions. Default: run them here.
    """
    rules = rules or run_rules(config, n_sessions)
    sessions = run_sessions(lambda config: agent, config, n_sessions, HELD_OUT_SEED)
    return Evaluation(
        steps_done,
        summarise(name, sessions),
        float(sessions.variance_reduced_objective.mean()),
        rules.best,
        difference(sessions.objective, rules.sessions.objective),
        pictures_of(agent, {name: sessions, rules.best["agent"]: rules.sessions}),
    )


class HeldOut:
    """Evaluations in the held-out sessions of one market, in the order in which they were asked.

    Use it as a context manager, which ends the other process.

    Args:
        config: of the market.
        n_sessions: number of sessions. Default: `HELD_OUT_SESSIONS`.
        jobs: number of processes. With 1, each evaluation runs here and at once. With more, they
            run in another process, one after another.
    """

    def __init__(self, config: MarketConfig, n_sessions: int | None = None, jobs: int = 1) -> None:
        self._market = config, HELD_OUT_SESSIONS if n_sessions is None else n_sessions
        self._executor = _InThisProcess() if jobs == 1 else _another_process()
        self._rules: Future[Rules] | None = None
        self._asked: deque[Future[Evaluation]] = deque()
        self._latest: Evaluation | None = None
        self.beside = jobs > 1
        """Whether evaluations run in another process."""

    def ask_rules(self) -> None:
        """Start to run the rules."""
        if self._rules is None:
            self._rules = self._executor.submit(run_rules, *self._market)

    def rules(self) -> Rules:
        """Wait for the results of the rules, and return them."""
        self.ask_rules()
        assert self._rules is not None
        return self._rules.result()

    def ask(self, name: str, agent: Predicts, steps_done: int) -> None:
        """Start to evaluate an agent as it is now. The arguments are those of `evaluate`."""
        if self.beside:  # the other process gets the agent later, when its weights have changed
            agent = pickle.loads(pickle.dumps(agent))
        # The other process has run the rules, but it ends when it is idle for long.
        known = self._rules is not None and self._rules.done()
        rules = self.rules() if known else None
        self._asked.append(
            self._executor.submit(evaluate, name, agent, *self._market, steps_done, rules)
        )

    def finished(self, wait: bool = False) -> list[Evaluation]:
        """The evaluations that have finished since the last call.

        Args:
            wait: whether to wait for all of them.
        """
        found = []
        while self._asked and (wait or self._asked[0].done()):
            self._latest = self._asked.popleft().result()
            found.append(self._latest)
        return found

    def after(self, steps_done: int) -> Evaluation | None:
        """The latest finished evaluation, if it was asked after so many decisions."""
        latest = self._latest
        return latest if latest is not None and latest.steps_done == steps_done else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if isinstance(self._executor, ProcessPoolExecutor):
            self._executor.shutdown(kill_workers=True)


class _InThisProcess(Executor):
    """Runs each task at once."""

    def submit(self, fn: Any, /, *arguments: Any, **keywords: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*arguments, **keywords))
        return future


def _another_process() -> Executor:
    executor: Executor = ProcessPoolExecutor(
        1, timeout=_IDLE, initializer=_start_process, env=_ONE_THREAD
    )
    return executor


def _start_process() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the training
    torch.set_num_threads(1)
