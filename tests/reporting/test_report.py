"""The report: self-contained, in order, with the rows' own figures, for any names and few data."""

import base64
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from agents import make_agent
from mm_gym import configure, palette
from mm_gym.evaluation.experiments import Check, ExperimentResult
from mm_gym.evaluation.policy_map import map_policy
from mm_gym.evaluation.sessions import Sessions
from mm_gym.evaluation.statistics import Estimate
from mm_gym.evaluation.summary import summarise
from mm_gym.reporting.report import Entry, write_report
from tests.evaluation.few_sessions import sessions_of
from tests.reporting.page import Element, read, with_class

# Names that would be markup, entities, mathematics or nothing if they were not escaped.
HOSTILE_AGENT = '_<script>alert("x")</script> & $\\frac{a$'
HOSTILE_WORDS = "<img src=x onerror=alert(1)> & 'quoted' \"twice\" </section>"


@dataclass(frozen=True)
class Report:
    folder: Path
    files: list[Path]
    page: Element
    rows: list[dict[str, Any]]
    experiment: ExperimentResult


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    skew, hostile = "inventory_skew", HOSTILE_AGENT
    entries = [
        Entry(f"{skew}, p = {p:g}", skew, sessions_of(skew, p_informed=p)) for p in (0.0, 0.5, 1.0)
    ]
    entries += [Entry(f"{hostile}, noise", hostile, sessions_of("fixed_spread", regime="noise"))]
    reference = entries[0].sessions
    rows = [summarise(entry.agent, entry.sessions, reference) for entry in entries]
    checks = [
        Check(
            HOSTILE_WORDS,
            Estimate(-1.234, -2.5, -0.4),
            "ticks x lots",
            "below 0",
            True,
            "6 sessions, 321 fills",
        ),
        Check("Pigs fly", Estimate(0.5, -1.0, 2.0), "m", "above 1", False, "1 pig"),
    ]
    audit = [Check("The pig is a pig", Estimate(1.0, 1.0, 1.0), "pigs", "1", True, "1 pig")]
    experiment = ExperimentResult(
        "swine", HOSTILE_WORDS, checks, {}, {}, audit=audit, notes=[f"noted: {HOSTILE_WORDS}"]
    )
    policies = {
        hostile: map_policy(make_agent("adaptive_spread", reference.config), reference.config)
    }
    folder = tmp_path_factory.mktemp("report")
    about = {
        "arguments": {"agents": hostile},
        "versions": {"python": "3"},
        "configurations": {hostile: {"a": 1}},
    }
    files = write_report(
        folder,
        HOSTILE_WORDS,
        entries,
        [experiment],
        rows,
        policies,
        "python evaluate.py > <x>",
        about,
    )
    return Report(folder, files, read(folder / "report.html"), rows, experiment)


def test_the_report_needs_no_network_and_runs_no_script(report: Report) -> None:
    elements = report.page.every()
    links = [
        (name, value)
        for element in elements
        for name, value in element.attributes.items()
        if name in ("src", "srcset", "href", "data", "poster", "action", "xlink:href", "background")
    ]
    assert len(links) > 10
    assert {
        value.split(":")[0][:1] if value.startswith("#") else value.split(",")[0]
        for _, value in links
    } <= {
        "#",
        "data:",
        "data:image/svg+xml;base64",
    }
    assert not {element.tag for element in elements} & {
        "script",
        "iframe",
        "object",
        "embed",
        "base",
        "form",
    }
    assert not [
        name for element in elements for name in element.attributes if name.startswith("on")
    ]
    styles = "".join(style.text for style in report.page.all("style"))
    assert "prefers-color-scheme" in styles
    assert "url(" not in styles
    assert "@import" not in styles
    for element in elements:
        assert "url(" not in element.attributes.get("style", "")


def test_links_within_the_page_lead_somewhere(report: Report) -> None:
    anchors = {
        element.attributes["id"] for element in report.page.every() if "id" in element.attributes
    }
    wanted = {link.attributes["href"].removeprefix("#") for link in report.page.all("a")}
    assert len(wanted) >= 5
    assert wanted <= anchors


def test_the_page_says_its_language_fits_its_window_and_describes_its_pictures(
    report: Report,
) -> None:
    (html,) = report.page.all("html")
    assert html.attributes["lang"] == "en"
    viewports = [
        meta for meta in report.page.all("meta") if meta.attributes.get("name") == "viewport"
    ]
    assert [meta.attributes["content"] for meta in viewports] == [
        "width=device-width, initial-scale=1"
    ]
    images = report.page.all("img")
    assert images
    assert all(len(image.attributes["alt"]) > 20 for image in images)
    headings = report.page.all("th")
    assert headings
    assert all(
        heading.attributes["scope"] in ("col", "row", "colgroup", "rowgroup")
        for heading in headings
    )


def test_checks_come_before_tables_before_pictures_before_how_it_was_made(report: Report) -> None:
    order = ["check" if e.tag == "li" else e.tag for e in report.page.every() if _kind(e)]
    firsts = list(dict.fromkeys(order))
    assert firsts == ["check", "table", "img", "pre"]
    last = {kind: len(order) - 1 - order[::-1].index(kind) for kind in firsts}
    assert last["check"] < order.index("table") <= last["table"] < order.index("img") <= last["img"]
    assert last["img"] < order.index("pre")


def _kind(element: Element) -> bool:
    is_check = element.tag == "li" and element.attributes.get("class") in ("check", "audit")
    return is_check or element.tag in ("table", "img", "pre")


def test_each_check_shows_verdict_estimate_interval_required_range_and_sample(
    report: Report,
) -> None:
    first, second = (" ".join(item.text.split()) for item in with_class(report.page, "li", "check"))
    (audit,) = (" ".join(item.text.split()) for item in with_class(report.page, "li", "audit"))
    assert first.startswith("✓ holds")
    for words in (
        HOSTILE_WORDS,
        "−1.2 ticks × lots",
        "−2.5 to −0.4",
        "wanted: below 0",
        "sample: 6 sessions, 321 fills",
    ):
        assert words in first
    assert second.startswith("✗ does not hold")
    assert "0.5 m 95 %: −1.0 to 2.0" in second
    assert audit.startswith("✓ holds")
    assert "1 pigs" in audit
    assert "Audit" in report.page.text
    assert "2 of 3 checks hold." in report.page.text
    (heading,) = report.page.all("article")[0].all("h3")
    assert "✗ does not hold" in heading.text  # one failing check is enough


# The tables' headings and their columns of the summary. BESIDE has those that appear twice: against
# the mid, then against V.
BESIDE = {"effective half-spread": "effective_half_spread", "markout, 50 s": "markout_50"}
BESIDE |= {
    "adverse move, 50 s": "adverse_move_50",
    "adverse fill ratio, 50 s": "adverse_fill_ratio_50",
}
HEADINGS = {
    "sessions": "episodes",
    "final PnL": "final_pnl",
    "PnL less reference": "final_pnl_vs_reference",
    "objective": "objective",
    "objective less reference": "objective_vs_reference",
    "Sharpe ratio": "sharpe",
    "spread captured": "spread_pnl",
    "inventory PnL": "inventory_pnl",
    "inventory PnL, informed takers": "inventory_pnl_informed",
    "inventory PnL, all others": "inventory_pnl_noise",
    "fees": "fees",
    "close-out": "close_out",
    "mean inventory": "mean_inventory",
    "mean absolute inventory": "mean_abs_inventory",
    "maximum absolute inventory": "max_abs_inventory",
    "half-life of inventory": "inventory_half_life",
    "quoted spread": "quoted_spread",
    "share of time at the touch": "share_at_touch",
    "lots filled / lots entered": "fill_ratio",
}


def test_every_figure_in_the_tables_is_the_rows_own_and_is_shown_rounded(report: Report) -> None:
    seen: set[str] = set()
    for number, table in enumerate(report.page.all("table")):
        headings = [_words(th) for th in table.all("thead")[0].all("tr")[-1].all("th")]
        assert headings[:2] == ["market", "agent"]
        keys = _keys(headings[2:])
        seen |= set(keys)
        lines = table.all("tbody")[0].all("tr")
        assert len(lines) == len(report.rows)
        for line, row in zip(lines, report.rows, strict=True):
            market, agent, *cells = [child for child in line.children if isinstance(child, Element)]
            assert agent.text == row["agent"]
            assert market.text.startswith(row["regime"])
            for key, cell in zip(keys, cells, strict=True):
                with_interval = number == 0 and f"{key}_low" in row
                ends = [key, f"{key}_low", f"{key}_high"] if with_interval else [key]
                figures = cell.all("data")
                if np.isnan(row[key]):
                    assert cell.text == "–"
                    continue
                assert [float(figure.attributes["value"]) for figure in figures] == [
                    row[end] for end in ends
                ]
                for figure, end in zip(figures, ends, strict=True):
                    shown = float(
                        figure.text.replace(",", "").replace("−", "-").replace("∞", "inf")
                    )
                    decimals = len(figure.text.partition(".")[2])
                    assert shown == round(row[end], decimals)
    assert len(seen) == len(HEADINGS) + 2 * len(BESIDE) + 2
    assert seen >= set(HEADINGS.values())


def _words(heading: Element) -> str:
    return "".join(child for child in heading.children if isinstance(child, str)).replace(
        "\u00a0", " "
    )


def _keys(headings: list[str]) -> list[str]:
    keys = []
    for position, heading in enumerate(headings):
        if heading == "fills":
            keys.append("total_fills" if "markout, 50 s" in headings else "fills")
        elif heading in BESIDE:
            keys.append(("value_" if heading in headings[:position] else "") + BESIDE[heading])
        else:
            keys.append(HEADINGS[heading])
    return keys


def test_names_are_escaped(report: Report) -> None:
    (title,) = report.page.all("title")
    assert title.text == HOSTILE_WORDS
    assert report.page.all("h1")[0].text == HOSTILE_WORDS
    assert [note.text for note in report.page.all("li") if note.text.startswith("noted")] == [
        f"noted: {HOSTILE_WORDS}"
    ]
    assert any(HOSTILE_AGENT in image.attributes["alt"] for image in report.page.all("img"))
    assert HOSTILE_AGENT in [definition.text for definition in report.page.all("dd")]
    assert "python evaluate.py > <x>" in [code.text for code in report.page.all("code")]


def test_every_picture_is_a_png_beside_the_page_and_shows_something(report: Report) -> None:
    assert report.files[0] == report.folder / "report.html"
    assert sorted(report.folder.iterdir()) == sorted(report.files)
    assert report.files[0].stat().st_size < 5e6
    names = [path.stem for path in report.files[1:]]
    assert names == [
        "toxicity",
        "markout_by_regime",
        "markout_by_counterparty",
        "pnl_decomposition",
        "paths_1",
        "paths_2",
        "inventory_distribution",
        "quotes_1",
        "quote_profiles_1",
    ]
    for path in report.files[1:]:
        image = Image.open(path)
        assert image.format == "PNG"
        pixels = np.asarray(image.convert("RGB"), dtype=np.float64)
        coloured = pixels.max(axis=2) - pixels.min(axis=2) > 40.0
        assert pixels.std() > 10.0
        assert coloured.mean() > 0.003
        # Each quarter has something drawn, so no panel is missing or covers another.
        down, across = (size // 2 for size in coloured.shape)
        for part in (
            pixels[:down, :across],
            pixels[:down, across:],
            pixels[down:, :across],
            pixels[down:, across:],
        ):
            assert part.std() > 5.0


SVG = "{http://www.w3.org/2000/svg}"
MEANINGS = {"bid", "ask", "noise", "informed", "spread", "inventory", "fees"}


def test_the_page_holds_every_picture_as_svg_for_wide_and_narrow_screens(report: Report) -> None:
    images = report.page.all("img")
    wide = [_svg(image.attributes["src"]) for image in images]
    narrow = [_svg(source.attributes["srcset"]) for source in report.page.all("source")]
    assert len(wide) == len(report.files) - 1
    for image, large, small in zip(images, wide, narrow, strict=True):
        assert _width(large) > 1.5 * _width(small)
        for tree in (large, small):
            text = "".join(text.text or "" for text in tree.iter(f"{SVG}text"))
            assert image.attributes["alt"].replace(" ", "") in text.replace(" ", "")
    captions = [caption.text for caption in report.page.all("figcaption")]
    assert len(captions) == len(wide)
    assert all(caption.count(".") >= 2 for caption in captions)


def test_pictures_follow_the_readers_colour_scheme(report: Report) -> None:
    for image in report.page.all("img"):
        tree = _svg(image.attributes["src"])
        (style,) = [s.text or "" for s in tree.iter(f"{SVG}style") if "--text" in (s.text or "")]
        assert "prefers-color-scheme:dark" in style
        plain = ElementTree.tostring(tree, encoding="unicode").replace(style, "")
        used = set(re.findall(r"var\(--([a-z0-9-]+)\)", plain))
        assert {"text", "background"} <= used
        assert all(f"--{name}:" in style for name in used)
        # Colours of agents and markets and colours with a meaning are not in one picture.
        of_series = {name for name in used if name.startswith("series-")}
        assert not (of_series and used & MEANINGS)
        # No light colour is left that would not change. The codes of the heat maps' scale are not
        # in the palette.
        assert not set(re.findall(r"#[0-9a-f]{6}\b", plain)) & set(palette.variables())


def _svg(address: str) -> ElementTree.Element:
    content = base64.b64decode(address.removeprefix("data:image/svg+xml;base64,"), validate=True)
    return ElementTree.fromstring(content)


def _width(tree: ElementTree.Element) -> float:
    return float(tree.attrib["width"].removesuffix("pt"))


# --------------------------------------------------------------------------------------- few data


def test_an_agent_that_is_never_filled_gets_dashes_where_there_is_no_figure(tmp_path: Path) -> None:
    sessions = sessions_of(
        "fixed_spread", episodes=3, regime="noise", taker_rate=0.0, session_steps=30
    )
    assert len(sessions.fills) == 0
    page = _page_of_one(tmp_path, sessions)
    assert len(page.all("img")) == 4
    markouts = page.all("table")[2].all("tbody")[0].all("td")
    assert [cell.text for cell in markouts] == ["fixed_spread", "0", *8 * ["–"]]
    assert "nan" not in page.all("main")[0].text


def test_one_session_alone_has_figures_and_no_intervals(tmp_path: Path) -> None:
    sessions = sessions_of("fixed_spread", episodes=1, regime="noise")
    page = _page_of_one(tmp_path, sessions)
    _, _, pnl, *_ = page.all("table")[0].all("tbody")[0].all("td")
    assert [float(figure.attributes["value"]) for figure in pnl.all("data")] == [
        sessions.final_pnl[0]
    ]
    assert pnl.all("small") == []
    assert len(page.all("img")) == 4


def _page_of_one(folder: Path, sessions: Sessions) -> Element:
    entry = Entry("fixed_spread, noise", "fixed_spread", sessions)
    write_report(folder, "one", [entry], rows=[summarise("fixed_spread", sessions)])
    return read(folder / "report.html")


def test_a_report_of_checks_alone_has_no_tables_and_no_pictures(tmp_path: Path) -> None:
    experiment = ExperimentResult(
        "alone", "?", [Check("so", Estimate(1.0, 0.5, 1.5), "", "above 0", True, "data")], {}, {}
    )
    experiment.effect = False
    files = write_report(tmp_path, "checks", [], [experiment])
    assert [path.name for path in files] == ["report.html"]
    page = read(files[0])
    assert (len(page.all("table")), len(page.all("img"))) == (0, 0)
    assert "alone (negative control)" in page.text


def test_a_picture_that_cannot_be_written_leaves_no_report_behind(
    tmp_path: Path,
) -> None:
    config = configure("noise", session_steps=5)
    policy = map_policy(make_agent("fixed_spread", config), config)
    (tmp_path / "quotes_2.png").mkdir()
    with pytest.raises(IsADirectoryError):
        write_report(tmp_path, "half", [], policies={"one": policy, "another": policy})
    assert [path.name for path in tmp_path.iterdir()] == ["quotes_2.png"]


def test_matplotlib_is_loaded_only_when_something_is_drawn() -> None:
    code = "import sys, mm_gym.reporting.report; print({'matplotlib', 'PIL'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "set()"
