"""Tuned parameters of each rule in each market: reading and writing `tuned.json`.

`python -m agents.tuning` writes the file. Its sessions are never those of an evaluation
(`agents.tuning.search.tuning_seed`), so that a rule chosen here is not chosen on the sessions on
which it is evaluated.
"""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mm_gym import MarketConfig
from mm_gym.files import replace_file

from ..base import AgentError
from ..invocation import command_name
from . import RULES

TUNED_FILE = Path(__file__).with_name("tuned.json")


@dataclass(frozen=True)
class Tuned:
    """The best parameters found for a rule in one market, and how they were found.

    Figures are means over sessions in ticks x lots, with 95 percent intervals.
    """

    agent: str
    regime: str
    p_informed: float
    parameters: dict[str, float]
    """Empty if the defaults of the rule were best."""
    objective: float
    objective_low: float
    objective_high: float
    gain: float
    """Objective minus that of the rule's defaults, on the same sessions."""
    gain_low: float
    gain_high: float
    effort: dict[str, int]
    """The fields of `agents.tuning.search.Effort`."""
    command: str
    versions: dict[str, str]
    """Versions of Python and the packages."""


def read_tuned(path: Path | None = None) -> list[Tuned]:
    """All entries of the file. The list is empty if there is no file.

    Args:
        path: of the file. Default: `TUNED_FILE`.

    Raises:
        AgentError: if the file cannot be read.
    """
    path = TUNED_FILE if path is None else path
    try:
        return [Tuned(**entry) for entry in json.loads(path.read_text())]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError, OSError) as error:
        raise AgentError(
            f"{path} is damaged or of another version of mm_gym: expected what "
            f"{command_name('tune')} writes, got {type(error).__name__} ({error}) "
            f"(delete the file and write it again with {command_name('tune')})"
        ) from error


def write_tuned(found: Sequence[Tuned], path: Path) -> None:
    """Write these into the file. They replace entries of the same rule and market.

    Raises:
        AgentError: if an existing file cannot be read, or the file cannot be written.
    """
    entries = {_key(entry): entry for entry in (*read_tuned(path), *found)}
    lines = [
        json.dumps(dataclasses.asdict(entries[key]), allow_nan=False) for key in sorted(entries)
    ]
    try:
        replace_file(path, ("[\n" + ",\n".join(lines) + "\n]\n").encode())
    except OSError as error:
        raise AgentError(
            f"{path} cannot be written: expected a file in a folder where you may write, got "
            f"{error.strerror} (write --out with another file)"
        ) from error


def tuned_rule(rule: str, config: MarketConfig) -> Tuned:
    """The entry of a rule in the same regime, at the nearest `p_informed`.

    Of two equally near shares it is the smaller one. Other fields of the configuration are ignored,
    because rules are tuned with all of them at the defaults of the regime.

    Raises:
        AgentError: if the rule was not tuned in this regime.
    """
    return _nearest(config, [entry for entry in read_tuned() if entry.agent == rule], rule)[0]


def best_rule(config: MarketConfig) -> Tuned:
    """The entry with the highest objective in the nearest market, as `tuned_rule` defines it.

    Privileged rules are left out.

    Raises:
        AgentError: if no rule was tuned in this regime.
    """
    eligible = [entry for entry in read_tuned() if not RULES[entry.agent].privileged]
    return max(_nearest(config, eligible), key=lambda entry: entry.objective)


def _nearest(
    config: MarketConfig, entries: Sequence[Tuned], rule: str | None = None
) -> list[Tuned]:
    """The entries of this regime at the share nearest to the market's. `rule` is for the error."""
    shares = {entry.p_informed for entry in entries if entry.regime == config.regime}
    if not shares:
        agents = "" if rule is None else f" --agents {rule}"
        raise AgentError(
            f"{rule or 'no rule'} was {'not ' if rule else ''}tuned in regime {config.regime!r}: "
            f"expected an entry in {TUNED_FILE.name}, got none (write {command_name('tune')}"
            f"{agents} --regimes {config.regime})"
        )
    share = min(shares, key=lambda share: (round(abs(share - config.p_informed), 9), share))
    return [
        entry for entry in entries if (entry.regime, entry.p_informed) == (config.regime, share)
    ]


def _key(entry: Tuned) -> tuple[str, str, float]:
    return entry.agent, entry.regime, entry.p_informed
