"""Debian's chromium, driven by Playwright, which brings none of its own here."""

import os
from pathlib import Path

from playwright.sync_api import Browser, Playwright

EXECUTABLE = Path("/usr/bin/chromium")
PACKAGE = "chromium"

_QUIET = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    # What it would ask of its maker's servers at every start.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def launch(playwright: Playwright) -> Browser:
    """Start a browser without a window.

    Args:
        playwright: The driver.

    Returns:
        The browser; close it, or use it in a `with` statement.
    """
    sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()  # chromium's sandbox does not work as root
    return playwright.chromium.launch(executable_path=EXECUTABLE, args=[*_QUIET, *sandbox])
