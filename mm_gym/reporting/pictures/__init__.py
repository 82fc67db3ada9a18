"""The report's pictures.

Each module makes one kind of drawing. `entries` chooses and names what is drawn. `style` holds the
parts of a drawing and how they look, and `layout` renders a drawing as PNG.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from mm_gym.evaluation.plans import Entry
from mm_gym.evaluation.policy_map import PolicyMap
from mm_gym.reporting.pictures.entries import distinct
from mm_gym.reporting.pictures.layout import render, render_wide
from mm_gym.reporting.pictures.markout import markout_by_counterparty, markout_by_regime
from mm_gym.reporting.pictures.money import decomposition, inventories, paths
from mm_gym.reporting.pictures.quotes import quotes
from mm_gym.reporting.pictures.style import Drawing, Picture
from mm_gym.reporting.pictures.toxicity import toxicity

__all__ = [
    "Drawing",
    "Entry",
    "Figures",
    "Picture",
    "draw",
    "figures",
    "markout_by_regime",
    "quotes",
    "render_wide",
]


class Figures(dict[str, Picture]):
    """Pictures by name. A notebook shows all of them, and `figures["toxicity"]` is one."""

    def _repr_html_(self) -> str:
        return "\n".join(picture._repr_html_() for picture in self.values())


def figures(entries: Sequence[Entry], policies: Mapping[str, PolicyMap] | None = None) -> Figures:
    """The report's pictures, for notebooks.

    Args:
        entries: such as `Results.entries`.
        policies: agents' quotes by agent name; see `map_policy`.
    """
    return Figures({picture.name: picture for picture in draw(entries, policies or {})})


def draw(entries: Sequence[Entry], policies: Mapping[str, PolicyMap]) -> Iterator[Picture]:
    """All pictures of these entries and policies, in the order of the report."""
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
