"""Links between pages lead to pages, headings and files that exist."""

from pathlib import Path

import pytest

from tests.docs.pages import DOCS, PAGES, anchors, links


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_relative_links_lead_to_existing_files_and_headings(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = page if not path else page.parent / path
        assert target.exists(), f"{page}: {link} does not exist"
        if anchor and target.suffix == ".md" and "_generated" not in target.read_text("utf-8"):
            assert anchor in anchors(target), f"{page}: {link} names no heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_lines_of_prose_have_at_most_100_columns(page: Path) -> None:
    inside = False
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        inside ^= line.startswith("```")
        if inside or line.startswith("|") or "](http" in line:
            continue
        assert len(line) <= 100, f"{page}:{number} has {len(line)} columns"
