"""The contents of pictures, against figures that plain Python computes from the sessions."""

from dataclasses import replace
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from agents import make_agent, name_agent
from mm_gym import configure
from mm_gym.core.layout import TakerKind
from mm_gym.evaluation.experiments import EXPERIMENTS, ExperimentRunner
from mm_gym.evaluation.plans import run_experiments
from mm_gym.evaluation.policy_map import map_policy
from mm_gym.evaluation.sessions import Sessions
from mm_gym.reporting.pictures import figures
from mm_gym.reporting.pictures.entries import curves, distinct, market_names, representatives
from mm_gym.reporting.pictures.layout import render
from mm_gym.reporting.pictures.money import inventories, pnl_parts
from mm_gym.reporting.pictures.quotes import quotes
from mm_gym.reporting.pictures.style import Drawing, Panel
from mm_gym.reporting.pictures.toxicity import toxicity
from mm_gym.reporting.report import Entry
from tests.evaluation.few_sessions import sessions_of


def test_the_toxicity_curves_are_drawn_through_the_sessions_means() -> None:
    entries = [
        Entry("", "skew", sessions_of("inventory_skew", p_informed=p)) for p in (1.0, 0.0, 0.5)
    ]
    (drawing,) = toxicity(entries)
    assert drawing.name == "toxicity"
    in_order = [entries[index].sessions for index in (1, 2, 0)]
    for panel, reference in zip(drawing.panels, _toxicity_by_hand(in_order), strict=True):
        axes = Figure().add_subplot()
        panel.draw(axes)
        curves_drawn = [line.get_xydata() for line in axes.lines if len(line.get_xdata()) == 3]
        assert len(curves_drawn) == len(reference)
        for drawn, expected in zip(curves_drawn, reference, strict=True):
            np.testing.assert_allclose(
                drawn, np.column_stack([(0.0, 0.5, 1.0), expected]), atol=1e-12
            )


def _toxicity_by_hand(sweep: list[Sessions]) -> list[list[list[float]]]:
    """For each panel, against the mid and against V: fill by fill, in plain Python."""
    moves: dict[str, list[list[float]]] = {"mid": [], "value": []}
    markouts: dict[str, list[list[float]]] = {"mid": [], "value": []}
    for sessions in sweep:
        column = sessions.horizons.index(50.0)
        for name, before, later in (
            ("mid", sessions.fills["mid"], sessions.later_mid),
            ("value", sessions.fills["efficient_price"], sessions.later_value),
        ):
            kept = [i for i in range(len(sessions.fills)) if not np.isnan(later[i, column])]
            taken = {i: 1.0 if sessions.fills["side"][i] == 1 else -1.0 for i in kept}
            moves[name].append([taken[i] * (later[i, column] - before[i]) for i in kept])
            markouts[name].append(
                [taken[i] * (sessions.fills["price"][i] - later[i, column]) for i in kept]
            )
    pnl = [float(np.mean(sessions.final_pnl)) for sessions in sweep]
    fills = [len(sessions.fills) / len(sessions.final_pnl) for sessions in sweep]
    return [
        [pnl],
        [fills],
        [[-a / b for a, b in zip(pnl, fills, strict=True)]],
        [[sum(of) / len(of) for of in markouts[name]] for name in ("mid", "value")],
        [[sum(of) / len(of) for of in moves[name]] for name in ("mid", "value")],
        [
            [sum((m > 0) + 0.5 * (m == 0) for m in of) / len(of) for of in moves[name]]
            for name in ("mid", "value")
        ],
    ]


def test_the_parts_of_the_bars_add_up_to_the_final_pnl_of_every_session() -> None:
    sessions = sessions_of("inventory_skew", p_informed=0.5, sniping=True, maker_fee=0.25)
    parts = pnl_parts(sessions)
    np.testing.assert_allclose(sum(parts.values()), sessions.final_pnl, atol=1e-9)
    by_hand = np.zeros(len(sessions))
    for fill, session in zip(sessions.fills, sessions.fill_session, strict=True):
        if fill["taker"] in (TakerKind.INFORMED, TakerKind.SNIPER):
            signed = -fill["lots"] if fill["side"] == 1 else fill["lots"]
            by_hand[session] += signed * (sessions.final_mid[session] - fill["mid"])
    np.testing.assert_allclose(parts["informed"], by_hand, atol=1e-9)
    assert all(np.abs(part).sum() > 0.0 for part in parts.values())


def test_a_curve_needs_three_markets_that_differ_in_one_field_alone() -> None:
    def entry(**fields: Any) -> Entry:
        return Entry(
            "", "fixed_spread", sessions_of("fixed_spread", episodes=1, session_steps=2, **fields)
        )

    shares = [entry(p_informed=p) for p in (0.9, 0.1, 0.5)]
    slow = [entry(p_informed=0.5, latency=latency) for latency in (0.5, 1.0)]
    assert curves(shares[:2]) == {}
    found = curves(shares + slow)
    assert {field: [curve.values for curve in of] for field, of in found.items()} == {
        "p_informed": [[0.1, 0.5, 0.9]],
        "latency": [[0.0, 0.5, 1.0]],
    }
    assert list(found) == ["p_informed", "latency"]
    sniped = [entry(p_informed=0.5, latency=latency, sniping=True) for latency in (0.0, 0.5, 1.0)]
    assert [curve.name for curve in curves(shares + slow + sniped)["latency"]] == [
        "fixed_spread, p = 0.5",
        "fixed_spread, p = 0.5, sniping",
    ]
    again = Entry("another label", "fixed_spread", shares[0].sessions)
    assert distinct([*shares, again]) == shares


def test_markets_are_named_by_the_fields_in_which_they_differ() -> None:
    configs = [
        configure("noise"),
        configure("noise", latency=0.5),
        configure("informed", p_informed=0.0),
        configure("informed", p_informed=0.4, informed_kind="decoy"),
        configure("imbalanced", imbalance=0.4, sniping=True),
    ]
    assert market_names(configs) == [
        "noise",
        "noise, latency = 0.5",
        "informed, p = 0",
        "informed, p = 0.4, informed_kind = decoy",
        "imbalanced, sniping",
    ]
    # A field with the same value in all markets is not part of the names.
    assert market_names(
        [configure("noise", latency=1.0), configure("imbalanced", latency=1.0)]
    ) == [
        "noise",
        "imbalanced",
    ]


def test_representatives_show_each_regime_and_the_end_of_a_sweep_before_its_middle() -> None:
    markets = [
        configure("noise"),
        *(configure("informed", p_informed=p) for p in (0.0, 0.2, 0.5, 0.8, 1.0)),
    ]
    markets += [configure("noise", latency=latency) for latency in (0.1, 2.0)]
    sessions = [sessions_of("fixed_spread", episodes=1, **_fields(config)) for config in markets]
    entries = [Entry("", "fixed_spread", result) for result in sessions]
    for limit, chosen in {2: [0, 5], 4: [0, 3, 5, 7], 8: range(8), 20: range(8)}.items():
        assert representatives(entries, limit) == [entries[index] for index in chosen]


def test_representatives_exist_of_markets_that_differ_in_any_kind_of_field() -> None:
    """Numbers have a distance from the default. Lists, names, switches and None may have none."""
    odd: list[dict[str, Any]] = [
        {},
        {"latency_kind": "empirical", "latency_samples": (0.1, 0.4)},
        {"fee_tier_lots": (4.0,), "fee_tier_fees": (1e-5,)},
        {"reward": "pnl"},
        {"sniping": True, "cancel_latency": 0.5},
    ]
    configs = [configure(regime, **fields) for regime in ("noise", "clustered") for fields in odd]
    sessions = sessions_of("fixed_spread", episodes=1, session_steps=2)
    entries = [Entry("", "", replace(sessions, config=config)) for config in configs]
    for limit in range(2, len(entries) + 1):
        assert len(representatives(entries, limit)) == limit


def test_a_report_of_all_experiments_has_each_kind_of_picture() -> None:
    results = run_experiments(list(EXPERIMENTS), ExperimentRunner(name_agent, episodes=2))
    names = set(figures(results.entries, {}))
    assert {"markout_by_regime", "pnl_decomposition", "sweep_latency", "toxicity"} <= names


def _fields(config: Any) -> dict[str, Any]:
    return {name: getattr(config, name) for name in ("regime", "p_informed", "latency")} | {
        "session_steps": 2
    }


def test_drawing_neither_follows_nor_changes_matplotlibs_settings() -> None:
    entry = Entry(
        "fixed_spread", "fixed_spread", sessions_of("fixed_spread", episodes=2, session_steps=10)
    )
    (drawing,) = inventories([entry])
    plain = render(drawing)
    with matplotlib.rc_context({"axes.facecolor": "red", "font.size": 30.0}):
        own = dict(matplotlib.rcParams)
        assert render(drawing) == plain
        assert dict(matplotlib.rcParams) == own


def test_profiles_have_lines_for_deterministic_agents_and_marks_for_all_and_note_constants() -> (
    None
):
    dealer = configure("dealer", session_steps=50)
    agents = {name: make_agent(name, dealer) for name in ("inventory_skew", "random")}
    policies = {name: map_policy(agent, dealer) for name, agent in agents.items()}
    drawings = list(quotes(policies))
    assert [drawing.name for drawing in drawings] == [
        "quotes_1",
        "quote_profiles_1",
        "quotes_2",
        "quote_profiles_2",
    ]
    for (name, policy), drawing in zip(policies.items(), drawings[1::2], strict=True):
        deterministic = name == "inventory_skew"
        assert ("Lines:" in drawing.caption) is deterministic
        inventory, *_, queue = drawing.panels
        axes = Figure().add_subplot()
        inventory.draw(axes)
        drawn = [np.asarray(line.get_ydata()) for line in axes.lines]
        profile = policy.profiles[0]
        expected = [
            curve for side in (0, 1) for curve in (profile.queried[side], profile.quoted[side])
        ]
        if not deterministic:
            expected = [*profile.quoted]
        assert len(drawn) == len(expected)
        for ours, theirs in zip(drawn, expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        axes = Figure().add_subplot()
        queue.draw(axes)
        assert [text.get_text() for text in axes.texts] == ["always 0"]


def test_text_in_an_svg_keeps_its_figures_and_opacity() -> None:
    def draw(axes: Any) -> None:
        axes.plot([0.0, 1.0], [1.23456, 1.2345])
        axes.axvspan(0.2, 0.4, color="red", alpha=0.18)
        axes.set_yticks([1.23456], ["1.23456"])

    drawing = Drawing("name", "section", "title", "hint", "caption", [Panel(draw)])
    svg = render(drawing).wide
    assert ">1.23456<" in svg
    assert "opacity: 0.18;" in svg
