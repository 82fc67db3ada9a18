"""Market makers behind one interface.

agent = make_agent("inventory_skew", config, half_spread=2.0)
agent = make_agent("trained/mixed", config)
actions, state = agent.predict(observations)

`rules/` holds rule-based makers, `learned/` the parts of a trained policy, `trained/` the makers
that come with the code. `training/` and `tuning/` improve makers. `playing/` lets a person trade.
`commands/` holds what `mm-gym` runs, and `tools/` further commands.
"""

from .base import AgentError, QuotingAgent
from .registry import TRAINED, Agent, make_agent, name_agent, parse_agent
from .rules import RULES, rules_for

__all__ = [
    "RULES",
    "TRAINED",
    "Agent",
    "AgentError",
    "QuotingAgent",
    "make_agent",
    "name_agent",
    "parse_agent",
    "rules_for",
]
