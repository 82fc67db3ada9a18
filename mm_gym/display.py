"""What objects show in a Jupyter notebook: tables, images and pages.

A notebook asks an object for `_repr_html_` or `_repr_png_`. The classes and functions here give
those methods their content.
"""

import io
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import numpy as np


class Image(np.ndarray[Any, np.dtype[np.uint8]]):
    """An array of shape (height, width, 3), uint8, which a notebook shows as a picture."""

    def _repr_png_(self) -> bytes | None:
        if self.dtype != np.uint8 or self.ndim != 3 or self.shape[2] != 3:
            return None  # a part of a picture, which is shown as numbers
        from PIL import Image as pillow

        buffer = io.BytesIO()
        pillow.fromarray(np.asarray(self)).save(buffer, format="png")
        return buffer.getvalue()


class Page(str):
    """A whole HTML page as text, which a notebook shows in a frame."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return (
            f'<iframe srcdoc="{escape(self)}" title="{escape(_title(self))}" '
            'style="width:100%;height:56rem;border:0"></iframe>'
        )


def _title(page: str) -> str:
    return page.partition("<title>")[2].partition("</title>")[0] or "page"


_RIGHT = ' style="text-align:right;padding-left:1em;white-space:nowrap"'


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], caption: str = "") -> str:
    """An HTML table, aligned to the right but for its first column.

    Floats are shown with two decimals, everything else as text.

    Args:
        heads: of the columns.
        rows: with one value per column.
        caption: above the table.
    """
    head = "".join(
        f"<th{_RIGHT if index else ''}>{escape(n)}</th>" for index, n in enumerate(heads)
    )
    body = "".join(
        "<tr>"
        + "".join(f"<td{_RIGHT if index else ''}>{_shown(v)}</td>" for index, v in enumerate(row))
        + "</tr>"
        for row in rows
    )
    above = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (
        '<div style="overflow-x:auto">'
        f"<table>{above}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _shown(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else escape(str(value))
