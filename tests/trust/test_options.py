"""Every option that a command accepts changes what it does: no option is ignored.

For all pairs of options, the command is called with both and with each of them alone. Either the
pair is refused in one sentence, or both options have an effect: the work asked for differs from the
work without each of them.
"""

import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agents.commands import evaluate, play, train
from agents.invocation import check_different
from agents.rules.tuned import read_tuned
from agents.tuning import __main__ as tuning
from mm_gym import configure
from mm_gym.data import __main__ as data
from mm_gym.data.lobster import order_book_of, write
from mm_gym.data.simulation import record_market
from mm_gym.evaluation import plans, suite
from mm_gym.market_file import write_market
from mm_gym.reporting import artefacts, suite_files
from tests.data.made_up_day import made_up_day


class Asked(Exception):
    """Raised in place of the work. Its arguments describe the work."""


def plain(value: Any) -> str:
    """The value as text, without functions and addresses of objects."""
    if callable(value) and not isinstance(value, type):
        value = getattr(value, "keywords", "a function")
    if isinstance(value, (list, tuple)):
        return str([plain(item) for item in value])
    if isinstance(value, dict):
        return str({name: plain(item) for name, item in value.items()})
    if type(value).__repr__ is object.__repr__:
        return plain(vars(value))
    return repr(value)


def ask(name: str) -> Callable[..., Any]:
    def asked(*arguments: Any, **keywords: Any) -> None:
        raise Asked(name, plain(arguments), plain(keywords))

    return asked


def outcome(call: Callable[[], object]) -> str | tuple[Any, ...]:
    """The sentence of a refusal, or the work that was asked for."""
    try:
        call()
    except Asked as asked:
        return asked.args
    except ValueError as error:
        sentence = str(error)
    else:
        raise AssertionError("nothing was asked for")
    assert re.fullmatch("[^\n]*: expected [^\n]*, got [^\n]*", sentence), sentence
    return sentence


def check_pairs(
    run: Callable[[dict[str, Any]], str | tuple[Any, ...]], values: Mapping[str, Any]
) -> tuple[int, int]:
    """Check all pairs of the options in `values`. Returns how many are accepted and refused."""
    alone = {name: run({name: value}) for name, value in values.items()}
    default = run({})
    assert isinstance(default, tuple)
    for name, result in alone.items():
        assert result != default, f"{name} alone has no effect"
    accepted = refused = 0
    for one, other in itertools.combinations(values, 2):
        both = run({one: values[one], other: values[other]})
        if isinstance(both, str):
            refused += 1
            continue
        accepted += 1
        for name in (one, other):
            assert both != alone[name], f"{one} and {other}: one of them has no effect"
    return accepted, refused


@pytest.fixture
def market(tmp_path: Path) -> Path:
    write_market(configure("informed", latency=0.25), tmp_path / "market.json")
    return tmp_path / "market.json"


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    return Path(made_up_day(folder / "day.parquet", seconds=1100))


@pytest.mark.parametrize("option", ["experiment", "agents", "regimes", "sweep", "reference"])
def test_an_empty_option_is_refused(option: str) -> None:
    with pytest.raises(ValueError, match=f"--{option} is empty: expected a value, got none"):
        evaluate.main(replace(evaluate.Arguments(), **{option: ""}))


def test_no_option_of_evaluate_is_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, market: Path, day: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    folders: list[tuple[Any, ...]] = []

    class Folder:
        def __init__(self, folder: Path, overwrite: bool = False) -> None:
            folders.append((str(folder), overwrite))

        def __enter__(self) -> Path:
            return tmp_path

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(artefacts, "results_folder", Folder)
    for module, name in (
        (plans, "run_grid"),
        (plans, "run_experiments"),
        (suite, "run_suite"),
        (suite_files, "compare"),
        (evaluate, "record_sessions"),
    ):
        monkeypatch.setattr(module, name, ask(name))

    def run(options: dict[str, Any]) -> str | tuple[Any, ...]:
        folders.clear()
        found = outcome(lambda: evaluate.main(evaluate.Arguments(**options)))
        return found if isinstance(found, str) else (*found, *folders)

    accepted, refused = check_pairs(
        run,
        {
            "agents": "fixed_spread,inventory_skew",
            "regimes": "mixed",
            "data": day,
            "market": market,
            "set": ("maker_fee=0.1",),
            "p_informed": 0.25,
            "sweep": "latency",
            "values": "0,1,2",
            "reference": "fixed_spread",
            "experiment": "all",
            "negative_control": True,
            "suite": True,
            "tasks": "noise",
            "compare": "a.csv,b.csv",
            "replay": True,
            "episodes": 3,
            "seed": 7,
            "jobs": 2,
            "backend": "dask",
            "address": "auto",
            "out": Path("elsewhere"),
            "overwrite": True,
        },
    )
    assert accepted > 40
    assert refused > 60


def test_no_option_of_train_is_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, market: Path, day: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    threads: list[int] = []
    monkeypatch.setattr(train.torch, "set_num_threads", threads.append)
    monkeypatch.setattr(train, "check_output", lambda *_: None)
    monkeypatch.setattr(train, "command_line", lambda: "")
    monkeypatch.setattr(train, "train", ask("sb3"))
    rllib = ModuleType("agents.training.rllib")
    rllib.train = ask("rllib")  # type: ignore[attr-defined]
    monkeypatch.setitem(__import__("sys").modules, "agents.training.rllib", rllib)
    monkeypatch.setattr(__import__("agents.training").training, "rllib", rllib, raising=False)

    def run(options: dict[str, Any]) -> str | tuple[Any, ...]:
        threads.clear()
        found = outcome(lambda: train.main(train.Arguments(**options)))
        return found if isinstance(found, str) else (*found, *threads)

    check_pairs(
        run,
        {
            "regime": "informed",
            "p_informed": 0.25,
            "task": "informed-60",
            "data": day,
            "market": market,
            "set": ("latency=0.5",),
            "algorithm": "recurrent_ppo",
            "hyperparameters": "ppo-dealer",
            "timesteps": 123,
            "seed": 7,
            "n_envs": 5,
            "out": Path("elsewhere"),
            "start_from": "trained/informed-40",
            "checkpoint_every": 321,
            "evaluate_every": 999,
            "jobs": 2,
            "threads": 2,
            "engine": "rllib",
            "env_runners": 2,
            "address": "auto",
        },
    )


def test_no_option_of_tuning_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[str] = []

    def search(rule: str, config: Any, effort: Any, on_batch: Any, *rest: Any) -> Any:
        asked.append(plain((rule, config, effort, *rest)))
        return replace(read_tuned()[0], command="")

    monkeypatch.setattr(tuning, "_search", search)
    monkeypatch.setattr(tuning, "tuned_rule", lambda rule, config: read_tuned()[0])
    monkeypatch.setattr(tuning, "write_tuned", lambda found, out: asked.append(str(out)))
    monkeypatch.setattr(tuning, "_table", ask("end"))

    def run(options: dict[str, Any]) -> str | tuple[Any, ...]:
        asked.clear()
        found = outcome(lambda: tuning.main(tuning.Arguments(**options)))
        return found if isinstance(found, str) else tuple(asked)

    check_pairs(
        run,
        {
            "agents": "inventory_skew",
            "regimes": "informed,noise",
            "p_informed": "0.1,0.2",
            "effort": tuning.Effort(trials=3),
            "backend": "dask",
            "address": "auto",
            "out": tmp_path / "elsewhere.json",
            "only": "half_spread",
        },
    )


def test_no_option_of_play_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(play, "_trade", ask("trade"))
    monkeypatch.setattr(play.secrets, "randbelow", lambda _: 0)
    kept: list[Any] = []

    def session(config: Any, seed: int) -> Any:
        kept.append((config, seed))
        return SimpleNamespace()

    monkeypatch.setattr(play, "Session", session)
    monkeypatch.setattr(play, "name_agent", lambda name: lambda config: kept.append(name))
    for name in ("TerminalScreen", "WindowScreen"):

        class Screen:
            def __init__(self, name: str = name) -> None:
                kept.append(name)

            def __enter__(self) -> None:
                pass

            def __exit__(self, *_: object) -> None:
                pass

        monkeypatch.setattr(play, name, Screen)

    class Folder(Screen):
        def __init__(self, folder: Path) -> None:
            kept.append(str(folder))

    monkeypatch.setattr(artefacts, "results_folder", Folder)

    def run(options: dict[str, Any]) -> str | tuple[Any, ...]:
        kept.clear()
        found = outcome(lambda: play.main(play.Arguments(**options)))
        return found if isinstance(found, str) else (*found, *kept)

    check_pairs(
        run,
        {
            "regime": "mixed",
            "p_informed": 0.25,
            "set": ("latency=0.5",),
            "task": "informed-60",
            "agents": "fixed_spread",
            "seed": 7,
            "speed": 2.0,
            "terminal": True,
            "out": Path("elsewhere"),
        },
    )


def test_no_option_of_the_data_commands_is_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, market: Path
) -> None:
    messages = tmp_path / "message.csv"
    write(record_market(configure(), 50.0), messages, order_book_of(messages))
    for name in (
        "read", "rebuild", "read_messages", "open_file", "record_market", "replay",
    ):  # fmt: skip
        monkeypatch.setattr(data, name, ask(name))

    def export(options: dict[str, Any]) -> str | tuple[Any, ...]:
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        return outcome(lambda: data.main(["export", str(tmp_path / "message2.csv"), *words]))

    check_pairs(
        export,
        {"regime": "informed", "market": market, "seconds": 9, "seed": 7, "levels": 3}
        | {"lot-size": 7},
    )
    # --levels is for a book that is rebuilt, when there is no order book file.
    said = outcome(lambda: data.main(["describe", str(messages), "--levels", "3"]))
    assert str(said).startswith("--levels has no effect with an order book file")


@given(st.lists(st.integers(0, 3)))
@example([1, 1])
def test_a_list_that_names_something_twice_is_refused(names: list[int]) -> None:
    if len(set(names)) == len(names):
        check_different("--agents", names)
    else:
        with pytest.raises(ValueError, match=r"--agents names \d twice: expected .*, got"):
            check_different("--agents", names)
