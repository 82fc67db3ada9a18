"""The report's tables: columns of the summary with headings and units, as HTML."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from mm_gym.config import FIELD_NAMES
from mm_gym.reporting.pictures.entries import field_text
from mm_gym.reporting.pictures.style import unbroken

_MISSING = "–"
Row = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    key: str
    """In the summary's row."""
    heading: str
    unit: str = ""
    decimals: int = 1
    group: str = ""
    """A common heading over adjacent columns with the same group."""
    interval: bool = False
    """Whether to show the interval from `key_low` to `key_high` of the row."""


@dataclass(frozen=True)
class Table:
    """Columns with a title and an explanation."""

    title: str
    explanation: str
    columns: Sequence[Column]


_MONEY = "ticks × lots"
_MID, _VALUE = "against the mid", "against the efficient price V"


def _fill_columns(prefix: str, group: str) -> list[Column]:
    return [
        Column(f"{prefix}effective_half_spread", "effective half-spread", "ticks", 2, group),
        Column(f"{prefix}markout_50", "markout, 50 s", "ticks", 2, group),
        Column(f"{prefix}adverse_move_50", "adverse move, 50 s", "ticks", 2, group),
        Column(f"{prefix}adverse_fill_ratio_50", "adverse fill ratio, 50 s", "", 3, group),
    ]


TABLES = (
    Table(
        "PnL and objective",
        "Means per session, with 95 % bootstrap intervals over sessions. The objective is the PnL "
        "less the running penalty on squared inventory. Differences are paired: both agents face "
        "the same prices and the same arrivals.",
        [
            Column("episodes", "sessions", decimals=0),
            Column("final_pnl", "final PnL", _MONEY, 1, interval=True),
            Column("final_pnl_vs_reference", "PnL less reference", _MONEY, 1, interval=True),
            Column("objective", "objective", _MONEY, 1, interval=True),
            Column("objective_vs_reference", "objective less reference", _MONEY, 1, interval=True),
            Column("sharpe", "Sharpe ratio", "per session", 2),
            Column("fills", "fills", "per session", 1),
        ],
    ),
    Table(
        "PnL decomposition",
        "Final PnL = spread captured + inventory PnL − fees − close-out, exactly. Inventory PnL is "
        "the sum of two parts: fills with informed takers, and fills with all others.",
        [
            Column("spread_pnl", "spread captured", _MONEY),
            Column("inventory_pnl", "inventory PnL", _MONEY),
            Column("inventory_pnl_informed", "inventory PnL, informed takers", _MONEY),
            Column("inventory_pnl_noise", "inventory PnL, all others", _MONEY),
            Column("fees", "fees", _MONEY),
            Column("close_out", "close-out", _MONEY),
            Column("final_pnl", "final PnL", _MONEY),
        ],
    ),
    Table(
        "Adverse selection",
        "D is +1 for a taker's buy and −1 for a sell. p is the fill's price. m is the reference "
        "price just before the fill. The effective half-spread is D (p − m). The adverse move is "
        "D (m after 50 s − m). The markout is the effective half-spread less the adverse move. "
        "The adverse fill ratio is the share of fills with a positive adverse move. A tie counts "
        "one half. A ratio of one half means no information.",
        [
            Column("total_fills", "fills", "in all sessions", 0),
            *_fill_columns("", _MID),
            *_fill_columns("value_", _VALUE),
        ],
    ),
    Table(
        "Inventory and quoting",
        "The half-life of inventory comes from its autocorrelation between decisions.",
        [
            Column("mean_inventory", "mean inventory", "lots", 2),
            Column("mean_abs_inventory", "mean absolute inventory", "lots", 2),
            Column("max_abs_inventory", "maximum absolute inventory", "lots", 0),
            Column("inventory_half_life", "half-life of inventory", "s", 1),
            Column("quoted_spread", "quoted spread", "ticks", 2),
            Column("share_at_touch", "share of time at the touch", "", 3),
            Column("fill_ratio", "lots filled / lots entered", "", 4),
        ],
    ),
)


def number(value: Any, decimals: int) -> str:
    """A number as text, with a true minus sign; a dash for NaN or None."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return _MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:,.{decimals}f}"
    if float(text.replace(",", "")) == 0.0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def data(value: Any, decimals: int) -> str:
    """A number as an HTML `data` element that also holds the unrounded value."""
    shown = number(value, decimals)
    return shown if shown == _MISSING else f'<data value="{value!r}">{shown}</data>'


def market_title(row: Row) -> str:
    """The market of a row: the experiment's label, or the regime with its fields."""
    if "market" in row:
        return str(row["market"])
    shows_share = row.get("p_informed") or row["regime"] == "informed"
    shown = {"p_informed": row["p_informed"]} if shows_share else {}
    shown |= {
        key: value
        for key, value in row.items()
        if key in FIELD_NAMES and key not in ("regime", "p_informed")
    }
    return ", ".join(
        [str(row["regime"]), *(field_text(key, value) for key, value in shown.items())]
    )


def table_html(table: Table, rows: Sequence[Row], anchor: str) -> str:
    """One table in a scrolling box.

    Columns that no row has are left out. Without columns the result is empty. Rows of one
    experiment are grouped under its name.
    """
    columns = [column for column in table.columns if any(column.key in row for row in rows)]
    if not columns:
        return ""
    bodies = []
    for experiment, members in itertools.groupby(rows, lambda row: str(row.get("experiment", ""))):
        width = len(columns) + 2
        name = f'<tr><th scope="rowgroup" colspan="{width}">{escape(experiment)}</th></tr>\n'
        lines = "\n".join(_row(columns, row) for row in members)
        bodies.append(f"<tbody>\n{name if experiment else ''}{lines}\n</tbody>")
    head, body = _head(columns), "\n".join(bodies)
    return (
        f'<h3 id="{anchor}">{escape(table.title)}</h3>\n'
        f'<p class="quiet">{escape(table.explanation)}</p>\n'
        f'<div class="scroll" role="region" tabindex="0" aria-labelledby="{anchor}">'
        f'<table aria-labelledby="{anchor}">\n<thead>{head}</thead>\n{body}\n</table></div>'
    )


def _row(columns: Sequence[Column], row: Row) -> str:
    cells = "".join(_cell(column, row) for column in columns)
    market = escape(unbroken(market_title(row)))
    return f'<tr><th scope="row">{market}</th><td>{escape(str(row["agent"]))}</td>{cells}</tr>'


def _head(columns: Sequence[Column]) -> str:
    groups = [
        (group, len(list(members)))
        for group, members in itertools.groupby(columns, lambda c: c.group)
    ]
    first = ""
    if len(groups) > 1:
        cells = [
            f'<th scope="colgroup" colspan="{width}">{escape(group)}</th>'
            if group
            else f'<td colspan="{width}"></td>'
            for group, width in groups
        ]
        first = f'<tr><td colspan="2"></td>{"".join(cells)}</tr>'
    headings = "".join(_heading(column) for column in columns)
    return f'{first}<tr><th scope="col">market</th><th scope="col">agent</th>{headings}</tr>'


def _heading(column: Column) -> str:
    unit = f"<small>{escape(column.unit)}</small>" if column.unit else ""
    return f'<th scope="col">{escape(unbroken(column.heading))}{unit}</th>'


def _cell(column: Column, row: Row) -> str:
    shown = data(row.get(column.key), column.decimals)
    if not column.interval or shown == _MISSING:
        return f"<td>{shown}</td>"
    low, high = (data(row.get(f"{column.key}_{end}"), column.decimals) for end in ("low", "high"))
    interval = "" if low == _MISSING else f"<small>{low} to {high}</small>"
    return f"<td>{shown}{interval}</td>"
