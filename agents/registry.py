"""Agents by name: rules, tuned rules, run folders, and the makers that come with the code.

agent = make_agent("inventory_skew", config, half_spread=2.0)
agent = make_agent("inventory_skew:tuned", config)
agent = make_agent("runs/mixed", config)
agent = make_agent("trained/mixed", config)
actions, state = agent.predict(observations)
"""

import functools
import inspect
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from mm_gym import MarketConfig
from mm_gym.errors import nearest

from .base import AgentError
from .rules import RULES

TRAINED = Path(__file__).parent / "trained"
"""The folder of the trained makers that come with the code."""
BEST_RULE = "best_rule"
"""`best_rule:tuned` is the rule with the highest objective in tuning."""
_TUNED = ":tuned"


class Agent(Protocol):
    """Anything with stable-baselines3's `predict`."""

    def predict(
        self,
        observation: npt.NDArray[np.float32],
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[npt.NDArray[np.float32], Any]: ...


def parse_agent(text: str) -> tuple[str, dict[str, Any]]:
    """Split `name:parameter=value:parameter=value` into the name and its numeric parameters.

    The suffix `:tuned` stays with the name.

    Raises:
        AgentError: if a parameter has no number.
    """
    name, *pairs = text.strip().split(":")
    parameters: dict[str, Any] = {}
    for pair in pairs:
        if pair.strip() == "tuned":
            name += _TUNED
            continue
        key, _, value = pair.partition("=")
        try:
            parameters[key.strip()] = int(value) if value.strip().isdigit() else float(value)
        except ValueError:
            raise AgentError(
                f"agent {text!r} cannot be read: expected parameter=number after each colon, "
                f"got {pair!r} (write for example fixed_spread:half_spread=2.0)"
            ) from None
    return name, parameters


def name_agent(text: str) -> functools.partial[Agent]:
    """`make_agent` with the parameters that are written in the name. It is called with a market.

    Raises:
        AgentError: if a parameter has no number.
    """
    name, parameters = parse_agent(text)
    return functools.partial(make_agent, name, **parameters)


def make_agent(name: str, config: MarketConfig, **parameters: Any) -> Agent:
    """A market maker for markets of this configuration.

    Args:
        name: a rule in `RULES`, the path of a run folder of `train.py`, or `trained/NAME` for a
            maker that comes with the code. `RULE:tuned` and `best_rule:tuned` use the parameters
            that `agents.tuning` found for such markets.
        config: of the markets it will quote in.
        **parameters: of the rule. They override tuned parameters.

    Raises:
        AgentError: if the name or a parameter is unknown, the run folder cannot be read, or the
            rule was not tuned.
    """
    rule = name.removesuffix(_TUNED)
    if rule != name and rule in (*RULES, BEST_RULE):
        from .rules.tuned import best_rule, tuned_rule

        found = best_rule(config) if rule == BEST_RULE else tuned_rule(rule, config)
        return make_agent(found.agent, config, **(found.parameters | parameters))
    if name in RULES:
        known = [
            key
            for key in inspect.signature(RULES[name].__init__).parameters
            if key not in ("self", "config")
        ]
        for key in parameters:
            if key not in known:
                raise AgentError(
                    f"{name} has no parameter {key!r}: expected "
                    f"{' or '.join(known) or 'no parameter'}, got {key!r} ({nearest(key, known)})"
                )
        RULES[name].check_parameters(parameters)
        return RULES[name](config, **parameters)
    folder = trained_folder(name)
    if name and folder.is_dir():
        from .learned.policy import load  # torch is loaded only for those who use it

        return cast(Agent, load(folder, config))
    raise AgentError(
        f"agent {name!r} is unknown: expected a rule, a run folder or trained/NAME, got {name!r} "
        f"({nearest(name, [*RULES, *_trained()])})"
    )


def trained_folder(name: str) -> Path:
    """The folder of a trained maker: that of the code for `trained/NAME`, else the path itself."""
    return _trained().get(name, Path(name))


def _trained() -> dict[str, Path]:
    return {f"trained/{folder.name}": folder for folder in TRAINED.glob("*/")}
