"""What a program would be with parts of its forward pass under `utils.checkpoint`: saved values dropped, made again.

Chen et al., "Training deep nets with sublinear memory cost", 2016.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from autodiff.program import Program, Record
from autodiff.program_memory import SAVED, MemoryUse


class Checkpointing(NamedTuple):
    """What changes when modules are checkpointed, each for itself.

    Attributes:
        modules: their paths.
        peak: bytes at the peak of the program then.
        flops: how many more there are, since the modules' forward runs twice.
    """

    modules: tuple[str, ...]
    peak: int
    flops: int


def checkpointed(program: Program, modules: Collection[str]) -> Program:
    """Return the program with modules under `utils.checkpoint`, as far as records and memory go.

    Before a module's backward reads what its forward has made, the forward runs again, and that is read instead.

    Args:
        program: a step with forward and backward.
        modules: paths, such as ``"ResNet.layer1"``. Each call of a module is a part for itself.

    >>> import autodiff as ad
    >>> from autodiff.program_checkpoint import checkpointed
    >>> model = ad.nn.Sequential(ad.nn.Sequential(ad.nn.Linear(2, 8), ad.nn.Tanh()), ad.nn.Linear(8, 1))
    >>> program = ad.record(lambda: model(ad.ones(4, 2)).sum().backward())
    >>> again = checkpointed(program, ["Sequential.0"])
    >>> again.verify()
    >>> len(again) - len(program)
    2
    """
    part_of: dict[Record, tuple[str, int]] = {}  # record of a forward pass -> module and number of its call
    parts: dict[tuple[str, int], list[Record]] = defaultdict(list)
    before, number = "", 0
    for record in program:
        module = next((m for m in modules if _inside(record, m)), "") if record.phase == "forward" else ""
        number += module != before
        before = module
        if module:
            part_of[record] = module, number
            parts[module, number].append(record)

    origin_of = dict(zip(program, program.columns.get("origin") or ()))
    records: list[Record] = []
    origins: list[Any] = []
    written: dict[Record, tuple[Any, ...]] = {}
    again: dict[Record, Record] = {}  # record of a part -> its second run
    changed: dict[Record, Record] = {}  # record outside of parts -> what stands for it, since its operands are others

    def add(record: Record, part: tuple[str, int] | None, second: bool = False) -> Record:
        """Add a record, or a copy of it that reads what stands for its operands; of its part, the second run."""

        def now(operand: Any) -> Any:
            if type(operand) is not tuple:
                return operand
            runs = again if part is not None and part_of.get(operand[0]) == part else changed
            return runs.get(operand[0], operand[0]), operand[1]

        operands = tuple([now(operand) for operand in record.operands])
        if second or operands != record.operands:
            new = Record()
            for name in ("number", "primitive", "params", "tracked", "inputs", "outputs", "keep", "code", "offset",
                         "called", "step", "scope", "phase"):
                setattr(new, name, getattr(record, name))
            new.operands = new.edges = operands
            new.saved = new.hooks = None
        else:
            new = record
        records.append(new)
        origins.append(origin_of.get(record))
        if record in program.written:
            written[new] = tuple([now(operand) for operand in program.written[record]])
        return new

    for record in program:
        part = None
        for operand in record.operands if record.phase == "backward" else ():
            found = part_of.get(operand[0]) if type(operand) is tuple else None
            # The module behind a part reads what it has handed on: that stays where it is.
            if found is not None and _inside(record, found[0]):
                part = found
                if operand[0] not in again:
                    for old in parts[part]:
                        again[old] = add(old, part, second=True)
        new = add(record, part)
        if new is not record:
            changed[record] = new
    outputs = [(changed.get(record, record), index) for record, index in program.outputs]
    return Program(records, outputs, written, {"origin": origins})


def _inside(record: Record, module: str) -> bool:
    return f"{record.scope}.".startswith(f"{module}.")


class Candidates:
    """The modules of a program that can be checkpointed, and what that would do.

    Args:
        program: a step with forward and backward.
        use: its memory.

    Attributes:
        saved: path of a module -> bytes that its forward pass makes and only its own backward pass reads. The outermost
            is left out: to run everything again at once saves nothing.
        flops: path of a module -> flops of its forward pass.
    """

    def __init__(self, program: Program, use: MemoryUse) -> None:
        self.program = program
        self.use = use
        self.saved: dict[str, int] = defaultdict(int)
        self.flops: dict[str, int] = defaultdict(int)
        for record in program:
            if record.phase == "forward" and record.scope.count("."):
                flops = record.cost.flops
                for path in _paths(record.scope):
                    self.flops[path] += flops
        for holding in use.holdings:
            if holding.kind == SAVED:
                for path in _paths(holding.around):
                    self.saved[path] += holding.size

    def effect(self, modules: Iterable[str]) -> Checkpointing:
        """Return what checkpointing these modules, each for itself, would change."""
        chosen = tuple(modules)
        peak = checkpointed(self.program, chosen).memory().peak
        return Checkpointing(chosen, peak, sum(self.flops[module] for module in chosen))

    def effects(self, most: int = 12) -> list[Checkpointing]:
        """Return what checkpointing one module, or each in a row of numbered ones, would change; best first.

        Args:
            most: how many to try: those that save most.
        """
        rows: dict[str, list[str]] = defaultdict(list)
        for path in self.saved:
            parent, _, label = path.rpartition(".")
            if label.isdecimal():
                rows[parent].append(path)
        trials = [[path] for path in self.saved] + [row for row in rows.values() if len(row) > 1]
        trials.sort(key=lambda modules: -sum(self.saved[module] for module in modules))
        found = [self.effect(modules) for modules in trials[:most]]
        return sorted(found, key=lambda effect: (effect.peak, effect.flops))

    def within(self, budget: int) -> Checkpointing | None:
        """Return modules to checkpoint so that the peak is at most `budget` bytes, few flops preferred.

        Modules are tried one by one, those first that save most bytes for each flop; one that lowers the peak of what
        has been chosen so far is kept, in place of those inside it. None if no choice found that way is small enough.
        """
        best = Checkpointing((), self.use.peak, 0)
        order = sorted(self.saved, key=lambda module: -self.saved[module] / (self.flops[module] + 1))
        for module in order:
            if best.peak <= budget:
                break
            if any(module.startswith(f"{chosen}.") for chosen in best.modules):
                continue
            outside = [chosen for chosen in best.modules if not chosen.startswith(f"{module}.")]
            trial = self.effect((*outside, module))
            if trial.peak < best.peak:
                best = trial
        return best if best.peak <= budget else None


def _paths(scope: str) -> list[str]:
    """Return the paths of all modules around a place, but the outermost."""
    labels = scope.split(".")
    return [".".join(labels[:depth]) for depth in range(2, len(labels) + 1)]
