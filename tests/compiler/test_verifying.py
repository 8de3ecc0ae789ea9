"""Programs that a pass has broken are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import autodiff as ad
from autodiff.compiler import passes
from autodiff.compiler.instructions import Instruction, Kind, Region, Value
from autodiff.compiler.verifying import verify, verify_effects
from autodiff.spec import Spec
from tests.compiler.test_passes import recorded

STATE = ad.zeros(2, 2)


def program() -> tuple[list[Instruction], list[Region]]:
    def function(x: Any, index: Any) -> Any:
        a = x.exp()
        a.add_(1)
        STATE.add_(a)
        b = ad.nn.functional.embedding(index, a)
        return b.t().sin()

    step = recorded(function, ad.ones(2, 2), ad.tensor([1, 0]))
    return step.instructions, [value.region for value in step.results]


def with_inputs(instruction: Instruction, *inputs: Value) -> Instruction:
    return Instruction(instruction.primitive, instruction.params, inputs, instruction.outputs, instruction.record)


def _without_first(x: list[Instruction]) -> list[Instruction]:
    return x[1:]


def _swapped(x: list[Instruction]) -> list[Instruction]:
    return [x[1], x[0], *x[2:]]


def _again(x: list[Instruction]) -> list[Instruction]:
    return [x[0], *x]


def _of_another_type(x: list[Instruction]) -> list[Instruction]:
    return [x[0], with_inputs(x[-1], Value(x[0].outputs[0].region, Spec.of((3, 3)))), *x[1:]]


def _a_view_elsewhere(x: list[Instruction]) -> list[Instruction]:
    region = Region(Kind.CONSTANT, 16)
    return [x[0], with_inputs(x[-1], Value(region, x[-1].inputs[0].spec, x[0].outputs[0])), *x[1:-1]]


@pytest.mark.parametrize(("broken", "message"), [
    (_without_first, r"after the pass 'test', .* reads input 0, which nobody has written"),
    (_swapped, "which nobody has written"),
    (_again, "writes a new result into memory that was there before"),
    (_of_another_type, "where other types are read"),
    (_a_view_elsewhere, "a view that lies apart from its source"),
    (lambda x: x[:-1], "nobody writes .*, which is read afterwards"),
])  # fmt: skip
def test_programs_without_sense(broken: Callable[[list[Instruction]], list[Instruction]], message: str) -> None:
    instructions, needed = program()
    verify("test", instructions, needed)
    with pytest.raises(ValueError, match=message):
        verify("test", broken(instructions), needed)


def test_effects_must_stay() -> None:
    instructions, _ = program()
    names = [x.primitive.name for x in instructions]
    assert names == ["exp", "add", "add", "embedding", "sin"]
    verify_effects("test", instructions, [*instructions[:2], *instructions[3:4], instructions[2]])
    with pytest.raises(ValueError, match="has changed what is done to <slot 16 bytes>"):
        verify_effects("test", instructions, [*instructions[:2], *instructions[3:]])
    with pytest.raises(ValueError, match="has lost the check of embedding"):
        verify_effects("test", instructions, instructions[:3])


def test_every_pass_is_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "with_late_writes", lambda instructions: instructions[1:])
    function = ad.compile(lambda x: x.exp().sum())
    function(ad.ones(2))
    with pytest.raises(ValueError, match="after the pass 'with_late_writes'"):
        function(ad.ones(2))
