"""The rows of `python -m validation` with fewer sessions, and the rows' standard errors."""

import numpy as np
import pytest

from tests.core.kit import assert_agrees
from validation import avellaneda_stoikov, cartea_jaimungal, exchange_data, reading_the_flow
from validation.row import Row, deviation_row, markdown_table, mean_row


def test_the_standard_errors_of_a_mean_and_of_a_deviation_agree_with_repeated_samples() -> None:
    generator = np.random.default_rng(0)
    # This distribution is far from normal, so that the fourth moment matters.
    samples = generator.exponential(2.0, (2000, 400))
    for make, estimate in ((mean_row, np.mean), (deviation_row, np.std)):
        stated = np.mean([make("", 2.0, sample).standard_error for sample in samples[:200]])
        found = np.std([estimate(sample) for sample in samples])
        assert stated == pytest.approx(found, rel=0.1)


def test_a_table_shows_the_distance_of_each_row() -> None:
    lines = markdown_table([Row("a", 1.0, 1.5, 0.25), Row("b", 2.0, 2.001)]).splitlines()
    assert lines[2] == "| a | 1 | 1.5 | 0.25 | +2.0 s.e. |  |"
    assert lines[3] == "| b | 2 | 2.001 | computed | +0.001 |  |"


def test_computed_rows_equal_the_published_figures() -> None:
    for row in avellaneda_stoikov.computed_rows() + cartea_jaimungal.computed_rows():
        assert row.ours == pytest.approx(row.reference, rel=1e-5), row


@pytest.mark.parametrize(
    "gamma, strategy", [(0.1, "inventory"), (0.1, "symmetric"), (1.0, "inventory")]
)
def test_profits_and_inventories_have_the_exact_moments_of_avellaneda_and_stoikov(
    gamma: float, strategy: str
) -> None:
    for row in avellaneda_stoikov.simulated_rows(
        gamma, strategy, avellaneda_stoikov.PAPER_STEPS, 4000, (1,)
    ):
        assert_agrees(row.ours, row.reference, row.standard_error, row.what)


def test_moments_differ_from_those_of_the_papers_own_fill_probability() -> None:
    # An event-driven market earns less at this dt. This shows that the test above can fail.
    mean, _, _ = avellaneda_stoikov.simulated_rows(
        0.1, "inventory", avellaneda_stoikov.PAPER_STEPS, 4000, (1,)
    )
    literal, _, _ = avellaneda_stoikov.PUBLISHED[0.1, "inventory"]
    assert abs(mean.ours - literal) > 10.0 * mean.standard_error


def test_a_maker_that_knows_of_uneven_arrivals_earns_the_exact_value_of_its_depths() -> None:
    config = cartea_jaimungal._market(100, imbalance=0.4, imbalance_flip_rate=0.0)
    ends = cartea_jaimungal.play(
        cartea_jaimungal.partial(
            cartea_jaimungal.CarteaJaimungalAgent, buy_rate=14.0, sell_rate=6.0
        ),
        config,
        8000,
        (2,),
    )
    exact = cartea_jaimungal.paper_policy_value(100)
    row = mean_row("", exact, ends.objective[ends.bias > 0.0])  # s.e. 0.04
    assert_agrees(row.ours, exact, row.standard_error)
    # In sessions that favour sellers the same quotes earn less.
    wrong = mean_row("", exact, ends.objective[ends.bias < 0.0])
    assert wrong.ours < exact - 8.0 * wrong.standard_error


def test_reading_the_flow_pays_among_informed_takers() -> None:
    for row in reading_the_flow.differences("informed", 0.6, 64, seed=0):
        assert row.distance > 2.0, row  # about 25 of 127 in the closest


@pytest.mark.skipif(
    not list(exchange_data.SAMPLES.glob("*_message_*.csv")), reason="the sample files are not here"
)
def test_every_row_of_the_sample_files_follows_and_executions_hit_the_oldest_order() -> None:
    rows = exchange_data.rows(0, 0)
    assert len(rows) == 4
    for row in rows:
        # Five executions of GOOG hit a younger order. The files do not explain them.
        assert row.reference - row.ours <= (
            5 if row.what.startswith("GOOG") and "oldest" in row.what else 0
        ), row
