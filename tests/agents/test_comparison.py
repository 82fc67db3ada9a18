"""The tables of `agents.tools.comparison`, on makers of known objectives."""

import numpy as np
import pytest

from agents.rules.tuned import best_rule
from agents.tools.comparison import over_seeds_and_sessions, shares, specialists, transfer
from mm_gym import MarketConfig, configure

INFORMED = configure("informed", p_informed=0.4)


def test_an_interval_over_seeds_and_sessions_has_the_theoretical_width() -> None:
    generator = np.random.default_rng(1)
    n_seeds, n_sessions = 40, 500
    # The standard deviation is 3 over seeds and 10 over sessions, which all seeds share. The
    # variance of the mean is 9 / 40 + 100 / 500.
    table = generator.normal(0.0, 3.0, (n_seeds, 1)) + generator.normal(0.0, 10.0, (1, n_sessions))
    estimate = over_seeds_and_sessions(table)
    assert estimate.value == pytest.approx(table.mean())
    assert (estimate.high - estimate.low) / 3.92 == pytest.approx(
        np.sqrt(9.0 / 40.0 + 100.0 / 500.0), rel=0.25
    )


def objectives(market: MarketConfig) -> dict[str, np.ndarray]:
    """Means of 100 for the best rule, 300 for the oracle, 150 for the filter and 200 for a run.

    All share the same noise.
    """
    noise = np.random.default_rng(2).normal(0.0, 50.0, 400)
    agnostic = best_rule(market, but=("glosten_milgrom",)).agent
    means = {
        f"{agnostic}:tuned": 100.0,
        "oracle:tuned": 300.0,
        "glosten_milgrom:tuned": 150.0,
        "runs/a": 200.0,
    }
    return {f"{best_rule(market).agent}:tuned": 100.0 + noise} | {
        name: mean + noise for name, mean in means.items()
    }


def test_the_tables_show_the_known_objectives() -> None:
    from agents.tools.comparison import SHARES, _informed

    table = {_informed(share): objectives(_informed(share)) for share in SHARES}
    trained = {"runs/a": INFORMED}
    (row,) = [line for line in shares(table, trained) if line.startswith("| 0.4 ")]
    assert "25 % [25, 25]" in row  # the filter: (150 - 100) / (300 - 100)
    assert "50 % [50, 50]" in row
    (row,) = [
        line
        for line in specialists(table, trained, {("runs/a", INFORMED): 7.0})
        if "informed at 0.4" in line
    ]
    assert row.endswith("| 7 |")
    assert "| 50 [" in row  # 200 for the run minus 150 for the best rule, the filter
    table[INFORMED]["runs/b"] = table[INFORMED]["runs/a"] + 30.0
    fills = {("runs/a", INFORMED): 7.0, ("runs/b", INFORMED): 9.0}
    *_, row = specialists(table, {"runs/a": INFORMED, "runs/b": INFORMED}, fills)
    # A resample of two seeds, 30 apart, has both of them or one of them twice.
    assert "| all 2 seeds | " in row
    assert "| 65 [50, 80] | 8 |" in row
    (row,) = transfer(table, trained)[2:]
    assert row.startswith("| 0.4 (1 seeds) |")
    assert row.count("[") == len(SHARES)


def test_generalists_are_compared_with_rules_of_full_information_and_with_the_mixed_filter() -> (
    None
):
    from agents.tools.comparison import MIXED_FILTER, _tuned_rules, generalists

    noise = np.random.default_rng(3).normal(0.0, 50.0, 400)
    rules = dict.fromkeys(_tuned_rules(), 100.0 + noise)
    table = {
        market: {**rules, MIXED_FILTER: 80.0 + noise, "runs/g": 90.0 + shift + noise}
        for market, shift in ((INFORMED, 0.0), (configure("noise"), 30.0))
    }
    lines = generalists(table, {"runs/g": configure("mixed"), "runs/a": INFORMED})

    def figures(name: str, lines: list[str] = lines) -> list[float]:
        rows = [line.split("|")[2:-1] for line in lines if line.startswith(f"| {name} |")]
        return [float(cell.split()[0]) for row in rows for cell in row if "[" in cell]

    assert figures("informed at 0.4") == pytest.approx([-10.0, 10.0])
    assert figures("noise") == pytest.approx([20.0, 40.0])
    # Its average over both markets is 105.
    assert figures(MIXED_FILTER) == pytest.approx([25.0])
    assert figures("inventory_skew:tuned") == pytest.approx([5.0])
    # A second seed earns 30 more. The columns are each seed alone, then both.
    table = {market: {**here, "runs/h": here["runs/g"] + 30.0} for market, here in table.items()}
    lines = generalists(table, {"runs/g": configure("mixed"), "runs/h": configure("mixed")})
    assert sum(line.count("all 2 seeds [95 %]") for line in lines) == 3
    assert figures("informed at 0.4", lines) == pytest.approx([-10.0, 20.0, 5.0, 10.0, 40.0, 25.0])
    assert figures(MIXED_FILTER, lines) == pytest.approx([25.0, 55.0, 40.0])
    # Two folders of the same name are labelled by their paths.
    alike = {market: {**here, "more/g": here["runs/h"]} for market, here in table.items()}
    lines = generalists(alike, {"runs/g": configure("mixed"), "more/g": configure("mixed")})
    assert sum("runs/g [95 %] | more/g [95 %]" in line for line in lines) == 3
    assert figures(MIXED_FILTER, lines) == pytest.approx([25.0, 55.0, 40.0])
