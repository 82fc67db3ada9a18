"""Draw an animation of one session as a GIF: a picture of the market at every decision.

python -m agents.tools.animation --agent trained/mixed --regime informed --out session.gif

The session is as long as the price chart, which therefore fills from left to right.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gymnasium.utils import seeding
from PIL import Image

from mm_gym import MarketConfig, configure
from mm_gym.actions import to_offsets
from mm_gym.errors import ConfigurationError
from mm_gym.evaluation.rollout import decider, session_seeds
from mm_gym.markets import Markets
from mm_gym.rendering.picture import WINDOW
from mm_gym.rendering.renderer import Renderer

from ..invocation import run_module
from ..registry import Agent, name_agent

_COLOURS = 256
_HOLD = 2.0  # [s] that the last picture stays
_SHORTEST, _LONGEST = 0.02, 60.0  # [s] that a picture stays in browsers


@dataclass(frozen=True)
class Arguments:
    """Draw an animation of one session as a GIF."""

    agent: str = "trained/mixed"
    """Rule, rule:parameter=value, rule:tuned, run folder or trained/NAME."""
    regime: str = "informed"
    """Name of the order flow."""
    p_informed: float | None = None
    """Share of informed takers. Default: that of the regime."""
    seed: int = 0
    """Seed of the session."""
    seconds: float = 10.0
    """Length of the animation."""
    show_truth: bool = True
    """Whether to show the efficient price, and which takers were informed."""
    out: Path = Path("docs/pictures/session.gif")
    """File to write."""


def main(arguments: Arguments) -> Path:
    """Draw the animation and return the file."""
    pause = (arguments.seconds - _HOLD) / WINDOW
    if not _SHORTEST <= pause <= _LONGEST:
        least, most = (WINDOW * time + _HOLD for time in (_SHORTEST, _LONGEST))
        raise ConfigurationError(
            f"seconds={arguments.seconds:g} is out of range: "
            f"expected {least:g} to {most:g}, got {arguments.seconds:g}"
        )
    share = {} if arguments.p_informed is None else {"p_informed": arguments.p_informed}
    config = configure(arguments.regime, session_steps=WINDOW, **share)
    pictures = list(
        session_pictures(name_agent(arguments.agent), config, arguments.seed, arguments.show_truth)
    )
    write_gif(arguments.out, pictures, [pause] * WINDOW + [_HOLD])
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1e6:.2f} MB")
    return arguments.out


def session_pictures(
    make_agent: Callable[[MarketConfig], Agent], config: MarketConfig, seed: int, show_truth: bool
) -> Iterator[npt.NDArray[np.uint8]]:
    """Draw the first session of an evaluation, after the reset and after each decision.

    Args:
        make_agent: makes the agent.
        config: the market.
        seed: of the evaluation.
        show_truth: as in `MarketMakingEnv`.

    Yields:
        Images of shape (540, 960, 3).
    """
    markets, renderer = Markets(config, 1), Renderer("rgb_array", 1, show_truth)
    act = decider(make_agent(config), 1)
    session_seed = int(session_seeds(seed, 1)[0])
    observations, outcomes = markets.start([seeding.np_random(session_seed)[0]])
    for step in range(config.session_steps + 1):
        if step:
            actions = act(observations, outcomes)
            observations, outcomes = markets.step(to_offsets("offsets", actions, 1))
        renderer.update(markets.records, fps=1.0)
        yield renderer.pictures(markets.records)[0]


def write_gif(path: Path, pictures: list[npt.NDArray[np.uint8]], seconds: list[float]) -> None:
    """Write pictures as a GIF that starts again at its end.

    Args:
        path: of the file.
        pictures: images of one shape (height, width, 3).
        seconds: how long each of them is shown.
    """
    # With one palette and no dither, pixels that stay the same cost nothing.
    sample = Image.fromarray(np.concatenate(pictures[:: max(len(pictures) // 6, 1)]))
    palette = sample.quantize(_COLOURS, Image.Quantize.MEDIANCUT)
    first, *others = (
        Image.fromarray(picture).quantize(palette=palette, dither=Image.Dither.NONE)
        for picture in pictures
    )
    first.save(
        path,
        save_all=True,
        append_images=others,
        duration=[round(1000 * time) for time in seconds],
        loop=0,
    )


if __name__ == "__main__":
    run_module("tools.animation", main, Arguments)
