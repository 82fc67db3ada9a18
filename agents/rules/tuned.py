"""The parameters that tuning found for each rule and market: `tuned.json`, which `python -m
agents.tuning` writes.

They were found on sessions that no evaluation sees (`agents.tuning.search.tuning_seed`), so that
choosing a rule by what is written here takes nothing from the sessions on which it is judged.
"""

import dataclasses
import json
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mm_gym import MarketConfig

from ..base import AgentError
from . import RULES

TUNED_FILE = Path(__file__).with_name("tuned.json")


@dataclass(frozen=True)
class Tuned:
    """The best parameters found for a rule in one market, and what they were found by.

    Means over sessions in ticks x lots, with 95 percent intervals.
    """

    agent: str
    regime: str
    p_informed: float
    parameters: dict[str, float]
    """None if nothing that was found did better than the rule's defaults."""
    objective: float
    objective_low: float
    objective_high: float
    gain: float
    """Of the objective over that of the rule's defaults, on the same sessions."""
    gain_low: float
    gain_high: float
    effort: dict[str, int]
    """Fields of `agents.tuning.search.Effort`."""
    command: str
    versions: dict[str, str]
    """Of Python and the packages."""


def read_tuned(path: Path | None = None) -> list[Tuned]:
    """All that is written in the file, `TUNED_FILE` by default; nothing if there is none.

    Raises:
        AgentError: if it is damaged.
    """
    path = TUNED_FILE if path is None else path
    try:
        return [Tuned(**entry) for entry in json.loads(path.read_text())]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError, OSError) as error:
        raise AgentError(
            f"{path} is damaged or of another version of mm_gym ({error}); delete it and write it anew with "
            "python -m agents.tuning"
        ) from error


def write_tuned(found: Sequence[Tuned], path: Path) -> None:
    """Put these into the file, in the place of what was found before for the same rule and market.

    Raises:
        AgentError: if the file that is there is damaged, or none can be written.
    """
    entries = {_key(entry): entry for entry in (*read_tuned(path), *found)}
    lines = [
        json.dumps(dataclasses.asdict(entries[key]), allow_nan=False) for key in sorted(entries)
    ]
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text("[\n" + ",\n".join(lines) + "\n]\n")
        os.replace(partial, path)
    except OSError as error:
        raise AgentError(
            f"{path} cannot be written ({error.strerror}); write --out with a file in a folder where you may write"
        ) from error


def tuned_rule(rule: str, config: MarketConfig) -> Tuned:
    """What was found for a rule in the markets nearest to these: of the same regime, at the nearest
    `p_informed`.

    Of two shares equally near it is the smaller one. Whatever else the configuration says is not
        looked at: rules are
    tuned with every other field at its regime's default.

    Raises:
        AgentError: if the rule was not tuned in this regime.
    """
    return _nearest(config, [entry for entry in read_tuned() if entry.agent == rule], rule)[0]


def best_rule(config: MarketConfig, but: Collection[str] = ()) -> Tuned:
    """The rule with the best objective, as tuned, in the markets nearest to these; see
    `tuned_rule`. None that cheats.

    Args:
        config: of the markets.
        but: rules to leave out.

    Raises:
        AgentError: if no rule was tuned in this regime.
    """
    honest = [
        entry for entry in read_tuned() if not (RULES[entry.agent].privileged or entry.agent in but)
    ]
    return max(_nearest(config, honest, "a rule"), key=lambda entry: entry.objective)


def _nearest(config: MarketConfig, entries: Sequence[Tuned], wanted: str) -> list[Tuned]:
    """Those of the entries that are of this regime, at the one share nearest to the market's."""
    shares = {entry.p_informed for entry in entries if entry.regime == config.regime}
    if not shares:
        arguments: dict[str, Any] = {} if wanted == "a rule" else {"agents": wanted}
        arguments["regimes"] = config.regime
        raise AgentError(
            f"{wanted} tuned in regime {config.regime!r} was wanted, but {TUNED_FILE.name} has none; write "
            f"python -m agents.tuning {' '.join(f'--{name} {value}' for name, value in arguments.items())}"
        )
    share = min(shares, key=lambda share: (round(abs(share - config.p_informed), 9), share))
    return [
        entry for entry in entries if (entry.regime, entry.p_informed) == (config.regime, share)
    ]


def _key(entry: Tuned) -> tuple[str, str, float]:
    return entry.agent, entry.regime, entry.p_informed
