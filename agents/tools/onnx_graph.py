"""The ONNX graph of a policy, built from its weights; `export` says what it takes and returns."""

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from torch import nn

from mm_gym import OBSERVATION_NAMES

from ..base import AgentError
from ..learned.history_features import (
    BELIEFS_CLIP,
    FLOWS,
    LEVELS,
    MEANS_NAMES,
    MOVES,
    PRIOR_DECISIONS,
    UNIT,
    state_names,
)
from ..learned.run_folder import Run
from ..learned.signal_network import shipped_signal_network

# Old versions, which runtimes of recent years support.
_OPSET, _IR_VERSION = 17, 8
_ACTIVATIONS: dict[type[nn.Module], str] = {
    nn.Tanh: "Tanh",
    nn.ReLU: "Relu",
    nn.ELU: "Elu",
    nn.Sigmoid: "Sigmoid",
}
_OFFSET_OF_ACTION = "max_offset * ((1 + action) / 2) ** 3"


def to_onnx(policy: BasePolicy, run: Run) -> onnx.ModelProto:
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
            weight, bias = f"weight_{index}", f"bias_{index}"
            for name, parameter in ((weight, module.weight), (bias, module.bias)):
                initializers.append(numpy_helper.from_array(parameter.detach().numpy(), name))
            nodes.append(_node("Gemm", f"{previous} {weight} {bias}", layer, transB=1))
        elif type(module) is nn.SiLU:
            nodes.append(_node("Sigmoid", previous, f"gate_{index}"))
            nodes.append(_node("Mul", f"{previous} gate_{index}", layer))
        elif type(module) in _ACTIVATIONS:
            nodes.append(_node(_ACTIVATIONS[type(module)], previous, layer))
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
        _node("Clip", f"{layer} lowest highest", "action"),
        _node("Add", "action unit", "double_share"),
        _node("Mul", "double_share half", "share"),
        _node("Mul", "share share", "share_squared"),
        _node("Mul", "share_squared share", "share_cubed"),
        _node("Mul", "share_cubed max_offset", "offset"),
    ]
    columns = ", ".join(OBSERVATION_NAMES)
    meaning = f"one row per market, columns: {columns}"
    inputs = [_tensor("observation", len(OBSERVATION_NAMES), meaning)]
    meaning = f"bid and ask; the offset from the public mid [ticks] is {_OFFSET_OF_ACTION}"
    outputs = [
        _tensor("action", 2, meaning),
        _tensor("offset", 2, "[ticks]; the market rounds prices away from the mid to whole ticks"),
    ]
    if run.has_history:
        held = state_names()
        meaning = f"zeros at the start of an episode; columns: {', '.join(held)}"
        inputs.append(_tensor("history", len(held), meaning))
        meaning = "the history input of the next observation"
        outputs.append(_tensor("next_history", len(held), meaning))
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


def _node(kind: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    """A node. The names of its inputs and outputs are separated by spaces."""
    return helper.make_node(kind, inputs.split(), outputs.split(), **attributes)


def _tensor(name: str, width: int, meaning: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width], doc_string=meaning)


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
        _node("Div", "observation column_unit", "scaled"),
        _node("Gather", "scaled levels", "shown_levels", axis=1),
        _node("Gather", "scaled flows", "shown_flows", axis=1),
        _node("Gather", "scaled moves", "shown_moves", axis=1),
        _node("Abs", "shown_flows", "flow_sizes"),
        _node("Abs", "shown_moves", "move_sizes"),
        _node("Mul", "shown_flows shown_moves", "products"),
        _node("Concat", "shown_levels flow_sizes move_sizes products", "shown", axis=1),
        _node("Split", "history parts", "count means last_observation sums", axis=1),
        _node("Add", "count one", "seen"),
        _node("Add", "seen prior", "weight"),
        _node("Sub", "shown means", "surprise"),
        _node("Div", "surprise weight", "correction"),
        _node("Add", "means correction", "next_means"),
        _node("Concat", "observation last_observation", "pair", axis=1),
        _node("Gemm", "pair evidence_weights evidence_biases", "evidence_layer"),
        _node("Tanh", "evidence_layer", "evidence"),
        _node("Gemm", "evidence sum_weights sum_biases", "new_evidence"),
        _node("Mul", "sums decay", "old_evidence"),
        _node("Add", "old_evidence new_evidence", "next_sums"),
        _node("Concat", "next_sums observation next_means", "all_seen", axis=1),
        _node("Gemm", "all_seen weights_0 biases_0", "hidden_layer_0"),
        _node("Tanh", "hidden_layer_0", "hidden_0"),
        _node("Gemm", "hidden_0 weights_1 biases_1", "hidden_layer_1"),
        _node("Tanh", "hidden_layer_1", "hidden_1"),
        _node("Gemm", "hidden_1 weights_2 biases_2", "unbounded_beliefs"),
        _node("Clip", "unbounded_beliefs least_belief most_belief", "beliefs"),
        _node("Concat", "seen next_means observation next_sums", "next_history", axis=1),
        _node("Concat", "observation next_means beliefs", "with_history", axis=1),
    ]
    arrays = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    return nodes, arrays, "with_history"
