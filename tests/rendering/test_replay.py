import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mm_gym import palette
from mm_gym.rendering.recording import Recording
from mm_gym.rendering.replay import replay_html, write_replay
from tests.rendering.recordings import by_hand, recorded

MOST_BYTES = 5_000_000


class Page(HTMLParser):
    """The tags of a page with their attributes, and the text of each script element."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._in_script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in_script = tag == "script"

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts.append(data)
            self._in_script = False


def content(page: str) -> Any:
    return json.loads(Page(page).scripts[0])


def decode(column: dict[str, Any]) -> Any:
    kind = {"u8": "<u1", "u16": "<u2", "u32": "<u4", "f32": "<f4", "f64": "<f8"}[column["type"]]
    numbers = np.frombuffer(base64.b64decode(column["data"]), kind).astype(float)
    return column["base"] + column["step"] * numbers


def test_a_page_needs_no_other_file() -> None:
    page = replay_html(recorded())
    for tag, attributes in Page(page).tags:
        for name in ("src", "href", "action", "srcset", "poster"):
            assert (attributes.get(name) or "data:,").startswith("data:"), (tag, attributes)
    assert not re.search(r"url\(|@import|\bfetch\(|XMLHttpRequest|WebSocket|sendBeacon", page)
    assert "default-src 'none'" in page
    assert "MIT License" in page  # of uPlot, whose code the page contains
    assert "uPlot" in page


def test_two_makers_of_1000_decisions_are_below_five_megabytes(tmp_path: Path) -> None:
    path = write_replay(tmp_path / "replay.html", recorded(steps=1000)[:2], "Two makers")
    assert path.stat().st_size < MOST_BYTES / 5
    assert "<title>Two makers</title>" in path.read_text()


def test_the_numbers_of_a_page_are_those_of_its_recordings() -> None:
    recordings = [*recorded(), by_hand()]
    makers = content(replay_html(recordings))["makers"]
    assert [maker["label"] for maker in makers] == [each.label for each in recordings]
    for maker, recording in zip(makers, recordings, strict=True):
        for table in ("decisions", "fills", "path", "trades"):
            for name, column in maker[table].items():
                if name.startswith("markout"):
                    continue
                rows = getattr(recording, table)[name].astype(float)
                np.testing.assert_allclose(
                    decode(column), rows.ravel(), rtol=0, atol=1e-4, err_msg=name
                )
                if name == "time" or (2 * rows == np.rint(2 * rows)).all():
                    np.testing.assert_array_equal(decode(column), rows.ravel(), err_msg=name)
        for name, markouts in zip(("mid", "value"), recording.markouts(), strict=True):
            np.testing.assert_allclose(
                decode(maker["fills"][f"markout_{name}"]), markouts.ravel(), rtol=0, atol=1e-4
            )


def test_text_of_users_is_never_markup() -> None:
    hostile = '</script><script>alert(1)</script><img src=x onerror="alert(2)">$title & co'
    page = replay_html([by_hand(label=hostile)], title=hostile)
    assert content(page)["makers"][0]["label"] == hostile
    tags = [tag for tag, _ in Page(page).tags]
    plain = [tag for tag, _ in Page(replay_html([by_hand()])).tags]
    assert tags == plain


def test_colours_are_those_of_the_palette() -> None:
    page = replay_html([by_hand()])
    for name in ("BID", "ASK", "NOISE", "INFORMED", "SPREAD", "INVENTORY", "FEES", "TOTAL"):
        for colour in getattr(palette, name):
            assert f"--{name.lower()}:{colour};" in page
    files = Path(__file__).parents[2] / "mm_gym" / "rendering" / "page"
    for file in [*files.glob("*.css"), *files.glob("*.js"), *files.glob("*.html")]:
        assert not re.search(r"#[0-9a-fA-F]{3,8}\b(?!\")", file.read_text()), file.name


@pytest.mark.parametrize("recordings", [[], [by_hand()] * 5])
def test_a_page_has_one_to_four_recordings(recordings: list[Recording]) -> None:
    with pytest.raises(ValueError, match=f"expected 1 to 4, got {len(recordings)}"):
        replay_html(recordings)
