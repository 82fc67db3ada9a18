"""Reference pages that are generated from the code: the environment's manual, the table of the
configuration, the regimes, the tasks, the command lines and the list of rules.

Each function returns Markdown. As a Sphinx extension, this module writes them into
`docs/_generated`, from where the pages of `docs/reference` include them.
"""

import ast
import dataclasses
import inspect
import itertools
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

DOCS = Path(__file__).resolve().parents[1]
ROOT = DOCS.parent
GENERATED = DOCS / "_generated"

COMMANDS = (
    "train.py",
    "evaluate.py",
    "-m agents.commands.play",
    "-m agents.tuning",
    "-m agents.tools.ablation",
    "-m agents.tools.animation",
    "-m agents.tools.export",
    "-m agents.tools.install",
    "-m agents.tools.reference_scores",
    "-m agents.training.fit_signal_network",
    "-m mm_gym.data",
    "-m validation",
    "-m benchmarks.throughput",
    "-m benchmarks.data",
    "-m benchmarks.learners",
    "-m benchmarks.time_to_skill",
    "-m benchmarks.rendering",
    "-m benchmarks.replay",
    "-m benchmarks.training",
)
"""What follows `python` on each command line of the project."""

_SECTIONS = ("Args", "Arguments", "Returns", "Raises")


def environment() -> str:
    """The class docstring of the environment, which is Markdown except for its Args section."""
    from mm_gym import MarketMakingEnv

    docstring = inspect.getdoc(MarketMakingEnv) or ""
    return "\n".join(_bulleted(docstring.splitlines())) + "\n"


def _bulleted(lines: list[str]) -> Iterator[str]:
    """Turn the indented entries of `Args:` and `Raises:` into bullet lists."""
    inside = False
    for line in lines:
        name = line.strip().removesuffix(":")
        if line.strip().endswith(":") and name in _SECTIONS and not line.startswith(" "):
            inside = True
            yield from ("", f"**{name}**", "")
        elif inside and re.match(r"    \S", line):
            entry, colon, rest = line.strip().partition(":")
            yield f"- `{entry}`{colon}{rest}"
        elif inside and line.startswith("     "):
            yield "  " + line.strip()
        else:
            inside = inside and not line.strip()
            yield line


@dataclasses.dataclass(frozen=True)
class Field:
    """One field of a dataclass, as its source describes it."""

    name: str
    group: str
    """The comment above the fields that belong together."""
    unit: str
    text: str


def fields_of(dataclass: type[Any]) -> list[Field]:
    """The fields of a dataclass with the docstrings below them and the comments above them."""
    source = inspect.getsource(dataclass)
    body = ast.parse(source).body[0].body  # type: ignore[attr-defined]
    comments = {
        number: line.strip().removeprefix("# ")
        for number, line in enumerate(source.splitlines(), 1)
        if line.startswith("    # ")
    }
    found = []
    for field, docstring in itertools.pairwise(body):
        if not isinstance(field, ast.AnnAssign) or not isinstance(docstring, ast.Expr):
            continue
        group = [text for number, text in comments.items() if number < field.lineno]
        text = " ".join(inspect.cleandoc(ast.literal_eval(docstring.value)).split())
        match = re.match(r"\[([^\]]*)\]\s*(.*)", text)
        unit, text = match.groups() if match else ("", text)
        found.append(Field(field.target.id, group[-1] if group else "", unit, text))  # type: ignore[union-attr]
    return found


def configuration() -> str:
    """Every field of `MarketConfig`: its default, unit and meaning, in the groups of the source."""
    from mm_gym import MarketConfig

    defaults = {field.name: field.default for field in dataclasses.fields(MarketConfig)}
    lines: list[str] = []
    group = None
    for field in fields_of(MarketConfig):
        if field.group != group:
            group = field.group
            heading = group.rstrip(".") or "Name"
            lines += ["", f"## {heading}", ""]
            lines += ["| field | default | unit | meaning |", "|---|---|---|---|"]
        text = field.text.replace("|", r"\|")
        lines.append(f"| `{field.name}` | `{defaults[field.name]!r}` | {field.unit} | {text} |")
    lines += ["", "## Derived values", "", "| property | unit | meaning |", "|---|---|---|"]
    for name, member in vars(MarketConfig).items():
        if isinstance(member, property):
            text = " ".join((inspect.getdoc(member) or "").split("\n\n")[0].split())
            match = re.match(r"\[([^\]]*)\]\s*(.*)", text)
            unit, text = match.groups() if match else ("", text)
            lines.append(f"| `{name}` | {unit} | {text} |")
    return "\n".join(lines) + "\n"


def regimes() -> str:
    """The fields that each regime sets."""
    from mm_gym import REGIMES

    lines = ["| regime | fields that differ from the defaults |", "|---|---|"]
    for name, fields in REGIMES.items():
        shown = ", ".join(f"`{field}={_short(value)}`" for field, value in fields.items()) or "none"
        lines.append(f"| `{name}` | {shown} |")
    return "\n".join(lines) + "\n"


def _short(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(f'{number:.3g}' for number in value[:3])}, ...)"
    return f"{value:.4g}" if isinstance(value, float) and not math.isinf(value) else str(value)


def tasks() -> str:
    """The tasks of the benchmark suite."""
    from mm_gym import TASKS
    from mm_gym.reporting.suite_tables import tasks_markdown

    return tasks_markdown(TASKS.values())


def rules() -> str:
    """The rule-based makers with the first sentence of their docstrings and their parameters."""
    from agents import RULES

    lines = ["| rule | parameters | what it does |", "|---|---|---|"]
    for name, rule in RULES.items():
        parameters = [
            f"`{parameter.name}={parameter.default}`"
            for parameter in inspect.signature(rule.__init__).parameters.values()
            if parameter.default is not inspect.Parameter.empty
        ]
        text = " ".join((inspect.getdoc(rule) or "").split("\n\n")[0].split()).replace("|", r"\|")
        lines.append(f"| `{name}` | {', '.join(parameters) or 'none'} | {text} |")
    return "\n".join(lines) + "\n"


_HELP = """
import contextlib, io, json, os, runpy, sys
sys.path[0] = os.getcwd()
texts = []
for command in json.loads(sys.argv[1]):
    script, *rest = command.split()
    sys.argv = [script, *rest, "--help"] if script != "-m" else [*rest, "--help"]
    output = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")  # a frame needs the encoding
    with contextlib.redirect_stdout(output):
        try:
            if script == "-m":
                runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
            else:
                runpy.run_path(script, run_name="__main__")
        except SystemExit as exit:
            assert not exit.code, f"python {command} --help failed: {exit.code}"
    output.flush()
    texts.append(output.buffer.getvalue().decode())
json.dump(texts, sys.stdout)
"""


def help_texts(commands: Sequence[str] = COMMANDS) -> dict[str, str]:
    """What `python COMMAND --help` prints for each command, on 80 columns and without colours.

    One process runs them all, because most of the time is for imports.

    Raises:
        RuntimeError: if a command fails.
    """
    environment = os.environ | {"COLUMNS": "80", "NO_COLOR": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", _HELP, json.dumps(commands)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=3600,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    texts = [text.replace(str(ROOT) + os.sep, "").strip() for text in json.loads(done.stdout)]
    # The first line lists the options of short commands, without a line break.
    lines = (
        "\n".join(
            fill(line, 80, subsequent_indent="    ")
            if line.startswith("usage: ")
            else line.rstrip()
            for line in text.splitlines()
        )
        for text in texts
    )
    return dict(zip(commands, lines, strict=True))


def command_lines() -> str:
    """The help of every command line."""
    parts = []
    for command, text in help_texts().items():
        heading = command.removeprefix("-m ")
        parts.append(f"## {heading}\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


PAGES = {
    "environment": environment,
    "configuration": configuration,
    "regimes": regimes,
    "tasks": tasks,
    "rules": rules,
    "command-lines": command_lines,
}


def write(app: Any = None) -> None:
    """Write all fragments, each only if its text has changed, so that Sphinx can skip pages."""
    GENERATED.mkdir(exist_ok=True)
    for name, make in PAGES.items():
        path, text = GENERATED / f"{name}.md", make()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def write_replay(app: Any, error: Exception | None) -> None:
    """Write the replay of `docs/how-to/replay-a-session.md` into the finished HTML site."""
    if error is None and app.builder.format == "html":
        sys.path.insert(0, str(DOCS / "pictures"))
        from replay import example

        from mm_gym.rendering.replay import write_replay

        write_replay(Path(app.outdir) / "replay.html", example())


def setup(app: Any) -> dict[str, bool]:
    """What Sphinx calls."""
    app.connect("builder-inited", write)
    app.connect("build-finished", write_replay)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
