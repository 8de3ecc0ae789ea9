"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from browser import Browser
    from opened import Opened

# The same examples on every run. HYPOTHESIS_PROFILE=search looks for new ones.
settings.register_profile("repeat", derandomize=True, deadline=None, max_examples=60, database=None)
settings.register_profile("search", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeat"))


@pytest.fixture(autouse=True)
def _same_numbers(request: pytest.FixtureRequest) -> None:
    """A module's generator begins anew with each test: its numbers do not depend on the tests that ran before it."""
    for name, value in list(vars(request.module).items()):
        if isinstance(value, np.random.Generator):
            setattr(request.module, name, np.random.default_rng(0))


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A headless Chromium; without one the test is skipped."""
    import browser

    if browser.program() is None:
        pytest.skip("there is no Chromium")
    chromium = browser.Browser(tmp_path_factory.mktemp("profile"))
    yield chromium
    chromium.close()


@pytest.fixture
def opened(chromium: Browser, tmp_path: Path) -> Opened:
    """The browser, to open pages of graphs in."""
    from opened import Opened

    return Opened(chromium, tmp_path)
