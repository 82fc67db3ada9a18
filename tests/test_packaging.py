"""What `pip install mm-gym` brings: the package and nothing else, light, under one version."""

import email
import re
import subprocess
import sys
import tomllib
import zipfile
from email.message import Message
from pathlib import Path

import pytest

import mm_gym

ROOT = Path(__file__).resolve().parent.parent
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


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)]
    done = subprocess.run([*command, str(ROOT)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


def run(code: str, cwd: Path) -> str:
    """What a new interpreter prints that finds packages in `cwd` before any other place."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_every_file_of_mm_gym_and_no_other(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {n for n in archive.namelist() if ".dist-info/" not in n}
    here = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "mm_gym").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == here
    assert "mm_gym/py.typed" in packed


def test_the_wheel_carries_its_licence(wheel: Path, metadata: Message) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert any(n.endswith(".dist-info/licenses/LICENSE") for n in archive.namelist())
    assert metadata["License-Expression"] == "MIT"


def test_a_plain_install_asks_for_four_packages_and_for_nothing_that_learns_or_draws(
    metadata: Message,
) -> None:
    requirements = metadata.get_all("Requires-Dist", [])
    always = {re.split(r"[^\w-]", r, maxsplit=1)[0] for r in requirements if "extra ==" not in r}
    assert always == {"gymnasium", "numba", "numpy", "scipy"}
    assert metadata["Requires-Python"] == ">=3.11"
    assert {"train", "evaluate"} <= set(metadata.get_all("Provides-Extra", []))


def test_what_is_in_the_wheel_imports_with_nothing_of_the_repository_beside_it(
    wheel: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = "import mm_gym, sys; print(mm_gym.__file__); print('agents' in sys.modules)"
    file, agents_loaded = run(code, tmp_path).split()
    assert Path(file).resolve() == (tmp_path / "mm_gym" / "__init__.py").resolve()
    assert agents_loaded == "False"


def test_import_mm_gym_loads_nothing_that_learns_or_draws() -> None:
    loaded = run("import mm_gym, sys; print(*sys.modules)", ROOT).split()
    assert "gymnasium" in loaded
    assert not set(HEAVY) & set(loaded)


def test_the_version_is_written_in_one_place_and_everything_agrees_with_it(
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
    """Package -> version."""
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
                "render",
                "tune",
                "export",
                "gymnasium-wrappers",
                "test",
                "check",
            ),
        ),
        ("constraints-ray.txt", ("train", "evaluate", "test", "ray")),
        ("constraints-learners.txt", ("train", "render", "gymnasium-wrappers", "test", "learners")),
    ],
)
def test_every_package_of_the_development_sets_is_pinned_exactly(
    file: str, names: tuple[str, ...]
) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*extras["dependencies"]]
    for name in names:
        wanted += extras["optional-dependencies"][name]
    assert {canonical(w) for w in wanted} <= set(pins(file))


def test_with_ray_only_gymnasium_is_another_version() -> None:
    usual, with_ray = pins("constraints.txt"), pins("constraints-ray.txt")
    assert {name for name in usual.keys() & with_ray.keys() if usual[name] != with_ray[name]} == {
        "gymnasium"
    }
