"""Find a Chromium for the browser tests, or install one: `python tests/browser/chromium.py --install`.

Looked for in this order: the program named by $CHROMIUM, the usual names on PATH, Playwright's own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
APPLICATIONS = ("Google Chrome", "Chromium", "Microsoft Edge")  # macOS keeps them off PATH
DOWNLOAD = 300  # seconds for Playwright's download before the package manager is tried
ADVICE = (
    "The browser tests need Chromium and found none. Install one of chromium, google-chrome (on Debian: "
    "apt-get install chromium) or run `.venv/bin/playwright install chromium`; or name one: CHROMIUM=/path make test."
)


def candidates() -> Iterator[str]:
    """Programs that may be a Chromium, the wanted ones first."""
    if named := os.environ.get("CHROMIUM"):
        yield named  # a wish that cannot be met is an error, not a reason to look further
        return
    yield from filter(None, map(shutil.which, NAMES))
    yield from (f"/Applications/{name}.app/Contents/MacOS/{name}" for name in APPLICATIONS)
    yield from _playwrights_own()


def _playwrights_own() -> Iterator[str]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright.chromium.executable_path


def starts(program: str) -> bool:
    """Whether a program runs: a Chromium without its system libraries, or Ubuntu's stand-in for a snap, does not."""
    if not Path(program).is_file():
        return False
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return said.returncode == 0 and any(character.isdigit() for character in said.stdout)


def find() -> str | None:
    """Path of the first Chromium that starts."""
    return next(filter(starts, candidates()), None)


def install() -> str | None:
    """Try Playwright's download, then the system's packages where that is allowed; the path, or None."""
    environment = os.environ | {"PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT": "10000", "DEBIAN_FRONTEND": "noninteractive"}
    root = _as_root()
    apt = shutil.which("apt-get")
    download = [sys.executable, "-m", "playwright", "install", "chromium"]
    steps = [download]
    if apt and root is not None:
        # Playwright's build may lack system libraries; Debian's package brings its own.
        libraries = [sys.executable, "-m", "playwright", "install-deps", "chromium"]
        steps += [libraries] if Path("/etc/lsb-release").exists() else []
        packages = ["chromium", "fonts-liberation"]  # without a font a page shows boxes
        steps += [[*root, apt, "update", "-q"], [*root, apt, "install", "-qy", "--no-install-recommends", *packages]]
    for step in steps:
        print("  " + " ".join(step[-3:]), flush=True)
        try:
            quiet = subprocess.DEVNULL
            subprocess.run(step, env=environment, timeout=DOWNLOAD, stdin=quiet, stdout=quiet, stderr=quiet)
        except subprocess.TimeoutExpired:
            continue
        if found := find():
            return found
    return None


def _as_root() -> list[str] | None:
    """Words to put before a command that needs root; None where that is not allowed."""
    if not hasattr(os, "geteuid"):
        return None
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    allowed = sudo and subprocess.run([sudo, "-n", "true"], capture_output=True).returncode == 0
    return [sudo, "-n"] if allowed else None


if __name__ == "__main__":
    found = find()
    if found is None and "--install" in sys.argv and not os.environ.get("CHROMIUM"):
        print("Looking for a Chromium to install (once)", flush=True)
        found = install()
    print(found or ADVICE)
    sys.exit(found is None)
