"""Take the pictures of `docs/how-to/read-the-report.md`: a report on a screen and on a phone.

python docs/pictures/report.py
"""

import sys
import tempfile
from pathlib import Path

import tyro

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


def main(sessions: int = 64, out: Path = PICTURES) -> None:
    """Write the pictures.

    Args:
        sessions: Sessions of each agent.
        out: Folder of the pictures.
    """
    results = run_grid(name_agent, AGENTS, plan_markets(REGIMES), episodes=sessions)
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        path, *_ = write_report(Path(folder), "report", results.entries, rows=results.rows)
        for name, width, height, theme, title in SCREENS:
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=theme)
            page.goto(path.as_uri())
            page.locator(f'figure:has(img[alt^="{title}"])').evaluate("e => e.scrollIntoView()")
            page.screenshot(path=out / name)
            page.close()


if __name__ == "__main__":
    tyro.cli(main)
