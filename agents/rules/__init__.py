"""Rule-based market makers, one per file, and the parts they share. `RULES` has them by name."""

from mm_gym import MarketConfig

from ..base import QuotingAgent
from .adaptive_spread import AdaptiveSpreadAgent
from .avellaneda_stoikov import AvellanedaStoikovAgent
from .bellman import BellmanAgent
from .cartea_jaimungal import CarteaJaimungalAgent
from .fixed_spread import FixedSpreadAgent
from .glosten_milgrom import GlostenMilgromAgent
from .gueant_lehalle_fernandez_tapia import GueantLehalleFernandezTapiaAgent
from .inventory_skew import InventorySkewAgent
from .oracle import OracleAgent
from .random import RandomAgent

RULES: dict[str, type[QuotingAgent]] = {
    rule.name: rule
    for rule in (
        RandomAgent,
        FixedSpreadAgent,
        InventorySkewAgent,
        AdaptiveSpreadAgent,
        AvellanedaStoikovAgent,
        GueantLehalleFernandezTapiaAgent,
        CarteaJaimungalAgent,
        BellmanAgent,
        GlostenMilgromAgent,
        OracleAgent,
    )
}
"""The rule-based makers by name."""
FLOW_AGNOSTIC = (
    "fixed_spread",
    "inventory_skew",
    "avellaneda_stoikov",
    "gueant_lehalle_fernandez_tapia",
    "cartea_jaimungal",
)
"""Rules whose quotes depend on the inventory and the time left at most."""


def rules_for(config: MarketConfig) -> list[str]:
    """Names of the rules to compare a learned maker with: suited to the market, not privileged."""
    return [name for name, rule in RULES.items() if rule.suits(config) and not rule.privileged]
