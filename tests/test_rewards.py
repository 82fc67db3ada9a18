"""The four rewards, recomputed from the infos of a session."""

import itertools
import math
from typing import Any

import gymnasium
import numpy as np
import pytest

from tests.random_quotes import quote_near

SCALE = 0.1  # the default reward_scale


def wealth_of(info: dict[str, Any]) -> float:
    return float(info["cash"] + info["inventory"] * info["mid"])


def close_out_of(info: dict[str, Any]) -> float:
    """The cost of closing out with close_out_cost=1 and close_out_impact=0.25."""
    lots = abs(info["inventory"])
    return 1.0 * lots + 0.25 * lots * lots


def session_of(
    reward: str, regime: str, **fields: Any
) -> tuple[list[dict[str, Any]], list[float], Any]:
    """One session of 200 decisions, one every half second.

    Returns:
        The infos from `reset` on, the rewards, and the environment.
    """
    env = gymnasium.make(
        "MarketMaking-v0", regime=regime, reward=reward, session_steps=200, decision_interval=0.5,
        taker_rate=4.0, close_out_cost=1.0, close_out_impact=0.25, maker_fee=0.125, record=2000,
        **fields,
    ).unwrapped  # fmt: skip
    generator = np.random.default_rng(1)
    infos, rewards = [env.reset(seed=3)[1]], []
    for _ in range(200):
        # The bid is nearer to the mid than the ask, so that the close has a position to settle.
        _, reward_paid, _, _, info = env.step(quote_near(generator, [-2.25, 0.75], [2.25, 5.25]))
        infos.append(info)
        rewards.append(reward_paid)
    assert sum(info["fills"] for info in infos) > 30
    assert infos[-1]["inventory"] != 0
    return infos, rewards, env


@pytest.mark.parametrize("scale", [SCALE, 1.0, 3.7])
@pytest.mark.parametrize("regime", ["noise", "informed", "dealer"])
@pytest.mark.parametrize("reward", ["pnl", "inventory_penalty", "dampened", "cara"])
def test_the_reward_is_the_sum_of_its_parts_and_the_objective_is_the_unscaled_total(
    reward: str, regime: str, scale: float
) -> None:
    infos, rewards, _ = session_of(reward, regime, reward_scale=scale)
    assert infos[0]["objective"] == 0.0
    for number, (info, paid) in enumerate(zip(infos[1:], rewards, strict=True), start=1):
        assert paid == pytest.approx(
            math.fsum(info["reward_" + part] for part in ("wealth", "risk", "close_out")), abs=1e-9
        )
        assert info["objective"] == pytest.approx(math.fsum(rewards[:number]) / scale, abs=1e-9)
    assert [info["reward_close_out"] for info in infos[:-1]] == [0.0] * 200
    assert infos[-1]["reward_close_out"] < 0.0


@pytest.mark.parametrize("regime", ["informed", "dealer"])
@pytest.mark.parametrize("reward", ["pnl", "inventory_penalty", "dampened"])
def test_the_wealth_part_is_the_change_of_marked_wealth_and_the_close_settles_the_position(
    reward: str, regime: str
) -> None:
    infos, rewards, _ = session_of(reward, regime)
    for before, after in itertools.pairwise(infos):
        assert after["reward_wealth"] == pytest.approx(
            SCALE * (wealth_of(after) - wealth_of(before)), abs=1e-7
        )
    assert infos[-1]["reward_close_out"] == SCALE * -close_out_of(infos[-1])
    assert [info["pnl"] for info in infos[:-1]] == pytest.approx(
        [wealth_of(info) for info in infos[:-1]], abs=1e-6
    )
    assert infos[-1]["pnl"] == pytest.approx(
        wealth_of(infos[-1]) - close_out_of(infos[-1]), abs=1e-6
    )
    if reward == "pnl":
        assert sum(rewards) / SCALE == pytest.approx(infos[-1]["pnl"], abs=1e-6)


def test_the_inventory_penalty_is_per_squared_lot_and_second() -> None:
    infos, _, _ = session_of("inventory_penalty", "informed", inventory_penalty=0.02)
    for info in infos[1:]:
        assert info["reward_risk"] == pytest.approx(SCALE * -0.02 * info["inventory"] ** 2 * 0.5)


def test_the_pnl_reward_has_no_running_cost() -> None:
    infos, _, _ = session_of("pnl", "informed")
    assert {info["reward_risk"] for info in infos} == {0.0}


def test_the_dampened_reward_takes_away_a_share_of_inventory_gains_and_of_no_loss() -> None:
    """Spooner et al. (2018), equation 5.

    The reward is the change of wealth minus max(0, eta * inventory * move of the mid).
    """
    infos, _, env = session_of("dampened", "informed", dampening=0.7)
    path = env.recorded().path
    # A row holds from its time on. Its inventory earns the move of the mid to that row, as a fill
    # settles inventory PnL at the mid before the fill.
    gains = np.diff(path["mid"]) * path["inventory"][1:]
    step = np.ceil(path["time"][1:] / 0.5).astype(int)
    gained = np.bincount(step, weights=gains, minlength=201)[1:]
    expected = -np.maximum(0.0, 0.7 * gained)
    np.testing.assert_allclose(
        [info["reward_risk"] for info in infos[1:]], SCALE * expected, atol=1e-10
    )
    assert (expected < 0.0).any()
    assert (gained < 0.0).any()


def test_the_cara_reward_is_the_change_of_exponential_utility() -> None:
    infos, rewards, _ = session_of("cara", "informed", risk_aversion=0.01)

    def utility(wealth: float) -> float:
        return (1.0 - math.exp(-0.01 * wealth)) / 0.01

    for before, after in itertools.pairwise(infos):
        gained = utility(wealth_of(after)) - utility(wealth_of(before))
        assert after["reward_wealth"] == pytest.approx(SCALE * gained, abs=1e-9)
    final = wealth_of(infos[-1])
    assert infos[-1]["reward_close_out"] == pytest.approx(
        SCALE * (utility(final - close_out_of(infos[-1])) - utility(final)), abs=1e-9
    )
    assert sum(rewards) / SCALE == pytest.approx(utility(infos[-1]["pnl"]), abs=1e-8)


@pytest.mark.parametrize("risk_aversion", [0.5, 5.0])
def test_the_cara_reward_and_its_square_are_finite_in_single_precision(
    risk_aversion: float,
) -> None:
    """Learners store rewards as float32 and square them.

    At a risk aversion of 5, exp(risk_aversion * loss) would even overflow float64.
    """
    batch = gymnasium.make_vec(
        "MarketMaking-v0", num_envs=64, regime="informed", p_informed=0.8, reward="cara",
        risk_aversion=risk_aversion, inventory_penalty=0.0, session_steps=400,
    )  # fmt: skip
    batch.action_space.seed(1)
    batch.reset(seed=0)
    paid, wealth = [], []
    with np.errstate(over="raise", invalid="raise"):
        for _ in range(400):
            _, rewards, _, _, infos = batch.step(batch.action_space.sample())
            paid.append(rewards.astype(np.float32))
            wealth.append(infos["pnl"])
        squares = np.square(np.array(paid))
        sums = squares.sum(axis=0)
    assert paid[0].dtype == squares.dtype == np.float32
    for array in (np.array(paid), squares, sums, infos["objective"]):
        assert np.isfinite(array).all()
    # Some losses have a utility that float32 cannot hold.
    assert -risk_aversion * np.min(wealth) > np.log(np.finfo(np.float32).max)


def test_the_cara_utility_is_exponential_up_to_a_loss_of_thirty_units_of_risk_tolerance() -> None:
    """Beyond thirty units, the utility is that of thirty units."""

    def utility(wealth: float, risk_aversion: float) -> float:
        return (1.0 - math.exp(min(-risk_aversion * wealth, 30.0))) / risk_aversion

    infos, _, _ = session_of("cara", "informed", risk_aversion=20.0)
    beyond = 0
    for before, after in itertools.pairwise(infos):
        gained = utility(wealth_of(after), 20.0) - utility(wealth_of(before), 20.0)
        assert after["reward_wealth"] == pytest.approx(SCALE * gained, rel=1e-6, abs=1e-7)
        beyond += -20.0 * wealth_of(after) > 30.0
    assert 0 < beyond < 200
