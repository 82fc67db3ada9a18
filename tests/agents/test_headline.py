"""The README's picture is drawn from the figures that its command writes."""

from pathlib import Path

import numpy as np
from PIL import Image

from agents.tools import headline
from mm_gym.evaluation.statistics import Estimate


def test_figures_survive_the_file_and_the_picture_is_small(tmp_path: Path) -> None:
    values = np.linspace(300.0, -50.0, len(headline.SHARES))
    curves = {
        line.agent: [Estimate(value, value - 9.25, value + 8.5) for value in values - 10.0 * rank]
        for rank, line in enumerate(headline.lines())
    }
    headline.write(curves, 256, tmp_path / "headline.csv")
    assert headline.read(tmp_path / "headline.csv") == (curves, 256)
    picture = headline.main(headline.Arguments(out=tmp_path, redraw=True))
    assert Image.open(picture).size == (1600, 880)
    assert picture.stat().st_size < 150_000


def test_rules_are_tuned_for_each_share() -> None:
    shares = {headline.market(share).p_informed for share in headline.SHARES}
    assert shares == set(headline.SHARES)
    assert headline.market(0.0).regime == "noise"
