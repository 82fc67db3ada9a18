"""A policy that imitates the oracle infers the signal: held against the exact filter and against a blind rule."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

import agents.imitation
import agents.training
from agents import make_agent
from agents.imitation import imitate, teach_critic
from agents.memory import remember
from agents.ppo import Run, quoting_agent
from agents.settings import ALGORITHM_PART, FOLDER, SettingsError, read_settings
from agents.teachers import Oracle
from agents.training import first_model, new_model, training_markets
from mm_gym import configure
from mm_gym.core.layout import Outcome
from mm_gym.evaluation.rollout import run_sessions
from mm_gym.markets import Markets

pytestmark = pytest.mark.filterwarnings("ignore:rich is experimental")

CONFIG = configure("informed", p_informed=0.6, session_steps=300)
SETTINGS = read_settings("ppo")
SETTINGS[ALGORITHM_PART] |= {"n_envs": 128}
RUN = Run(CONFIG, seed=0, n_envs=128, timesteps=1, settings=SETTINGS)


def test_it_earns_more_than_a_rule_that_cannot_see_the_signal_and_its_quotes_lean_with_it() -> None:
    torch.set_num_threads(1)
    markets = training_markets(RUN)
    model = new_model(markets, RUN)
    error = imitate(model, markets, CONFIG, Oracle(CONFIG), decisions=120_000, seed=0)
    assert 0.3 < error < 3.0  # [ticks] most of which no observation could tell
    imitator = run_sessions(lambda config: quoting_agent(model, RUN), CONFIG, 128, seed=3, horizons=())
    blind = run_sessions(partial(make_agent, "inventory_skew", skew=0.2), CONFIG, 128, seed=3, horizons=())
    gain = imitator.objective - blind.objective
    assert gain.mean() > 4.0 * gain.std(ddof=1) / np.sqrt(128)

    # The centre of its quotes goes with what the signal says is still to come.
    watched = Markets(CONFIG, 256)
    observations, outcomes = watched.empty_results()
    memory = None
    watched.reset(np.arange(256), [np.random.default_rng([9, i]) for i in range(256)], observations, outcomes)
    for _ in range(100):
        observations, outcomes = watched.step(np.full((256, 2), 2.0 * 1.5 / CONFIG.max_offset - 1.0, np.float32))
        shown, memory = remember(observations, memory)
    actions, _ = model.predict(shown, deterministic=True)
    lean = actions[:, 1] - actions[:, 0] + 0.2 * outcomes[:, Outcome.INVENTORY] * 4.0 / CONFIG.max_offset
    assert np.corrcoef(lean, outcomes[:, Outcome.SIGNAL])[0, 1] > 0.3  # 0.06 were chance: 1 / sqrt(256)


def test_the_critic_learns_what_the_policy_earns_and_the_policy_stands_still() -> None:
    """Held against discounted rewards of 400 decisions, from states that it has not seen."""
    torch.set_num_threads(1)
    markets = training_markets(RUN)
    model = new_model(markets, RUN)
    imitate(model, markets, CONFIG, Oracle(CONFIG), decisions=30_000, seed=0)
    before = {name: part.clone() for name, part in model.policy.state_dict().items()}
    teach_critic(model, 100_000)
    after = {name: part.clone() for name, part in model.policy.state_dict().items()}
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert changed == {name for name in after if "value_net" in name}
    assert model.num_timesteps == 0
    assert all(part.requires_grad for part in model.policy.parameters())
    assert model.policy.optimizer.param_groups[0]["lr"] == model.lr_schedule(1.0) < 1e-3

    observations = markets.reset()
    for _ in range(CONFIG.session_steps):  # markets begin in the middle of sessions that nobody remembers
        observations = markets.step(model.predict(observations)[0])[0]
    first = observations
    earned, live = np.zeros(markets.num_envs), np.ones(markets.num_envs)
    for step in range(400):
        actions = model.predict(observations)[0]
        observations, rewards, ended, _ = markets.step(actions)
        earned += live * model.gamma**step * rewards
        live *= ~ended
    bias = {}
    for name, weights in (("untrained", before), ("taught", after)):
        model.policy.load_state_dict(weights)
        error = earned - model.policy.predict_values(torch.from_numpy(first)).detach().numpy()[:, 0]
        bias[name] = error.mean() / (error.std() / np.sqrt(len(error)))
    assert abs(bias["taught"]) < 3.0 < bias["untrained"], bias  # in standard errors


def test_a_head_start_has_threads_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    had: list[int] = []
    monkeypatch.setattr(agents.training, "imitate", lambda *_: had.append(torch.get_num_threads()))
    monkeypatch.setattr(agents.training, "settle_patience", lambda folder, run, _: had.append(torch.get_num_threads()))
    settings = {**SETTINGS, "imitation": {"decisions": 1}}
    run = Run(CONFIG, 0, 128, 1, settings=settings)
    for threads in (2, None):
        agents.training.train(tmp_path / str(threads), run, held_out_sessions=2, head_start_threads=threads)
    assert had == [2, 1, 1, 1]


def test_so_many_passes_in_the_end_as_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven rounds with one pass over the lessons so far, and then these: 128 lessons a round, of one batch each."""
    fitted: list[int] = []
    fit = agents.imitation._fit
    monkeypatch.setattr(agents.imitation, "_fit", lambda *args, **named: fitted.append(args[5]) or fit(*args, **named))
    for passes in ({"last_epochs": 2}, {}):
        settings = {**SETTINGS, "imitation": {"decisions": 1024, **passes}}
        run = Run(CONFIG, 0, 128, 1, settings=settings)
        first_model(training_markets(run), run)
    settled = [agents.imitation._SETTLING_EPOCHS]
    assert fitted == [*[1] * 7, 2, *settled, *[1] * 7, 6, *settled]


@pytest.mark.parametrize(
    ("says", "message"),
    [
        ("{}", "says imitation: {}; write decisions"),
        ("[600000]", r"says imitation: \[600000\]; write decisions"),
        ("600000", "says imitation: 600000; write decisions"),
        ("null", "says imitation: None; write decisions"),
        ("{decisions: 0}", "decisions: 0 under 'imitation'; write a whole number from 1 up"),
        ("{decisions: many}", "decisions: 'many' under"),
        ("{decisions: true}", "decisions: True under"),
        ("{decisions: 9, last_epochs: 0.5}", "last_epochs: 0.5 under"),
        ("{decisions: 9, critic_decisions: 0}", "critic_decisions: 0 under"),
        ("{decisions: 9, last_epoch: 2}", "last_epoch under 'imitation'; did you mean 'last_epochs'"),
        ("{decisions: 9, specialists: trained/noise}", "specialists: 'trained/noise' under"),
        ("{decisions: 9, specialists: []}", r"specialists: \[\] under 'imitation'; write a list"),
        ("{decisions: 9, specialists: [5]}", r"specialists: \[5\] under"),
    ],
)
def test_a_head_start_that_cannot_be_is_refused_before_a_training(tmp_path: Path, says: str, message: str) -> None:
    path = tmp_path / "settings.yml"
    text = (FOLDER / "ppo.yml").read_text()
    path.write_text(text.replace("imitation:", f"imitation: {says}\nunread:"))
    with pytest.raises(SettingsError, match=message):
        read_settings(str(path))


def test_an_lstm_has_no_head_start() -> None:
    settings = {**read_settings("recurrent_ppo"), "imitation": {"decisions": 1024}}
    with pytest.raises(ValueError, match="`imitation`, which is for ppo; leave it out of the settings"):
        Run(CONFIG, 0, 8, 1, algorithm="recurrent_ppo", settings=settings)


def test_equal_seeds_imitate_alike_and_settings_without_it_do_not() -> None:
    short = {**SETTINGS, "imitation": {"decisions": 4096, "critic_decisions": 4096}}
    runs = [Run(CONFIG, 0, 128, 1, settings=short), Run(CONFIG, 0, 128, 1, settings=short)]
    one, two = (first_model(training_markets(run), run).policy.state_dict() for run in runs)
    assert all(torch.equal(one[name], two[name]) for name in one)
    without = {name: part for name, part in SETTINGS.items() if name != "imitation"}
    run = Run(CONFIG, 0, 128, 1, settings=without)
    plain = first_model(training_markets(run), run).policy.state_dict()
    untrained = new_model(training_markets(run), run).policy.state_dict()
    assert all(torch.equal(plain[name], untrained[name]) for name in plain)
    assert not torch.equal(one["action_net.weight"], untrained["action_net.weight"])
