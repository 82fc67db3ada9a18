"""The account is exact, and an agent gains nothing by moving the mid that marks its position."""

import math
from typing import Any

import gymnasium
import numpy as np
import pytest

from mm_gym.core.layout import BID, TakerKind
from tests.random_quotes import quote, quote_near

REGIMES = ("noise", "imbalanced", "naive_informed", "informed", "dealer", "mixed")
ANCHORED = tuple(regime for regime in REGIMES if regime != "dealer")
SAME_PRICES = ("noise", "imbalanced", "naive_informed", "informed")


# --------------------------------------------------------------------------- conservation, identity


def recorded_session(
    regime: str, seed: int, **fields: Any
) -> tuple[list[dict[str, Any]], Any, Any, Any]:
    """A session of 500 random decisions.

    Fees and costs are binary fractions of a tick, so that their sums are exact in floating point.

    Returns:
        The infos from `reset` on, the account at the end, and the recorded fills and path.
    """
    env = gymnasium.make(
        "MarketMaking-v0",
        **{
            "regime": regime, "session_steps": 500, "record": 5000, "taker_rate": 3.0,
            "taker_size": 2.0, "quote_size": 3, "max_inventory": 20, "maker_fee": 0.375,
            "close_out_cost": 1.5, "close_out_impact": 0.125, **fields,
        },
    ).unwrapped  # fmt: skip
    generator = np.random.default_rng(seed)
    infos = [env.reset(seed=seed)[1]]
    for _ in range(500):
        infos.append(env.step(quote_near(generator, high=3.75))[4])
    fills, path = env.recorded()
    assert len(fills) > 100
    return infos, env._markets.records[0]["account"].copy(), fills, path


def exactly(regime: str) -> Any:
    """Tolerances: none where mids are half ticks, some in the dealer market with its real mids."""
    return {"abs": 0.0, "rel": 0.0} if regime != "dealer" else {"abs": 1e-6, "rel": 1e-12}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("regime", REGIMES)
def test_cash_inventory_fees_and_spread_are_the_sums_of_the_recorded_fills(
    regime: str, seed: int
) -> None:
    infos, account, fills, _ = recorded_session(regime, seed)
    direction = np.where(fills["side"] == BID, 1, -1)
    lots = direction * fills["lots"]
    fee = 0.375 * fills["lots"]
    within = exactly(regime)
    assert account["cash"] == pytest.approx(
        -math.fsum(lots * fills["price"]) - math.fsum(fee), **within
    )
    assert account["inventory"] == lots.sum()
    assert account["fees"] == pytest.approx(fee.sum(), **within)
    assert account["spread_pnl"] == pytest.approx(
        math.fsum(lots * (fills["mid"] - fills["price"])), **within
    )
    assert (account["n_fills"], account["n_lots"]) == (len(fills), fills["lots"].sum())
    np.testing.assert_array_equal(fills["inventory"], np.cumsum(lots))
    # The same holds after every decision, for the fills so far.
    done = np.searchsorted(fills["time"], np.arange(501), side="right")
    assert [info["fills"] for info in infos] == np.diff(done, prepend=0).tolist()
    for info, n in zip(infos, done, strict=True):
        assert info["inventory"] == lots[:n].sum()
        assert info["cash"] == pytest.approx(
            -math.fsum(lots[:n] * fills["price"][:n]) - math.fsum(fee[:n]), **within
        )


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("regime", REGIMES)
def test_fills_and_inventory_pnl_agree_with_the_recorded_path(regime: str, seed: int) -> None:
    """The path has a row for each change. So its row before a fill is the state before the fill."""
    infos, account, fills, path = recorded_session(regime, seed)
    before = np.searchsorted(path["time"], fills["time"], side="left") - 1
    np.testing.assert_array_equal(fills["mid"], path["mid"][before])
    np.testing.assert_array_equal(fills["efficient_price"], path["efficient_price"][before])
    # The inventory after a row earns the move of the mid to that row, since a fill settles
    # inventory PnL at the mid before the fill.
    moves = math.fsum(np.diff(path["mid"]) * path["inventory"][1:])
    assert account["inventory_pnl"] == pytest.approx(moves, **exactly(regime))
    at_decisions = np.searchsorted(path["time"], np.arange(501), side="right") - 1
    for name in ("mid", "efficient_price", "inventory"):
        np.testing.assert_array_equal([info[name] for info in infos], path[name][at_decisions])


@pytest.mark.parametrize(
    "fields", [{}, {"latency": 1.5, "sniping": True}, {"maker_fee": -0.25}], ids=str
)
@pytest.mark.parametrize("regime", REGIMES)
def test_final_pnl_is_spread_plus_inventory_pnl_minus_fees_minus_close_out(
    regime: str, fields: Any
) -> None:
    held = sniped = 0
    for seed in (2, 3, 4):
        infos, account, fills, _ = recorded_session(regime, seed, **fields)
        lots = abs(int(account["inventory"]))
        held += lots
        sniped += (fills["taker"] == TakerKind.SNIPER).sum()
        assert account["close_out"] == 1.5 * lots + 0.125 * lots**2
        parts = (
            account["spread_pnl"]
            + account["inventory_pnl"]
            - account["fees"]
            - account["close_out"]
        )
        assert infos[-1]["pnl"] == pytest.approx(parts, **exactly(regime))
        wealth = infos[-1]["cash"] + infos[-1]["inventory"] * infos[-1]["mid"]
        assert infos[-1]["pnl"] == pytest.approx(wealth - account["close_out"], **exactly(regime))
        assert np.sign(account["fees"]) == np.sign(fields.get("maker_fee", 0.375))
    assert held > 0
    assert sniped > 10 or not fields.get("sniping")


# ------------------------------------------------------------------------------------ many sessions


class Sessions:
    """The results of many sessions under one policy, a function of the step and the inventories."""

    def __init__(
        self, regime: str, policy: Any, n: int = 256, steps: int = 1000, **fields: Any
    ) -> None:
        env = gymnasium.make_vec(
            "MarketMaking-v0",
            num_envs=n,
            regime=regime,
            session_steps=steps,
            autoreset_mode="Disabled",
            **fields,
        )
        _, infos = env.reset(seed=0)
        actions = np.empty((n, 2), np.float32)
        for step in range(steps):
            bid, ask = policy(step, infos["inventory"])
            actions[:, 0] = bid
            actions[:, 1] = ask
            *_, infos = env.step(actions)
        account = env.unwrapped._markets.records["account"]
        self.pnl, self.inventory = infos["pnl"], infos["inventory"]
        self.fills, self.spread_pnl = account["n_fills"].copy(), account["spread_pnl"].copy()
        self.marking = self.inventory * (infos["mid"] - infos["efficient_price"])
        """[ticks x lots] Value at the public mid minus value at the efficient price."""


def mean_and_error(sample: np.ndarray) -> tuple[float, float]:
    """The mean and its standard error."""
    return float(sample.mean()), float(sample.std(ddof=1) / math.sqrt(len(sample)))


@pytest.mark.parametrize("regime", ANCHORED)
def test_a_maker_at_the_largest_offset_earns_about_nothing(regime: str) -> None:
    """Its PnL is less than a tenth of the spread that quotes at a tenth of the offset capture.

    Measured per session: 0.3 to 2.5 fills and a PnL of 2 to 20 ticks (standard error 1 to 2). The
    near quotes have 240 to 350 fills and capture 215 to 330 ticks.
    """
    far = Sessions(regime, lambda step, inventory: (1.0, 1.0))
    near = Sessions(regime, lambda step, inventory: tuple(quote(1.5, 1.5)), n=32)
    mean, error = mean_and_error(far.pnl)
    assert abs(mean) + 3.0 * error < 0.1 * near.spread_pnl.mean()
    assert far.fills.mean() < 0.02 * near.fills.mean()


def test_in_the_dealer_market_the_number_of_fills_has_a_closed_form() -> None:
    """Takers who accept 10 ticks arrive at lambda = rate / 2 * exp(-10 / tolerance) on each side.

    Each quote has one lot and is renewed every second, so a second has a fill with probability
    1 - exp(-lambda).
    """
    fields = {"volatility": 0.0, "max_inventory": 1000, "max_offset": 10.0}
    sessions = Sessions("dealer", lambda step, inventory: (1.0, 1.0), **fields)
    expected = 2 * 1000 * -math.expm1(-0.5 * math.exp(-10.0 / 3.0))
    mean, error = mean_and_error(sessions.fills)
    assert abs(mean - expected) < 3.0 * error
    assert error < 0.02 * expected
    # The price does not move, so each fill earns ten ticks.
    np.testing.assert_allclose(sessions.pnl, 10.0 * sessions.fills)


DEGENERATE = {
    "zero offsets": lambda step, inventory: (-1.0, -1.0),
    "alternating": lambda step, inventory: (-1.0, 1.0) if step % 2 else (1.0, -1.0),
    "bids only": lambda step, inventory: (-1.0, 1.0),
    "asks only": lambda step, inventory: (1.0, -1.0),
    "with the position": lambda step, inventory: (
        np.where(inventory > 0, -1.0, 1.0),
        np.where(inventory < 0, -1.0, 1.0),
    ),
}


@pytest.mark.parametrize("name", ["zero offsets", "alternating", "bids only", "asks only"])
@pytest.mark.parametrize("regime", ANCHORED)
def test_degenerate_policies_do_not_profit_from_marking(regime: str, name: str) -> None:
    """Their mean value at the public mid and at the efficient price differ by at most 3 s.e."""
    sessions = Sessions(regime, DEGENERATE[name])
    mean, error = mean_and_error(sessions.marking)
    assert abs(mean) < 3.0 * error
    assert sessions.fills.mean() > 45.0


def late_push(step: int, inventory: np.ndarray) -> tuple[Any, Any]:
    """Quote both sides, then for 50 decisions only the side that moves the mid in our favour."""
    return (
        tuple(quote(2.25, 2.25)) if step < 950 else DEGENERATE["with the position"](step, inventory)
    )


@pytest.mark.parametrize(
    "policy", [late_push, DEGENERATE["bids only"]], ids=["late push", "bids only, no bound"]
)
@pytest.mark.parametrize("regime", ["noise", "informed"])
def test_moving_the_mid_before_the_close_gains_less_than_the_close_costs(
    regime: str, policy: Any
) -> None:
    """A quote at the mid keeps other orders away, so it moves the public mid, as at an exchange.

    Measured: a gain of 0.25 ticks per lot held (standard error 0.07). The close costs one tick.
    """
    sessions = Sessions(regime, policy, max_inventory=100_000)
    held = np.abs(sessions.inventory)
    gain_per_lot = sessions.marking.sum() / held.sum()
    error = (
        np.std(sessions.marking - gain_per_lot * held, ddof=1) / held.mean() / math.sqrt(len(held))
    )
    assert gain_per_lot + 3.0 * error < 1.0
    assert error < 0.1


# ----------------------------------------------------------------------------------- one price path


def price_path(regime: str, action: np.ndarray, **fields: Any) -> np.ndarray:
    """Efficient price and signal after each decision, shape (4 seeds, 301, 2)."""
    paths = []
    for seed in range(4):
        env = gymnasium.make("MarketMaking-v0", regime=regime, **fields)
        infos = [env.reset(seed=seed)[1]]
        infos += [env.step(action)[4] for _ in range(300)]
        paths.append([(info["efficient_price"], info["signal"]) for info in infos])
    return np.array(paths)


def test_a_seed_has_the_same_price_path_in_all_regimes_and_for_all_agents() -> None:
    near, far = quote(0.75, 0.75), np.ones(2, np.float32)
    path = price_path("noise", near)
    for regime in SAME_PRICES:
        np.testing.assert_array_equal(price_path(regime, near), path)
        np.testing.assert_array_equal(price_path(regime, far), path)
    np.testing.assert_array_equal(
        price_path("informed", near, p_informed=1.0, taker_rate=5.0, latency=0.5), path
    )
    assert len(np.unique(path[:, -1, 0])) == 4
    assert np.ptp(path[:, :, 0]) > 10.0
