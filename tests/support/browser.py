"""A headless Chromium for tests of pages."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--window-size=1300,1000",
)  # fmt: skip
SECONDS = 60


@contextmanager
def opened(folder: Path) -> Iterator[webdriver.Chrome]:
    """Start Chromium with a fresh profile; the test is skipped where there is none."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("no Chromium: apt install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for option in (*OPTIONS, f"--user-data-dir={folder}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    page = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield page
    finally:
        page.quit()


def wait_for(page: webdriver.Chrome, script: str) -> Any:
    """Wait until a script returns something true, and return it."""
    condition: Callable[[webdriver.Chrome], Any] = lambda p: p.execute_script(f"return {script}")  # noqa: E731
    return WebDriverWait(page, SECONDS).until(condition, f"never true: {script}")


def set_width(page: webdriver.Chrome, width: int) -> None:
    """Set the width of the page in pixels, narrower than a desktop window can be."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def set_theme(page: webdriver.Chrome, theme: str) -> None:
    """Let the reader prefer "light" or "dark" pages."""
    feature = {"name": "prefers-color-scheme", "value": theme}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def errors(page: webdriver.Chrome) -> list[str]:
    """Return the errors in the console since the last look."""
    return [str(e["message"]) for e in page.get_log("browser") if e["level"] == "SEVERE"]
