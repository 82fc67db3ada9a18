"""Tables of exchange data for a terminal of 80 columns. They need rich (the extra `evaluate`)."""

import itertools
import math
from collections.abc import Mapping, Sequence

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from mm_gym.config import configure
from mm_gym.data.calibration import Calibration
from mm_gym.data.comparison import FACTS, shortfalls
from mm_gym.data.description import Description, Figure
from mm_gym.data.replay import Discrepancy, ReplayReport, RowReport
from mm_gym.data.stylised_facts import Fact

_CELL = 14  # characters
_SHOWN = 10  # discrepancies of one kind
_SOURCES = 3  # sources per table of facts
_LABEL, _INTERVAL = 17, 20  # characters


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3g}"


def _table(columns: Mapping[str, int]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    for index, (header, width) in enumerate(columns.items()):
        table.add_column(header, width=width, justify="right" if index else "left", overflow="fold")
    return table


def description_table(description: Description) -> Group:
    """Every figure with its standard error, section by section."""
    parts: list[str | Table] = [
        f"{description.n_messages} messages in {description.duration:.0f} s, "
        f"{description.n_levels} level(s) per side, tick {description.tick_size:g}, "
        f"lots of {description.lot_size} shares."
    ]
    for section, figures in itertools.groupby(
        description.figures.values(), lambda figure: figure.section
    ):
        table = _table({section: 47, "value": 9, "s.e.": 8, "": 13})
        for figure in figures:
            table.add_row(
                escape(figure.label),
                _number(figure.value),
                _number(figure.standard_error),
                figure.unit,
            )
        parts += ["", table]
    parts.append(
        f"\nStandard errors: jackknife over {description.n_blocks} blocks of "
        f"{description.duration / description.n_blocks:.0f} s."
    )
    return Group(*parts)


def calibration_table(calibration: Calibration) -> Group:
    """The matched figures, the call that makes the market, and the notes."""
    table = _table({"Matched by simulation": 23, "data": 9, "market": 9, "": 6})
    for matched in calibration.matched:
        table.add_row(matched.name, _number(matched.data), _number(matched.market), matched.unit)
    return Group(table, "", escape(make_call(calibration)), "", *_sentences(calibration.notes))


def make_call(calibration: Calibration) -> str:
    """The `gymnasium.make(...)` of the market, with the fields that are not regime defaults."""
    config = calibration.config
    usual = configure(config.regime).to_dict()
    lines = [f'    regime="{config.regime}",']
    for name, value in config.to_dict().items():
        if value != usual[name]:
            written = 'float("inf")' if value == math.inf else repr(value)
            lines.append(f"    {name}={written},")
    return "\n".join(["gymnasium.make(", '    "MarketMaking-v0",', *lines, ")"])


def comparison_table(data: Description, markets: Mapping[str, Description]) -> Group:
    """Stylised facts of the data and of markets with standard errors, and the shortfalls.

    Args:
        data: the description of the data.
        markets: name -> description of a simulated market.
    """
    columns = {"Stylised facts": 35, **dict.fromkeys(["data", *markets], _CELL)}
    table = _table(columns)
    for name in FACTS:
        figure = data[name]
        label = figure.label.split(" (")[0]
        table.add_row(
            escape(label),
            *(_with_error(description[name]) for description in (data, *markets.values())),
        )
    parts: list[str | Table] = [table]
    for name, description in markets.items():
        sentences = shortfalls(data, description)
        parts += [
            "",
            f"Where the {name} market falls short of the data:"
            if sentences
            else f"The {name} market: no shortfall.",
        ]
        parts += _sentences(sentences)
    return Group(*parts)


def _with_error(figure: Figure) -> str:
    """Value and standard error, with two digits of the error, or one if the cell is too narrow."""
    if not figure.standard_error > 0.0:
        return _number(figure.value)
    for digits in (2, 1):
        decimals = max(0, digits - 1 - math.floor(math.log10(figure.standard_error)))
        cell = f"{figure.value:.{decimals}f} ({figure.standard_error:.{decimals}f})"
        if len(cell) <= _CELL:
            break
    return cell


def facts_tables(sources: Mapping[str, Mapping[str, Fact]], compared: Mapping[str, str]) -> Group:
    """Facts of several sources with their intervals, three sources per table.

    Args:
        sources: name -> `stylised_facts`.
        compared: name of a source -> name of the one that it is compared with. A star marks facts
            whose intervals do not meet.
    """

    def differs(source: str, name: str) -> bool:
        ours, theirs = sources[source][name], sources[compared[source]][name]
        return ours.high < theirs.low or theirs.high < ours.low

    parts: list[str | Table] = []
    names = list(sources)
    for first in range(0, len(names), _SOURCES):
        shown = names[first : first + _SOURCES]
        facts = sources[shown[0]]
        columns = {" ": _LABEL, **dict.fromkeys(shown, _INTERVAL)}
        parts.append(_table(columns))
        sections = itertools.groupby(facts.items(), lambda item: item[1].section)
        for section, members in sections:
            table = _table(columns)
            table.show_header = False
            for name, fact in members:
                cells = [
                    _with_interval(
                        sources[source][name],
                        "*" if source in compared and differs(source, name) else " ",
                    )
                    for source in shown
                ]
                table.add_row(escape(fact.label), *map(escape, cells))
            parts += [f"[dim]{escape(section)}[/dim]", table]
        parts.append("")
    for source, data in compared.items():
        known = [name for name, fact in sources[data].items() if not math.isnan(fact.low)]
        known = [name for name in known if not math.isnan(sources[source][name].low)]
        apart = [name for name in known if differs(source, name)]
        parts.append(
            f"{source}: {len(apart)} of {len(known)} intervals do not meet those of {data} (*)."
        )
    return Group(*parts)


def _with_interval(fact: Fact, mark: str) -> str:
    """Value, mark and interval, with one digit of half the interval's length if there is room."""
    if math.isnan(fact.low):
        return _number(fact.value)
    half = 0.5 * (fact.high - fact.low)
    decimals = min(3, max(0, -math.floor(math.log10(half)))) if half > 0.0 else 2
    while True:
        # Adding zero turns -0.0 into 0.0.
        numbers = [round(x, decimals) + 0.0 for x in (fact.value, fact.low, fact.high)]
        value, low, high = (f"{number:.{decimals}f}" for number in numbers)
        cell = f"{value}{mark}[{low}, {high}]"
        if len(cell) <= _INTERVAL or decimals == 0:
            return cell
        decimals -= 1


def replay_table(rows: RowReport, replayed: ReplayReport) -> Group:
    """The results of `check_rows` and `replay`."""
    table = _table({"Replay into LimitOrderBook": 53, "": 9})
    table.add_row(
        "rows that follow from previous row and message",
        f"{rows.rows - len(rows.exceptions)}",
    )
    table.add_row("rows that do not", f"{len(rows.exceptions)}")
    table.add_row("levels compared", f"{rows.levels_compared}")
    table.add_row("levels that came into view and cannot be compared", f"{rows.levels_revealed}")
    table.add_row("executions of visible orders", f"{replayed.executions}")
    table.add_row("- of the oldest order of the best queue", f"{replayed.hit_oldest}")
    table.add_row("- of an order of unknown age at its head", f"{len(replayed.hit_unknown)}")
    table.add_row("exceptions in the continuous replay", f"{len(replayed.exceptions)}")
    return Group(
        table,
        *_discrepancies("Rows that do not follow", rows.exceptions),
        *_discrepancies("Exceptions in the continuous replay", replayed.exceptions),
        *_discrepancies("Executions of orders of unknown age", replayed.hit_unknown),
    )


def _discrepancies(title: str, discrepancies: Sequence[Discrepancy]) -> list[str]:
    if not discrepancies:
        return []
    more = [f"- and {len(discrepancies) - _SHOWN} more"] if len(discrepancies) > _SHOWN else []
    return [
        "",
        f"{title}:",
        *(escape(f"- row {row}: {reason}") for row, reason in discrepancies[:_SHOWN]),
        *more,
    ]


def _sentences(sentences: Sequence[str]) -> list[str]:
    return [escape(f"- {sentence}") for sentence in sentences]
