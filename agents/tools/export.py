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

import json
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
from onnx import TensorProto, helper, numpy_helper
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import nn

from mm_gym import OBSERVATION_NAMES, MarketMakingVectorEnv

from ..base import AgentError
from ..invocation import run_module
from ..learned.history_features import (
    BELIEFS_CLIP,
    FLOWS,
    LEVELS,
    MEANS_NAMES,
    MOVES,
    PRIOR_DECISIONS,
    UNIT,
    empty_state,
    state_names,
)
from ..learned.network import POLICY_FILE as NUMPY_POLICY
from ..learned.policy import load, load_policy
from ..learned.run_folder import Run, read_run
from ..learned.signal_network import shipped_signal_network
from ..registry import Agent

POLICY_FILE = "policy.onnx"
TOLERANCE = 1e-5
"""Largest difference to torch of an action, and of the history relative to the largest value of its
column. Both use 32-bit numbers, but the order of summation differs."""

# Old versions, which runtimes of recent years support.
_OPSET, _IR_VERSION = 17, 8
_ACTIVATIONS: dict[type[nn.Module], str] = {
    nn.Tanh: "Tanh",
    nn.ReLU: "Relu",
    nn.ELU: "Elu",
    nn.Sigmoid: "Sigmoid",
}
_OFFSET_OF_ACTION = "max_offset * ((1 + action) / 2) ** 3"
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


def to_onnx(policy: ActorCriticPolicy, run: Run) -> onnx.ModelProto:
    """Build the graph of the policy's mean action, clipped as in the environment.

    The metadata describes its columns. The graph is built from the weights, because torch's
    exporters need further packages.

    Raises:
        AgentError: if the policy is no plain perceptron, for example a recurrent policy.
    """
    # Subclasses (recurrent, with images) compute more than this function reads.
    if type(policy) is not ActorCriticPolicy or policy.squash_output:
        raise AgentError(
            "the policy cannot be exported: expected PPO's MlpPolicy without squashing, "
            f"got {type(policy).__name__}"
        )
    nodes, initializers, layer = _history_nodes() if run.has_history else ([], [], "observation")
    for index, module in enumerate([*policy.mlp_extractor.policy_net, policy.action_net]):
        previous, layer = layer, f"layer_{index}"
        if isinstance(module, nn.Linear):
            names = [f"weight_{index}", f"bias_{index}"]
            arrays = [parameter.detach().numpy() for parameter in (module.weight, module.bias)]
            initializers += [
                numpy_helper.from_array(array, name)
                for array, name in zip(arrays, names, strict=True)
            ]
            nodes.append(helper.make_node("Gemm", [previous, *names], [layer], transB=1))
        elif type(module) is nn.SiLU:
            nodes.append(helper.make_node("Sigmoid", [previous], [f"gate_{index}"]))
            nodes.append(helper.make_node("Mul", [previous, f"gate_{index}"], [layer]))
        elif type(module) in _ACTIVATIONS:
            nodes.append(helper.make_node(_ACTIVATIONS[type(module)], [previous], [layer]))
        else:
            raise AgentError(
                "the policy has an activation that cannot be exported: expected one of "
                f"{', '.join(['SiLU', *(kind.__name__ for kind in _ACTIVATIONS)])}, "
                f"got {type(module).__name__}"
            )
    constants = {
        "lowest": -1.0,
        "highest": 1.0,
        "unit": 1.0,
        "half": 0.5,
        "max_offset": run.config.max_offset,
    }
    initializers += [
        numpy_helper.from_array(np.array(value, np.float32), name)
        for name, value in constants.items()
    ]
    nodes += [
        helper.make_node("Clip", [layer, "lowest", "highest"], ["action"]),
        helper.make_node("Add", ["action", "unit"], ["double_share"]),
        helper.make_node("Mul", ["double_share", "half"], ["share"]),
        helper.make_node("Mul", ["share", "share"], ["share_squared"]),
        helper.make_node("Mul", ["share_squared", "share"], ["share_cubed"]),
        helper.make_node("Mul", ["share_cubed", "max_offset"], ["offset"]),
    ]
    columns = ", ".join(OBSERVATION_NAMES)
    inputs = [
        _tensor("observation", len(OBSERVATION_NAMES), f"one row per market, columns: {columns}")
    ]
    outputs = [
        _tensor(
            "action",
            2,
            f"bid and ask; the offset from the public mid [ticks] is {_OFFSET_OF_ACTION}",
        ),
        _tensor("offset", 2, "[ticks]; the market rounds prices away from the mid to whole ticks"),
    ]
    if run.has_history:
        held = state_names()
        inputs.append(
            _tensor(
                "history",
                len(held),
                f"zeros at the start of an episode; columns: {', '.join(held)}",
            )
        )
        outputs.append(
            _tensor("next_history", len(held), "the history input of the next observation")
        )
    proto = helper.make_model(
        helper.make_graph(nodes, "policy", inputs, outputs, initializers),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
        producer_name="mm_gym",
        producer_version=run.versions.get("mm-gym", ""),
        doc_string=f"Deterministic market-making policy trained by PPO on {run.config.regime}.",
    )
    facts = {
        "observation": list(OBSERVATION_NAMES),
        "action": ["bid_offset", "ask_offset"],
        "offset": _OFFSET_OF_ACTION,
        "max_offset": run.config.max_offset,
        "max_inventory": run.config.max_inventory,
        "market": run.config.to_dict(),
        "training": {"seed": run.seed, "steps_done": run.steps_done, "versions": run.versions},
    }
    helper.set_model_props(proto, {name: json.dumps(fact) for name, fact in facts.items()})
    onnx.checker.check_model(proto, full_check=True)
    return proto


def _history_nodes() -> tuple[list[onnx.NodeProto], list[TensorProto], str]:
    """Nodes and constants of `agents.learned.history_features.add_history`, and its output."""
    learned = shipped_signal_network()
    constants: dict[str, npt.NDArray[Any]] = {
        "levels": np.array(LEVELS, np.int64),
        "flows": np.array(FLOWS, np.int64),
        "moves": np.array(MOVES, np.int64),
        "column_unit": np.array(UNIT, np.float32),
        "one": np.array(1.0, np.float32),
        "prior": np.array(PRIOR_DECISIONS, np.float32),
        "parts": np.array([1, len(MEANS_NAMES), len(OBSERVATION_NAMES), learned.n_sums], np.int64),
        "least_belief": np.array(-BELIEFS_CLIP, np.float32),
        "most_belief": np.array(BELIEFS_CLIP, np.float32),
        **learned._asdict(),
    }
    nodes = [
        helper.make_node("Div", ["observation", "column_unit"], ["scaled"]),
        *(
            helper.make_node("Gather", ["scaled", name], [f"shown_{name}"], axis=1)
            for name in ("levels", "flows", "moves")
        ),
        helper.make_node("Abs", ["shown_flows"], ["flow_sizes"]),
        helper.make_node("Abs", ["shown_moves"], ["move_sizes"]),
        helper.make_node("Mul", ["shown_flows", "shown_moves"], ["products"]),
        helper.make_node(
            "Concat", ["shown_levels", "flow_sizes", "move_sizes", "products"], ["shown"], axis=1
        ),
        helper.make_node(
            "Split", ["history", "parts"], ["count", "means", "last_observation", "sums"], axis=1
        ),
        helper.make_node("Add", ["count", "one"], ["seen"]),
        helper.make_node("Add", ["seen", "prior"], ["weight"]),
        helper.make_node("Sub", ["shown", "means"], ["surprise"]),
        helper.make_node("Div", ["surprise", "weight"], ["correction"]),
        helper.make_node("Add", ["means", "correction"], ["next_means"]),
        helper.make_node("Concat", ["observation", "last_observation"], ["pair"], axis=1),
        helper.make_node(
            "Gemm", ["pair", "evidence_weights", "evidence_biases"], ["evidence_layer"]
        ),
        helper.make_node("Tanh", ["evidence_layer"], ["evidence"]),
        helper.make_node("Gemm", ["evidence", "sum_weights", "sum_biases"], ["new_evidence"]),
        helper.make_node("Mul", ["sums", "decay"], ["old_evidence"]),
        helper.make_node("Add", ["old_evidence", "new_evidence"], ["next_sums"]),
        helper.make_node(
            "Concat", ["next_sums", "observation", "next_means"], ["all_seen"], axis=1
        ),
        helper.make_node("Gemm", ["all_seen", "weights_0", "biases_0"], ["hidden_layer_0"]),
        helper.make_node("Tanh", ["hidden_layer_0"], ["hidden_0"]),
        helper.make_node("Gemm", ["hidden_0", "weights_1", "biases_1"], ["hidden_layer_1"]),
        helper.make_node("Tanh", ["hidden_layer_1"], ["hidden_1"]),
        helper.make_node("Gemm", ["hidden_1", "weights_2", "biases_2"], ["unbounded_beliefs"]),
        helper.make_node("Clip", ["unbounded_beliefs", "least_belief", "most_belief"], ["beliefs"]),
        helper.make_node(
            "Concat", ["seen", "next_means", "observation", "next_sums"], ["next_history"], axis=1
        ),
        helper.make_node(
            "Concat", ["observation", "next_means", "beliefs"], ["with_history"], axis=1
        ),
    ]
    return (
        nodes,
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
        "with_history",
    )


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


def _tensor(name: str, width: int, meaning: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width], doc_string=meaning)


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
