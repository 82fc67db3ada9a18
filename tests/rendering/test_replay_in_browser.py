"""The replay in headless Chromium: what it shows is compared with the recordings."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.chromium import CHROMIUM, chromium
from mm_gym.core.layout import ASK, BID, INFORMED_TAKERS, TakerKind
from mm_gym.rendering.recording import Recording
from mm_gym.rendering.replay import write_replay
from tests.rendering.recordings import by_hand, recorded

pytest.importorskip("playwright", reason="needs Playwright")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
STEPS = 150


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


class Shown:
    """An open replay. Any script error or request other than for the page fails the test."""

    def __init__(
        self, browser: Any, path: Path, recordings: list[Recording], **options: Any
    ) -> None:
        write_replay(path, recordings)
        self.recordings = recordings
        self.errors: list[str] = []
        size = {"width": 1400, "height": 1000}
        self.page = browser.new_page(**{"viewport": size} | options)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda message: self.errors.append(message.text))
        self.page.on("request", self._request)
        self.page.goto(path.as_uri())

    def _request(self, request: Any) -> None:
        if request.url.split(":")[0] not in ("file", "data") or self.page.url.startswith("file"):
            self.errors.append(request.url)

    def text(self, part: str, maker: int = 0) -> str:
        return str(self.page.locator(f'.panel >> nth={maker} >> [data-part="{part}"]').inner_text())

    def number(self, part: str, maker: int = 0) -> float:
        return number(self.text(part, maker))

    def decision(self) -> int:
        return int(self.page.locator("#decision").inner_text().split(" / ")[0])

    def ladder(self, maker: int = 0) -> dict[int, list[str]]:
        """The cells of each price: own bid, bid lots, traded, ask lots, own ask."""
        rows = self.page.locator(f".panel >> nth={maker} >> .ladder tbody tr").evaluate_all(
            "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
        )
        return {int(number(cells[2])): cells[:2] + cells[3:] for cells in rows}

    def story(self, maker: int = 0) -> dict[str, str]:
        panel = self.page.locator(f".panel >> nth={maker}")
        facts = panel.locator(".story dd").evaluate_all(
            "facts => facts.map(fact => [fact.dataset.fact, fact.textContent])"
        )
        return {**dict(facts), "title": panel.locator(".story h4").inner_text()}

    def markouts(self, against: str, maker: int = 0) -> list[str]:
        cells = f'.panel >> nth={maker} >> .story tr[data-against="{against}"] td'
        return list(self.page.locator(cells).all_inner_texts())


@pytest.fixture
def shown(browser: Any, tmp_path: Path) -> Iterator[Shown]:
    replay = Shown(browser, tmp_path / "replay.html", list(recorded(steps=STEPS)[:2]))
    yield replay
    replay.page.close()
    assert replay.errors == []


def number(text: str) -> float:
    return float(text.replace(",", "").replace("−", "-").split()[0])


def check_state(shown: Shown, row: int) -> None:
    """Compare everything that belongs to a decision with the recordings."""
    assert shown.decision() == row
    for maker, recording in enumerate(shown.recordings):
        decision = recording.decisions[row]
        time = decision["time"]
        fills = recording.fills[recording.fills["time"] <= time]
        path = recording.path[np.searchsorted(recording.path["time"], time, side="right") - 1]
        for part, value, digits in (
            ("kpi-pnl", decision["pnl"], 1),
            ("kpi-objective", decision["objective"], 1),
            ("kpi-inventory", decision["inventory"], 0),
            ("kpi-fills", len(fills), 0),
            ("kpi-informed", np.isin(fills["taker"], INFORMED_TAKERS).sum(), 0),
            ("mid", decision["mid"], 1),
            ("held", path["inventory"], 0),
            ("total", decision["pnl"], 1),
            ("spread-pnl", decision["spread_pnl"], 1),
            ("inventory-pnl", decision["inventory_pnl"], 1),
            ("costs", -decision["fees"] - decision["close_out"], 1),
        ):
            expected = pytest.approx(float(value), abs=0.5001 * 10.0**-digits)
            assert shown.number(part, maker) == expected, part
        check_ladder(shown.ladder(maker), recording, row)


def check_ladder(ladder: dict[int, list[str]], recording: Recording, row: int) -> None:
    decision = recording.decisions[row]
    assert min(ladder) < decision["mid"] < max(ladder)
    for side, own_cell, lots_cell in ((BID, 0, 1), (ASK, 4, 3)):
        levels = dict(zip(decision["level_price"][side], decision["level_lots"][side], strict=True))
        for price, cells in ladder.items():
            lots = levels.get(price, 0)
            assert cells[lots_cell] == (str(lots) if lots else "")
            is_own = decision["quote_lots"][side] > 0 and decision["quote_price"][side] == price
            own = f"{decision['quote_lots'][side]} ({decision['quote_lots_ahead'][side]})"
            assert cells[own_cell] == (own if is_own else "")
    times = recording.trades["time"]
    since = recording.decisions["time"][row - 1] if row else np.inf
    trades = recording.trades[(times > since) & (times <= decision["time"])]
    for price, cells in ladder.items():
        lots = trades["lots"][trades["price"] == price].sum()
        assert cells[2].lstrip("▲▼") == (str(lots) if lots else "")


def test_slider_keys_and_buttons_go_to_decisions_and_show_their_numbers(shown: Shown) -> None:
    check_state(shown, 0)
    shown.page.locator("#time").fill("87")
    check_state(shown, 87)
    row = 87
    for key, to in (
        ("ArrowRight", 88),
        ("ArrowLeft", 87),
        ("Shift+ArrowRight", 97),
        ("PageDown", 107),
        ("PageUp", 97),
        ("Shift+ArrowLeft", 87),
        ("End", STEPS),
        ("ArrowRight", STEPS),
        ("Home", 0),
    ):
        shown.page.keyboard.press(key)
        row = to
        assert shown.decision() == row, key
        assert shown.page.locator("#time").input_value() == str(row)
    shown.page.keyboard.press("End")
    check_state(shown, STEPS)
    shown.page.locator("#back").click()
    check_state(shown, STEPS - 1)
    assert shown.page.locator("#clock").inner_text() == f"{STEPS - 1}.0 s"


def test_hovering_over_a_fill_tells_its_story(shown: Shown) -> None:
    for maker, recording in enumerate(shown.recordings):
        mid, value = recording.markouts()
        for index in (1, len(recording.fills) - 1):
            shown.page.evaluate(f"seek({int(recording.fills['time'][index])})")
            shown.page.mouse.move(5, 5)
            left, top = shown.page.evaluate(
                f"""() => {{ const panel = panels[{maker}], [x, y] = panel.position({index});
                const box = panel.charts.price.over.getBoundingClientRect();
                return [box.left + x, box.top + y]; }}"""
            )
            shown.page.mouse.move(left + 1, top + 1)
            story, fill = shown.story(maker), recording.fills[index]
            verb = "Bought" if fill["side"] == BID else "Sold"
            assert f"{verb} {fill['lots']} at {fill['price']:,.0f}" in story["title"]
            assert number(story["waited"]) == pytest.approx(fill["waited"], abs=0.051)
            assert int(story["ahead"]) == fill["lots_ahead_at_arrival"]
            kind = TakerKind(fill["taker"]).name.lower().replace("_", " ")
            assert story["taker"].startswith(f"{kind} taker")
            signal = story["signal"].split(",")[0]
            assert number(signal) == pytest.approx(fill["signal"], abs=0.0051)
            assert number(story["inventory"]) == fill["inventory"]
            assert number(story["value"]) == pytest.approx(fill["efficient_price"], abs=0.0051)
            for against, rows in (("mid", mid), ("value", value)):
                for text, markout in zip(shown.markouts(against, maker), rows[index], strict=True):
                    if np.isnan(markout):
                        assert text == "–"
                    else:
                        assert number(text) == pytest.approx(markout, abs=0.051)
            shown.page.mouse.move(5, 5)
            assert shown.page.locator(".story:visible").count() == 0


def test_keys_and_the_list_of_fills_choose_a_fill(shown: Shown) -> None:
    fills = shown.recordings[1].fills
    shown.page.keyboard.press("2")  # the second maker
    for index in range(3):
        shown.page.keyboard.press("n")
        assert f"at {fills['price'][index]:,.0f}" in shown.story(1)["title"]
        assert shown.decision() == int(np.ceil(fills["time"][index]))
    shown.page.keyboard.press("p")
    assert shown.decision() == int(np.ceil(fills["time"][1]))
    assert shown.page.locator(".ring:visible").count() == 1
    shown.page.keyboard.press("Escape")
    assert shown.page.locator(".story:visible").count() == 0
    shown.page.keyboard.press("End")
    rows = shown.page.locator(".panel >> nth=1 >> .blotter tbody tr")
    latest = fills[::-1][:10]
    assert rows.count() == len(latest)
    for row, fill in zip(rows.all(), latest, strict=True):
        cells = row.locator("td").all_inner_texts()
        assert number(cells[0]) == pytest.approx(fill["time"], abs=0.051)
        assert cells[1].endswith(f"{fill['lots']} at {fill['price']:,.0f}")
        assert cells[2] == TakerKind(fill["taker"]).name.lower().replace("_", " ")
    rows.nth(4).locator("button").click()
    assert f"at {latest[4]['price']:,.0f}" in shown.story(1)["title"]


def wait_until(shown: Shown, condition: str) -> None:
    """Wait in the page. Playwright's own wait is forbidden by the page's security policy."""
    shown.page.evaluate(
        f"""new Promise((done) => {{
        const look = () => (({condition}) ? done() : requestAnimationFrame(look));
        look(); }})"""
    )


def test_play_runs_to_the_end_and_stops(shown: Shown) -> None:
    shown.page.locator("#speed").select_option("200")
    shown.page.locator("#play").click()
    wait_until(shown, f"now === {STEPS} && !playing")
    check_state(shown, STEPS)
    shown.page.keyboard.press("Space")  # again from the start
    wait_until(shown, f"now < {STEPS} && playing")
    shown.page.keyboard.press("Space")
    assert not shown.page.evaluate("playing")


def test_the_efficient_price_is_shown_on_request(shown: Shown) -> None:
    assert not shown.page.locator('[data-part="value"] >> nth=0').is_visible()
    assert not shown.page.evaluate("panels[0].charts.price.series[2].show")
    shown.page.locator("#time").fill("60")
    shown.page.locator("#truth").check()
    for maker, recording in enumerate(shown.recordings):
        value = recording.decisions["efficient_price"][60]
        assert shown.number("value", maker) == pytest.approx(value, abs=0.0051)
        assert shown.page.evaluate(f"panels[{maker}].charts.price.series[2].show")
    shown.page.keyboard.press("e")
    assert not shown.page.evaluate("panels[0].charts.price.series[2].show")


def test_charts_have_the_quotes_fills_and_pnl_of_the_recording(shown: Shown) -> None:
    for maker, recording in enumerate(shown.recordings):
        time, mid, _, bid, ask, *fills = (
            np.array(column, float)
            for column in shown.page.evaluate(f"panels[{maker}].charts.price.data.map(a => [...a])")
        )
        kinds = np.isin(recording.fills["taker"], INFORMED_TAKERS).astype(int)
        drawn = [
            (t, price, series // 3, series % 3)
            for series, column in enumerate(fills)
            for t, price in zip(time, column, strict=True)
            if not np.isnan(price)
        ]
        assert sorted(drawn) == sorted(
            zip(
                recording.fills["time"],
                recording.fills["price"],
                recording.fills["side"],
                kinds,
                strict=True,
            )
        )
        path = recording.path
        at = np.searchsorted(path["time"], time, side="right") - 1
        assert (mid == path["mid"][at]).mean() > 0.9  # rows of one time show the steps between
        for side, line in ((BID, bid), (ASK, ask)):
            for row, decision in enumerate(recording.decisions):
                if decision["quote_lots"][side] and row:
                    inside = (time > row - 1) & (time < row)
                    assert (line[inside] == decision["quote_price"][side]).all()
        pnl = np.array(shown.page.evaluate(f"panels[{maker}].charts.pnl.data.map(a => [...a])"))
        np.testing.assert_allclose(pnl[4], recording.decisions["pnl"], atol=1e-4)
        np.testing.assert_allclose(pnl[1:4].sum(axis=0), pnl[4], atol=1e-3)


def test_light_and_dark(browser: Any, tmp_path: Path) -> None:
    shown = Shown(browser, tmp_path / "replay.html", [by_hand()], color_scheme="dark")
    colour = "getComputedStyle(document.body).backgroundColor"
    assert shown.page.evaluate(colour) == "rgb(17, 21, 28)"
    shown.page.locator("#theme").click()
    assert shown.page.evaluate(colour) == "rgb(255, 255, 255)"
    assert shown.page.evaluate("colours.text") == "#1F2328"
    shown.page.close()
    assert shown.errors == []


def test_a_phone_shows_one_maker_at_a_time_without_scrolling_sideways(
    browser: Any, tmp_path: Path
) -> None:
    shown = Shown(
        browser,
        tmp_path / "replay.html",
        list(recorded(steps=STEPS)),
        viewport={"width": 390, "height": 844},
        has_touch=True,
    )
    assert shown.page.evaluate("document.documentElement.scrollWidth") == 390
    assert shown.page.locator(".panel:visible").count() == 1
    shown.page.locator("#tabs button").nth(2).tap()
    assert shown.page.locator(".panel:visible").get_attribute("aria-label") == (
        "oracle (shown the signal)"
    )
    shown.page.locator("#time").fill("100")
    decision = shown.recordings[2].decisions[100]
    assert shown.number("kpi-pnl", 2) == pytest.approx(decision["pnl"], abs=0.051)
    fill = int(np.searchsorted(shown.recordings[2].fills["time"], 100.0)) - 1
    x, y = shown.page.evaluate(
        f"""() => {{ const [x, y] = panels[2].position({fill});
        const box = panels[2].charts.price.over.getBoundingClientRect();
        return [box.left + x, box.top + y]; }}"""
    )
    shown.page.touchscreen.tap(x, y)
    price = shown.recordings[2].fills["price"][fill]
    assert f"at {price:,.0f}" in shown.story(2)["title"]
    assert shown.page.evaluate("document.documentElement.scrollWidth") == 390
    shown.page.close()
    assert shown.errors == []


def test_data_without_hidden_state_and_hostile_names(browser: Any, tmp_path: Path) -> None:
    name = "</script><img src=x onerror=\"document.title='broken'\">"
    shown = Shown(browser, tmp_path / "replay.html", [by_hand(label=name)])
    assert shown.text("title") == name
    assert shown.page.title() == "Session replay"
    assert not shown.page.locator("#truth").is_visible()
    assert not shown.page.locator('[data-part="kpi-informed"]').is_visible()
    shown.page.keyboard.press("n")
    story = shown.story()
    assert story["taker"] == "unknown taker, sold"
    assert story["signal"] == story["value"] == "–"
    assert shown.markouts("mid") == ["+3.0", "+2.0", "–", "–", "–"]
    assert shown.markouts("value") == ["–"] * 5
    assert shown.ladder()[99] == ["2 (5)", "9", "▼2", "", ""]
    shown.page.close()
    assert shown.errors == []
