"""The commands that the pages show run, with smaller sizes, and print what the pages show.

They run in one process, which imports everything once. Each page has a folder of its own, with
copies of the scripts and without any earlier results.
"""

import gzip
import json
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from agents.learned.run_folder import RUN_FILE
from mm_gym import configure
from mm_gym.data import record_market, write
from tests.data import itch_files
from tests.data.conftest import SAMPLES
from tests.docs.pages import PAGES, ROOT, Block, blocks, commands, environment

COPIED = ("agents", "benchmarks", "docs", "examples", "train.py", "evaluate.py")

NOT_RUN = {
    r"(python3|pip|source) ": "installs packages",
    r"make ": "installs packages, or runs the tests",
    r"ray |.*--engine rllib|\.venv-ray/": "needs Ray or Dask: tests/ray has such runs",
    r"python -m rl_zoo3\.train": "needs rl_zoo3: tests/learners has such runs",
    r"python -m benchmarks\.": "measures for minutes",
    r"python -m agents\.training\.fit_signal_network": "takes many minutes at its smallest size",
    r"python evaluate\.py --experiment all": "takes minutes: tests/evaluation runs experiments",
    r"python evaluate\.py --episodes 128 .*clustered": "takes minutes: tests/agents has the makers",
    r"python docs/(pictures|tutorial)/": "draws for minutes",
    r"python docs/pictures/training\.py": "needs a browser and a run with pictures",
    r"python train\.py --task": "evaluates whole sessions: tests/test_train.py has such runs",
    r"python -m agents\.commands\.play": "waits for keys: tests/agents/test_play.py plays",
    r"tensorboard ": "does not end",
    r"python -m mm_gym\.data convert xnas": "needs a file of Databento",
    r"python -m mm_gym\.data facts GOOG": "needs the sample day: tests/data has the facts",
    r"python -m agents\.tools\.reference_scores": "tunes rules: tests/evaluation has such runs",
    r"python -m agents\.tools\.(animation|headline)": "draws for some seconds",
}
"""Commands that are shown and not executed, with the reason."""

SMALLER: dict[str, dict[str, str]] = {
    r"train\.py .*runs/first": {"--timesteps": "200"},
    r"train\.py .*--resume": {"--timesteps": "20000"},
    r"train\.py .*--start-from glosten": {
        "--timesteps": "200",
        "--n-envs": "8",
        "--set": "session_steps=5",
    },
    r"train\.py": {"--timesteps": "200", "--set": "session_steps=5"},
    r"evaluate\.py --replay --data": {"--set": "session_steps=5"},
    r"evaluate\.py .*--data": {"--episodes": "4", "--set": "session_steps=5"},
    r"evaluate\.py .*results/first": {},
    r"evaluate\.py .*(--compare|--replay)": {},
    r"evaluate\.py .*--suite": {"--tasks": "noise", "--episodes": "4", "--jobs": "1"},
    r"evaluate\.py": {"--episodes": "4"},
    r"examples/ppo\.py": {"--decisions": "256", "--num-envs": "4", "--evaluation-sessions": "4"},
    r"-m mm_gym\.data export": {"--seconds": "20"},
    r"-m mm_gym\.data facts": {"--sessions": "2", "--seconds": "60", "--regimes": "noise"},
    r"-m agents\.tools\.ablation": {"--episodes": "2"},
    r"-m agents\.tools\.install": {"--sessions": "4"},
}
"""Options that make a command small. One that the page gives is replaced, others are added."""

RUNS = {
    "benchmark.md": {"a": "noise", "b": "mixed", "c": "imbalanced", "ppo-noise-seed0": "noise"},
    "export-to-onnx.md": {"p40": "informed-40"},
    "judge-your-own-model.md": {"p40": "informed-40", "ppo-noise-seed0": "noise"},
    "train-on-your-own-flow.md": {"informed-40": "informed-40"},
    "train-on-a-cluster.md": {"NAME": "mixed"},
}
"""Run folders that a page takes for granted, and the shipped makers that stand in for them."""

RUNNER = """
import contextlib, io, json, runpy, sys, traceback
from agents.commands import evaluate
from agents.training import cloning, held_out
# Pictures and clones take most of the time.
cloning.DECISIONS = 60
evaluate.map_policy = evaluate.write_report = lambda *_, **__: None
held_out.pictures_of = lambda *_: {}
done, all_rules = [], held_out.rules_for
for folder, words in json.load(open("programs.json", encoding="utf-8")):
    sys.argv, code = words, 0
    # Only the tutorial shows the table of all rules.
    tutorial = folder.endswith("first-ten-minutes")
    held_out.rules_for = all_rules if tutorial else (lambda *_: ["fixed_spread", "inventory_skew"])
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()) as output, (
        contextlib.redirect_stderr(output)
    ):
        try:
            if words[0] == "-m":
                sys.argv = words[1:]
                runpy.run_module(words[1], run_name="__main__", alter_sys=True)
            else:
                runpy.run_path(words[0], run_name="__main__")
        except SystemExit as exit:
            code = exit.code or 0
        except BaseException:
            code = traceback.format_exc()
    done.append((code, output.getvalue()))
json.dump(done, open("done.json", "w", encoding="utf-8"))
"""
_NUMBER = re.compile(r"[+-]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?")


def test_the_commands_of_console_blocks_run_and_print_what_the_page_shows(tmp_path: Path) -> None:
    # The diary's commands are those of the how-to guides, at full length.
    pages = [page for page in PAGES if page.parent.name != "research"]
    programs: list[tuple[str, list[str]]] = []
    last: dict[str, int] = {}  # place of a block -> its last program
    for page in pages:
        for block in blocks(page, "console"):
            for words in commands(block):
                if not any(re.match(pattern, " ".join(words)) for pattern in NOT_RUN):
                    folder = tmp_path / page.stem
                    if not folder.exists():
                        prepare(folder, RUNS.get(page.name, {}))
                    last[block.place] = len(programs)
                    programs.append((str(folder), smaller(words)))
    done = run_all(programs, tmp_path)
    failed = [
        f"{' '.join(words)}: {code} {output}"
        for (_, words), (code, output) in zip(programs, done, strict=True)
        if code != 0
    ]
    assert not failed, "\n".join(failed)
    for page in PAGES:
        for block, below in pairwise(blocks(page)):
            if block.place in last and below.mark == "prints":
                check_output(below, done[last[block.place]][1])


def prepare(folder: Path, runs: dict[str, str]) -> None:
    """Make the folder of a page."""
    folder.mkdir()
    for name in COPIED:
        if (ROOT / name).is_file():
            shutil.copy(ROOT / name, folder)
        else:
            ignored = shutil.ignore_patterns("__pycache__", "_build", "_generated")
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name, maker in runs.items():
        run = folder / "runs" / name
        shutil.copytree(ROOT / "agents" / "trained" / maker, run)
        facts = json.loads((run / RUN_FILE).read_text())
        facts["config"]["session_steps"] = 50
        (run / RUN_FILE).write_text(json.dumps(facts))
    if folder.name == "train-on-recorded-data":
        name = "AAPL_2012-06-21_34200000_57600000_message_50.csv"
        sample = SAMPLES / "AAPL_2012-06-21_34200000_35400000_message_50.csv"
        if sample.exists():
            shutil.copy(sample, folder / name)
        else:
            write(record_market(configure("noise"), seconds=200.0), folder / name, folder / "book")
    if folder.name == "bring-your-data":
        name = "AAPL_2012-06-21_34200000_57600000_message_10.csv"
        recording = record_market(configure("noise"), seconds=60.0, n_levels=10)
        write(recording, folder / name, folder / name.replace("message", "orderbook"))
        packed = gzip.compress(itch_files.day(0, n=200))
        (folder / "12302019.NASDAQ_ITCH50.gz").write_bytes(packed)


def smaller(words: list[str]) -> list[str]:
    """What follows `python`, with the sizes of `SMALLER`."""
    words = words[1:]
    sizes = next(
        (found for pattern, found in SMALLER.items() if re.match(pattern, " ".join(words))), {}
    )
    for option, value in sizes.items():
        if option == "--set" and option in words:  # an option with several values
            words.insert(words.index(option) + 1, value)
        elif option in words:
            words[words.index(option) + 1] = value
        else:
            words += [option, value]
    return words


def run_all(programs: list[tuple[str, list[str]]], folder: Path) -> list[tuple[object, str]]:
    """Run the programs in turn, each in its folder. Returns exit codes and outputs."""
    (folder / "programs.json").write_text(json.dumps(programs), encoding="utf-8")
    (folder / "runner.py").write_text(RUNNER, encoding="utf-8")
    # A command that writes into `agents` writes into the copy.
    copies = [Path(place) for place, _ in programs]
    done = subprocess.run(
        [sys.executable, "runner.py"],
        cwd=folder,
        env=environment(copies[0], ROOT) | {"COLUMNS": "80"},
        capture_output=True,
        text=True,
        timeout=3600,
    )
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "done.json").read_text(encoding="utf-8"))


def check_output(shown: Block, printed: str) -> None:
    """Check that each line of a block was printed.

    Numbers may differ by 5 %, because processors round differently. They may be any in a line about
    a run folder and in a line without words, because the training was shorter than the page's.
    """
    lines = [line.split() for line in printed.splitlines()]
    for line in shown.text.splitlines():
        wanted = _NUMBER.sub("#", " ".join(line.split()))
        same = [" ".join(one) for one in lines if _NUMBER.sub("#", " ".join(one)) == wanted]
        assert same, f"{shown.place}: {line!r} was not printed:\n{printed}"
        assert (
            not re.search("[a-z]", line)
            or "runs/" in line
            or any(numbers(one) == pytest.approx(numbers(line), rel=0.05, abs=0.02) for one in same)
        ), f"{shown.place}: {line!r} has other numbers:\n{printed}"


def numbers(line: str) -> list[float]:
    return [float(found.replace(",", "")) for found in _NUMBER.findall(line)]
