"""Take the pictures of `docs/how-to/read-the-report.md`: a report on a screen and on a phone.

python docs/pictures/report.py
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

PICTURES = Path(__file__).resolve().parent
sys.path.insert(0, str(PICTURES.parents[1]))  # the repository, which has `agents`

from agents import name_agent  # noqa: E402
from benchmarks.chromium import chromium  # noqa: E402
from mm_gym.evaluation.plans import plan_markets, run_grid  # noqa: E402
from mm_gym.reporting.report import write_report  # noqa: E402

AGENTS = ("fixed_spread", "inventory_skew", "trained/mixed")
REGIMES = ("noise", "informed")
# Name of the picture, width and height of the screen [px], theme, and the figure at its top.
SCREENS = (
    ("report.png", 1024, 980, "light", "Markout of fills"),
    ("report-phone.png", 390, 844, "dark", "Mean of each part"),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the pictures beside this file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--sessions", type=int, default=64, help="sessions of each agent (default: 64)"
    )
    parser.add_argument(
        "--out", type=Path, default=PICTURES, help="folder of the pictures (default: this one)"
    )
    given = parser.parse_args(arguments)
    results = run_grid(name_agent, AGENTS, plan_markets(REGIMES), episodes=given.sessions)
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        path, *_ = write_report(Path(folder), "report", results.entries, rows=results.rows)
        for name, width, height, theme, title in SCREENS:
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=theme)
            page.goto(path.as_uri())
            page.locator(f'figure:has(img[alt^="{title}"])').evaluate("e => e.scrollIntoView()")
            page.screenshot(path=given.out / name)
            page.close()


if __name__ == "__main__":
    main()
