"""What objects show in a notebook."""

import io

import gymnasium
import numpy as np
import pytest
from PIL import Image as pillow

import mm_gym
from agents import name_agent
from mm_gym import display
from mm_gym.evaluation.experiments import Check, ExperimentResult
from mm_gym.evaluation.plans import plan_markets, run_grid
from mm_gym.evaluation.statistics import Estimate
from mm_gym.evaluation.suite import Results as SuiteResults
from mm_gym.evaluation.suite import Row
from mm_gym.rendering.replay import replay_html
from mm_gym.reporting import figures
from tests.reporting.page import parse


@pytest.fixture(scope="module")
def results():
    return run_grid(
        name_agent, ["fixed_spread"], plan_markets(["noise", "informed"]), episodes=3, jobs=1
    )


def cells(html):
    (table,) = parse(html).all("table")
    return [[cell.text for cell in line.all("td")] for line in table.all("tr")[1:]]


def test_a_table_escapes_and_rounds():
    html = display.table(["<a>"], [["<script>"], [1.239], [2]], caption="& more")
    assert cells(html) == [["<script>"], ["1.24"], ["2"]]
    assert "<script>" not in html
    assert parse(html).all("caption")[0].text == "& more"


def test_results_show_a_row_for_each_agent_and_market_with_intervals(results):
    shown = cells(results._repr_html_())
    assert [line[0] for line in shown] == ["fixed_spread, noise", "fixed_spread, informed, p = 0.3"]
    for line, row in zip(shown, results.rows, strict=True):
        low, high = (row[f"final_pnl_{end}"] for end in ("low", "high"))
        assert line[1] == f"{row['final_pnl']:.1f} [{low:.1f}, {high:.1f}]"
        assert float(line[3]) == pytest.approx(row["fills"], abs=0.005)


def test_sessions_show_their_means(results):
    sessions = results.entries[1].sessions
    html = sessions._repr_html_()
    assert parse(html).all("caption")[0].text == "3 sessions, informed, p = 0.3"
    shown = dict(cells(html))
    assert shown["fills"].startswith(f"{len(sessions.fills) / 3:.3g} [")
    # A terminal shows one line.
    pnl, fills = sessions.final_pnl.mean(), len(sessions.fills) / 3
    line = f"<3 sessions of informed: mean final PnL {pnl:.1f} ticks x lots, {fills:.0f} fills>"
    assert repr(sessions) == line


def test_an_estimate_shows_its_interval():
    assert parse(Estimate(1.0, 0.5, 2.0)._repr_html_()).text == "1 95 %: 0.5 to 2"


def test_suite_results_show_their_rows():
    row = Row("a", "t", 1, 0, "r", 12.5, 1.25, "plain", 12.0, 1.5, 0.75, 0.1, 99.0, 8, "0", "c")
    shown = cells(SuiteResults([row])._repr_html_())
    assert shown == [["a", "t", "0", "12.50", "1.25", "0.75", "99.00"]]


def test_figures_show_all_pictures_and_one_by_name(results):
    shown = figures(results.entries)
    page = parse(shown._repr_html_())
    assert len(page.all("figure")) == len(shown) >= 4
    (image,) = parse(shown["pnl_decomposition"]._repr_html_()).all("img")
    assert image.attributes["alt"] == shown["pnl_decomposition"].title


def test_render_gives_an_array_that_a_notebook_shows_as_a_picture():
    env = gymnasium.make("MarketMaking-v0", render_mode="rgb_array")
    env.reset(seed=0)
    frame = env.render()
    for shown in (frame._repr_png_(), env.unwrapped._repr_png_()):
        np.testing.assert_array_equal(np.asarray(pillow.open(io.BytesIO(shown))), frame)
    assert frame[0]._repr_png_() is None
    assert (frame / 255.0)._repr_png_() is None


def test_an_environment_without_pictures_shows_none():
    env = gymnasium.make("MarketMaking-v0", render_mode="ansi")
    env.reset(seed=0)
    assert env.unwrapped._repr_png_() is None
    assert gymnasium.make("MarketMaking-v0").unwrapped._repr_png_() is None


def test_a_grid_of_markets_is_shown_as_a_picture():
    envs = gymnasium.make_vec("MarketMaking-v0", num_envs=2, render_mode="rgb_array")
    envs.reset(seed=0)
    assert mm_gym.rendering.grid(envs.render())._repr_png_()[:4] == b"\x89PNG"


def test_a_recording_is_shown_as_its_replay_in_a_frame():
    env = mm_gym.rendering.record(gymnasium.make("MarketMaking-v0", session_steps=5))
    env.reset(seed=0)
    for _ in range(5):
        env.step(np.zeros(2, dtype=np.float32))
    recording = env.recording()
    for shown in (recording, replay_html([recording])):
        (frame,) = parse(shown._repr_html_()).all("iframe")
        assert frame.attributes["srcdoc"] == str(replay_html([recording]))
        assert frame.attributes["title"] == "Session replay"


def test_an_experiment_shows_its_checks():
    check = Check("PnL < 0", Estimate(-2.0, -3.0, -1.0), "ticks", "below 0", True, "9 sessions")
    html = ExperimentResult("name", "question?", [check], {}, {}, audit=[check])._repr_html_()
    line = ["PnL < 0", "holds", "-2 [-3, -1] ticks", "below 0", "9 sessions"]
    assert cells(html) == [line, line]
    assert parse(html).all("caption")[0].text == "name: question?"
