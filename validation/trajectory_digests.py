"""Digests of trajectories: they show whether two versions of the code behave identically.

python -m validation.trajectory_digests            # print them
python -m validation.trajectory_digests --write    # store them, and say which have changed

Each line is the SHA-256 digest of 2,000 steps: observations, actions, rewards, ends and objectives.
There is a line with random quotes for every regime, for every task and for rules of the market that
no regime has. Those are stored in `trajectory_digests.json`, and `tests/trust/test_digests.py`
compares them. There is also a line for each maker in `agents/trained`. These are not stored,
because torch rounds differently on different processors.

The file also holds the sums of the objectives and of the observations of each market, over its
first decisions. They are for machines on which a digest may differ: other mathematical functions
than those of x86-64 Linux change the last digits of a float.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import tyro

import mm_gym
from agents import TRAINED, make_agent
from agents.invocation import run_command
from agents.learned.run_folder import read_run
from mm_gym.regimes import REPLAY
from validation.soak import simulated_data

STORED = Path(__file__).with_suffix(".json")
STEPS = 2_000
N_MARKETS = 4

TOLERANCE = 1e-6
"""Relative difference of sums that another machine may have."""
SUMMED = 100
"""Decisions in the sums. Differences of rounding grow with each trade, which stretches clocks."""

Keywords = dict[str, Any]

RULES: dict[str, Keywords] = {
    "late cancellations and market orders": {
        "regime": "informed",
        "latency_kind": "exponential",
        "latency": 0.5,
        "cancel_latency": 0.2,
        "action": "quotes_and_take",
        "taker_fee": 0.3,
    },
    "latencies to draw from": {
        "regime": "imbalanced",
        "latency_kind": "empirical",
        "latency_samples": (0.1, 0.4, 2.5),
        "cancel_latency_samples": (0.05, 0.3),
    },
    "snipers, large orders and a small position limit": {
        "regime": "informed",
        "sniping": True,
        "volatility": 1.5,
        "quote_size": 3,
        "max_inventory": 5,
        "taker_size": 2.5,
        "maker_size": 2.0,
        "requote_threshold": 0.0,
    },
    "a decoy and no price limit": {
        "regime": "informed",
        "informed_kind": "decoy",
        "informed_price_limit": False,
    },
    "fees in tiers, of the traded value": {
        "regime": "noise",
        "fee_unit": "notional",
        "maker_fee": 2e-5,
        "fee_tier_lots": (5.0, 20.0),
        "fee_tier_fees": (1e-5, -1e-5),
    },
    "utility of wealth": {"regime": "informed", "reward": "cara", "close_out_impact": 0.1},
    "dampened PnL": {"regime": "informed", "reward": "dampened", "session_steps": 200},
    "variance reduction": {"regime": "mixed", "variance_reduction": True, "taker_size": 2.0},
    "variance reduction in clustered flow": {
        "regime": "clustered",
        "variance_reduction": True,
        "p_informed": 0.3,
        "imbalance": 0.3,
    },
}
"""Markets with rules that no regime has."""


@dataclass(frozen=True)
class Arguments:
    """Print the digests of all trajectories, or store those of regimes, tasks and rules."""

    write: bool = False
    """Store the digests, and say which have changed."""


@dataclass(frozen=True)
class Trajectory:
    """What is known of 2,000 steps."""

    digest: str
    objectives: list[float]
    """[ticks x lots] Sum of the objective over the first decisions, by market."""
    observations: list[float]
    """Sum of the observation over all columns and the first decisions, by market."""

    def is_near(self, other: "Trajectory") -> bool:
        """Whether the sums agree up to rounding."""
        return all(
            np.allclose(mine, theirs, rtol=TOLERANCE, atol=TOLERANCE)
            for mine, theirs in (
                (self.objectives, other.objectives),
                (self.observations, other.observations),
            )
        )


def stored_markets() -> dict[str, Keywords]:
    """The keywords of each market whose digest is stored. `regime replay` needs `data` too."""
    return {
        **{f"regime {regime}": {"regime": regime} for regime in (*mm_gym.REGIMES, REPLAY)},
        **{f"task {task}": {"task": task} for task in mm_gym.TASKS},
        **{f"rules {name}": keywords for name, keywords in RULES.items()},
    }


def read_stored() -> dict[str, Trajectory]:
    """The stored trajectories, by the name of the market."""
    stored = json.loads(STORED.read_text()) if STORED.exists() else {}
    return {name: Trajectory(**parts) for name, parts in stored.items()}


def random_quotes(keywords: Keywords, steps: int = STEPS) -> Trajectory:
    """The trajectory of uniform random quotes. The regime `replay` gets data that are simulated."""
    if keywords.get("regime") == REPLAY and "data" not in keywords:
        with tempfile.TemporaryDirectory() as folder:
            data = simulated_data(Path(folder), seconds=300.0)
            return random_quotes({**keywords, "data": data, "session_steps": 100}, steps)
    envs = gymnasium.make_vec("MarketMaking-v0", num_envs=N_MARKETS, **keywords)
    actions = np.random.default_rng(7)
    shape = envs.action_space.shape
    return _trajectory(envs, lambda _: actions.uniform(-1, 1, shape).astype(np.float32), steps)


def shipped_maker(name: str) -> Trajectory:
    """The trajectory of a maker that comes with the code, in the markets of its training."""
    config = read_run(TRAINED / name).config
    envs = gymnasium.make_vec("MarketMaking-v0", num_envs=N_MARKETS, **config.to_dict())
    agent = make_agent(f"trained/{name}", config)
    state = None

    def act(observations: Any) -> Any:
        nonlocal state
        actions, state = agent.predict(observations, state, None, True)
        return actions

    return _trajectory(envs, act, STEPS)


def _trajectory(
    envs: gymnasium.vector.VectorEnv,
    act: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]],
    steps: int,
) -> Trajectory:
    digest = hashlib.sha256()
    objectives, observed = np.zeros(N_MARKETS), np.zeros(N_MARKETS)
    observations, _ = envs.reset(seed=3)
    for step in range(steps // N_MARKETS):
        actions = act(observations)
        observations, rewards, terminated, truncated, info = envs.step(actions)
        # A cube root of NumPy may miss 1/2 by one digit with AVX-512, and an action of 0 by 1e-16.
        shown = np.where(np.abs(observations) < 1e-12, np.float32(0.0), observations)
        for values in (actions, shown, rewards, terminated, truncated, info["objective"]):
            digest.update(np.ascontiguousarray(values).tobytes())
        if step < SUMMED:
            objectives += info["objective"]
            observed += observations.sum(axis=1, dtype=np.float64)
    return Trajectory(digest.hexdigest()[:32], objectives.tolist(), observed.tolist())


def write() -> None:
    """Store the trajectories, and print which are new, changed or gone."""
    before = read_stored()
    now = {name: random_quotes(keywords) for name, keywords in stored_markets().items()}
    rows = [f"{json.dumps(name)}: {json.dumps(vars(found))}" for name, found in now.items()]
    STORED.write_text("{\n" + ",\n".join(rows) + "\n}\n")
    changed = [name for name in now if name in before and now[name].digest != before[name].digest]
    for what, names in (
        ("changed", changed),
        ("new", [name for name in now if name not in before]),
        ("gone", [name for name in before if name not in now]),
    ):
        for name in names:
            print(f"{what:8} {name}")
    print(f"{len(now)} digests in {STORED.name}, {len(now) - len(changed)} as before or new.")
    if changed:
        print(
            "The dynamics have changed: raise the version of the environment's id "
            "(docs/contributing/versioning.md), and note it in CHANGELOG.md."
        )


def main(arguments: Arguments) -> None:
    """Print or store the digests."""
    if arguments.write:
        write()
        return
    for name, keywords in stored_markets().items():
        print(f"{random_quotes(keywords).digest}  random quotes, {name}", flush=True)
    for folder in sorted(path.name for path in TRAINED.iterdir() if path.is_dir()):
        print(f"{shipped_maker(folder).digest}  trained/{folder}", flush=True)


if __name__ == "__main__":
    run_command("validation.trajectory_digests", lambda: main(tyro.cli(Arguments)))
