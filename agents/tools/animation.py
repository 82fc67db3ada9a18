"""Draw an animation of one session, as a GIF or a video: a picture at every decision.

python -m agents.tools.animation --agent trained/mixed --regime informed --out session.gif
python -m agents.tools.animation --decisions 1000 --seconds 60 --out session.mp4

By default, the session is as long as the price chart, which therefore fills from left to right.
"""

from collections.abc import Callable, Iterable, Iterator
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
from mm_gym.rendering.picture import HEIGHT, WIDTH, WINDOW
from mm_gym.rendering.renderer import Renderer

from ..invocation import run_module
from ..registry import Agent, name_agent

_COLOURS = 256
_HOLD = 2.0  # [s] that the last picture stays
_SHORTEST, _LONGEST = 0.02, 60.0  # [s] that a picture stays in browsers


@dataclass(frozen=True)
class Arguments:
    """Draw an animation of one session, as a GIF or a video."""

    agent: str = "trained/mixed"
    """Rule, rule:parameter=value, rule:tuned, run folder or trained/NAME."""
    regime: str = "informed"
    """Name of the order flow."""
    p_informed: float | None = None
    """Share of informed takers. Default: that of the regime."""
    seed: int = 0
    """Seed of the session."""
    decisions: int = WINDOW
    """Length of the session."""
    seconds: float = 10.0
    """Length of the animation."""
    show_truth: bool = True
    """Whether to show the efficient price, and which takers were informed."""
    out: Path = Path("session.gif")
    """File to write: a name that ends in .gif, or in .mp4, which needs the extra `video`."""


def main(arguments: Arguments) -> Path:
    """Draw the animation and return the file."""
    write = _WRITERS.get(arguments.out.suffix)
    if write is None:
        raise ConfigurationError(
            f"{arguments.out} cannot be written: expected a name that ends in "
            f"{' or '.join(_WRITERS)}, got {arguments.out.suffix!r}"
        )
    share = {} if arguments.p_informed is None else {"p_informed": arguments.p_informed}
    config = configure(arguments.regime, session_steps=arguments.decisions, **share)
    pause = (arguments.seconds - _HOLD) / arguments.decisions
    if not _SHORTEST <= pause <= _LONGEST:
        least, most = (arguments.decisions * time + _HOLD for time in (_SHORTEST, _LONGEST))
        raise ConfigurationError(
            f"seconds={arguments.seconds:g} is out of range for {arguments.decisions} decisions: "
            f"expected {least:g} to {most:g}, got {arguments.seconds:g}"
        )
    make_agent = name_agent(arguments.agent)
    write(
        arguments.out,
        session_pictures(make_agent, config, arguments.seed, arguments.show_truth),
        pause,
    )
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
        renderer.update(markets, fps=1.0)
        yield renderer.pictures(markets)[0]


def write_gif(path: Path, pictures: Iterable[npt.NDArray[np.uint8]], pause: float) -> None:
    """Write pictures as a GIF that starts again at its end.

    Args:
        path: of the file.
        pictures: images of one shape (height, width, 3).
        pause: [s] from one picture to the next.
    """
    kept = list(pictures)
    # With one palette and no dither, pixels that stay the same cost nothing.
    sample = Image.fromarray(np.concatenate(kept[:: max(len(kept) // 6, 1)]))
    palette = sample.quantize(_COLOURS, Image.Quantize.MEDIANCUT)
    first, *others = (
        Image.fromarray(picture).quantize(palette=palette, dither=Image.Dither.NONE)
        for picture in kept
    )
    durations = [round(1000 * pause)] * len(others) + [round(1000 * _HOLD)]
    first.save(path, save_all=True, append_images=others, duration=durations, loop=0)


def write_video(path: Path, pictures: Iterable[npt.NDArray[np.uint8]], pause: float) -> None:
    """Write pictures as an MP4 video. They are not kept in memory.

    Args:
        path: of the file.
        pictures: images of shape (540, 960, 3).
        pause: [s] from one picture to the next.

    Raises:
        ConfigurationError: the package for videos is not installed.
    """
    try:
        from imageio_ffmpeg import write_frames
    except ImportError as error:
        raise ConfigurationError(
            "imageio-ffmpeg is not installed: expected the packages of the extra `video` "
            '(write `pip install "mm-gym[video]"`)'
        ) from error

    size = (WIDTH, HEIGHT)
    frames = write_frames(str(path), size, fps=1.0 / pause, macro_block_size=2)
    frames.send(None)
    for picture in pictures:
        frames.send(picture)
    for _ in range(round(_HOLD / pause) - 1):
        frames.send(picture)
    frames.close()


_WRITERS = {".gif": write_gif, ".mp4": write_video}


if __name__ == "__main__":
    run_module("tools.animation", main, Arguments)
