"""The result of a fixed rule in markets that differ only in the information of takers.

The rule is `inventory_skew` with its defaults, in 256 sessions of 1,000 decisions per market, on
the same seeds in all markets. Bounds are 95 percent intervals over sessions, or multiples of a
standard error (s.e.). Seeds are fixed.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import pytest

from agents import make_agent
from agents.base import to_actions
from mm_gym import MarketConfig, configure
from mm_gym.actions import from_ticks
from mm_gym.core.layout import TakerKind
from mm_gym.evaluation.metrics import against_mid, against_value, taker_direction
from mm_gym.evaluation.rollout import run_sessions
from mm_gym.evaluation.sessions import Sessions
from mm_gym.evaluation.statistics import Estimate, difference, mean, mean_over_fills
from mm_gym.recorded_fills import HORIZONS

EPISODES = 256
SEED = 0
FIFTY_SECONDS = HORIZONS.index(50.0)

UNINFORMED = ("noise", "imbalanced", "naive_informed")
SHARES = (0.0, 0.2, 0.4, 0.6, 0.8)
FOUR_REGIMES = (*UNINFORMED, "informed")


@pytest.fixture(scope="module")
def uninformed() -> dict[str, Sessions]:
    """Sessions of the rule in the regimes without information."""
    return {regime: run_sessions(rule, configure(regime), EPISODES, SEED) for regime in UNINFORMED}


@pytest.fixture(scope="module")
def informed() -> dict[float, Sessions]:
    """Sessions of the rule by the share of informed takers."""
    return {
        p: run_sessions(rule, configure("informed", p_informed=p), EPISODES, SEED) for p in SHARES
    }


def rule(config: MarketConfig) -> Any:
    return make_agent("inventory_skew", config)


def over_fills(sessions: Sessions, measure: npt.NDArray[np.float64]) -> Estimate:
    return mean_over_fills(measure, sessions.fill_session, len(sessions))


def adverse_move(
    sessions: Sessions, against: Callable[[Sessions], Any] = against_value
) -> Estimate:
    """[ticks] Mean adverse move 50 s after a fill."""
    return over_fills(sessions, against(sessions).adverse_move[:, FIFTY_SECONDS])


def mean_and_standard_error(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


# ------------------------------------------------------------------------- uninformed flow: profits


@pytest.mark.parametrize("regime", UNINFORMED)
def test_the_rule_earns_from_uninformed_flow(uninformed: dict[str, Sessions], regime: str) -> None:
    assert mean(uninformed[regime].final_pnl).low > 0.0


@pytest.mark.parametrize("regime", UNINFORMED)
def test_prices_do_not_move_against_fills_with_uninformed_takers(
    uninformed: dict[str, Sessions], regime: str
) -> None:
    """The adverse move is within 10 percent of the effective half-spread.

    It is not zero, since quotes stay for a second while V moves. Over 2,048 sessions it is 0.05 of
    1.17 ticks (0.03 of 1.37 in `naive_informed`). Its s.e. over 256 sessions is 0.02, and 0.027 in
    `imbalanced`. So the bound is three s.e. from the expected value.
    """
    sessions = uninformed[regime]
    earned = over_fills(sessions, against_mid(sessions).effective_half_spread)
    assert earned.low > 1.0
    assert abs(adverse_move(sessions).value) <= 0.1 * earned.value


def test_without_informed_takers_the_informed_regime_is_the_noise_regime(
    uninformed: dict[str, Sessions], informed: dict[float, Sessions]
) -> None:
    np.testing.assert_array_equal(informed[0.0].final_pnl, uninformed["noise"].final_pnl)


# ---------------------------------------------------------------------------- informed flow: losses


def test_pnl_falls_with_the_informed_share_and_becomes_negative(
    informed: dict[float, Sessions],
) -> None:
    """Differences are paired by session. Each step of the share is about 10 s.e. or more."""
    for fewer, more in pairwise(SHARES):
        assert difference(informed[more].final_pnl, informed[fewer].final_pnl).high < 0.0
    assert mean(informed[0.8].final_pnl).high < 0.0


@pytest.mark.parametrize("against", [against_mid, against_value])
def test_the_adverse_move_grows_with_the_informed_share(
    informed: dict[float, Sessions], against: Callable[[Sessions], Any]
) -> None:
    """The intervals of neighbouring shares do not overlap. Each step is 6 s.e. or more."""
    for fewer, more in pairwise(SHARES):
        assert (
            adverse_move(informed[more], against).low > adverse_move(informed[fewer], against).high
        )


def test_the_markout_turns_negative(informed: dict[float, Sessions]) -> None:
    markouts = [
        over_fills(informed[p], against_mid(informed[p]).markout[:, FIFTY_SECONDS]) for p in SHARES
    ]
    assert markouts[0].low > 0.0
    assert markouts[-1].high < 0.0


def test_spread_capture_is_not_alpha(informed: dict[float, Sessions]) -> None:
    """A losing rule captures more spread per fill, and its inventory loses more than that."""
    few, many = informed[0.0], informed[0.8]
    assert mean(many.spread_pnl).low > 0.0
    assert (
        over_fills(many, against_mid(many).effective_half_spread).value
        >= over_fills(few, against_mid(few).effective_half_spread).value
    )
    assert mean(many.inventory_pnl + many.spread_pnl).high < 0.0


# ----------------------------------------------------------------- information is in the order flow


def test_the_side_of_a_fill_predicts_the_price_only_if_takers_are_informed(
    uninformed: dict[str, Sessions], informed: dict[float, Sessions]
) -> None:
    """The correlation of D with the move of V in 50 s is about 0.01 without information.

    With many informed takers it is 0.3. Its s.e. over sessions is 0.004 and 0.01. The value 0.01
    comes from quotes that stay while V moves.
    """

    def correlation(sessions: Sessions) -> Estimate:
        move = sessions.later_value[:, FIFTY_SECONDS] - sessions.fills["efficient_price"]
        # D is a sign. So the correlation about zero is the mean of D times the move, divided by the
        # root mean square of the move.
        return over_fills(sessions, taker_direction(sessions) * move / np.sqrt(np.nanmean(move**2)))

    for regime in ("noise", "naive_informed"):
        assert correlation(uninformed[regime]).low > -0.03
        assert correlation(uninformed[regime]).high < 0.03
    assert correlation(informed[0.8]).low > 0.25


def extra_adverse_move(sessions: Sessions, labelled: TakerKind) -> tuple[float, float]:
    """[ticks] Adverse move after fills with labelled takers minus that with noise takers.

    Returns:
        The difference and its s.e.
    """
    moves = against_value(sessions).adverse_move[:, FIFTY_SECONDS]
    values, influences = [], []
    for kind in (labelled, TakerKind.NOISE):
        chosen = ~np.isnan(moves) & (sessions.fills["taker"] == kind)
        sums = np.bincount(sessions.fill_session[chosen], moves[chosen], minlength=len(sessions))
        counts = np.bincount(sessions.fill_session[chosen], minlength=len(sessions))
        assert counts.sum() > 1000
        values.append(sums.sum() / counts.sum())
        # The contribution of each session to the ratio of sums, to first order. Sessions are
        # independent, and fills are not.
        influences.append((sums - values[-1] * counts) / counts.mean())
    return values[0] - values[1], mean_and_standard_error(influences[0] - influences[1])[1]


def test_prices_move_against_fills_with_informed_takers_and_not_with_naive_ones(
    uninformed: dict[str, Sessions], informed: dict[float, Sessions]
) -> None:
    """Relative to noise takers: 3.4 ticks more (s.e. 0.13), and no difference (s.e. 0.05)."""
    naive, standard_error = extra_adverse_move(
        uninformed["naive_informed"], TakerKind.NAIVE_INFORMED
    )
    assert abs(naive) < 3.0 * standard_error < 0.2
    acts_on_signal, standard_error = extra_adverse_move(informed[0.4], TakerKind.INFORMED)
    assert acts_on_signal > 1.0 + 3.0 * standard_error


def test_takers_who_act_on_a_signal_that_predicts_nothing_cause_no_losses(
    informed: dict[float, Sessions],
) -> None:
    """The negative control of the losing market: the same kind of flow without information.

    The s.e. of the extra move is 0.15 ticks.
    """
    control = run_sessions(
        rule, configure("informed", p_informed=0.8, informed_kind="decoy"), EPISODES, SEED
    )
    assert mean(control.final_pnl).low > 0.0
    assert difference(control.final_pnl, informed[0.8].final_pnl).low > 0.0
    extra, standard_error = extra_adverse_move(control, TakerKind.DECOY_INFORMED)
    assert abs(extra) < 3.0 * standard_error < 0.6


# -------------------------------------------------------------------------------------- same prices


def walk(
    regime: str, offsets: tuple[float, float], n_markets: int = 4, **fields: Any
) -> tuple[Any, dict[str, Any]]:
    """Sessions in which the agent always quotes the same offsets [ticks].

    Returns:
        The environment, and some values of `info` by name, shape (decisions + 1, markets).
    """
    env: Any = gymnasium.make_vec(
        "MarketMaking-v0", num_envs=n_markets, regime=regime, **fields
    ).unwrapped
    quotes = np.tile(
        to_actions(env.config, *(np.array([offset]) for offset in offsets)), (n_markets, 1)
    )
    infos = [env.reset(seed=SEED)[1]]
    for _ in range(env.config.session_steps):
        infos.append(env.step(quotes)[4])
    return env, {
        name: np.array([info[name] for info in infos])
        for name in ("mid", "efficient_price", "inventory")
    }


def test_a_seed_has_the_same_prices_in_all_four_regimes_and_for_all_quotes() -> None:
    paths = [
        walk(regime, offsets)[1]["efficient_price"]
        for regime in FOUR_REGIMES
        for offsets in ((1.5, 1.5), (0.0, 10.0))
    ]
    for path in paths[1:]:
        np.testing.assert_array_equal(path, paths[0])
    # Prices differ between decisions and between markets.
    assert np.unique(paths[0]).size == paths[0].size


def test_the_default_market_has_at_least_ten_book_events_per_decision() -> None:
    env, _ = walk("noise", (1.5, 1.5), n_markets=32)
    events = env._markets.records["book"]["n_events"]
    fresh, _ = walk("noise", (1.5, 1.5), n_markets=32, session_steps=1)
    at_the_first = fresh._markets.records["book"]["n_events"]
    per_decision = (events - at_the_first) / (env.config.session_steps - 1)
    average, standard_error = mean_and_standard_error(per_decision)
    assert average - 3.0 * standard_error > 10.0


# ------------------------------------------------------------------------------ degenerate policies


class Alternating:
    """Quote given offsets (shares of `max_offset`) in turn, each for one decision."""

    def __init__(self, config: MarketConfig, *offsets: tuple[float, float]) -> None:
        self.actions = [from_ticks(pair, 1.0) for pair in offsets]

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[Any, Any]:
        turn = 0 if state is None else state
        return np.tile(self.actions[turn % len(self.actions)], (len(observation), 1)), turn + 1


def always(*offsets: tuple[float, float]) -> Callable[[MarketConfig], Alternating]:
    return lambda config: Alternating(config, *offsets)


FARTHEST = always((1.0, 1.0))
DEGENERATE = {
    "at the mid": always((0.0, 0.0)),
    "far and near in turn": always((1.0, 1.0), (0.0, 0.0)),
    "the two sides in turn": always((0.0, 1.0), (1.0, 0.0)),
    "only the bid": always((0.0, 1.0)),
    "only the ask": always((1.0, 0.0)),
}


@pytest.mark.parametrize(
    "regime, fields",
    [
        ("noise", {}),
        ("imbalanced", {}),
        ("naive_informed", {}),
        ("informed", {}),
        ("informed", {"p_informed": 0.8}),
    ],
)
def test_quoting_as_far_away_as_possible_earns_about_nothing(
    uninformed: dict[str, Sessions], regime: str, fields: dict[str, Any]
) -> None:
    """The PnL is less than a twentieth of what the rule earns in noise, from a few rare fills."""
    earned = mean(run_sessions(FARTHEST, configure(regime, **fields), EPISODES, SEED).final_pnl)
    tolerance = 0.05 * uninformed["noise"].final_pnl.mean()
    assert -tolerance < earned.low
    assert earned.high < tolerance


@pytest.mark.parametrize("policy", DEGENERATE)
@pytest.mark.parametrize("regime", FOUR_REGIMES)
def test_no_degenerate_policy_gains_by_marking_to_the_mid(regime: str, policy: str) -> None:
    """Marking to the mid instead of V adds q (m - V) to the final PnL.

    The mean is zero within 3 s.e., and less than the cost of the close.
    """
    sessions = run_sessions(DEGENERATE[policy], configure(regime), 128, SEED)
    assert sessions.n_fills.mean() > 40
    gains = sessions.inventory[:, -1] * (sessions.final_mid - sessions.value_path[:, -1])
    gain, standard_error = mean_and_standard_error(gains)
    assert abs(gain) < 3.0 * standard_error
    assert gain + 3.0 * standard_error < sessions.close_out.mean()


def test_a_mid_that_contains_the_agents_orders_would_let_it_inflate_its_pnl() -> None:
    """An agent that only bids gains, if its position is marked to the mid of the whole book."""
    n_markets = 128
    env, noted = walk("noise", (0.0, 10.0), n_markets, session_steps=300, max_inventory=10_000)
    book = env._markets.records["book"]
    quoted = np.flatnonzero((book["n_levels"] > 0).all(axis=1))
    best_bid, minus_best_ask = (
        book["levels"]["key"][quoted, side, book["n_levels"][quoted, side] - 1] for side in (0, 1)
    )
    whole_mid = 0.5 * (best_bid - minus_best_ask)
    gain, standard_error = mean_and_standard_error(
        noted["inventory"][-1, quoted] * (whole_mid - noted["mid"][-1, quoted])
    )
    assert gain > 5.0 * standard_error
