"""The tutorials run, and what they say about their figures holds."""

import runpy

import jupytext
import pytest

from mm_gym.evaluation.metrics import against_mid
from mm_gym.evaluation.statistics import difference, mean, mean_over_fills
from mm_gym.reporting.pictures.money import pnl_parts
from tests.docs.pages import DOCS

TUTORIALS = DOCS / "tutorial"


def run(name):
    return runpy.run_path(str(TUTORIALS / name))


@pytest.fixture(scope="module")
def adverse_selection():
    return run("adverse_selection_in_ten_minutes.py")


@pytest.fixture(scope="module")
def training():
    return run("train_compare_explain.py")


def test_the_rule_earns_without_informed_takers_and_loses_with_many(adverse_selection):
    none, some, most = (adverse_selection[name] for name in ("none", "some", "most"))
    assert 180.0 < mean(none.final_pnl).value < 220.0
    assert mean(most.final_pnl).high < 0.0
    assert difference(most.final_pnl, none.final_pnl).high < 0.0
    for sessions in (none, some, most):
        assert mean(sessions.spread_pnl).low > 0.0
        assert (sessions.value_path == none.value_path).all()
    assert pnl_parts(most)["informed"].mean() < 0.0 < pnl_parts(most)["others"].mean()


def test_fills_are_followed_by_a_move_only_if_takers_know_something(adverse_selection):
    without, _, with_many = adverse_selection["moves"]
    # Over 512 sessions it is 0.09 with a standard error of 0.015: trends of V fill one side more.
    assert without.low < 0.09 < without.high
    assert with_many.low > 1.5
    assert with_many.high < 2.5
    adverse_move, matched = adverse_selection["adverse_move"], adverse_selection["matched"]
    decoy, signal = adverse_move(matched["decoy"]), adverse_move(matched["signal"])
    assert -0.3 < decoy.low < decoy.high < min(0.5, signal.low)


def test_the_trained_maker_trades_more_than_the_rule_and_earns_more(adverse_selection):
    rule, wide, trained = (adverse_selection[name] for name in ("rule", "wide", "trained"))
    assert adverse_selection["gain"].low > 0.0
    assert trained.n_fills.mean() > rule.n_fills.mean()
    assert wide.n_fills.mean() < 5.0
    assert len(adverse_selection["recordings"]) == 2


def test_ppo_earns_more_than_both_rules(training):
    skew, tuned, ppo = (training[name] for name in ("skew", "tuned", "ppo"))
    assert difference(ppo.final_pnl, skew.final_pnl).low > 0.0
    assert difference(ppo.final_pnl, tuned.final_pnl).low > 0.0
    assert ppo.mean_abs_inventory.mean() > tuned.mean_abs_inventory.mean()
    parts = {name: pnl_parts(training[name]) for name in ("skew", "tuned", "ppo")}
    for rule in ("skew", "tuned"):
        assert parts["ppo"]["spread"].mean() < parts[rule]["spread"].mean()
        assert parts["ppo"]["informed"].mean() > parts[rule]["informed"].mean()
        assert parts["ppo"]["others"].mean() > parts[rule]["others"].mean()
    assert ppo.n_fills.mean() > skew.n_fills.mean()


def test_the_price_moves_the_trained_makers_way_and_against_the_rules(training):
    gains = {}
    for name in ("skew", "tuned", "ppo"):
        sessions = training[name]
        moves = against_mid(sessions).adverse_move[:, sessions.horizons.index(50.0)]
        gains[name] = mean_over_fills(moves, sessions.fill_session, len(sessions))
    assert gains["ppo"].high < 0.0
    assert gains["skew"].low > 0.0
    assert gains["tuned"].low > 0.0


def test_the_trained_maker_leans_against_its_inventory_and_with_the_flow(training):
    policy = training["policies"]["ppo"]
    bid, ask = policy.bid_offset, policy.ask_offset  # flow by inventory
    assert bid[:, -1].mean() > bid[:, 0].mean()
    assert ask[:, -1].mean() < ask[:, 0].mean()
    assert bid[-1].mean() < bid[0].mean()
    assert ask[-1].mean() > ask[0].mean()


def test_a_tutorial_is_a_notebook():
    for path in TUTORIALS.glob("*.py"):
        notebook = jupytext.read(path, fmt="py:percent")
        assert {cell.cell_type for cell in notebook.cells} == {"code", "markdown"}
