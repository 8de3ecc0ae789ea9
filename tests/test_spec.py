from __future__ import annotations

from weakref import ref

import pytest

from autodiff import spec
from autodiff.spec import Spec


def test_of_equal_specs_there_is_one_as_long_as_somebody_holds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    held, unused = Spec.of((98765, 3)), ref(Spec.of((98765, 4)))
    assert unused() is not None
    monkeypatch.setattr(spec, "_limit", len(spec._table))
    Spec.of((98765, 5))
    assert unused() is None
    assert Spec.of((98765, 3)) is held


def test_other_ways_to_say_a_spec_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    spec._forget_unused()
    before = len(spec._table)
    held = Spec.of((1, 98764))
    for stride in range(98764, 98864):
        assert Spec.strided((1, 98764), held.dtype, (stride, 1)) is held
    assert len(spec._table) >= before + 100
    monkeypatch.setattr(spec, "_limit", len(spec._table))
    Spec.of((98765, 5))
    assert len(spec._table) <= before + 3
