"""Size, load time and frames per second of a session replay of two makers, in headless Chromium.

python -m benchmarks.replay

Headless Chromium draws on the processor, so other programs on the machine lower the figures. A
browser with a graphics card is faster.
"""

import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console

import mm_gym
from agents import make_agent
from benchmarks.chromium import chromium
from benchmarks.turns import result_table
from mm_gym.evaluation.replays import record_sessions
from mm_gym.rendering.replay import write_replay

AGENTS = ("fixed_spread", "inventory_skew")
WIDTHS = (1920, 390)  # [px]
HEIGHT = 1080
# Play for some seconds. Then go through decisions one by one, without waiting for the screen.
PLAY = """async ([window, seconds]) => {
  document.getElementById("window").value = window;
  document.getElementById("speed").value = 60;
  seek(0);
  play(true);
  const start = performance.now();
  let frames = 0, time = start;
  while (time < start + 1000 * seconds) {
    time = await new Promise(requestAnimationFrame);
    frames += 1;
  }
  play(false);
  const decisions = now, length = 100, before = performance.now();
  for (let row = 400; row < 400 + length; row++) {
    seek(row);
    await null;
  }
  return [
    1000 * frames / (time - start), 1000 * decisions / (time - start),
    (performance.now() - before) / length,
  ];
}"""
LOADED = "performance.getEntriesByType('navigation')[0].loadEventEnd"


def measure(page: Any, window: int, seconds: float) -> list[float]:
    """Frames and decisions per second of play, and milliseconds of script per decision.

    Args:
        page: an open replay.
        window: decisions in the charts, 0 for all.
        seconds: to play.
    """
    return [float(number) for number in page.evaluate(PLAY, [window, seconds])]


def main(seconds: float = 4.0) -> None:
    """Measure, and print a table.

    Args:
        seconds: to play each page.
    """
    agents = {name: partial(make_agent, name) for name in AGENTS}
    recordings = record_sessions(agents, mm_gym.configure("informed", session_steps=1200), seed=3)
    title = "Replay of 2 makers, 1,200 decisions, 12,000 book events"
    table = result_table(title, "measurement", "result", "target")
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        path = write_replay(Path(folder) / "replay.html", recordings)
        table.add_row("size of the file", f"{path.stat().st_size / 1e6:.2f} MB", "5 MB")
        for width in WIDTHS:
            page = browser.new_page(viewport={"width": width, "height": HEIGHT})
            page.goto(path.as_uri())
            table.add_row(f"load time, {width} px", f"{page.evaluate(LOADED):,.0f} ms", "1,000 ms")
            for window, name in ((200, "200 decisions"), (0, "whole session")):
                frames, decisions, busy = measure(page, window, seconds)
                table.add_row(f"frames/s of play, {width} px, {name}", f"{frames:.0f}", "30")
                table.add_row("  decisions/s, of 60", f"{decisions:.0f}", "60")
                table.add_row("  script per decision", f"{busy:.1f} ms", "")
            page.close()
    load, cores = os.getloadavg()[0], os.cpu_count()
    table.add_row("load of the machine (running programs)", f"{load:.1f} on {cores} cores", "")
    Console(width=80).print(table)


if __name__ == "__main__":
    try:
        tyro.cli(main)
    except (FileNotFoundError, ImportError) as error:
        print(f"benchmarks.replay: {error}; nothing is measured", file=sys.stderr)
