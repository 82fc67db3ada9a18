"""Latency: being slow costs PnL, and being fast does not help against informed takers.

Negative control: the price does not move, so no quote is ever stale.
"""

from mm_gym.config import configure
from mm_gym.evaluation.experiments.runner import (
    ExperimentResult,
    ExperimentRunner,
    below,
    describe_sample,
)
from mm_gym.evaluation.statistics import difference, mean

QUESTION = "What does latency cost, with and without snipers, who pick off stale quotes?"
AGENT = "inventory_skew"
LATENCIES = (0.0, 0.25, 0.5, 1.0, 2.0)  # [s]
P_INFORMED = 0.8


def run(runner: ExperimentRunner) -> ExperimentResult:
    """Run the experiment, or its negative control if `runner.effect` is False."""
    fields = {} if runner.effect else {"signal_drift": 0.0, "volatility": 0.0}
    plan = {
        f"{'sniping' if sniping else 'no sniping'}, latency {latency:g} s": (
            AGENT,
            configure("noise", latency=latency, sniping=sniping, **fields),
        )
        for sniping in (False, True)
        for latency in LATENCIES
    }
    informed = f"informed, p = {P_INFORMED:g}, latency 0 s"
    plan[informed] = (AGENT, configure("informed", p_informed=P_INFORMED, **fields))
    sessions = runner.run(plan)
    checks = []
    for sniping in ("no sniping", "sniping"):
        fast, *_, slow = (sessions[f"{sniping}, latency {latency:g} s"] for latency in LATENCIES)
        loss = difference(slow.final_pnl, fast.final_pnl)
        sentence = f"Latency costs, with {sniping}: PnL at {LATENCIES[-1]:g} s less PnL at 0 s"
        checks.append(below(sentence, loss, 0.0, "ticks x lots", describe_sample(slow, fast)))
    slow, sniped = (
        sessions[f"{kind}, latency {LATENCIES[-1]:g} s"] for kind in ("no sniping", "sniping")
    )
    checks += [
        below(
            f"Sniping costs a slow maker: PnL at {LATENCIES[-1]:g} s with sniping less PnL without",
            difference(sniped.final_pnl, slow.final_pnl),
            0.0,
            "ticks x lots",
            describe_sample(slow, sniped),
        ),
        below(
            f"At p = {P_INFORMED:g} the maker loses even with zero latency",
            mean(sessions[informed].final_pnl),
            0.0,
            "ticks x lots",
            describe_sample(sessions[informed]),
        ),
    ]
    return runner.result("latency", QUESTION, plan, checks)
