"""Training from the arguments to the artefacts, and what interruptions of every kind leave behind."""

import dataclasses
import functools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from joblib import parallel_config
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import agents.training
import train
from agents import AgentError, make_agent, rules_for
from agents.ppo import BEST_FILE, MODEL_FILE, RUN_FILE, Run, algorithm_class, load, load_model, read_run
from agents.settings import ALGORITHM_PART, SettingsError, read_settings
from agents.training import HELD_OUT_SEED, TrainingError, clearly_worse, replace_file, rollout_shape, stream_seed
from mm_gym import ConfigurationError, MarketConfig, configure
from mm_gym.evaluation.rollout import run_sessions, session_seeds
from mm_gym.sb3 import MarketMakingVecEnv

pytestmark = pytest.mark.filterwarnings("ignore:rich is experimental")

UPDATE = 512  # decisions, so that a test sees many updates
N_MARKETS = 8
CONFIG = configure("informed", p_informed=0.4, session_steps=50)
ROOT = Path(train.__file__).parent


SETTINGS = read_settings("ppo")
SETTINGS[ALGORITHM_PART] |= {"n_envs": N_MARKETS, "n_steps": UPDATE // N_MARKETS, "batch_size": UPDATE // 4}
SETTINGS[ALGORITHM_PART] |= {
    "learning_rate": "lin_0.002",
    "policy_kwargs": {"net_arch": [64, 64], "log_std_init": -1.9},
}
del SETTINGS["imitation"]  # tests/agents/test_imitation.py
N_EPOCHS = SETTINGS[ALGORITHM_PART]["n_epochs"]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(agents.training, "HELD_OUT_SESSIONS", 4)


def with_settings(**parts: dict[str, object]) -> dict[str, dict[str, object]]:
    """The settings with changes in `learning`, `markets` or `start`."""
    return {
        part: {**values, **parts.get("learning" if part == ALGORITHM_PART else part, {})}
        for part, values in SETTINGS.items()
    }


def a_run(updates: int, seed: int = 0, config: MarketConfig = CONFIG, **parts: dict[str, object]) -> Run:
    return Run(config, seed, N_MARKETS, updates * UPDATE, settings=with_settings(**parts))


def test_a_finished_training_has_the_patience_that_did_best_on_held_out_sessions(tmp_path: Path) -> None:
    """Scored by the agents that the folder makes; while it trains it is judged with the middle one."""
    sessions = 32
    run = agents.training.train(tmp_path, a_run(2), held_out_sessions=sessions)
    assert run == read_run(tmp_path)
    scores = {
        patience: run_sessions(
            functools.partial(make_agent, str(tmp_path), patience=patience), CONFIG, sessions, HELD_OUT_SEED
        )
        for patience in agents.training.PATIENCES
    }
    assert run.patience == max(scores, key=lambda patience: scores[patience].fair_objective.mean())
    assert run.best["objective"] == pytest.approx(scores[0.3].objective.mean())
    assert len({scored.fair_objective.mean() for scored in scores.values()}) > 1
    quoted = run_sessions(functools.partial(make_agent, str(tmp_path)), CONFIG, sessions, HELD_OUT_SEED)
    np.testing.assert_array_equal(quoted.objective, scores[run.patience].objective)


def weights(folder: Path, file: str = MODEL_FILE) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in load_model(folder, file=file).policy.state_dict().items()}


def send_at(monkeypatch: pytest.MonkeyPatch, step: int, number: signal.Signals) -> list[int]:
    """Have this process get a signal in the middle of that step of the environment; returns the steps so far."""
    steps: list[int] = []
    original = MarketMakingVecEnv.step_wait

    def step_wait(self: MarketMakingVecEnv) -> object:
        steps.append(len(steps) + 1)
        if len(steps) == step:
            os.kill(os.getpid(), number)
        return original(self)

    monkeypatch.setattr(MarketMakingVecEnv, "step_wait", step_wait)
    return steps


# ------------------------------------------------------------------------------ what a training leaves


def test_equal_seeds_train_equal_policies_and_seed_zero_is_one_of_them(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        agents.training.train(tmp_path / name, a_run(2, seed))
    first, again, other = (weights(tmp_path / name) for name in "abc")
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not any(np.array_equal(first[name], other[name]) for name in first)


def test_the_logs_hold_what_a_trader_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sessions: list[dict[str, float]] = []
    ended_by_update: list[list[dict[str, float]]] = []
    step_wait = MarketMakingVecEnv.step_wait
    ppo = algorithm_class("ppo")
    update = ppo.train

    def noting(self: MarketMakingVecEnv) -> object:
        result = step_wait(self)
        sessions.extend(info["episode"] for info in result[3] if info)
        return result

    def updating(self: ppo) -> None:
        ended_by_update.append(sessions[:])
        update(self)

    monkeypatch.setattr(MarketMakingVecEnv, "step_wait", noting)
    monkeypatch.setattr(ppo, "train", updating)
    agents.training.train(tmp_path, a_run(3))
    log = EventAccumulator(str(tmp_path / "tensorboard"))
    log.Reload()
    names = {"objective": "r"} | {name: name for name in agents.training.SESSION_FIGURES}
    for scalar, name in names.items():
        logged = log.Scalars(f"market/{scalar}")
        assert [point.step for point in logged] == [UPDATE, 2 * UPDATE, 3 * UPDATE]
        for point, ended in zip(logged, ended_by_update, strict=True):
            latest = [session[name] for session in ended[-N_MARKETS:]]
            assert len(latest) == N_MARKETS
            assert point.value == pytest.approx(np.mean(latest), rel=1e-6)
    assert {"rollout/ep_rew_mean", "train/value_loss", "time/fps"} <= set(log.Tags()["scalars"])


def test_the_untrained_policy_quotes_where_it_was_told_and_notices_what_it_holds() -> None:
    config = configure("noise", max_offset=16.0, max_inventory=50)
    quoting = {"policy_kwargs": {"net_arch": [64, 64], "log_std_init": np.log(0.5 / 8.0)}}
    run = a_run(1, config=config, learning=quoting, start={"initial_offset": 2.5})
    model = agents.training.new_model(agents.training.training_markets(run), run)
    seen = np.zeros((2, len(run.observation)), np.float32)
    seen[1, 0] = 5 / 50  # five lots
    actions, _ = model.predict(seen, deterministic=True)
    np.testing.assert_allclose(8.0 * (1.0 + actions), 2.5, atol=0.2)  # ticks; the last layer starts near zero
    drawn, _ = model.predict(np.repeat(seen[:1], 10_000, axis=0), deterministic=False)
    # The standard error of a standard deviation is s / sqrt(2 n).
    np.testing.assert_allclose(8.0 * drawn.std(axis=0), 0.5, atol=5 * 0.5 / np.sqrt(20_000))
    hidden = model.policy.mlp_extractor.forward_actor(torch.as_tensor(seen)).detach().numpy()
    assert np.abs(hidden[1] - hidden[0]).max() > 0.1


@pytest.mark.parametrize("n_envs", [1, 3, 8, 64, 100, 128, 1000, 5000])
def test_an_update_is_whole_batches_of_the_same_size_whatever_the_number_of_markets(n_envs: int) -> None:
    shape = rollout_shape({"n_envs": 128, "n_steps": 128, "batch_size": 4096}, n_envs)
    assert n_envs * shape["n_steps"] == 4 * shape["batch_size"]
    if n_envs <= 128:
        assert shape["batch_size"] == pytest.approx(4096, rel=0.05)


def test_learning_finds_quotes_that_trade_when_it_starts_where_few_do(tmp_path: Path) -> None:
    # In the dealer market a quote at offset d is filled at rate exp(-d / 3) / 2 a second and earns d: both sides
    # together 45 in 100 seconds at 9 ticks, where it starts, and 110 at the best, 3.
    config = configure("dealer", session_steps=100)
    settings = with_settings(
        learning={
            "n_envs": 64,
            "n_steps": 32,
            "batch_size": 512,
            "n_epochs": 8,
            "learning_rate": "lin_0.003",
            "gamma": 0.9,
            "policy_kwargs": {"net_arch": [64, 64], "log_std_init": np.log(3.0 / 7.5)},
        },
        start={"initial_offset": 9.0},
    )
    run = Run(config, seed=0, n_envs=64, timesteps=60_000, settings=settings)
    agents.training.train(tmp_path / "untrained", dataclasses.replace(run, timesteps=1))
    agents.training.train(tmp_path / "trained", run)
    untrained, trained = (
        run_sessions(lambda config, name=name: load(tmp_path / name, config), config, episodes=64, seed=5)
        for name in ("untrained", "trained")
    )
    gain = trained.final_pnl - untrained.final_pnl  # 27, with a standard error of 2.3
    error = gain.std(ddof=1) / np.sqrt(len(gain))
    assert gain.mean() > max(5.0 * error, 15.0)


def test_the_best_on_held_out_sessions_is_kept_and_quotes(tmp_path: Path) -> None:
    # So high a learning rate that the policy gets worse as well as better.
    run = a_run(6, learning={"learning_rate": 0.02})
    run = agents.training.train(tmp_path, run, evaluate_every=UPDATE, held_out_sessions=8)
    assert run == read_run(tmp_path)
    log = EventAccumulator(str(tmp_path / "tensorboard"))
    log.Reload()
    judged = log.Scalars("held_out/objective")
    assert [point.step for point in judged] == [UPDATE * update for update in range(1, 7)]
    (best,) = [point for point in judged if point.step == run.best["steps_done"]]
    assert run.loads == BEST_FILE
    assert run.best == {"steps_done": best.step, "objective": pytest.approx(best.value, rel=1e-6)}
    assert load_model(tmp_path, file=BEST_FILE).num_timesteps == best.step
    assert load_model(tmp_path).num_timesteps == run.steps_done == 6 * UPDATE
    # Weights are judged with a middling patience; the best one is chosen in the end.
    sessions = run_sessions(functools.partial(make_agent, str(tmp_path), patience=0.3), CONFIG, 8, HELD_OUT_SEED)
    assert sessions.objective.mean() == pytest.approx(best.value, rel=1e-6)
    for scalar, figures in (("fills", sessions.n_fills), ("mean_abs_inventory", sessions.mean_abs_inventory)):
        logged = {point.step: point.value for point in log.Scalars(f"held_out/{scalar}")}
        assert logged[best.step] == pytest.approx(figures.mean(), rel=1e-6)
    assert {"held_out/markout_5", "held_out/value_adverse_move_5"} <= set(log.Tags()["scalars"])


def test_two_processes_judge_a_policy_as_one_does() -> None:
    """As `train.py --threads 2` has it; the model has its markets and a logger, which no process could be sent."""
    run = a_run(1)
    model = agents.training.new_model(agents.training.training_markets(run), run)
    model.learn(UPDATE)
    alone = agents.training.held_out_sessions_of(model, run, 128, horizons=())
    with parallel_config(n_jobs=2):
        together = agents.training.held_out_sessions_of(model, run, 128, horizons=())
    np.testing.assert_array_equal(alone.objective, together.objective)
    np.testing.assert_array_equal(alone.fills, together.fills)
    assert np.ptp(alone.objective) > 0.0


@pytest.mark.parametrize("patiences", ["[]", "0.3", "[0.3, -0.1]", "[much]", "[true]", "[.inf]"])
def test_patiences_that_nobody_can_have_are_refused_before_a_training(tmp_path: Path, patiences: str) -> None:
    path = tmp_path / "settings.yml"
    text = (ROOT / "agents/hyperparameters/ppo.yml").read_text()
    path.write_text(f"{text}\npatiences: [0.15, 0.3]\n")
    assert read_settings(str(path))["patiences"] == [0.15, 0.3]
    path.write_text(f"{text}\npatiences: {patiences}\n")
    with pytest.raises(SettingsError, match="write ticks from 0 up"):
        read_settings(str(path))


def test_a_later_policy_is_kept_unless_it_is_clearly_worse() -> None:
    generator = np.random.default_rng(0)
    best = generator.normal(0.0, 100.0, 400)
    change = generator.normal(0.0, 10.0, 400)  # a standard error of 0.5
    change -= change.mean()
    for gain, worse in ((5.0, False), (0.0, False), (-0.9, False), (-1.1, True), (-5.0, True)):
        assert clearly_worse(best + change + gain, best) == worse


def test_a_training_that_goes_on_gives_up_its_best_for_no_worse_one(tmp_path: Path) -> None:
    run = agents.training.train(tmp_path, a_run(2), evaluate_every=UPDATE, held_out_sessions=64)
    assert run.best["steps_done"] > 0
    # From here on it unlearns everything.
    worse = load_model(tmp_path)
    with torch.no_grad():
        # Buys whatever comes, to sell it all at the close.
        worse.policy.get_parameter("action_net.weight").fill_(0.0)
        worse.policy.get_parameter("action_net.bias").copy_(torch.tensor([-1.0, 1.0]))
    worse.learning_rate = 0.0
    worse.lr_schedule = lambda _: 0.0
    worse.save(tmp_path / MODEL_FILE)
    run = dataclasses.replace(run, timesteps=3 * UPDATE)
    after = agents.training.train(tmp_path, run, tmp_path, evaluate_every=UPDATE, held_out_sessions=64)
    assert after.steps_done == 3 * UPDATE
    assert after.best == run.best


# ---------------------------------------------------------------------------------------- interruptions


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_saves_what_was_learned_and_resuming_goes_on_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    handler = signal.getsignal(number)
    steps = send_at(monkeypatch, 3 * (UPDATE // N_MARKETS) + 10, number)  # in the fourth collection
    stopped = agents.training.train(tmp_path, a_run(6), checkpoint_every=10**9)
    assert len(steps) == 3 * (UPDATE // N_MARKETS) + 10
    assert signal.getsignal(number) is handler
    assert stopped.steps_done == read_run(tmp_path).steps_done == 3 * UPDATE
    model = load_model(tmp_path)
    assert model.num_timesteps == 3 * UPDATE
    assert model._n_updates == 3 * N_EPOCHS
    assert not list(tmp_path.glob("*.partial"))

    done = agents.training.train(tmp_path, stopped, resume_from=tmp_path)
    assert done.steps_done == 6 * UPDATE
    assert load_model(tmp_path)._n_updates == 6 * N_EPOCHS
    log = EventAccumulator(str(tmp_path / "tensorboard"))
    log.Reload()
    # Sorted: TensorBoard reads the files by name, and two that one process began in the same second
    # are told apart by a counter without leading zeros ("10" before "9").
    assert sorted(scalar.step for scalar in log.Scalars("market/pnl")) == [UPDATE * update for update in range(1, 7)]


def test_a_resumed_run_starts_from_the_saved_weights_in_sessions_it_has_not_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[np.ndarray] = []
    reset = MarketMakingVecEnv.reset
    monkeypatch.setattr(MarketMakingVecEnv, "reset", lambda self: starts.append(reset(self)) or starts[-1])
    first = agents.training.train(tmp_path / "run", a_run(2))
    # With a learning rate of zero, whatever is resumed stays what it was.
    saved = load_model(tmp_path / "run")
    saved.lr_schedule = lambda progress: 0.0
    replace_file(tmp_path / "run" / MODEL_FILE, b"")
    saved.save(tmp_path / "run" / MODEL_FILE)
    agents.training.train(tmp_path / "on", dataclasses.replace(first, timesteps=3 * UPDATE), tmp_path / "run")
    before, after = weights(tmp_path / "run"), weights(tmp_path / "on")
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert load_model(tmp_path / "on").num_timesteps == 3 * UPDATE
    assert len(starts) == 2
    assert not np.array_equal(starts[0], starts[1])


def test_no_training_sees_the_sessions_of_an_evaluation() -> None:
    held_out = set(session_seeds(HELD_OUT_SEED, 4096).tolist())
    for seed in range(20):
        judged = set(session_seeds(seed, 4096).tolist())
        assert judged.isdisjoint(held_out)
        judged |= held_out
        for steps_done in (0, 16_384, 114_688, 2_015_232):
            first = stream_seed(seed, steps_done)
            assert judged.isdisjoint(range(first, first + 1024))


def test_checkpoints_come_as_often_as_asked_and_a_crash_loses_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Crash(Exception):
        pass

    ppo = algorithm_class("ppo")
    original = ppo.train
    updates: list[int] = []

    def crashing(self: ppo) -> None:
        updates.append(self.num_timesteps)
        if len(updates) == 6:
            raise Crash
        original(self)

    monkeypatch.setattr(ppo, "train", crashing)
    with pytest.raises(Crash):
        agents.training.train(tmp_path, a_run(10), checkpoint_every=2 * UPDATE)
    # Saved at 0, 2 and 4 updates; the sixth failed.
    assert read_run(tmp_path).steps_done == load_model(tmp_path).num_timesteps == 4 * UPDATE


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    path = tmp_path / "file"
    replace_file(path, b"old")

    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(OSError, match="full"):
        replace_file(path, b"new and longer")
    assert path.read_bytes() == b"old"
    monkeypatch.undo()
    replace_file(path, b"new and longer")
    assert path.read_bytes() == b"new and longer"
    assert list(tmp_path.iterdir()) == [path]


def start_training(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "train.py", "--threads", "1", "--checkpoint-every", "1", *arguments],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(process: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 120.0
    while not condition():
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < limit
        time.sleep(0.0002)


def test_a_kill_while_a_checkpoint_is_written_leaves_one_that_works(tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = 0
    small = tmp_path / "small.yml"
    small.write_text(yaml.safe_dump(SETTINGS))
    for arguments in (["--out", str(out), "--settings", str(small)], ["--resume", str(out)]):

        def ahead(least: int = done) -> bool:
            return (out / RUN_FILE).is_file() and read_run(out).steps_done > least

        process = start_training("--timesteps", "100000000", "--n-envs", "64", *arguments)
        try:
            wait_for(process, ahead)
            wait_for(process, lambda: any(out.glob("*.partial")))
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        process.stderr.close()  # type: ignore[union-attr]
        model = load_model(out)
        # Weights come first: a kill between the two files leaves the run's figure one checkpoint behind.
        assert done < read_run(out).steps_done <= model.num_timesteps
        actions, _ = load(out, configure("mixed")).predict(np.zeros((3, 18), np.float32))
        assert np.isfinite(actions).all()
        done = model.num_timesteps


# ------------------------------------------------------------------------------------------ the script


def test_the_script_trains_stops_at_an_interrupt_and_goes_on_when_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    compared: list[tuple[Path, MarketConfig]] = []
    monkeypatch.setattr(train, "compare", lambda folder, config: compared.append((folder, config)))
    out = tmp_path / "run"
    send_at(monkeypatch, UPDATE // N_MARKETS + 1, signal.SIGINT)
    small = tmp_path / "small.yml"
    small.write_text(yaml.safe_dump(SETTINGS))
    arguments = train.Arguments(
        regime="informed",
        p_informed=0.4,
        set=("latency=0.5", "reward=dampened"),
        settings=str(small),
        timesteps=3 * UPDATE,
        seed=0,
        out=out,
    )
    with pytest.raises(SystemExit) as stopped:
        train.main(arguments)
    assert stopped.value.code == 130
    assert f"python train.py --resume {out}" in capsys.readouterr().out
    assert compared == []

    # As said, and with all arguments of the first call once more.
    assert train.main(train.Arguments(resume=out, threads=1)) == out
    assert str(out) in capsys.readouterr().out
    config = configure("informed", p_informed=0.4, latency=0.5, reward="dampened")
    assert compared == [(out, config)]
    assert read_run(out).steps_done == 3 * UPDATE
    train.main(dataclasses.replace(arguments, timesteps=4 * UPDATE, resume=out))
    assert read_run(out).steps_done == 4 * UPDATE

    elsewhere = tmp_path / "elsewhere"
    train.main(train.Arguments(resume=out, out=elsewhere, timesteps=5 * UPDATE))
    assert read_run(out).steps_done == 4 * UPDATE
    assert read_run(elsewhere).steps_done == 5 * UPDATE
    assert read_run(elsewhere).config == config
    assert load(elsewhere, config).predict(np.zeros((1, 18), np.float32))[0].shape == (1, 2)


def test_the_table_at_the_end_shows_the_learned_maker_beside_every_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(train, "COMPARED_SESSIONS", 8)
    folder = tmp_path / "m"
    agents.training.train(folder, a_run(1))
    capsys.readouterr()
    train.compare(folder, CONFIG)
    printed = capsys.readouterr().out
    assert all(rule[:20] in printed for rule in rules_for(CONFIG))  # longer names are folded
    objectives = {
        name: run_sessions(functools.partial(make_agent, name), CONFIG, episodes=8, seed=0).objective
        for name in (*rules_for(CONFIG), str(folder))
    }
    learned = objectives.pop(str(folder))
    assert f"{learned.mean():.1f}" in printed
    best = max(objectives, key=lambda name: objectives[name].mean())
    gap = re.search(rf"the best rule, {best}: (\S+) ", " ".join(printed.split()))
    assert gap is not None
    assert float(gap[1]) == pytest.approx((learned - objectives[best]).mean(), rel=0.01)


def test_without_arguments_it_trains_on_mixed_in_a_fresh_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Path, Run]] = []

    def instead(folder: Path, run: Run, *_: object, **__: object) -> Run:
        asked.append((folder, run))
        (folder / RUN_FILE).touch()
        return dataclasses.replace(run, steps_done=run.timesteps)

    monkeypatch.setattr(train, "train", instead)
    monkeypatch.setattr(train, "compare", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        train.main(train.Arguments())
        folder, run = asked[-1]
        assert folder == Path(f"runs/mixed-seed0-{number}")
        settings = read_settings("ppo-mixed")
        learning = settings[ALGORITHM_PART]
        config = configure("mixed", p_informed=1.0)
        assert dataclasses.replace(run, command="") == Run(
            config, 0, learning["n_envs"], learning["n_timesteps"], settings=settings
        )
        assert run.timesteps >= 10_000_000


def refused(tmp_path: Path) -> dict[str, tuple[train.Arguments, type[Exception], str]]:
    (tmp_path / "file").touch()
    full = tmp_path / "full"
    full.mkdir()
    (full / "thesis.tex").touch()
    old = tmp_path / "old"
    old.mkdir()
    run = dataclasses.asdict(Run(configure("informed"), 3, 8, 1000, steps_done=1000, settings=SETTINGS))
    (old / RUN_FILE).write_text(json.dumps(run))
    asked = train.Arguments
    return {
        "unknown regime": (asked(regime="nose"), ConfigurationError, "did you mean 'noise'"),
        "no informed": (asked(regime="noise", p_informed=0.4), ConfigurationError, "write regime='informed'"),
        "share": (asked(regime="informed", p_informed=1.5), ConfigurationError, "p_informed=1.5 is out of range"),
        "field": (asked(set=("latancy=1",)), ConfigurationError, "did you mean 'latency'"),
        "no field": (asked(set=("latency",)), SettingsError, "write for example latency=0.5"),
        "settings": (asked(settings="ppp"), SettingsError, "did you mean 'ppo'"),
        "settings of another form": (asked(settings=str(full / "thesis.tex")), SettingsError, "does not say"),
        "algorithm": (asked(algorithm="pop"), ValueError, "did you mean 'ppo'"),
        "seed": (asked(seed=-1), ValueError, "seed=-1 is out of range"),
        "budget": (asked(timesteps=0), ValueError, "timesteps=0 is out of range"),
        "markets": (asked(n_envs=0), ValueError, "n_envs=0 is out of range"),
        "threads": (asked(threads=0), TrainingError, "threads=0"),
        "checkpoints": (asked(checkpoint_every=0), TrainingError, "checkpoint_every=0"),
        "out is taken": (asked(out=full), TrainingError, f"--resume {full}"),
        "out is a file": (asked(out=tmp_path / "file"), TrainingError, "cannot be written"),
        "out cannot be made": (asked(out=tmp_path / "file" / "run"), TrainingError, "write --out with a folder"),
        "nothing to resume": (asked(resume=tmp_path / "nowhere"), AgentError, "is no run folder"),
        "resume what is no run": (asked(resume=full), AgentError, "is no run folder"),
        "resume into what is taken": (asked(resume=old, out=full, timesteps=2000), TrainingError, "holds something"),
        "resume another regime": (asked(resume=old, regime="noise"), TrainingError, "regime=noise came"),
        "resume another market": (asked(resume=old, set=("latency=1",)), TrainingError, "latency=1 came"),
        "resume with other settings": (asked(resume=old, settings="ppo"), TrainingError, "settings=ppo came"),
        "resume another seed": (asked(resume=old, seed=0), TrainingError, "seed=0 came"),
        "resume what is done": (asked(resume=old), TrainingError, "1000 decisions of a budget of 1000"),
        "resume without weights": (asked(resume=old, timesteps=2000), AgentError, "holds no model.zip"),
    }


def test_bad_input_is_answered_with_a_sentence_before_anything_is_written(tmp_path: Path) -> None:
    for name, (arguments, kind, sentence) in refused(tmp_path).items():
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(kind) as caught:
            train.main(dataclasses.replace(arguments, out=arguments.out or tmp_path / "new"))
        assert sentence in str(caught.value), name
        assert not list((tmp_path / "new").glob("*")), name
        (tmp_path / "new").rmdir() if (tmp_path / "new").exists() else None
        assert sorted(tmp_path.rglob("*")) == before, name


def test_on_the_command_line_a_refusal_is_one_line_and_no_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "train.py", "--regime", "nose", "--out", str(tmp_path / "new")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("train.py: regime 'nose' is unknown")
    assert len(done.stderr.splitlines()) == 1


def test_exploration_stands_and_then_narrows_to_its_end(tmp_path: Path) -> None:
    run = a_run(8)
    run.settings["exploration"] = {"end": -4.0, "constant": 0.5}
    agents.training.train(tmp_path, run, held_out_sessions=2)
    log = EventAccumulator(str(tmp_path / "tensorboard"))
    log.Reload()
    # `train/std` of an update is logged after the next collection, with that of the evaluation at the end for the last.
    spread = np.log([point.value for point in log.Scalars("train/std")])
    start = run.settings[ALGORITHM_PART]["policy_kwargs"]["log_std_init"]
    done = np.maximum(0.0, np.arange(8) / 8 - 0.5) / 0.5
    np.testing.assert_allclose(spread, start + done * (-4.0 - start), atol=1e-5)
