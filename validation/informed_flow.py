"""The formulas of informed flow (`mm_gym.theory.informed_flow`), in the dealer market.

Literal model: informed takers pay any price. The parameters are beta sd(s) = 0.02, kappa = 0.5, a
threshold of one sd and h = 0.01. The tick is 1e-5, so that rounding to ticks is a thousandth of the
half-spread. V's own noise is small. No mean depends on it, and small noise gives small errors.

Price-sensitive model: informed takers trade on any signal, but never beyond V + B s with B = beta /
kappa. The earning rate of a maker is (final marked wealth + q B s) / length of the session, where
q B s is the expected future move of its inventory q.
"""

import functools
import math

from agents import make_agent
from mm_gym import configure
from mm_gym.evaluation import Sessions, run_sessions
from mm_gym.evaluation.metrics import against_mid
from mm_gym.evaluation.statistics import Estimate, mean_over_fills
from mm_gym.theory import informed_flow
from validation.markets import TICKS, play
from validation.row import Row, mean_row

HORIZONS = (1.0, 5.0, 20.0)
SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
HALF_SPREAD = 1000.0
SIGNAL = {"signal_drift": 2000.0, "signal_decay": 0.5, "threshold": 1.0}
BREAK_EVEN_AT_5_S = 0.4066
PUBLISHED_MARKOUTS = {0.1: 0.008093, 0.3: 0.003296, 0.5: -0.003489, 0.7: -0.013822}
PUBLISHED_BREAK_EVEN = {0.1: 0.0800, 0.3: 0.2466, 0.5: 0.4363, 0.7: 0.6845, 0.9: 1.1402}  # h* / B
_UNIT = 100_000.0  # ticks per unit of price of the reference
_SESSION = 500  # [s]


def rows(sessions: int, seed: int) -> list[Row]:
    """Markouts, adverse moves and break-even of the literal model, and earning rates."""
    return [
        *literal_rows(max(64, sessions // 400), seed),
        *price_sensitive_rows(max(256, sessions // 50), seed),
    ]


def literal_rows(episodes: int, seed: int) -> list[Row]:
    """Adverse moves and markouts against the formulas, in sessions of 1,000 s."""
    table = []
    for share in SHARES:
        result = sessions_at(share, episodes, seed)
        if share in PUBLISHED_MARKOUTS:
            formula = float(informed_flow.markout(HALF_SPREAD, share, 5.0, **SIGNAL)) / _UNIT
            table.append(Row(f"p {share:g}: markout at 5 s", PUBLISHED_MARKOUTS[share], formula))
        for column, horizon in enumerate(HORIZONS):
            adverse, markout = measured(result, column)
            exact_adverse = float(informed_flow.adverse_move(share, horizon, **SIGNAL))
            exact_markout = float(informed_flow.markout(HALF_SPREAD, share, horizon, **SIGNAL))
            for name, ours, exact in (
                ("adverse move", adverse, exact_adverse),
                ("markout", markout, exact_markout),
            ):
                what = f"p {share:g}: {name} at {horizon:g} s"
                table.append(Row(what, exact / _UNIT, ours.value / _UNIT, error(ours) / _UNIT))
    exact = float(informed_flow.break_even_share(HALF_SPREAD, 5.0, **SIGNAL))
    table.append(Row("break-even share at 5 s", BREAK_EVEN_AT_5_S, exact))
    _, markout = measured(sessions_at(exact, episodes, seed), 1)
    table.append(
        Row(
            "markout at 5 s at the break-even share",
            0.0,
            markout.value / _UNIT,
            error(markout) / _UNIT,
        )
    )
    return table


@functools.cache
def sessions_at(p_informed: float, episodes: int, seed: int) -> Sessions:
    """Sessions of a fixed half-spread in the reference market, with quotes that never run out."""
    config = configure(
        "dealer",
        p_informed=p_informed,
        signal_drift=SIGNAL["signal_drift"],
        signal_half_life=math.log(2.0) / SIGNAL["signal_decay"],
        signal_threshold=SIGNAL["threshold"],
        volatility=500.0,
        informed_price_limit=False,
        taker_tolerance=math.inf,
        quote_size=1000,
        max_inventory=10**6,
        max_offset=10_000.0,
        value_interval=1.0,
        decision_interval=1.0,
        session_steps=1000,
    )
    agent = functools.partial(make_agent, "fixed_spread", half_spread=HALF_SPREAD)
    return run_sessions(agent, config, episodes=episodes, seed=seed, horizons=HORIZONS)


def measured(result: Sessions, column: int) -> tuple[Estimate, Estimate]:
    """Mean adverse move and markout over all fills, at one horizon [ticks]."""
    against = against_mid(result)
    adverse = mean_over_fills(against.adverse_move[:, column], result.fill_session, len(result))
    return adverse, mean_over_fills(against.markout[:, column], result.fill_session, len(result))


def error(estimate: Estimate) -> float:
    """The standard error of a 95 percent interval."""
    return (estimate.high - estimate.low) / 3.92


def price_sensitive_rows(sessions: int, seed: int) -> list[Row]:
    """Earning rates [B / s] at 0.5, 1 and 1.5 times the break-even half-spread."""
    table = []
    for index, (share, published) in enumerate(PUBLISHED_BREAK_EVEN.items()):
        break_even = float(informed_flow.break_even_half_spread(share))
        table.append(Row(f"p {share:g}: break-even half-spread / B", published, break_even))
        for part in (0.5, 1.0, 1.5):
            half_spread = part * break_even
            exact = float(
                informed_flow.earning_rate(half_spread, share, taker_rate=1.0, edge_std=1.0)
            )
            ours = earned(share, half_spread, sessions, (seed, index, round(2 * part)))
            table.append(
                mean_row(f"p {share:g}: earning rate / B at {part:g} break-even", exact, ours)
            )
    return table


def earned(
    p_informed: float, half_spread: float, sessions: int, seed: tuple[int, ...]
) -> "list[float]":
    """The earning rate of each session [B / s], with one taker a second.

    Args:
        p_informed: share of informed takers.
        half_spread: [B]
        sessions: number of them.
        seed: of the sessions.
    """
    decay = 0.5
    config = configure(
        "dealer",
        p_informed=p_informed,
        signal_drift=TICKS * decay,  # B is TICKS ticks
        signal_half_life=math.log(2.0) / decay,
        signal_threshold=0.0,
        volatility=0.1 * TICKS,
        taker_tolerance=math.inf,
        quote_size=1000,
        max_inventory=10**6,
        max_offset=4.0 * TICKS,
        inventory_penalty=0.0,
        session_steps=_SESSION,
    )
    maker = functools.partial(make_agent, "fixed_spread", half_spread=half_spread * TICKS)
    ends = play(maker, config, sessions, seed)
    rates: list[float] = ((ends.profit + ends.inventory * ends.signal) / _SESSION).tolist()
    return rates
