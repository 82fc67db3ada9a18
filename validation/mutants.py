"""Mutation testing of the core: apply small faults one at a time, and see which the tests miss.

python -m validation.mutants --sample 200 --seed 0
make mutants

The faults are generated from the syntax tree of each kernel: another comparison, another operator,
another constant, `and` for `or`, `min` for `max`, a negated condition, a deleted statement. Each is
put into a child process with the tests already collected and `NUMBA_DISABLE_JIT=1`, so that nothing
is compiled or imported again. A fault that makes a test fail, or run for too long, is killed.

The tests compare the core with something other than itself. A fault that they miss is also run
against digests of trajectories without the fault, which notice any change of results. Such a kill
is counted apart, because it does not show what is wrong.
"""

import ast
import copy
import importlib
import itertools
import math
import os
import random
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

import tyro

ROOT = Path(__file__).parents[1]
FILES = (
    "account", "book", "control_variate", "makers", "market", "messages", "observe", "quotes",
    "random", "recorder", "reward", "scales", "takers", "value",
)  # fmt: skip
TESTS = (
    "tests/core/test_market_against_reference.py",
    "tests/core/test_book.py",
    "tests/core/test_random.py",
    "tests/core/test_details.py",
    "tests/trust/test_soak.py",
)
"""Tests that are fast without compiling, the cheapest kill first."""

SLOW = (
    "test_free_slots_are_reused_and_none_is_lost",
    "test_markets_with_threads_step_in_a_forked_child",
    "test_exponentials_follow_their_law_up_to_the_tail",
    "test_normals_follow_their_law_up_to_the_tail",
    "test_normal_pairs_are_two_independent_standard_normals",
    "test_sizes_are_geometric_with_the_configured_mean",
    "test_a_failure_prints_the_command_that_repeats_it",
)
"""Tests that take longer than all others together, or start processes."""
DIGESTS = "digests of trajectories"

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}  # fmt: skip
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.RShift: ast.LShift,
}  # fmt: skip
_NAMES = {"min": "max", "max": "min", "floor": "ceil", "ceil": "floor", "BID": "ASK", "ASK": "BID"}


@dataclass(frozen=True)
class Arguments:
    """See which small faults of the core the tests miss."""

    sample: int = 200
    """Number of faults, drawn from all that are generated. 0: all."""
    seed: int = 0
    """Seed of the sample."""
    seconds: float = 5.0
    """[s] Processor time after which a test counts as hanging."""
    jobs: int = 2
    """Number of processes."""
    files: tuple[str, ...] = FILES
    """Files of `mm_gym/core`, without the ending."""
    tests: tuple[str, ...] = TESTS
    """Files of tests."""
    only: tuple[int, ...] = ()
    """Numbers of faults to apply instead of a sample."""


@dataclass(frozen=True)
class Mutant:
    """A function of the core with one fault."""

    number: int
    file: str
    function: str
    line: int
    before: str
    after: str
    code: CodeType

    def __str__(self) -> str:
        change = f"{self.before!r} -> {self.after!r}"[:300]
        return f"{self.number} {self.file}.py:{self.line} {self.function}: {change}"


def mutants_of(file: str, source: str, numbers: Iterator[int]) -> Iterator[Mutant]:
    """Generate each small fault of the functions of a file."""
    for function in ast.parse(source).body:
        if not isinstance(function, ast.FunctionDef):
            continue
        function.decorator_list = []
        for parent in ast.walk(function):
            for name, value in ast.iter_fields(parent):
                if name == "args" and parent is function:
                    continue
                places = list(enumerate(value)) if isinstance(value, list) else [(None, value)]
                for index, node in places:
                    if not isinstance(node, ast.AST) or _is_no_result(function, node):
                        continue
                    for other in _faults(node):
                        _put(parent, name, index, other)
                        line = getattr(node, "lineno", getattr(parent, "lineno", function.lineno))
                        whole = other if isinstance(other, ast.stmt) else parent
                        yield Mutant(
                            next(numbers),
                            file,
                            function.name,
                            line,
                            _shown(parent, name, index, node),
                            ast.unparse(whole),
                            _code(function),
                        )
                        _put(parent, name, index, node)


def _is_no_result(function: ast.FunctionDef, node: ast.AST) -> bool:
    """Whether a function ends in `return False` or the like. Without it, it returns None."""
    return (
        node is function.body[-1]
        and isinstance(node, ast.Return)
        and isinstance(node.value, ast.Constant)
        and not node.value.value
    )


def _code(function: ast.FunctionDef) -> CodeType:
    module = ast.fix_missing_locations(ast.Module([function], []))
    names: dict[str, Any] = {}
    exec(compile(module, function.name, "exec"), names)
    return names[function.name].__code__  # type: ignore[no-any-return]


def _put(parent: ast.AST, name: str, index: int | None, node: ast.AST) -> None:
    if index is None:
        setattr(parent, name, node)
    else:
        getattr(parent, name)[index] = node


def _shown(parent: ast.AST, name: str, index: int | None, node: ast.AST) -> str:
    """The source of what changes: the statement or the expression around it."""
    if isinstance(node, ast.stmt):
        return ast.unparse(node)
    now = getattr(parent, name) if index is None else getattr(parent, name)[index]
    _put(parent, name, index, node)
    text = ast.unparse(parent)
    _put(parent, name, index, now)
    return text


def _faults(node: ast.AST) -> Iterator[ast.AST]:
    """Other nodes to put into the place of this one."""
    if isinstance(node, ast.cmpop) and type(node) in _COMPARISONS:
        yield _COMPARISONS[type(node)]()
    elif isinstance(node, ast.operator) and type(node) in _OPERATORS:
        yield _OPERATORS[type(node)]()
    elif isinstance(node, ast.boolop):
        yield ast.Or() if isinstance(node, ast.And) else ast.And()
    elif isinstance(node, ast.Constant) and isinstance(node.value, (bool, int, float)):
        yield ast.Constant(not node.value if isinstance(node.value, bool) else node.value + 1)
    elif isinstance(node, ast.Name) and node.id in _NAMES:
        yield ast.Name(_NAMES[node.id], node.ctx)
    elif isinstance(node, ast.Attribute) and node.attr in _NAMES:
        other = copy.copy(node)
        other.attr = _NAMES[node.attr]
        yield other
    elif isinstance(node, (ast.If, ast.While)):
        other_if = copy.copy(node)
        other_if.test = ast.UnaryOp(ast.Not(), node.test)
        yield other_if
    elif isinstance(node, (ast.Assign, ast.AugAssign, ast.Return)) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    ):
        # Without the assignment of a local variable the kernel would not run at all.
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        if not isinstance(target, (ast.Name, ast.Tuple)):
            yield ast.Pass()


def put(mutant: Mutant) -> None:
    """Replace the code of a function, and compute the module's tables that it makes anew."""
    module = importlib.import_module(f"mm_gym.core.{mutant.file}")
    getattr(module, mutant.function).__code__ = mutant.code
    for statement in ast.parse((ROOT / f"mm_gym/core/{mutant.file}.py").read_text()).body:
        calls = [node.func for node in ast.walk(statement) if isinstance(node, ast.Call)]
        names = {call.id for call in calls if isinstance(call, ast.Name)}
        if isinstance(statement, ast.Assign) and mutant.function in names:
            exec(compile(ast.Module([statement], []), mutant.file, "exec"), vars(module))


class Runner:
    """A plugin of pytest that runs the collected tests once for each fault.

    Args:
        arguments: those of the command.
        chosen: the faults.
    """

    def __init__(self, arguments: Arguments, chosen: list[Mutant]) -> None:
        self.arguments, self.chosen = arguments, chosen
        self.found: dict[Mutant, str] = {}
        """The test that killed each fault, or an empty string."""

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Leave slow tests out."""
        items[:] = [item for item in items if item.originalname not in SLOW]

    def pytest_runtestloop(self, session: Any) -> bool:
        """Run the tests in child processes.

        Raises:
            RuntimeError: if they fail without a fault.
        """
        self.digests = short_digests()
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "without"
            _wait({self._start(session.items, None, report): None})
            if failed := report.read_text():
                raise RuntimeError(
                    f"the tests fail without a fault: expected success, got {failed}"
                )
            at_work: dict[int, Any] = {}
            for place, mutant in enumerate(self.chosen):
                report = Path(folder) / str(place)
                at_work[self._start(session.items, mutant, report)] = (mutant, report)
                if len(at_work) >= self.arguments.jobs:
                    self._note(*_wait(at_work))
            while at_work:
                self._note(*_wait(at_work))
        return True

    def _note(self, mutant: Mutant, report: Path) -> None:
        self.found[mutant] = report.read_text()
        print(f"{self.found[mutant] or 'SURVIVED'}\n    {mutant}", file=sys.__stderr__, flush=True)

    def _start(self, items: list[Any], mutant: Mutant | None, report: Path) -> int:
        """Start a child that writes the name of the first test that fails into `report`."""
        child = os.fork()
        if child == 0:
            report.write_text("crashed or hung")
            failed = "crashed or hung"
            try:
                failed = self._first_failure(items, mutant, report)
            finally:
                report.write_text(failed)
                os._exit(0)
        return child

    def _first_failure(self, items: list[Any], mutant: Mutant | None, report: Path) -> str:
        from _pytest.runner import runtestprotocol

        if mutant is not None:
            put(mutant)
            # The tests of the file itself come first.
            items = sorted(items, key=lambda item: f"test_{mutant.file}.py" not in item.nodeid)
        for item in items:
            report.write_text(f"{item.name} (hangs)")
            # The signal ends the process.
            signal.setitimer(signal.ITIMER_VIRTUAL, self.arguments.seconds)
            if any(part.failed for part in runtestprotocol(item, log=False, nextitem=None)):
                return str(item.name)
        report.write_text(DIGESTS)
        signal.setitimer(signal.ITIMER_VIRTUAL, 3.0 * self.arguments.seconds)
        return "" if short_digests() == self.digests else DIGESTS


def _wait(at_work: dict[int, Any]) -> Any:
    """Wait for one of the children, and return what it works on."""
    child, _ = os.wait()
    return at_work.pop(child)


def short_digests() -> dict[str, str]:
    """Digests of 40 steps of all regimes and rules but `replay`, with a short warm-up."""
    from mm_gym.config import configure
    from validation.trajectory_digests import random_quotes, stored_markets

    digests = {}
    for name, keywords in stored_markets().items():
        if not name.startswith("task") and keywords["regime"] != "replay":
            interval = configure(keywords["regime"]).decision_interval
            digests[name] = random_quotes({"warm_up": 2.0 * interval, **keywords}, 40).digest
    return digests


def interval_of_share(killed: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share by Wilson's method."""
    z = 1.959964
    share, spread = killed / n, z * math.sqrt(killed * (n - killed) / n + z * z / 4.0) / n
    scale = 1.0 / (1.0 + z * z / n)
    middle = scale * (share + z * z / (2.0 * n))
    return middle - scale * spread, middle + scale * spread


def main(arguments: Arguments) -> None:
    """Apply the faults, print each with the test that killed it, then the survivors and shares.

    Raises:
        RuntimeError: if the tests fail without a fault.
    """
    import numba
    import pytest

    if not numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        os.environ["NUMBA_DISABLE_JIT"] = "1"
        os.execv(sys.executable, [*sys.orig_argv])
    numbers = itertools.count()
    generated = [
        mutant
        for file in arguments.files
        for mutant in mutants_of(file, (ROOT / f"mm_gym/core/{file}.py").read_text(), numbers)
    ]
    n = min(arguments.sample, len(generated)) or len(generated)
    chosen = random.Random(arguments.seed).sample(generated, n)
    if arguments.only:
        chosen = [mutant for mutant in generated if mutant.number in arguments.only]
    runner = Runner(arguments, chosen)
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-W", "ignore::RuntimeWarning"]
    code = pytest.main([*options, *arguments.tests], plugins=[runner])
    if code != 0 or len(runner.found) < len(chosen):
        sys.exit(1)
    results = list(runner.found.values())
    n, by_tests = len(chosen), sum(result not in ("", DIGESTS) for result in results)
    print(f"{len(generated)} faults generated, {n} applied (seed {arguments.seed})")
    for killed, how in ((by_tests, "by tests"), (n - results.count(""), "by tests or digests")):
        low, high = interval_of_share(killed, n)
        print(f"killed {how}: {killed} ({killed / n:.1%}, interval {low:.1%} to {high:.1%})")
    for mutant, result in runner.found.items():
        if result in ("", DIGESTS):
            print(f"{'noticed by digests only' if result else 'survived'}: {mutant}")


if __name__ == "__main__":
    main(tyro.cli(Arguments))
