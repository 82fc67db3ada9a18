"""Choosing, grouping and naming the entries in pictures. An entry is one agent in one market."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from mm_gym.config import FIELD_NAMES, MarketConfig, configure
from mm_gym.evaluation.plans import Entry
from mm_gym.reporting.pictures.style import MARKERS, SERIES, STROKES, Line


@dataclass(frozen=True)
class Curve:
    """One agent in markets that differ in one field."""

    name: str
    market: str
    """The fields in which these markets differ from those of the other curves, in words."""
    field: str
    """The field that varies along the curve."""
    points: tuple[Entry, ...]
    """By ascending value of the field."""

    @property
    def values(self) -> list[float]:
        """The values of the field."""
        return [float(getattr(entry.sessions.config, self.field)) for entry in self.points]


_FEWEST_POINTS = 3  # a curve needs at least as many
_SHORT_NAMES = {"p_informed": "p"}


def distinct(entries: Sequence[Entry]) -> list[Entry]:
    """The entries without repetitions, since several experiments may use the same sessions."""
    kept: list[Entry] = []
    for entry in entries:
        if not any(
            entry.agent == other.agent and entry.sessions is other.sessions for other in kept
        ):
            kept.append(entry)
    return kept


def by_agent(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """The entries of each agent, in order of first appearance."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.agent, []).append(entry)
    return groups


def market_names(configs: Sequence[MarketConfig]) -> list[str]:
    """A name for each market: its regime, and the fields that distinguish it.

    The informed share is part of the name if it is not zero. Other fields are part of it if the
    markets differ in them and the value is not the regime's default.
    """
    differing = differing_fields(configs)
    return [", ".join([config.regime, *_field_texts(config, differing)]) for config in configs]


def differing_fields(configs: Sequence[MarketConfig]) -> set[str]:
    """The fields in which markets differ."""
    return {name for name in FIELD_NAMES if len({getattr(config, name) for config in configs}) > 1}


def _field_texts(config: MarketConfig, differing: set[str], without: str = "") -> list[str]:
    default = _usual(config)
    parts = []
    for name in FIELD_NAMES:
        if name in ("regime", without):
            continue
        value = getattr(config, name)
        distinguishes = name in differing and value != getattr(default, name)
        informed = name == "p_informed" and (
            value > 0.0 or (name in differing and config.regime == "informed")
        )
        if distinguishes or informed:
            parts.append(field_text(name, value))
    return parts


def _usual(config: MarketConfig, **fields: Any) -> MarketConfig:
    """The regime's market, of the same recorded data if it has any."""
    data = {"data": config.data} if config.data else {}
    return configure(config.regime, **data, **fields)


def field_text(name: str, value: Any) -> str:
    """A field in titles: `p = 0.4`, `latency = 0.5`, `sniping` or `informed_kind = decoy`."""
    if isinstance(value, bool):
        return name if value else f"no {name}"
    shown = f"{value:g}" if isinstance(value, (int, float)) else str(value)
    return f"{_SHORT_NAMES.get(name, name)} = {shown}"


def curves(entries: Sequence[Entry]) -> dict[str, list[Curve]]:
    """The curves over each field: one agent in at least three markets that differ in it alone.

    Returns:
        Field -> curves, with the informed share first.
    """
    numeric = [field.name for field in fields(MarketConfig) if field.type in (int, float)]
    numeric.sort(key=lambda name: name != "p_informed")
    found: dict[str, list[Curve]] = {}
    for field in numeric:
        groups: dict[tuple[Any, ...], dict[float, Entry]] = {}
        for entry in entries:
            config = entry.sessions.config
            others = tuple(getattr(config, name) for name in FIELD_NAMES if name != field)
            groups.setdefault((entry.agent, *others), {}).setdefault(getattr(config, field), entry)
        kept = [group for group in groups.values() if len(group) >= _FEWEST_POINTS]
        if kept:
            found[field] = _named(
                field, [tuple(group[value] for value in sorted(group)) for group in kept]
            )
    return found


def _named(field: str, groups: Sequence[tuple[Entry, ...]]) -> list[Curve]:
    """Curves named after the agent, and after the market if the curves differ in it."""
    configs = [group[0].sessions.config for group in groups]
    differing = differing_fields(configs)
    named = []
    for group, config in zip(groups, configs, strict=True):
        regime = [config.regime] if "regime" in differing else []
        market = ", ".join([*regime, *_field_texts(config, differing, without=field)])
        agent = group[0].agent
        named.append(Curve(f"{agent}, {market}" if market else agent, market, field, group))
    return named


def representatives(entries: Sequence[Entry], limit: int) -> list[Entry]:
    """At most `limit` of the entries, in their order, that cover the range of markets.

    The regimes take turns, one entry at a time. Within a regime, markets with the fewest
    non-default fields come first. Of a sweep over the informed share, the upper end comes first,
    then the shares nearest to the middle. Of a sweep over another field, the value furthest from
    the default comes first.
    """
    if len(entries) <= limit:
        return list(entries)
    regimes: dict[str, list[Entry]] = {}
    for entry in entries:
        regimes.setdefault(entry.sessions.config.regime, []).append(entry)
    queues = [_by_importance(members) for members in regimes.values()]
    turns = [
        entry for turn in itertools.zip_longest(*queues) for entry in turn if entry is not None
    ]
    chosen = {id(entry) for entry in turns[:limit]}
    return [entry for entry in entries if id(entry) in chosen]


class Look(NamedTuple):
    """The name, colour, marker and line style of one market in a picture."""

    name: str
    colour: str
    marker: str
    stroke: Line


def look_of_markets(entries: Sequence[Entry]) -> dict[MarketConfig, Look]:
    """A look for each market, the same for all agents; at most as many as there are colours."""
    first = {entry.sessions.config: entry for entry in reversed(entries)}
    in_order = [
        first[config] for config in dict.fromkeys(entry.sessions.config for entry in entries)
    ]
    configs = [entry.sessions.config for entry in representatives(in_order, len(SERIES))]
    return {
        config: Look(name, colour, marker, stroke)
        for config, name, colour, marker, stroke in zip(
            configs, market_names(configs), SERIES, MARKERS, STROKES, strict=False
        )
    }


def _by_importance(entries: Sequence[Entry]) -> list[Entry]:
    """Entries of one regime in the order of `representatives`."""
    shares = sorted({entry.sessions.config.p_informed for entry in entries})
    middle = 0.5 * (shares[0] + shares[-1])

    def rank(entry: Entry) -> tuple[int, float, float]:
        config = entry.sessions.config
        default = _usual(config, p_informed=config.p_informed)
        pairs = [(getattr(config, name), getattr(default, name)) for name in FIELD_NAMES]
        odd = [(value, usual) for value, usual in pairs if value != usual]
        distance = sum(
            abs(float(value) - float(usual))
            for value, usual in odd
            if isinstance(value, int | float) and isinstance(usual, int | float)
        )
        share = config.p_informed
        return len(odd), -1.0 if share == shares[-1] else abs(share - middle), -distance

    return sorted(entries, key=rank)
