"""The order in which the passes go over the instructions of a step. Each pass is verified, and its result kept."""

from __future__ import annotations

from autodiff.compiler import arena, passes
from autodiff.compiler.instructions import Instruction, Region, Step
from autodiff.compiler.joining import with_joined
from autodiff.compiler.rematerialisation import with_less_memory
from autodiff.compiler.repeats import without_repeats
from autodiff.compiler.verifying import verify, verify_effects

Sizes = tuple[float, float, float]  # bytes of temporaries: the budget, what is taken, and what would be without one


def improve(step: Step, budget: float | None) -> tuple[dict[str, list[Instruction]], Sizes | None]:
    """Let all passes go over a step's instructions; with a budget, until their temporaries take no more than that.

    Args:
        step: what was recorded; gets the instructions that the last pass has made.
        budget: bytes, or up to 1 the share of what they would take without one; None for no limit.

    Returns:
        The instructions after each pass, by the pass's name, and with a budget the sizes.
    """
    return _Improvement(step).run(budget)


class _Improvement:
    """A step on its way through the passes."""

    def __init__(self, step: Step) -> None:
        self.step = step
        self.stages = {"recorded": step.instructions}
        # What is read when all instructions have run.
        self.ends = {value.region for value in (*step.results, *[value for _, value in step.gradients],
                                                *[value for value in step.found if value])}

    def run(self, budget: float | None) -> tuple[dict[str, list[Instruction]], Sizes | None]:
        """Run all passes."""
        step, ends = self.step, self.ends
        inside, outside = step.instructions[: step.forward], step.instructions[step.forward :]
        outside = passes.without_dead(outside, ends)
        inside = passes.without_dead(inside, ends | _read_by(outside))
        self._done("without_dead", [*inside, *outside])
        whole, forward = without_repeats([*inside, *outside], len(inside), ends)
        self._done("without_repeats", whole)
        whole, forward = with_joined(whole, forward, ends)
        self._done("with_joined", whole)
        step.instructions, step.forward = self._joined(whole, forward)
        if budget is None:
            return self.stages, None
        whole_size = size = arena.size(step.instructions, ends)
        most = aim = budget if budget > 1 else budget * size
        for _ in range(4):
            if size <= most:
                break
            smaller = with_less_memory(whole, forward, ends, aim)
            self._done("with_less_memory", smaller[0])
            step.instructions, step.forward = self._joined(*smaller)
            size = arena.size(step.instructions, ends)
            aim *= most / size
        return self.stages, (most, size, whole_size)

    def _joined(self, whole: list[Instruction], forward: int) -> tuple[list[Instruction], int]:
        """Order and join instructions, those of the function and those of the backward pass apart."""
        inside, outside = passes.with_late_writes(whole[:forward]), passes.with_late_writes(whole[forward:])
        ordered = [*inside, *outside]
        inside = passes.with_chains(inside, self.ends | _read_by(outside))
        joined = [*inside, *passes.with_chains(outside, self.ends)]
        self._done("with_late_writes", ordered)
        self._done("with_chains", joined)
        return joined, len(inside)

    def _done(self, name: str, instructions: list[Instruction]) -> None:
        """Verify what a pass has made, and keep it."""
        verify(name, instructions, self.ends)
        verify_effects(name, self.stages["recorded"], instructions)
        self.stages.pop(name, None)  # the last pass stands last
        self.stages[name] = instructions


def _read_by(instructions: list[Instruction]) -> set[Region]:
    """Return the regions that instructions read."""
    return {value.region for instruction in instructions for value in instruction.inputs}
