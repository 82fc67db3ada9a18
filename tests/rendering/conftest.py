"""Every test of this folder shows frames without a delay or colours, and closes its window."""

import sys
from collections.abc import Iterator

import pytest

from mm_gym import MarketMakingEnv


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Show frames without a delay and text without colours. Close the window after each test."""
    monkeypatch.setitem(MarketMakingEnv.metadata, "render_fps", 1000)
    monkeypatch.setenv("NO_COLOR", "1")
    yield
    if sys.modules.get("pygame") is not None:
        sys.modules["pygame"].quit()
