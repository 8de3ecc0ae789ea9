"""Kernels are tested on arrays that end at a page without access: one that leaves its arrays ends the process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fence import fence


@pytest.fixture(autouse=True)
def _fence() -> Iterator[None]:
    with fence():
        yield
