"""Pictures of a maker in training: its quotes, its markout curves, and one session."""

import io

import matplotlib  # noqa: F401  (without it, the error comes before the training)
import numpy as np
import numpy.typing as npt
from PIL import Image

from mm_gym.env import MarketMakingEnv
from mm_gym.evaluation.plans import Entry
from mm_gym.evaluation.policy_map import map_policy
from mm_gym.evaluation.rollout import Predicts
from mm_gym.evaluation.sessions import Sessions
from mm_gym.rendering.picture import WIDTH
from mm_gym.reporting.pictures import Drawing, markout_by_regime, quotes, render_wide

Picture = npt.NDArray[np.uint8]
"""RGB, shape (height, width, 3)."""


def pictures_of(agent: Predicts, results: dict[str, Sessions]) -> dict[str, Picture]:
    """Draw an agent that trades in one market. The drawings are those of the report.

    Args:
        agent: to draw.
        results: what the agent did, by its name, and then what others did on the same sessions.
            The markout curves show all of them.

    Returns:
        The pictures by name: `quotes`, `markout` and `session`, which is always the first of the
        sessions.
    """
    name, sessions = next(iter(results.items()))
    policy_map = next(quotes({name: map_policy(agent, sessions.config)}))
    markout = next(markout_by_regime([Entry(name, name, of) for name, of in results.items()]))
    return {
        "quotes": _rendered(policy_map),
        "markout": _rendered(markout),
        "session": _session(agent, sessions),
    }


def _rendered(drawing: Drawing) -> Picture:
    """The drawing, as wide as the picture of a session."""
    image = Image.open(io.BytesIO(render_wide(drawing))).convert("RGB")
    return np.asarray(image.resize((WIDTH, round(WIDTH * image.height / image.width))))


def _session(agent: Predicts, sessions: Sessions) -> Picture:
    """The first of the sessions, as it looks at its close."""
    environment = MarketMakingEnv(render_mode="rgb_array", **sessions.config.to_dict())
    observation, _ = environment.reset(seed=int(sessions.seeds[0]))
    state, start, ended = None, np.ones(1, dtype=np.bool_), False
    while not ended:
        actions, state = agent.predict(
            observation[None], state=state, episode_start=start, deterministic=True
        )
        observation, _, ended, _, _ = environment.step(actions[0])
        start = np.zeros(1, dtype=np.bool_)
    return np.asarray(environment.render())
