"""A policy that clones the oracle infers the signal: held against a rule that cannot see it."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

import agents.behaviour_cloning
from agents import make_agent
from agents.behaviour_cloning import Oracle, clone_behaviour
from agents.history_features import add_history
from agents.ppo import Run, quoting_agent
from agents.settings import ALGORITHM_PART, FOLDER, SettingsError, read_settings
from agents.training import first_model, new_model, training_markets
from mm_gym import configure
from mm_gym.actions import from_ticks, to_ticks
from mm_gym.core.layout import Outcome
from mm_gym.evaluation.rollout import run_sessions
from mm_gym.markets import Markets
from mm_gym.sb3 import MarketMakingVecEnv

pytestmark = pytest.mark.filterwarnings("ignore:rich is experimental")

CONFIG = configure("informed", p_informed=0.6, session_steps=300)
SETTINGS = {**read_settings("ppo"), "history_features": True}
SETTINGS[ALGORITHM_PART] |= {"n_envs": 128}
RUN = Run(CONFIG, seed=0, n_envs=128, timesteps=1, settings=SETTINGS)


def test_it_earns_more_than_a_rule_that_cannot_see_the_signal_and_its_quotes_lean_with_it() -> None:
    torch.set_num_threads(1)
    markets = training_markets(RUN)
    model = new_model(markets, RUN)
    error = clone_behaviour(model, markets, CONFIG, decisions=120_000, seed=0)
    assert 0.3 < error < 3.0  # [ticks] most of which no observation could tell
    clone = run_sessions(lambda config: quoting_agent(model, RUN), CONFIG, 128, seed=3, horizons=())
    blind = run_sessions(partial(make_agent, "inventory_skew", skew=0.2), CONFIG, 128, seed=3, horizons=())
    gain = clone.fair_objective - blind.fair_objective  # 34, with a standard error of 3
    assert gain.mean() > 9.0 * gain.std(ddof=1) / np.sqrt(128)

    # The centre of its quotes goes with what the signal says is still to come.
    watched = Markets(CONFIG, 256)
    observations, outcomes = watched.empty_results()
    history = None
    watched.reset(np.arange(256), [np.random.default_rng([9, i]) for i in range(256)], observations, outcomes)
    for _ in range(100):
        observations, outcomes = watched.step(from_ticks(np.full((256, 2), 1.5), CONFIG.max_offset))
        shown, history = add_history(observations, history)
    offsets = to_ticks(model.predict(shown, deterministic=True)[0], CONFIG.max_offset)
    lean = offsets[:, 1] - offsets[:, 0] + 2.0 * 0.2 * outcomes[:, Outcome.INVENTORY]
    assert np.corrcoef(lean, outcomes[:, Outcome.SIGNAL])[0, 1] > 0.3  # 0.06 were chance: 1 / sqrt(256)


def test_so_many_passes_in_the_end_as_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven rounds with one pass over the demonstrations so far, and then these: 128 a round, of one batch each."""
    fitted: list[int] = []
    fit = agents.behaviour_cloning._fit
    monkeypatch.setattr(
        agents.behaviour_cloning, "_fit", lambda *args, **named: fitted.append(args[5]) or fit(*args, **named)
    )
    for passes in ({"last_epochs": 2}, {}):
        settings = {**SETTINGS, "behaviour_cloning": {"decisions": 1024, **passes}}
        run = Run(CONFIG, 0, 128, 1, settings=settings)
        first_model(training_markets(run), run)
    settled = [agents.behaviour_cloning._SETTLING_EPOCHS]
    assert fitted == [*[1] * 7, 2, *settled, *[1] * 7, 6, *settled]


@pytest.mark.parametrize(
    ("says", "message"),
    [
        ("{}", r"behaviour_cloning does not say enough: expected decisions, got \{\}"),
        ("[600000]", r"behaviour_cloning cannot be used: expected a mapping, got \[600000\]"),
        ("600000", "behaviour_cloning cannot be used: expected a mapping, got 600000"),
        ("null", "behaviour_cloning cannot be used: expected a mapping, got None"),
        ("{decisions: 0}", r"decisions cannot be used: expected a whole number from 1 to 1e\+09, got 0"),
        ("{decisions: many}", "decisions cannot be used: .* got 'many'"),
        ("{decisions: true}", "decisions cannot be used: .* got True"),
        ("{decisions: 9, last_epochs: 0.5}", "last_epochs cannot be used: .* got 0.5"),
        ("{decisions: 9, last_epoch: 2}", "got 'last_epoch'; did you mean 'last_epochs'"),
        ("{decisions: 9, specialists: [trained/noise]}", "unknown name in behaviour_cloning.* got 'specialists'"),
    ],
)
def test_a_cloning_that_cannot_be_is_refused_before_a_training(tmp_path: Path, says: str, message: str) -> None:
    path = tmp_path / "settings.yml"
    text = (FOLDER / "ppo.yml").read_text()
    path.write_text(f"{text}\nbehaviour_cloning: {says}\n")
    with pytest.raises(SettingsError, match=message):
        read_settings(str(path))
    path.write_text(f"{text}\nbehaviour_cloning: {{decisions: 9, last_epochs: 2}}\n")
    assert read_settings(str(path))["behaviour_cloning"] == {"decisions": 9, "last_epochs": 2}


def test_an_lstm_is_not_pretrained() -> None:
    settings = {**read_settings("recurrent_ppo"), "behaviour_cloning": {"decisions": 1024}}
    with pytest.raises(ValueError, match="behaviour_cloning is for ppo"):
        Run(CONFIG, 0, 8, 1, algorithm="recurrent_ppo", settings=settings)


def test_equal_seeds_clone_alike_and_settings_without_it_do_not() -> None:
    short = {**SETTINGS, "behaviour_cloning": {"decisions": 4096}}
    runs = [Run(CONFIG, 0, 128, 1, settings=short), Run(CONFIG, 0, 128, 1, settings=short)]
    one, two = (first_model(training_markets(run), run).policy.state_dict() for run in runs)
    assert all(torch.equal(one[name], two[name]) for name in one)
    run = Run(CONFIG, 0, 128, 1, settings=SETTINGS)
    plain = first_model(training_markets(run), run).policy.state_dict()
    untrained = new_model(training_markets(run), run).policy.state_dict()
    assert all(torch.equal(plain[name], untrained[name]) for name in plain)
    assert not torch.equal(one["action_net.weight"], untrained["action_net.weight"])


def test_the_oracle_does_not_stop_at_the_mid() -> None:
    config = configure("informed", p_informed=0.8)
    markets = MarketMakingVecEnv(512, **config.to_dict(), staggered=True)
    markets.seed(0)
    offsets = Oracle(config).offsets(markets.reset(), markets)
    signal, gap = markets.truth()
    assert offsets.min() < -1.0
    # The centre of its quotes is what the asset is worth, but for what no longer happens before the close.
    centre = 0.5 * (offsets[:, 1] - offsets[:, 0])
    assert np.corrcoef(centre, gap + config.edge_per_signal * signal)[0, 1] > 0.95


def test_the_hidden_flow_is_that_of_the_session() -> None:
    markets = MarketMakingVecEnv(400, "mixed", p_informed=0.9, imbalance=0.7)
    markets.seed(0)
    markets.reset()
    informed, naive, imbalance = markets.hidden_flow()
    # Four kinds of flow, a quarter of the sessions each; 0.022 is the standard error of a share.
    for amount, most in ((informed, 0.9), (naive, 0.9), (imbalance, 0.7)):
        assert abs((amount > 0.0).mean() - 0.25) < 4.0 * 0.022
        assert 0.9 * most < amount.max() <= most
    assert ((informed > 0.0) + (naive > 0.0) + (imbalance > 0.0)).max() == 1
