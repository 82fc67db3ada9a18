"""Take the picture of `docs/how-to/train-on-your-own-flow.md`: a training in TensorBoard.

python train.py --task informed-40 --out runs/p40
python docs/pictures/training.py runs/p40
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tensorboard.program import TensorBoard

PICTURES = Path(__file__).resolve().parent
sys.path.insert(0, str(PICTURES.parents[1]))  # the repository

from benchmarks.chromium import chromium  # noqa: E402

NAME = "training.png"
WIDTH, HEIGHT = 1370, 1850  # [px]


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the picture beside this file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, help="run folder of train.py")
    parser.add_argument(
        "--out", type=Path, default=PICTURES, help="folder of the picture (default: this one)"
    )
    given = parser.parse_args(arguments)
    board = TensorBoard()
    board.configure(argv=["tensorboard", "--logdir", str(given.run), "--port", "0"])
    address = board.launch()
    with chromium() as browser:
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(f"{address}#images")
        page.get_by_text("Show actual image size").click()
        page.wait_for_timeout(5_000)  # [ms] until the pictures are loaded
        page.screenshot(path=given.out / NAME)


if __name__ == "__main__":
    main()
