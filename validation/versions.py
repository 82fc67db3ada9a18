"""Run the smoke test with the oldest and the newest packages that `pyproject.toml` allows.

python -m validation.versions
python -m validation.versions --pythons python3.12 python3.13
make versions

The package is built as an sdist, and as a wheel from that sdist. For each Python, uv installs the
wheel into an empty folder, with the newest version of each requirement; for the first Python also
with the oldest. `validation/smoke.py` runs with that folder and the standard library alone, so
torch is absent. With `--torch`, the extra `train` is installed too, in another folder. Nothing is
written into the repository.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import tomllib
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from agents.invocation import run_command

ROOT = Path(__file__).parents[1]
UV = "uv==0.13.9"
EXTRA = "train"


@dataclass(frozen=True)
class Arguments:
    """Run the smoke test with the oldest and the newest packages that are allowed."""

    pythons: tuple[str, ...] = (sys.executable,)
    """Interpreters. The oldest packages are tested with the first one."""
    torch: str | None = None
    """A requirement such as torch==2.13.0. With it, the extra `train` is tested with the first
    Python, with the oldest versions of everything but torch."""
    folder: Path | None = None
    """Folder for the environments, which are kept. Default: a temporary one."""


def main(arguments: Arguments) -> None:
    """Print a row for each environment.

    Raises:
        ValueError: if an environment cannot be made, or its smoke test fails.
    """
    with _folder(arguments.folder) as folder:
        wheel = _build(folder)
        tools = folder / "tools"
        venv.create(tools, with_pip=True)
        _run([str(tools / "bin" / "pip"), "install", "--quiet", UV])
        uv = [str(tools / "bin" / "uv"), "pip", "install", "--quiet", "--only-binary", ":all:"]
        if "PIP_FIND_LINKS" in os.environ:
            uv += ["--find-links", os.environ["PIP_FIND_LINKS"]]
        first = arguments.pythons[0]
        plan = [(first, "lowest-direct", False)]
        plan += [(python, "highest", False) for python in arguments.pythons]
        if arguments.torch is not None:
            plan += [(first, "lowest-direct", True)]
            (folder / "torch.txt").write_text(arguments.torch)
            torch = ["--overrides", str(folder / "torch.txt")]
        print("| Python | packages | extra | the others | trajectories |\n|---|---|---|---|---|")
        usual: dict[str, str] = {}
        for number, (python, resolution, extra) in enumerate(plan):
            version = _run([python, "-c", _VERSION]).strip()
            packages = folder / f"{number}-{version}-{resolution}{'-train' * extra}"
            _run(
                [*uv, "--resolution", resolution, "--target", str(packages)]
                + ["--python-version", version]
                + (torch if extra else [])
                + [str(wheel), *_requirements(extra)]
            )
            result = _smoke(python, packages, folder)
            if result["learned"] != extra:
                raise ValueError(f"torch is wrong: expected {extra}, got {result['learned']}")
            same = all(usual.setdefault(*item) == item[1] for item in result["digests"].items())
            versions = result["versions"]
            cells = [versions.pop("python"), resolution, EXTRA if extra else "none"]
            cells += [", ".join(f"{name} {found}" for name, found in versions.items())]
            print(f"| {' | '.join(cells)} | {'equal' if same else 'other'} |", flush=True)


_VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"


@contextlib.contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is None:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
    else:
        given.mkdir(parents=True, exist_ok=True)
        yield given.resolve()


def _build(folder: Path) -> Path:
    """The sdist, and the wheel that is built from it."""
    _run([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)])
    (wheel,) = folder.glob("*.whl")
    return wheel


def _requirements(extra: bool) -> list[str]:
    """What `pyproject.toml` requires. The resolution lowest-direct needs them by name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional: list[str] = project["optional-dependencies"][EXTRA] if extra else []
    return [*project["dependencies"], *optional]


def _smoke(python: str, packages: Path, folder: Path) -> dict[str, Any]:
    """What the smoke test prints, with these packages and the standard library alone."""
    copy = folder / "smoke.py"  # the repository's own packages must not be found beside it
    copy.write_text((ROOT / "validation" / "smoke.py").read_text())
    printed = _run([python, "-S", str(copy)], PYTHONPATH=str(packages))
    result: dict[str, Any] = json.loads(printed.splitlines()[-1])
    if Path(result["package"]).parent != packages:
        raise ValueError(f"the package is another: expected {packages}, got {result['package']}")
    return result


def _run(command: list[str], **variables: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **variables})
    if done.returncode != 0:
        raise ValueError(
            f"a step failed: expected exit code 0, got {done.returncode} from "
            f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
        )
    return done.stdout


if __name__ == "__main__":
    run_command("validation.versions", lambda: main(tyro.cli(Arguments)))
