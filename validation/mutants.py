"""Mutation testing of the core: apply small faults one at a time, and see which the tests miss.

python -m validation.mutants --sample 60 --seed 0
make mutants

The faults are generated from the syntax tree of each kernel: another comparison, another operator,
another constant, `and` for `or`, `min` for `max`, a negated condition, a deleted statement. Each
runs in a copy of the repository. Tests run with `NUMBA_DISABLE_JIT=1`, because compiling takes
longer than they do. A fault that makes a test fail, or run for too long, is killed.
"""

import ast
import copy
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tyro

ROOT = Path(__file__).parents[1]
FILES = (
    "account", "book", "makers", "market", "observe", "quotes", "reward", "scales", "takers",
    "value",
)  # fmt: skip
TESTS = (
    "tests/core/test_details.py",
    "tests/core/test_book.py",
    "tests/trust/test_soak.py",
)
"""Tests that are fast without compiling."""

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

    sample: int = 60
    """Number of faults, drawn from all that are generated. 0: all."""
    seed: int = 0
    """Seed of the sample."""
    seconds: float = 100.0
    """[s] After which a run of the tests counts as hanging."""
    files: tuple[str, ...] = FILES
    """Files of `mm_gym/core`, without the ending."""
    tests: tuple[str, ...] = TESTS
    """Files of tests."""


@dataclass(frozen=True)
class Mutant:
    """A file of the core with one fault."""

    file: str
    line: int
    before: str
    after: str
    source: str


def mutants_of(file: str, source: str) -> Iterator[Mutant]:
    """Generate each small fault of the functions of a file."""
    tree = ast.parse(source)
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    for function in nodes:
        for parent in ast.walk(function):
            for name, value in ast.iter_fields(parent):
                if name in ("decorator_list", "args") and parent is function:
                    continue
                places = list(enumerate(value)) if isinstance(value, list) else [(None, value)]
                for index, node in places:
                    if not isinstance(node, ast.AST):
                        continue
                    for other in _faults(node):
                        _put(parent, name, index, other)
                        line = getattr(node, "lineno", getattr(parent, "lineno", 0))
                        whole = other if isinstance(other, ast.stmt) else parent
                        yield Mutant(
                            file,
                            line,
                            _shown(parent, name, index, node),
                            ast.unparse(whole),
                            ast.unparse(ast.fix_missing_locations(tree)),
                        )
                        _put(parent, name, index, node)


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


def _copy_repository(folder: Path) -> None:
    for name in ("mm_gym", "tests", "validation", "agents"):
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "trained")
        )
    shutil.copy(ROOT / "pyproject.toml", folder)


def _run(folder: Path, tests: tuple[str, ...], seconds: float) -> str:
    """Run the tests in a child process. Return "passed", or why they did not."""
    report = folder / "report.txt"
    child = os.fork()
    if child == 0:
        os.setsid()
        with report.open("w") as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        os.chdir(folder)
        sys.path[:] = [str(folder), *(path for path in sys.path if path not in ("", str(ROOT)))]
        for name in list(sys.modules):
            if name.partition(".")[0] in ("mm_gym", "tests", "validation", "agents"):
                del sys.modules[name]
        import pytest

        # This test takes longer than all others together.
        slow = "tests/core/test_book.py::test_free_slots_are_reused_and_none_is_lost"
        quiet = [
            "--deselect",
            slow,
            "-x",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:xdist",
            "--tb=line",
        ]
        os._exit(int(pytest.main([*quiet, "-W", "ignore::RuntimeWarning", *tests])))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            if os.waitstatus_to_exitcode(status) == 0:
                return "passed"
            lines = report.read_text().splitlines()
            failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
            return (failed or lines[-1:] or ["no report"])[0][:120]
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return f"ran for more than {seconds:g} s"


def main(arguments: Arguments) -> None:
    """Apply the faults, and print each with the test that killed it, then the survivors.

    Raises:
        RuntimeError: if the tests fail without a fault.
    """
    os.environ["NUMBA_DISABLE_JIT"] = "1"
    # Each child inherits these imports. They are not of the code that changes.
    import gymnasium  # noqa: F401
    import hypothesis  # noqa: F401
    import numba  # noqa: F401

    found: list[Mutant] = []
    for file in arguments.files:
        source = (ROOT / "mm_gym/core" / f"{file}.py").read_text()
        found += mutants_of(file, source)
    n = min(arguments.sample, len(found)) or len(found)
    chosen = random.Random(arguments.seed).sample(found, n)
    survivors = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _copy_repository(folder)
        result = _run(folder, arguments.tests, arguments.seconds)
        if result != "passed":
            raise RuntimeError(f"the tests fail without a fault: expected success, got {result}")
        for mutant in chosen:
            path = folder / "mm_gym/core" / f"{mutant.file}.py"
            kept = path.read_text()
            path.write_text(mutant.source)
            result = _run(folder, arguments.tests, arguments.seconds)
            path.write_text(kept)
            text = f"{mutant.file}.py:{mutant.line}: {mutant.before!r} -> {mutant.after!r}"
            print(f"{result if result != 'passed' else 'SURVIVED'}\n    {text[:300]}", flush=True)
            if result == "passed":
                survivors.append(text)
    share = 1.0 - len(survivors) / n
    print(f"{len(found)} faults generated, {n} applied (seed {arguments.seed}), {share:.0%} killed")
    for text in survivors:
        print(f"survived: {text[:400]}")


if __name__ == "__main__":
    main(tyro.cli(Arguments))
