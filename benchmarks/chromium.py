"""Headless Chromium, driven by Playwright: for measurements, pictures and tests of pages.

The browser is that of the system. Playwright comes with `pip install "mm-gym[browser]"`.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
"""The path of the program, or None."""


@contextmanager
def chromium() -> Iterator[Any]:
    """An open browser.

    Raises:
        FileNotFoundError: if there is no Chromium.
        ImportError: if Playwright is not installed.
    """
    if CHROMIUM is None:
        raise FileNotFoundError("there is no browser: expected chromium on the path, got none")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
