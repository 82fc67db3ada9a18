"""Export a trained policy to ONNX, which runs without torch, and check it against torch.

python -m agents.tools.export runs/NAME

The graph has these inputs and outputs, all float32:

* `observation`, shape (n, columns). The metadata of the file names the columns.
* `action`, shape (n, 2): the deterministic action in [-1, 1].
* `offset`, shape (n, 2): the same as bid and ask offset in ticks.
* `history` and `next_history`, for policies with history features
  (`agents.learned.history_features`): zeros at the start of an episode, then the previous
  `next_history`.

The offsets are those that the policy wants. The market decides whether a resting quote stays
(`requote_threshold` among the market's fields in the metadata).
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
import tyro

from mm_gym import MarketMakingVectorEnv

from ..base import AgentError
from ..invocation import run_module
from ..learned.history_features import empty_state
from ..learned.network import POLICY_FILE as NUMPY_POLICY
from ..learned.policy import load, load_policy
from ..learned.run_folder import Run, read_run
from ..registry import Agent
from .onnx_graph import to_onnx

POLICY_FILE = "policy.onnx"
TOLERANCE = 1e-5
"""Largest difference to torch of an action, and of the history relative to the largest value of its
column. Both use 32-bit numbers, but the order of summation differs."""

_RANDOM_OBSERVATIONS = 4096
_RECORDED_MARKETS, _RECORDED_STEPS = 16, 200
_TIMED_CALLS = 2000


@dataclass(frozen=True)
class Arguments:
    """Export a trained policy to ONNX, check it against torch, and time one decision."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run folder of train.py."""
    out: Path | None = None
    """File to write. Default: policy.onnx in the run folder."""


@dataclass(frozen=True)
class Check:
    """A comparison of the ONNX graph with torch."""

    observations: int
    """Number of compared observations."""
    difference: float
    """Largest difference of any action."""
    seconds: float
    """[s] Median time of one decision by the graph."""
    torch_seconds: float
    """[s] Median time of one decision by stable-baselines3."""


def main(arguments: Arguments) -> Path:
    """Export, check, and return the file."""
    torch.set_num_threads(1)
    out = arguments.out or arguments.run / POLICY_FILE
    run = read_run(arguments.run)
    if run.engine != "sb3":
        raise AgentError(
            f"{arguments.run} cannot be exported: expected a run of stable-baselines3, "
            f"got {run.engine} (its {NUMPY_POLICY} quotes with NumPy alone, see "
            "agents.learned.network)"
        )
    agent = load(arguments.run, run.config)
    graph = to_onnx(load_policy(arguments.run, run), run)
    check = compare(graph, agent, run)
    out.write_bytes(graph.SerializeToString())
    print(
        f"Compared {check.observations:,} observations, half random, half from its own sessions.\n"
        f"The largest difference to torch's actions is {check.difference:.1e}.\n"
        f"One decision takes {1e6 * check.seconds:.1f} µs (median of {_TIMED_CALLS:,}), with torch "
        f"{1e6 * check.torch_seconds:.0f} µs."
    )
    print(f"Written to {out} ({out.stat().st_size / 1024:.0f} KiB)")
    return out


def compare(proto: onnx.ModelProto, agent: Agent, run: Run) -> Check:
    """Compare the graph with torch on random observations and on the policy's own sessions.

    Raises:
        AgentError: if an action or the history differs by more than `TOLERANCE`.
    """
    session, generator = serve(proto), np.random.default_rng(0)
    asked = {}
    for name, recorded in _recorded(agent, run).items():
        random = generator.normal(size=(_RANDOM_OBSERVATIONS, recorded.shape[1])).astype(np.float32)
        if name == "history":
            random[:, 0] = generator.integers(0, run.config.session_steps, _RANDOM_OBSERVATIONS)
        some = recorded[np.linspace(0, len(recorded) - 1, _RANDOM_OBSERVATIONS).astype(int)]
        asked[name] = np.concatenate([random, some])
    observations, history = asked["observation"], asked.get("history")
    actions, *histories = session.run(
        ["action"] if history is None else ["action", "next_history"], asked
    )
    wanted, state = agent.predict(observations, history)
    difference = float(np.abs(actions - wanted).max())
    found = {"actions": difference}
    for got in histories:
        # Sums of evidence cross zero, so their error is relative to the largest one.
        found["histories"] = float((np.abs(got - state) / np.abs(state).max(axis=0)).max())
    for what, apart in found.items():
        if not apart <= TOLERANCE:
            raise AgentError(
                f"the {what} of the exported policy differ from torch's: "
                f"expected at most {TOLERANCE:g}, got {apart:.1e} "
                "(please report it with the run folder)"
            )
    one = {name: rows[-1:] for name, rows in asked.items()}
    return Check(
        len(observations),
        difference,
        _median_seconds(lambda: session.run(None, one)),
        _median_seconds(lambda: agent.predict(one["observation"], one.get("history"))),
    )


def serve(proto: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """The graph in onnxruntime, on one thread, which is fastest for a network this small."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _recorded(agent: Agent, run: Run) -> dict[str, npt.NDArray[np.float32]]:
    """Inputs of the graph while the agent quotes in the markets of its training.

    Returns:
        The inputs by name, shape (markets x steps, columns) each.
    """
    environment = MarketMakingVectorEnv(_RECORDED_MARKETS, **run.config.to_dict())
    seen, _ = environment.reset(seed=0)
    history = empty_state(_RECORDED_MARKETS) if run.has_history else None
    rows: dict[str, list[npt.NDArray[np.float32]]] = {"observation": []}
    starts = np.zeros(_RECORDED_MARKETS, np.bool_)
    for _ in range(_RECORDED_STEPS):
        rows["observation"].append(seen.copy())
        if history is not None:
            rows.setdefault("history", []).append(history)
        actions, history = agent.predict(seen, history, starts)
        seen, _, ended, *_ = environment.step(actions)
        starts = np.asarray(ended)
    return {name: np.concatenate(parts) for name, parts in rows.items()}


def _median_seconds(decide: Callable[[], Any]) -> float:
    times = []
    for _ in range(_TIMED_CALLS):
        start = time.perf_counter()
        decide()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


if __name__ == "__main__":
    run_module("tools.export", main, Arguments)
