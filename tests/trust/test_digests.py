"""Stored digests of trajectories guard the dynamics of `MarketMaking-v0`."""

import platform
import sys
from pathlib import Path

import pytest
from numpy._core._multiarray_umath import __cpu_features__

from mm_gym.config import configure
from validation import trajectory_digests
from validation.trajectory_digests import random_quotes, read_stored, stored_markets, write

MARKETS = stored_markets()
EXACT = sys.platform == "linux" and platform.machine() == "x86_64" and __cpu_features__["FMA3"]
"""Whether this machine has the mathematical functions with which the digests were made."""


@pytest.mark.parametrize("name", MARKETS)
def test_the_dynamics_are_those_of_the_stored_digest(name: str) -> None:
    stored, found = read_stored().get(name), random_quotes(MARKETS[name])
    assert stored is not None, (
        f"{name} has no stored digest. Write python -m validation.trajectory_digests --write"
    )
    assert found.digest == stored.digest or (not EXACT and found.is_near(stored)), (
        f"the trajectories of {name} have changed: expected {stored}, got {found}. "
        "If this is intended, raise the version of the environment's id "
        "(docs/contributing/versioning.md), note it in CHANGELOG.md, and store the digests anew: "
        "python -m validation.trajectory_digests --write"
    )


def test_each_stored_digest_belongs_to_a_market() -> None:
    assert list(read_stored()) == list(MARKETS)


@pytest.mark.parametrize("relative", [1e-14, 1e-2])
@pytest.mark.parametrize("regime", ["informed", "clustered", "small_tick"])
def test_rounding_is_within_the_tolerance_of_other_machines_and_a_change_is_not(
    regime: str, relative: float
) -> None:
    """Fields that are wrong in their last digits stand for other mathematical functions."""
    usual, config = random_quotes({"regime": regime}), configure(regime)
    for name in ("maker_rate", "taker_rate", "signal_half_life"):
        wrong = getattr(config, name) * (1.0 + relative)
        other = random_quotes({"regime": regime, name: wrong})
        assert other.is_near(usual) == (relative == 1e-14), name


def test_storing_digests_says_which_have_changed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trajectory_digests, "STORED", tmp_path / "digests.json")
    markets = {name: {"regime": "noise", "latency": latency} for name, latency in OLD.items()}
    monkeypatch.setattr(trajectory_digests, "stored_markets", lambda: markets)
    write()
    assert capsys.readouterr().out.startswith("new      same\nnew      other\nnew      removed\n")
    del markets["removed"]
    markets["other"]["latency"] = 0.7
    write()
    shown = capsys.readouterr().out
    assert shown.startswith("changed  other\ngone     removed\n2 digests")
    assert "raise the version of the environment's id" in shown


OLD = {"same": 0.0, "other": 0.5, "removed": 0.0}
