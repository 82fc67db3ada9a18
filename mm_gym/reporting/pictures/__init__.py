"""The report's pictures: what happened to whom and why, for the eye.

Each module draws one kind; `style` is how all of them look, `entries` what is drawn.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from mm_gym.evaluation.plans import Entry
from mm_gym.evaluation.policy_map import PolicyMap
from mm_gym.reporting.pictures.entries import distinct
from mm_gym.reporting.pictures.layout import render
from mm_gym.reporting.pictures.markout import markout_by_counterparty, markout_by_regime
from mm_gym.reporting.pictures.money import decomposition, inventories, paths
from mm_gym.reporting.pictures.quotes import quotes
from mm_gym.reporting.pictures.style import Picture
from mm_gym.reporting.pictures.toxicity import toxicity

__all__ = ["Entry", "Picture", "draw"]


def draw(entries: Sequence[Entry], policies: Mapping[str, PolicyMap]) -> Iterator[Picture]:
    """Every picture that these entries and policies give, in the report's order."""
    shown = distinct(entries)
    kinds = (
        toxicity,
        markout_by_regime,
        markout_by_counterparty,
        decomposition,
        paths,
        inventories,
    )
    for drawing in chain(*(kind(shown) for kind in kinds if shown), quotes(policies)):
        yield render(drawing)
