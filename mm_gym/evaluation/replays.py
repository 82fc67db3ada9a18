"""Record one session of several agents on the same prices and the same arrivals of takers."""

from collections.abc import Callable, Mapping

from gymnasium.utils import seeding

from mm_gym.actions import decided_offsets
from mm_gym.config import MarketConfig
from mm_gym.evaluation.rollout import Predicts, decider, session_seeds, shown_name
from mm_gym.markets import Markets
from mm_gym.rendering.recorder import Recorder
from mm_gym.rendering.recording import Recording


def record_sessions(
    agents: Mapping[str, Callable[[MarketConfig], Predicts]],
    config: MarketConfig,
    seed: int = 0,
    steps: int | None = None,
) -> list[Recording]:
    """Record one session of each agent: the first one of `run_sessions` with the same seed.

    Args:
        agents: functions that make an agent, by its name.
        config: the market.
        seed: of the evaluation. The seed of the session is `session_seeds(seed, 1)[0]`.
        steps: number of decisions. Default: the whole session.

    Returns:
        One recording per agent, in order. The label of a privileged agent says so.

    Raises:
        ValueError: if the seed is negative.
    """
    session_seed = int(session_seeds(seed, 1)[0])
    n_steps = config.session_steps if steps is None else steps
    return [
        _record(name, make(config), config, session_seed, n_steps) for name, make in agents.items()
    ]


def _record(name: str, agent: Predicts, config: MarketConfig, seed: int, n_steps: int) -> Recording:
    markets = Markets(config, 1)
    recorder = Recorder(markets, shown_name(name, agent))
    recorder.make_room(config)
    observations, outcomes = markets.start([seeding.np_random(seed)[0]])
    recorder.start(seed)
    act = decider(agent, 1)
    for _ in range(n_steps):
        recorder.prepare()
        observations, outcomes = markets.step(decided_offsets(act(observations, outcomes), 1))
        recorder.note()
    return recorder.recording(config)
