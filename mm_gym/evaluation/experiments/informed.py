"""Informed takers who act on the signal: a sweep over their share p.

Negative control: the signal predicts nothing (`signal_drift=0`).
"""

from mm_gym.config import configure
from mm_gym.evaluation.experiments.runner import (
    Check,
    ExperimentResult,
    ExperimentRunner,
    above,
    adverse_move,
    below,
    describe_sample,
)
from mm_gym.evaluation.metrics import (
    FillMeasures,
    against_mid,
    against_value,
    difference_over_fills,
)
from mm_gym.evaluation.sessions import Sessions
from mm_gym.evaluation.statistics import difference, fill_sums, mean, mean_over_fills, of_sums

QUESTION = "How does a maker fare as the share of takers who act on the signal rises?"
AGENT = "inventory_skew"
SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_HORIZON = 50.0


def run(runner: ExperimentRunner) -> ExperimentResult:
    """Run the experiment, or its negative control if `runner.effect` is False."""
    fields = {} if runner.effect else {"signal_drift": 0.0}
    plan = {
        f"p = {share:g}": (AGENT, configure("informed", p_informed=share, **fields))
        for share in SHARES
    }
    sweep = list(runner.run(plan).values())
    column = sweep[0].horizons.index(_HORIZON)
    toxic = sweep[-1]
    markout = mean_over_fills(against_mid(toxic).markout[:, column], toxic.fill_session, len(toxic))
    checks = [
        above(
            "At p = 0 the maker earns",
            mean(sweep[0].final_pnl),
            0.0,
            "ticks x lots",
            describe_sample(sweep[0]),
        ),
        below(
            "At p = 1 the maker loses",
            mean(toxic.final_pnl),
            0.0,
            "ticks x lots",
            describe_sample(toxic),
        ),
        below(
            "At p = 1 the 50 s markout is negative", markout, 0.0, "ticks", describe_sample(toxic)
        ),
        *_steps(sweep, column),
        _acceleration(sweep, column),
    ]
    return runner.result("informed", QUESTION, plan, checks, notes=[_about_total_pnl(sweep)])


def _steps(sweep: list[Sessions], column: int) -> list[Check]:
    """From each share to the next PnL falls, and adverse move and adverse fill ratio grow."""
    checks = []
    for low, high, before, after in zip(SHARES, SHARES[1:], sweep, sweep[1:], strict=False):
        step, sample = f"from p = {low:g} to {high:g}", describe_sample(before, after)
        pnl = difference(after.final_pnl, before.final_pnl)
        checks.append(below(f"PnL falls {step}", pnl, 0.0, "ticks x lots", sample))
        moves = difference_over_fills(after, adverse_move(after), before, adverse_move(before))
        checks.append(above(f"The 50 s adverse move grows {step}", moves, 0.0, "ticks", sample))
        less, more = (
            against_value(sessions).adverse_fill[:, column] for sessions in (before, after)
        )
        ratios = difference_over_fills(after, more, before, less)
        checks.append(
            above(f"The 50 s adverse fill ratio grows {step}", ratios, 0.0, "of fills", sample)
        )
    return checks


def _acceleration(sweep: list[Sessions], column: int) -> Check:
    """The markout per fill falls more over the upper two steps of p than over the lower two."""
    chosen = [sweep[0], sweep[2], sweep[-3], sweep[-1]]
    measured: list[FillMeasures] = [against_value(sessions) for sessions in chosen]
    sums = [
        part
        for sessions, measures in zip(chosen, measured, strict=True)
        for part in fill_sums(measures.markout[:, column], sessions.fill_session, len(sessions))
    ]
    bend = of_sums(sums, lambda a, i, b, j, c, k, d, m: (c / k - d / m) - (a / i - b / j))
    return above(
        "The loss per fill grows faster than linearly: fall of the 50 s markout from p = 0.6 to 1, "
        "less the fall from 0 to 0.4",
        bend,
        0.0,
        "ticks",
        describe_sample(*chosen),
    )


def _about_total_pnl(sweep: list[Sessions]) -> str:
    """A note on total PnL, in the measured figures."""
    pnl = [result.final_pnl.mean() for result in sweep]
    fills = [result.n_fills.mean() for result in sweep]
    bend = difference(
        (sweep[0].final_pnl - sweep[2].final_pnl), (sweep[-3].final_pnl - sweep[-1].final_pnl)
    )
    shape = (
        "about linearly"
        if bend.low < 0.0 < bend.high
        else ("faster than linearly" if bend.high < 0.0 else "slower than linearly")
    )
    return (
        f"Total PnL falls {shape}, from {pnl[0]:.0f} to {pnl[-1]:.0f} ticks x lots, as p goes from "
        f"{SHARES[0]:g} to {SHARES[-1]:g}. Fills go from {fills[0]:.0f} to {fills[-1]:.0f} per "
        "session, because informed takers do not trade on a weak signal or at a bad price. So the "
        "effect of p shows per fill, not per session."
    )
