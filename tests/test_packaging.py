"""The wheel: what is in it, what it requires, and its commands without the repository."""

import csv
import email
import functools
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from email.message import Message
from importlib import metadata as installed_metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import mm_gym
from agents.commands.console_script import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {"mm_gym": "mm_gym", "agents": "mm_gym_agents"}  # folder -> its name in the wheel
HEAVY = (
    "torch",
    "stable_baselines3",
    "sb3_contrib",
    "tensorboard",
    "matplotlib",
    "plotly",
    "PIL",
    "pygame",
)

# A module of the test environment. It makes packages look as if they were not installed.
HIDE = """
import os
from importlib.machinery import PathFinder

hidden = os.environ.get("HIDDEN_PACKAGES", "").split(",")
find_any = PathFinder.find_spec


def find_spec(name, path=None, target=None):
    return None if name.partition(".")[0] in hidden else find_any(name, path, target)


PathFinder.find_spec = staticmethod(find_spec)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the sdist, which is in the same folder."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out)]
    done = subprocess.run([*command, str(ROOT)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


def run(code: str, cwd: Path) -> str:
    """The output of a new interpreter, which looks for packages in `cwd` first."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_every_file_of_the_two_packages_and_no_other(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {n for n in archive.namelist() if ".dist-info/" not in n}
    here = {
        f"{name}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, name in PACKAGES.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    large = {name for name in here if "-sb3-recurrent-ppo/" in name}  # see pyproject.toml
    assert packed == here - large
    assert "mm_gym/py.typed" in packed
    assert "mm_gym_agents/trained/mixed/policy.pth" in packed


def test_the_sdist_holds_what_a_packager_needs_and_nothing_that_was_made_here(wheel: Path) -> None:
    (path,) = wheel.parent.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "LICENSE",
        "Makefile",
        "constraints.txt",
        "tests/test_packaging.py",
        "train.py",
    } <= packed
    made = {".venv", ".mypy_cache", ".ruff_cache", "results", "runs", "_build", "__pycache__"}
    assert not [name for name in packed if made & set(name.split("/")) or name.endswith(".nbc")]


def test_the_wheel_carries_its_licence(wheel: Path, metadata: Message) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert any(n.endswith(".dist-info/licenses/LICENSE") for n in archive.namelist())
    assert metadata["License-Expression"] == "MIT"


def test_without_extras_the_wheel_requires_four_packages(
    metadata: Message,
) -> None:
    requirements = metadata.get_all("Requires-Dist", [])
    always = {re.split(r"[^\w-]", r, maxsplit=1)[0] for r in requirements if "extra ==" not in r}
    assert always == {"gymnasium", "numba", "numpy", "scipy"}
    assert metadata["Requires-Python"] == ">=3.11"
    assert COMMANDS.keys() <= set(metadata.get_all("Provides-Extra", []))


def test_import_mm_gym_loads_no_library_for_learning_or_drawing() -> None:
    loaded = run("import mm_gym, sys; print(*sys.modules)", ROOT).split()
    assert "gymnasium" in loaded
    assert not set(HEAVY) & set(loaded)


def test_the_version_is_the_same_everywhere(
    metadata: Message,
) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "version" not in project
    assert "version" in project["dynamic"]
    assert metadata["Version"] == mm_gym.__version__
    citation = (ROOT / "CITATION.cff").read_text()
    assert re.findall(r"^version: (.+)$", citation, re.MULTILINE) == [mm_gym.__version__]
    changes = (ROOT / "CHANGELOG.md").read_text()
    newest = re.findall(r"^## \[(\d[^\]]*)\]", changes, re.MULTILINE)[0]
    assert newest == mm_gym.__version__


def pins(file: str) -> dict[str, str]:
    """Package -> version, from a constraints file."""
    lines = [
        line for line in (ROOT / file).read_text().splitlines() if line and not line.startswith("#")
    ]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    return {canonical(name): version for name, version in (line.split("==") for line in lines)}


def canonical(requirement: str) -> str:
    name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize(
    "file, names",
    [
        (
            "constraints.txt",
            (
                "train",
                "evaluate",
                "data",
                "play",
                "render",
                "tune",
                "export",
                "gymnasium-wrappers",
                "test",
                "check",
            ),
        ),
        ("constraints-ray.txt", ("train", "evaluate", "tune", "test", "ray", "dask")),
        ("constraints-peers.txt", ("peers",)),
        ("constraints-learners.txt", ("train", "render", "gymnasium-wrappers", "test", "learners")),
    ],
)
def test_every_package_of_an_environment_is_pinned(file: str, names: tuple[str, ...]) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*extras["dependencies"]]
    for name in names:
        wanted += extras["optional-dependencies"][name]
    assert {canonical(w) for w in wanted} <= set(pins(file))


def test_the_hashes_of_ci_belong_to_the_pinned_versions() -> None:
    lines = (ROOT / ".github" / "hashes.txt").read_text().splitlines()
    hashed = [line.split()[0].split("==") for line in lines if line[0] not in "# "]
    pinned = {name: version for name, version in pins("constraints.txt").items() if name != "torch"}
    assert {canonical(name): version for name, version in hashed} == pinned
    for line, following in itertools.pairwise(lines):
        assert line[0] in "# " or following.startswith("    --hash=sha256:")


def test_the_environment_with_ray_differs_in_the_version_of_gymnasium_only() -> None:
    usual, with_ray = pins("constraints.txt"), pins("constraints-ray.txt")
    assert {name for name in usual.keys() & with_ray.keys() if usual[name] != with_ray[name]} == {
        "gymnasium"
    }


# ------------------------------------------------------------------------- an installed wheel


class Environment:
    """A virtual environment with this project in it, and all other packages from the tests' own."""

    def __init__(self, folder: Path, *install: str) -> None:
        venv.create(folder)
        self.bin = folder / ("Scripts" if os.name == "nt" else "bin")
        pip = [sys.executable, "-m", "pip", "--python", str(self.bin / "python"), "install"]
        packages = Path(self.python("import sysconfig; print(sysconfig.get_path('purelib'))"))
        (packages / "hide.py").write_text(HIDE)
        (packages / "hide.pth").write_text("import hide\n")
        (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
        done = subprocess.run(
            [*pip, "--no-deps", "--no-index", "--no-build-isolation", "--quiet", *install],
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stderr
        self.packages = packages

    def run(
        self, *command: str, cwd: Path | None = None, extra: str | None = "dev"
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment.

        Args:
            command: the program and its arguments.
            cwd: the working folder. Default: the environment's own, which holds no module.
            extra: packages of other extras look as if they were not installed. None: no extra.
        """
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return subprocess.run(
            [str(self.bin / command[0]), *command[1:]],
            cwd=cwd or self.bin,
            env={**kept, "HIDDEN_PACKAGES": ",".join(packages_outside(extra))},
            capture_output=True,
            text=True,
            timeout=600,
        )

    def python(self, code: str) -> str:
        done = self.run("python", "-c", code)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def required_by(requirements: list[str]) -> set[str]:
    """The installed packages that these requirements need, directly or not."""
    found: set[str] = set()
    seen: set[str] = set()
    waiting = list(requirements)
    while waiting:
        requirement = Requirement(waiting.pop())
        if str(requirement) in seen:
            continue
        seen.add(str(requirement))
        try:
            further = installed_metadata.requires(requirement.name) or []
        except installed_metadata.PackageNotFoundError:
            continue
        found.add(canonical(requirement.name))
        for entry in further:
            marker = Requirement(entry).marker
            extras = ("", *requirement.extras)
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(entry)
    return found


@functools.cache  # it reads the files of every installed package
def packages_outside(extra: str | None) -> list[str]:
    """Import names of the packages that only other extras of this project require."""
    if extra == "dev":
        return []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {
        name: [entry for entry in requirements if not entry.startswith("mm-gym[")]
        for name, requirements in project["optional-dependencies"].items()
    }
    needed = required_by(project["dependencies"] + (extras[extra] if extra else []))
    hidden = required_by([entry for entries in extras.values() for entry in entries]) - needed
    names = installed_metadata.packages_distributions().items()
    return [name for name, owners in names if {canonical(owner) for owner in owners} <= hidden]


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel in an environment of its own, with the repository's compiled kernels."""
    environment = Environment(tmp_path_factory.mktemp("installed") / "environment", str(wheel))
    core = environment.packages / "mm_gym" / "core"
    for path in (ROOT / "mm_gym" / "core" / "__pycache__").glob("*.nb[ic]"):
        (core / "__pycache__").mkdir(exist_ok=True)
        shutil.copy2(path, core / "__pycache__" / path.name)
    for path in core.glob("*.py"):  # numba reads its cache only if the source has the same time
        shutil.copystat(ROOT / "mm_gym" / "core" / path.name, path)
    return environment


def test_the_wheel_installs_two_packages_and_nothing_called_agents(
    environment: Environment,
) -> None:
    code = "import importlib.util as u; print([u.find_spec(n) is None for n in {}])"
    found = environment.python(code.format(["agents", "train", "mm_gym", "mm_gym_agents"]))
    assert found == "[True, True, False, False]"
    files = environment.python(
        "import mm_gym, mm_gym_agents as a; print(mm_gym.__file__, a.__file__)"
    )
    assert all(Path(file).is_relative_to(environment.packages) for file in files.split())


def test_without_torch_and_the_other_extras_every_regime_runs(
    environment: Environment, tmp_path: Path
) -> None:
    shutil.copy(ROOT / "validation" / "smoke.py", tmp_path)
    done = environment.run("python", "smoke.py", cwd=tmp_path, extra=None)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert not found["learned"]
    assert found["digests"].keys() == mm_gym.REGIMES.keys()
    assert Path(found["package"]).is_relative_to(environment.packages)


def test_a_trained_maker_is_compared_with_a_rule_without_the_repository(
    environment: Environment, tmp_path: Path
) -> None:
    options = "--agents inventory_skew,trained/mixed --regimes informed --episodes 4 --jobs 2"
    done = environment.run("mm-gym", "evaluate", *options.split(), cwd=tmp_path, extra="evaluate")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "informed, p_informed = 0.3" in lines
    assert any(line.startswith("inventory_skew") for line in lines)
    assert any(line.startswith("trained/mixed") for line in lines)
    out = Path("results") / "evaluation-1"
    assert lines[-1] == f"Results: {out} (open {out / 'report.html'})"
    with (tmp_path / out / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["agent"] for row in rows} == {"inventory_skew", "trained/mixed"}
    assert all(row["episodes"] == "4" for row in rows)
    assert f"mm-gym evaluate {options}" in (tmp_path / out / "report.html").read_text()


@pytest.mark.parametrize(
    "command, message",
    [
        ("train --jobs 0", "jobs=0 is out of range: expected"),
        ("play --agents trained/mixed --out /dev/null", "/dev/null is occupied: expected"),
        ("tune --agents nobody", "'nobody'"),
        ("export nowhere", "nowhere"),
        ("data describe message.csv orderbook.csv", "message.csv"),
    ],
)
def test_a_command_needs_the_extra_of_its_name_only(
    command: str, message: str, environment: Environment, tmp_path: Path
) -> None:
    """A bad argument ends a command after its imports."""
    name, *options = command.split()
    done = environment.run("mm-gym", name, *options, cwd=tmp_path, extra=name)
    assert done.returncode == 2
    assert done.stderr.startswith(f"mm-gym {name}: ")
    assert message in done.stderr
    assert "is missing" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_without_its_extra_a_command_names_the_extra(
    name: str, environment: Environment, tmp_path: Path
) -> None:
    options = ["describe", "message.csv", "orderbook.csv"] if name == "data" else []
    done = environment.run("mm-gym", name, *options, cwd=tmp_path, extra=None)
    assert done.returncode == 2
    assert done.stderr.startswith(f"mm-gym {name}: a package is missing: expected")
    assert done.stderr.endswith(f"(write pip install 'mm-gym[{name}]')\n")
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_an_editable_installation_runs_the_files_of_the_repository(tmp_path: Path) -> None:
    environment = Environment(tmp_path / "environment", "--editable", str(ROOT))
    files = environment.python(
        "import agents, mm_gym_agents.commands.console_script as script; "
        "print(agents.__file__, script.__file__)"
    )
    assert [Path(file) for file in files.split()] == [
        ROOT / "agents" / "__init__.py",
        ROOT / "agents" / "commands" / "console_script.py",
    ]
    done = environment.run("mm-gym", "--version")
    assert done.stdout == f"mm-gym {mm_gym.__version__}\n"
