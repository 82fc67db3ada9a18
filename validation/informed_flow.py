"""The formulas of this project's informed flow (`mm_gym.theory.informed_flow`), in the
environment's dealer market.

Literal: informed takers pay any price. The market is that of the ground truth's check (beta sd(s) =
    0.02, kappa = 0.5,
threshold one sd, h = 0.01) with a tick of 1e-5, so that rounding quotes to ticks is a thousandth of
the half-spread; V's own noise is a tenth of the check's, since no mean depends on it and a smaller
one makes the comparison sharper.

Price-sensitive: informed takers trade on any signal, never beyond V + B s, where B = beta / kappa.
What a maker earns a second is measured as its marked wealth at the end plus the move still to come
on its inventory, q B s, over the length.
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
_UNIT = 100_000.0  # ticks in the check's unit of price
_SESSION = 500  # [s]


def rows(sessions: int, seed: int) -> list[Row]:
    """Markouts and adverse moves at every share and horizon, the two break-evens, and the
    price-sensitive rates."""
    return [
        *literal_rows(max(64, sessions // 400), seed),
        *price_sensitive_rows(max(256, sessions // 50), seed),
    ]


def literal_rows(episodes: int, seed: int) -> list[Row]:
    """What fills are followed by, beside the formulas; sessions of 1,000 s."""
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
    """Sessions of a fixed half-spread in the check's market, quotes deep enough for all."""
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
    """The standard error that a 95 percent interval goes with."""
    return (estimate.high - estimate.low) / 3.92


def price_sensitive_rows(sessions: int, seed: int) -> list[Row]:
    """What a maker earns a second, in units of B, at half the break-even spread, at it, and at half
    as much again."""
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
                mean_row(f"p {share:g}: earned a second / B, at {part:g} of it", exact, ours)
            )
    return table


def earned(
    p_informed: float, half_spread: float, sessions: int, seed: tuple[int, ...]
) -> "list[float]":
    """Of each session; half-spread and result in units of B, takers one a second."""
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
