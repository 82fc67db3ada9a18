"""The report: complete in one file, in order, with the rows' own figures, whatever the names, however few data."""

import base64
import functools
import io
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from agents import make_agent
from mm_gym import configure
from mm_gym.core.layout import TakerKind
from mm_gym.evaluation.experiments import Claim, Finding
from mm_gym.evaluation.pictures.entries import curves, distinct, market_names, representatives
from mm_gym.evaluation.pictures.layout import render
from mm_gym.evaluation.pictures.money import inventories, pnl_parts
from mm_gym.evaluation.pictures.toxicity import toxicity
from mm_gym.evaluation.policy_map import map_policy
from mm_gym.evaluation.report import Entry, write_report
from mm_gym.evaluation.rollout import Cell, Sessions, run_cells
from mm_gym.evaluation.statistics import Estimate
from mm_gym.evaluation.table import summarise

# Names that would be markup, entities, mathematics or nothing, if they were not taken as they are.
HOSTILE_AGENT = '_<script>alert("x")</script> & $\\frac{a$'
HOSTILE_WORDS = "<img src=x onerror=alert(1)> & 'quoted' \"twice\" </section>"


# ---------------------------------------------------------------------------------------- reading it


@dataclass
class Element:
    """One element of a page."""

    tag: str
    attributes: dict[str, str]
    children: list["Element | str"] = field(default_factory=list)

    def all(self, tag: str) -> "list[Element]":
        """Elements of this kind below this one, in the page's order."""
        inner = [child for child in self.children if isinstance(child, Element)]
        return [found for child in inner for found in ([child] if child.tag == tag else []) + child.all(tag)]

    def every(self) -> "list[Element]":
        """This one and all below it."""
        return [self, *(e for child in self.children if isinstance(child, Element) for e in child.every())]

    @property
    def text(self) -> str:
        return "".join(child.text if isinstance(child, Element) else child for child in self.children)


class _Reader(HTMLParser):
    """A tree from HTML, which fails where an element is not closed by its own end."""

    _VOID = frozenset({"meta", "link", "img", "source", "br"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Element("page", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in self._VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def read(path: Path) -> Element:
    reader = _Reader()
    reader.feed(path.read_text())
    (page,) = reader.open
    return page


def with_class(page: Element, tag: str, name: str) -> list[Element]:
    return [element for element in page.all(tag) if name in element.attributes.get("class", "").split()]


# -------------------------------------------------------------------------------------- one of everything


def sessions_of(agent: str, episodes: int = 6, seed: int = 0, **fields: Any) -> Sessions:
    config = configure(fields.pop("regime", "informed"), **({"session_steps": 150} | fields))
    name, *parameters = agent.split(":")
    values = {key: float(value) for key, value in (text.split("=") for text in parameters)}
    return run_cells([Cell(agent, functools.partial(make_agent, name, **values), config)], episodes, seed)[0]


@dataclass(frozen=True)
class Report:
    folder: Path
    files: list[Path]
    page: Element
    rows: list[dict[str, Any]]
    finding: Finding


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    skew, hostile = "inventory_skew", HOSTILE_AGENT
    entries = [Entry(f"{skew}, p = {p:g}", skew, sessions_of(skew, p_informed=p)) for p in (0.0, 0.5, 1.0)]
    entries += [Entry(f"{hostile}, noise", hostile, sessions_of("fixed_spread", regime="noise"))]
    reference = entries[0].sessions
    rows = [summarise(entry.agent, entry.sessions, reference) for entry in entries]
    claims = [
        Claim(HOSTILE_WORDS, Estimate(-1.234, -2.5, -0.4), "ticks x lots", "below 0", True, "6 sessions, 321 fills"),
        Claim("Pigs fly", Estimate(0.5, -1.0, 2.0), "m", "above 1", False, "1 pig"),
    ]
    audit = [Claim("The pig is a pig", Estimate(1.0, 1.0, 1.0), "pigs", "1", True, "1 pig")]
    finding = Finding("swine", HOSTILE_WORDS, claims, {}, {}, audit=audit, notes=[f"noted: {HOSTILE_WORDS}"])
    policies = {hostile: map_policy(make_agent("adaptive_spread", reference.config), reference.config)}
    folder = tmp_path_factory.mktemp("report")
    about = {"arguments": {"agents": hostile}, "versions": {"python": "3"}, "configurations": {hostile: {"a": 1}}}
    files = write_report(folder, HOSTILE_WORDS, entries, [finding], rows, policies, "python evaluate.py > <x>", about)
    return Report(folder, files, read(folder / "report.html"), rows, finding)


def test_the_report_asks_no_network_and_runs_nothing(report: Report) -> None:
    elements = report.page.every()
    links = [
        (name, value)
        for element in elements
        for name, value in element.attributes.items()
        if name in ("src", "srcset", "href", "data", "poster", "action", "xlink:href", "background")
    ]
    assert len(links) > 10
    assert {value.split(":")[0][:1] if value.startswith("#") else value.split(",")[0] for _, value in links} <= {
        "#",
        "data:",
        "data:image/png;base64",
    }
    assert not {element.tag for element in elements} & {"script", "iframe", "object", "embed", "base", "form"}
    assert not [name for element in elements for name in element.attributes if name.startswith("on")]
    styles = "".join(style.text for style in report.page.all("style"))
    assert "prefers-color-scheme" in styles
    assert "url(" not in styles
    assert "@import" not in styles
    for element in elements:
        assert "url(" not in element.attributes.get("style", "")


def test_links_within_the_page_lead_somewhere(report: Report) -> None:
    anchors = {element.attributes["id"] for element in report.page.every() if "id" in element.attributes}
    wanted = {link.attributes["href"].removeprefix("#") for link in report.page.all("a")}
    assert len(wanted) >= 5
    assert wanted <= anchors


def test_the_page_says_its_language_fits_its_window_and_describes_its_pictures(report: Report) -> None:
    (html,) = report.page.all("html")
    assert html.attributes["lang"] == "en"
    viewports = [meta for meta in report.page.all("meta") if meta.attributes.get("name") == "viewport"]
    assert [meta.attributes["content"] for meta in viewports] == ["width=device-width, initial-scale=1"]
    images = report.page.all("img")
    assert images
    assert all(len(image.attributes["alt"]) > 20 for image in images)
    headings = report.page.all("th")
    assert headings
    assert all(heading.attributes["scope"] in ("col", "row", "colgroup", "rowgroup") for heading in headings)


def test_claims_come_before_tables_before_pictures_before_how_it_was_made(report: Report) -> None:
    order = ["claim" if e.tag == "li" else e.tag for e in report.page.every() if _kind(e)]
    firsts = list(dict.fromkeys(order))
    assert firsts == ["claim", "table", "img", "pre"]
    last = {kind: len(order) - 1 - order[::-1].index(kind) for kind in firsts}
    assert last["claim"] < order.index("table") <= last["table"] < order.index("img") <= last["img"]
    assert last["img"] < order.index("pre")


def _kind(element: Element) -> bool:
    is_claim = element.tag == "li" and element.attributes.get("class") in ("claim", "audit")
    return is_claim or element.tag in ("table", "img", "pre")


def test_each_claim_says_whether_it_holds_its_figure_its_interval_what_was_wanted_and_on_what_it_rests(
    report: Report,
) -> None:
    first, second = (" ".join(item.text.split()) for item in with_class(report.page, "li", "claim"))
    (audit,) = (" ".join(item.text.split()) for item in with_class(report.page, "li", "audit"))
    assert first.startswith("✓ holds")
    for words in (HOSTILE_WORDS, "−1.2 ticks × lots", "−2.5 to −0.4", "wanted: below 0", "6 sessions, 321 fills"):
        assert words in first
    assert second.startswith("✗ does not hold")
    assert "0.5 m 95 %: −1.0 to 2.0" in second
    assert audit.startswith("✓ holds")
    assert "1 pigs" in audit
    assert "Audit" in report.page.text
    assert "2 of 3 claims hold." in report.page.text
    (heading,) = report.page.all("article")[0].all("h3")
    assert "✗ does not hold" in heading.text  # one claim that does not is enough


# The tables' headings, and the column of the summary that each stands for; beside the mid, then beside V.
BESIDE = {"effective half-spread": "effective_half_spread", "markout, 50 s": "markout_50"}
BESIDE |= {"adverse move, 50 s": "adverse_move_50", "adverse fill ratio, 50 s": "adverse_fill_ratio_50"}
HEADINGS = {
    "sessions": "episodes",
    "final PnL": "final_pnl",
    "PnL less the reference's": "final_pnl_vs_reference",
    "objective": "objective",
    "objective less the reference's": "objective_vs_reference",
    "Sharpe ratio": "sharpe",
    "spread captured": "spread_pnl",
    "inventory PnL": "inventory_pnl",
    "of it, fills with informed takers": "inventory_pnl_informed",
    "of it, fills with all others": "inventory_pnl_noise",
    "fees": "fees",
    "close-out": "close_out",
    "mean inventory": "mean_inventory",
    "mean absolute inventory": "mean_abs_inventory",
    "largest inventory": "max_abs_inventory",
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
                assert [float(figure.attributes["value"]) for figure in figures] == [row[end] for end in ends]
                for figure, end in zip(figures, ends, strict=True):
                    shown = float(figure.text.replace(",", "").replace("−", "-").replace("∞", "inf"))
                    decimals = len(figure.text.partition(".")[2])
                    assert shown == round(row[end], decimals)
    assert len(seen) == len(HEADINGS) + 2 * len(BESIDE) + 2
    assert seen >= set(HEADINGS.values())


def _words(heading: Element) -> str:
    return "".join(child for child in heading.children if isinstance(child, str)).replace("\u00a0", " ")


def _keys(headings: list[str]) -> list[str]:
    keys = []
    for position, heading in enumerate(headings):
        if heading == "fills":
            keys.append("fills_rested_on" if "markout, 50 s" in headings else "fills")
        elif heading in BESIDE:
            keys.append(("value_" if heading in headings[:position] else "") + BESIDE[heading])
        else:
            keys.append(HEADINGS[heading])
    return keys


def test_names_are_shown_as_they_are_and_never_taken_for_markup(report: Report) -> None:
    (title,) = report.page.all("title")
    assert title.text == HOSTILE_WORDS
    assert report.page.all("h1")[0].text == HOSTILE_WORDS
    assert [note.text for note in report.page.all("li") if note.text.startswith("noted")] == [f"noted: {HOSTILE_WORDS}"]
    assert any(HOSTILE_AGENT in image.attributes["alt"] for image in report.page.all("img"))
    assert HOSTILE_AGENT in [definition.text for definition in report.page.all("dd")]
    assert "python evaluate.py > <x>" in [code.text for code in report.page.all("code")]


def test_every_picture_is_a_png_beside_the_page_and_in_it_and_shows_something(report: Report) -> None:
    assert report.files[0] == report.folder / "report.html"
    assert sorted(report.folder.iterdir()) == sorted(report.files)
    assert report.files[0].stat().st_size < 5e6
    wide = [_png(image.attributes["src"]) for image in report.page.all("img")]
    narrow = [_png(source.attributes["srcset"]) for source in report.page.all("source")]
    assert wide == [path.read_bytes() for path in report.files[1:]]
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
    ]
    for picture in wide + narrow:
        image = Image.open(io.BytesIO(picture))
        assert image.format == "PNG"
        pixels = np.asarray(image.convert("RGB"), dtype=np.float64)
        coloured = pixels.max(axis=2) - pixels.min(axis=2) > 40.0
        assert pixels.std() > 10.0
        assert coloured.mean() > 0.003
        # Something is drawn in each quarter: no panel was lost or fell on another.
        down, across = (size // 2 for size in coloured.shape)
        for part in (pixels[:down, :across], pixels[:down, across:], pixels[down:, :across], pixels[down:, across:]):
            assert part.std() > 5.0
    for large, small in zip(wide, narrow, strict=True):
        assert Image.open(io.BytesIO(large)).width > 1.5 * Image.open(io.BytesIO(small)).width


def _png(address: str) -> bytes:
    return base64.b64decode(address.removeprefix("data:image/png;base64,"), validate=True)


# --------------------------------------------------------------------------------------- few data


def test_an_agent_that_is_never_filled_gets_dashes_where_there_is_no_figure(tmp_path: Path) -> None:
    sessions = sessions_of("fixed_spread", episodes=3, regime="noise", taker_rate=0.0, session_steps=30)
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
    assert [float(figure.attributes["value"]) for figure in pnl.all("data")] == [sessions.final_pnl[0]]
    assert pnl.all("small") == []
    assert len(page.all("img")) == 4


def _page_of_one(folder: Path, sessions: Sessions) -> Element:
    entry = Entry("fixed_spread, noise", "fixed_spread", sessions)
    write_report(folder, "one", [entry], rows=[summarise("fixed_spread", sessions)])
    return read(folder / "report.html")


def test_a_report_of_nothing_but_claims_has_no_tables_and_no_pictures(tmp_path: Path) -> None:
    finding = Finding("alone", "?", [Claim("so", Estimate(1.0, 0.5, 1.5), "", "above 0", True, "data")], {}, {})
    finding.effect = False
    files = write_report(tmp_path, "claims", [], [finding])
    assert [path.name for path in files] == ["report.html"]
    page = read(files[0])
    assert (len(page.all("table")), len(page.all("img"))) == (0, 0)
    assert "alone (twin)" in page.text


def test_a_picture_that_cannot_be_written_takes_the_rest_of_the_report_with_it(tmp_path: Path) -> None:
    config = configure("noise", session_steps=5)
    policy = map_policy(make_agent("fixed_spread", config), config)
    (tmp_path / "quotes_2.png").mkdir()
    with pytest.raises(IsADirectoryError):
        write_report(tmp_path, "half", [], policies={"one": policy, "another": policy})
    assert [path.name for path in tmp_path.iterdir()] == ["quotes_2.png"]


# --------------------------------------------------------------------------------- what pictures show


def test_the_toxicity_curves_are_drawn_through_the_sessions_means(report: Report) -> None:
    entries = [Entry("", "skew", sessions_of("inventory_skew", p_informed=p)) for p in (1.0, 0.0, 0.5)]
    (drawing,) = toxicity(entries)
    assert drawing.name == "toxicity"
    in_order = [entries[index].sessions for index in (1, 2, 0)]
    for panel, reference in zip(drawing.panels, _toxicity_by_hand(in_order), strict=True):
        axes = Figure().add_subplot()
        panel.draw(axes)
        curves_drawn = [line.get_xydata() for line in axes.lines if len(line.get_xdata()) == 3]
        assert len(curves_drawn) == len(reference)
        for drawn, expected in zip(curves_drawn, reference, strict=True):
            np.testing.assert_allclose(drawn, np.column_stack([(0.0, 0.5, 1.0), expected]), atol=1e-12)


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
            markouts[name].append([taken[i] * (sessions.fills["price"][i] - later[i, column]) for i in kept])
    pnl = [float(np.mean(sessions.final_pnl)) for sessions in sweep]
    fills = [len(sessions.fills) / len(sessions.final_pnl) for sessions in sweep]
    return [
        [pnl],
        [fills],
        [[-a / b for a, b in zip(pnl, fills, strict=True)]],
        [[sum(of) / len(of) for of in markouts[name]] for name in ("mid", "value")],
        [[sum(of) / len(of) for of in moves[name]] for name in ("mid", "value")],
        [[sum((m > 0) + 0.5 * (m == 0) for m in of) / len(of) for of in moves[name]] for name in ("mid", "value")],
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
        return Entry("", "fixed_spread", sessions_of("fixed_spread", episodes=1, session_steps=2, **fields))

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


def test_markets_are_named_by_what_sets_them_apart() -> None:
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
    # What all have in common sets none apart.
    assert market_names([configure("noise", latency=1.0), configure("imbalanced", latency=1.0)]) == [
        "noise",
        "imbalanced",
    ]


def test_representatives_show_each_regime_and_the_end_of_a_sweep_before_its_middle() -> None:
    markets = [configure("noise"), *(configure("informed", p_informed=p) for p in (0.0, 0.2, 0.5, 0.8, 1.0))]
    markets += [configure("noise", latency=latency) for latency in (0.1, 2.0)]
    sessions = [sessions_of("fixed_spread", episodes=1, **_fields(config)) for config in markets]
    entries = [Entry("", "fixed_spread", result) for result in sessions]
    for limit, chosen in {2: [0, 5], 4: [0, 3, 5, 7], 8: range(8), 20: range(8)}.items():
        assert representatives(entries, limit) == [entries[index] for index in chosen]


def _fields(config: Any) -> dict[str, Any]:
    return {name: getattr(config, name) for name in ("regime", "p_informed", "latency")} | {"session_steps": 2}


# ------------------------------------------------------------------------------- manners in the process


def test_drawing_neither_follows_nor_changes_matplotlibs_settings() -> None:
    entry = Entry("fixed_spread", "fixed_spread", sessions_of("fixed_spread", episodes=2, session_steps=10))
    (drawing,) = inventories([entry])
    plain = render(drawing)
    with matplotlib.rc_context({"axes.facecolor": "red", "font.size": 30.0}):
        own = dict(matplotlib.rcParams)
        assert render(drawing) == plain
        assert dict(matplotlib.rcParams) == own


def test_matplotlib_is_loaded_only_when_something_is_drawn() -> None:
    code = "import sys, mm_gym.evaluation.report; print({'matplotlib', 'PIL'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "set()"
