"""The report's tables: what of a summary's rows is shown, under which words, as HTML."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from mm_gym.config import FIELD_NAMES
from mm_gym.reporting.pictures.entries import setting_text
from mm_gym.reporting.pictures.style import unbroken

_MISSING = "–"
Row = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """A figure of a summary's row."""

    key: str
    heading: str
    unit: str = ""
    decimals: int = 1
    group: str = ""
    """What several columns side by side have in common."""
    interval: bool = False
    """Whether the row holds `key_low` and `key_high` beside it."""


@dataclass(frozen=True)
class Table:
    """Columns with a title and what has to be known to read them."""

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
        "What was earned",
        "Means a session with 95 % bootstrap intervals over sessions. The objective is the PnL less the running price "
        "of squared inventory. Differences are paired: same prices, same arrivals.",
        [
            Column("episodes", "sessions", decimals=0),
            Column("final_pnl", "final PnL", _MONEY, 1, interval=True),
            Column("final_pnl_vs_reference", "PnL less the reference's", _MONEY, 1, interval=True),
            Column("objective", "objective", _MONEY, 1, interval=True),
            Column(
                "objective_vs_reference", "objective less the reference's", _MONEY, 1, interval=True
            ),
            Column("sharpe", "Sharpe ratio", "a session", 2),
            Column("fills", "fills", "a session", 1),
        ],
    ),
    Table(
        "Where the PnL came from",
        "Final PnL = spread captured + inventory PnL − fees − close-out, to the last tick. Inventory PnL again split "
        "by who took: takers who know something, and all others.",
        [
            Column("spread_pnl", "spread captured", _MONEY),
            Column("inventory_pnl", "inventory PnL", _MONEY),
            Column("inventory_pnl_informed", "of it, fills with informed takers", _MONEY),
            Column("inventory_pnl_noise", "of it, fills with all others", _MONEY),
            Column("fees", "fees", _MONEY),
            Column("close_out", "close-out", _MONEY),
            Column("final_pnl", "final PnL", _MONEY),
        ],
    ),
    Table(
        "What followed the fills",
        "With D = +1 for a taker's buy, p the fill's price and m the price just before: effective half-spread "
        "D (p − m), adverse move at 50 s D (m after 50 s − m), markout their difference, adverse fill ratio the share "
        "of fills with an adverse move above zero (a tie counts one half; one half means no information).",
        [
            Column("fills_rested_on", "fills", "of all sessions", 0),
            *_fill_columns("", _MID),
            *_fill_columns("value_", _VALUE),
        ],
    ),
    Table(
        "Inventory and quoting",
        "Inventory over time, its half-life from its autocorrelation, and how the agent quoted.",
        [
            Column("mean_inventory", "mean inventory", "lots", 2),
            Column("mean_abs_inventory", "mean absolute inventory", "lots", 2),
            Column("max_abs_inventory", "largest inventory", "lots", 0),
            Column("inventory_half_life", "half-life of inventory", "s", 1),
            Column("quoted_spread", "quoted spread", "ticks", 2),
            Column("share_at_touch", "share of time at the touch", "", 3),
            Column("fill_ratio", "lots filled / lots entered", "", 4),
        ],
    ),
)


def number(value: Any, decimals: int) -> str:
    """A figure for people, with a true minus sign; a dash where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return _MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:,.{decimals}f}"
    if float(text.replace(",", "")) == 0.0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def data(value: Any, decimals: int) -> str:
    """The same as HTML that keeps the figure itself for programs."""
    shown = number(value, decimals)
    return shown if shown == _MISSING else f'<data value="{value!r}">{shown}</data>'


def market_title(row: Row) -> str:
    """The market of a row: as an experiment calls it, or its regime with what was set."""
    if "market" in row:
        return str(row["market"])
    says_share = row.get("p_informed") or row["regime"] == "informed"
    settings = {"p_informed": row["p_informed"]} if says_share else {}
    settings |= {
        key: value
        for key, value in row.items()
        if key in FIELD_NAMES and key not in ("regime", "p_informed")
    }
    return ", ".join(
        [str(row["regime"]), *(setting_text(key, value) for key, value in settings.items())]
    )


def table_html(table: Table, rows: Sequence[Row], anchor: str) -> str:
    """One table in a box of its own that scrolls; columns that no row has are left out, and so is
    an empty table.

    Rows of one experiment stand together under its name.
    """
    columns = [column for column in table.columns if any(column.key in row for row in rows)]
    if not columns:
        return ""
    bodies = []
    for experiment, members in itertools.groupby(rows, lambda row: str(row.get("experiment", ""))):
        name = f'<tr><th scope="rowgroup" colspan="{len(columns) + 2}">{escape(experiment)}</th></tr>\n'
        lines = "\n".join(_row(columns, row) for row in members)
        bodies.append(f"<tbody>\n{name if experiment else ''}{lines}\n</tbody>")
    head, body = _head(columns), "\n".join(bodies)
    return (
        f'<h3 id="{anchor}">{escape(table.title)}</h3>\n<p class="quiet">{escape(table.explanation)}</p>\n'
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
    headings = [
        f'<th scope="col">{escape(unbroken(c.heading))}{f"<small>{escape(c.unit)}</small>" if c.unit else ""}</th>'
        for c in columns
    ]
    return (
        f'{first}<tr><th scope="col">market</th><th scope="col">agent</th>{"".join(headings)}</tr>'
    )


def _cell(column: Column, row: Row) -> str:
    shown = data(row.get(column.key), column.decimals)
    if not column.interval or shown == _MISSING:
        return f"<td>{shown}</td>"
    low, high = (data(row.get(f"{column.key}_{end}"), column.decimals) for end in ("low", "high"))
    interval = "" if low == _MISSING else f"<small>{low} to {high}</small>"
    return f"<td>{shown}{interval}</td>"
