"""Take the picture of `docs/how-to/train-on-your-own-flow.md`: a training in TensorBoard.

python train.py --task informed-40 --out runs/p40
python docs/pictures/training.py runs/p40
"""

import sys
from pathlib import Path

import tyro
from tensorboard.program import TensorBoard

PICTURES = Path(__file__).resolve().parent
sys.path.insert(0, str(PICTURES.parents[1]))  # the repository

from benchmarks.chromium import chromium  # noqa: E402

NAME = "training.png"
WIDTH, HEIGHT = 1370, 1850  # [px]


def main(run: tyro.conf.Positional[Path], out: Path = PICTURES) -> None:
    """Write the picture.

    Args:
        run: Run folder of train.py.
        out: Folder of the picture.
    """
    board = TensorBoard()
    board.configure(argv=["tensorboard", "--logdir", str(run), "--port", "0"])
    address = board.launch()
    with chromium() as browser:
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(f"{address}#images")
        page.get_by_text("Show actual image size").click()
        page.wait_for_timeout(5_000)  # [ms] until the pictures are loaded
        page.screenshot(path=out / NAME)


if __name__ == "__main__":
    tyro.cli(main)
