"""Places of temporaries: what lives at the same time never overlaps."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from autodiff.compiler.arena import ALIGNMENT, place
from autodiff.compiler.instructions import Kind, Region

LIVES = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 20), st.integers(0, 8)), max_size=40)


@given(LIVES)
def test_what_lives_together_lies_apart(lives: list[tuple[int, int, int]]) -> None:
    requests = [(Region(Kind.TEMPORARY, size), first, first + length) for size, first, length in lives]
    total = place(requests)
    for region, *_ in requests:
        assert region.offset % ALIGNMENT == 0
        assert 0 <= region.offset <= region.offset + region.nbytes <= total
    for (one, begin, end), (other, first, last) in itertools.combinations(requests, 2):
        if begin <= last and first <= end and one.nbytes and other.nbytes:
            assert one.offset + one.nbytes <= other.offset or other.offset + other.nbytes <= one.offset
    if requests:
        assert total <= sum(-(-region.nbytes // ALIGNMENT) * ALIGNMENT for region, *_ in requests)


def test_memory_is_used_again() -> None:
    regions = [Region(Kind.TEMPORARY, 640) for _ in range(5)]
    assert place([(region, i, i + 1) for i, region in enumerate(regions)]) == 2 * 640
