"""The specialist that speaks is that of the session's own flow, and who imitates them all can tell which it is."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO

from agents import AgentError
from agents.imitation import imitate
from agents.memory import remember
from agents.ppo import MODEL_FILE, RUN_FILE, Run
from agents.remembering_vec_env import RememberingVecEnv
from agents.teachers import Oracle, Specialists
from mm_gym import MarketConfig, configure
from mm_gym.core.layout import InformedKind
from mm_gym.sb3 import MarketMakingVecEnv

OFFSETS = {"noise": 1.0, "imbalanced": 2.0, "naive_informed": 3.0, "p40": 4.0, "p80": 8.0}


def a_specialist(folder: Path, config: MarketConfig, offset: float) -> str:
    """One that quotes so many ticks on both sides, whatever it sees."""
    folder.mkdir()
    model = PPO("MlpPolicy", MarketMakingVecEnv(1, **config.to_dict()), policy_kwargs={"net_arch": []}, device="cpu")
    with torch.no_grad():
        model.policy.get_parameter("action_net.weight").zero_()
        model.policy.get_parameter("action_net.bias").fill_(2.0 * offset / config.max_offset - 1.0)
    model.save(folder / MODEL_FILE)
    (folder / RUN_FILE).write_text(json.dumps(dataclasses.asdict(Run(config, 0, 1, 1))))
    return str(folder)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    torch.set_num_threads(1)
    here = tmp_path_factory.mktemp("specialists")
    markets = {name: configure(name) for name in ("noise", "imbalanced", "naive_informed")}
    markets |= {f"p{percent}": configure("informed", p_informed=percent / 100.0) for percent in (40, 80)}
    return {name: a_specialist(here / name, config, OFFSETS[name]) for name, config in markets.items()}


def quotes_at(teacher: Specialists, kind: InformedKind, share: float, imbalance: float = 0.0) -> float:
    markets = MarketMakingVecEnv(2, "mixed")
    observations = markets.reset()
    flow = markets._markets.records["flow"]
    flow["informed_kind"], flow["p_informed"], flow["imbalance"] = kind, share, imbalance
    offsets = teacher.offsets(observations, markets)
    assert offsets.shape == (2, 2)
    assert np.ptp(offsets) < 1e-5
    return float(offsets[0, 0])


def test_between_two_shares_it_is_their_mean_and_beyond_the_last_the_last(folders: dict[str, str]) -> None:
    teacher, signal = Specialists(configure("mixed"), list(folders.values())), InformedKind.SIGNAL
    for share, offset in ((0.0, 1.0), (0.1, 1.75), (0.4, 4.0), (0.5, 5.0), (0.8, 8.0), (1.0, 8.0)):
        assert quotes_at(teacher, signal, share) == pytest.approx(offset, abs=1e-5)
    naive, imbalance = configure("naive_informed").p_informed, configure("imbalanced").imbalance
    assert quotes_at(teacher, InformedKind.NAIVE, naive) == pytest.approx(3.0, abs=1e-5)
    assert quotes_at(teacher, InformedKind.NAIVE, naive / 2) == pytest.approx(2.0, abs=1e-5)
    assert quotes_at(teacher, signal, 0.0, imbalance / 4) == pytest.approx(1.25, abs=1e-5)


def test_flows_that_nobody_is_a_specialist_of_are_left_to_that_of_noise(folders: dict[str, str]) -> None:
    teacher = Specialists(configure("mixed"), [folders["noise"], folders["p80"]])
    assert quotes_at(teacher, InformedKind.NAIVE, 0.5) == pytest.approx(1.0, abs=1e-5)
    assert quotes_at(teacher, InformedKind.SIGNAL, 0.4) == pytest.approx(4.5, abs=1e-5)


def test_without_one_of_noise_or_with_one_of_another_regime_there_is_no_teacher(
    folders: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(AgentError, match="none of noise; add one that is"):
        Specialists(configure("mixed"), [folders["p40"]])
    dealer = a_specialist(tmp_path / "dealer", configure("dealer"), 1.0)
    with pytest.raises(AgentError, match="was trained on dealer"):
        Specialists(configure("mixed"), [folders["noise"], dealer])
    run = Run(configure("informed"), 0, 1, 1, algorithm="recurrent_ppo")
    (tmp_path / "lstm").mkdir()
    (tmp_path / "lstm" / RUN_FILE).write_text(json.dumps(dataclasses.asdict(run)))
    with pytest.raises(AgentError, match="trained by recurrent_ppo"):  # which would quote without its memory
        Specialists(configure("mixed"), [folders["noise"], str(tmp_path / "lstm")])
    with pytest.raises(AgentError, match="no run folder"):
        Specialists(configure("mixed"), ["trained/nobody"])
    # Its actions are shares of another largest offset.
    with pytest.raises(AgentError, match="write max_offset=15"):
        Specialists(configure("mixed", max_offset=30.0), list(folders.values()))


def test_the_hidden_flow_is_that_of_the_session_and_the_observations_do_not_change_with_it() -> None:
    markets = MarketMakingVecEnv(400, "mixed", p_informed=0.9, imbalance=0.7)
    markets.seed(0)
    markets.reset()
    informed, naive, imbalance = markets.hidden_flow()
    # Four kinds of flow, a quarter of the sessions each; 0.022 is the standard error of a share.
    for amount, most in ((informed, 0.9), (naive, 0.9), (imbalance, 0.7)):
        assert abs((amount > 0.0).mean() - 0.25) < 4.0 * 0.022
        assert 0.9 * most < amount.max() <= most
    assert ((informed > 0.0) + (naive > 0.0) + (imbalance > 0.0)).max() == 1


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


def test_who_imitates_specialists_tells_flows_apart_by_what_it_remembers(folders: dict[str, str]) -> None:
    """Specialists that differ by how wide they quote: the imitator quotes wide where flow is informed, and before it
    can know."""
    config = configure("mixed", session_steps=400, p_informed=1.0)
    markets = RememberingVecEnv(MarketMakingVecEnv(128, **config.to_dict(), staggered=True))
    markets.seed(1)
    torch.manual_seed(0)
    model = PPO("MlpPolicy", markets, policy_kwargs={"net_arch": [32]}, device="cpu")
    teacher = Specialists(config, [folders["noise"], folders["p80"]])
    error = imitate(model, markets, config, teacher, decisions=200_000, seed=0)
    assert error < 2.0  # [ticks] of 1 to 8
    tested = MarketMakingVecEnv(256, **config.to_dict())
    tested.seed(2)
    observations, memory, first = tested.reset(), None, None
    for _ in range(300):
        shown, memory = remember(observations, memory)
        actions = model.predict(shown, deterministic=True)[0]
        first = actions if first is None else first
        observations = tested.step(actions)[0]
    informed = tested.hidden_flow()[0]
    wide = 0.5 * config.max_offset * (1.0 + actions.mean(axis=1))
    assert np.corrcoef(wide, informed)[0, 1] > 0.6  # 0.06 were chance
    assert wide[informed > 0.6].mean() > wide[informed == 0.0].mean() + 1.5
    # At first nobody can tell. Specialists quote 2.0 on the average over sessions, and 5.6 as lessons count.
    assert 0.5 * config.max_offset * (1.0 + first[informed == 0.0].mean()) > 3.5
