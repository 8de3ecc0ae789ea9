"""Gradients that one operation computes together with those of what followed: that of a norm and its ReLU, say.

    n = norm(x),  y = relu(n)          forward
    h = relu_grad(g, y),  norm_grad(h, x, ...)        backward, in a program: norm_relu_grad(g, x, ...)

An operation declares what it does the work of (`primitive.Joined`); nothing here knows any by name. It reads what y was
made of instead of y, and nobody writes h.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from autodiff.compiler.instructions import Instruction, Region, Value
from autodiff.primitive import OPERATIONS, Joined, Primitive


def with_joined(
    instructions: Sequence[Instruction], forward: int, needed: Iterable[Region]
) -> tuple[list[Instruction], int]:
    """Replace pairs of gradients by the operations that do the work of both.

    Args:
        instructions: of a program, in order.
        forward: how many of them belong to the function itself, the rest to its backward pass.
        needed: regions whose content somebody wants after the program.

    Returns:
        The instructions, and how many of them belong to the function now.
    """
    known = {(x.joined.first, x.joined.then): (x, x.joined) for x in OPERATIONS.values()
             if isinstance(x, Primitive) and x.joined is not None}
    history = _History(instructions, needed)
    found: dict[int, Instruction] = {}
    gone: set[int] = set()
    for number, then in enumerate(instructions):
        first = history.maker(then.inputs[0], number) if then.inputs else None
        pair = None if first is None else known.get((instructions[first].primitive.name, then.primitive.name))
        if first is None or pair is None:
            continue
        primitive, joined = pair
        operands = history.operands(joined, first, number)
        if operands is not None:
            before = instructions[first]
            inputs = (before.inputs[0], *operands)
            found[number] = Instruction(primitive, then.params, inputs, then.outputs, then.record, parts=(before, then))
            gone.add(first)
    kept = [found.get(number, x) for number, x in enumerate(instructions) if number not in gone]
    return kept, forward - sum(number < forward for number in gone)


class _History:
    """Says who wrote what, and when.

    Args:
        instructions: of a program, in order.
        needed: regions whose content somebody wants after the program.
    """

    def __init__(self, instructions: Sequence[Instruction], needed: Iterable[Region]) -> None:
        self.instructions = instructions
        self.needed = frozenset(needed)
        self.readers = Counter(region for x in instructions for region in {value.region for value in x.inputs})
        self.writers: dict[Region, list[int]] = {}
        for number, instruction in enumerate(instructions):
            for value in instruction.outputs:
                self.writers.setdefault(value.region, []).append(number)

    def maker(self, value: Value, before: int) -> int | None:
        """Return the number of the last instruction before another that wrote to a value's memory, if it wrote it."""
        number = max((i for i in self.writers.get(value.region, ()) if i < before), default=None)
        return None if number is None or value not in self.instructions[number].outputs else number

    def operands(self, joined: Joined, first: int, then: int) -> list[Value] | None:
        """Return what the joined operation reads behind the cotangent; None where it does not do the same."""
        before, after = self.instructions[first], self.instructions[then]
        cotangent, y = before.inputs
        (between,) = before.outputs
        following = self.maker(y, first)
        if following is None or self.instructions[following].primitive.name != joined.following:
            return None
        given = self.instructions[following].inputs[0]
        source = self.maker(given, following)
        if source is None or given is not self.instructions[source].outputs[0]:
            return None
        made = self.instructions[source]
        if made.primitive.name not in joined.operands:
            return None
        values = (*made.inputs, *made.outputs)
        operands = [values[k] for k in joined.operands[made.primitive.name]]
        same = (
            tuple(operands[: len(after.inputs) - 1]) == after.inputs[1:]
            and between.spec is cotangent.spec
            and self._is_read_once(before, between)
            and self._stays(cotangent, first, then)
            and all(self._stays(value, source, then) for value in operands)
        )
        return operands if same else None

    def _is_read_once(self, instruction: Instruction, value: Value) -> bool:
        region = value.region
        return (instruction.computes and region not in self.needed and self.readers[region] == 1
                and len(self.writers[region]) == 1)

    def _stays(self, value: Value, since: int, until: int) -> bool:
        return not any(since < number < until for number in self.writers.get(value.region, ()))
