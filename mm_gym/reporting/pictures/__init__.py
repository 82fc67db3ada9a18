"""The report's pictures.

Each module makes one kind of drawing. `entries` chooses and names what is drawn. `style` holds the
parts of a drawing and how they look, and `layout` renders a drawing as PNG.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    "figures",
    "markout_by_regime",
    "quotes",
    "render_wide",
]


class Figures(Mapping[str, Picture]):
    """Pictures by name, drawn when they are asked for.

    A notebook shows all of them, and `figures["toxicity"]` is one.
    """

    def __init__(self, drawings: Iterable[Drawing]) -> None:
        self._drawings = {drawing.name: drawing for drawing in drawings}

    def __getitem__(self, name: str) -> Picture:
        return render(self._drawings[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._drawings)

    def __len__(self) -> int:
        return len(self._drawings)

    def _repr_html_(self) -> str:
        return "\n".join(picture._repr_html_() for picture in self.values())


def figures(entries: Sequence[Entry], policies: Mapping[str, PolicyMap] | None = None) -> Figures:
    """The report's pictures, in the order of the report.

    Args:
        entries: such as `Results.entries`.
        policies: agents' quotes by agent name; see `map_policy`.
    """
    shown = distinct(entries)
    kinds = (
        toxicity,
        markout_by_regime,
        markout_by_counterparty,
        decomposition,
        paths,
        inventories,
    )
    return Figures(chain(*(kind(shown) for kind in kinds if shown), quotes(policies or {})))
