"""Records of operations that ran, and the program they make when read in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from types import CodeType
from typing import Any

import numpy as np

from autodiff.errors import GradientError, InPlaceError
from autodiff.mode import MODE
from autodiff.primitive import Keep, Primitive
from autodiff.source import Line
from autodiff.spec import Array, Cost, Spec

_new = object.__new__


class Memory:
    """What all tensors on the same memory share: a version that rises with every change in place.

    Attributes:
        version: number of changes in place so far.
        changed: the user's line that made the last one.
        shared: whether a second tensor or a record may look at this memory.
    """

    version: int = 0
    changed: Line | None = None
    shared: bool = False


class Record:
    """One operation that ran: what it was, what it read, and what its backward pass needs.

    Attributes:
        number: rises with every record of the process.
        primitive: the operation.
        params: its parameters.
        edges: where each input's gradient goes: ``(record, output index)``, a leaf tensor, or None.
        operands: what each input is, gradient or not: the same as `edges`, except while a function is being recorded.
        mask: which inputs a gradient is wanted for.
        inputs: specs of the inputs.
        outputs: specs of the outputs.
        keep: which inputs and outputs are saved.
        saved: their ``(array, memory, version)``, inputs first; None once a backward pass has freed them.
        code, offset: where in the user's program.
        scope: path of the module that ran it, such as ``"ResNet.layer1.0.conv1"``.
        phase: ``"forward"``, ``"backward"`` or ``"update"``.
        hooks: gradient hooks by output index, or None.

    A record holds its inputs' records and never a tensor that one of its own outputs belongs to, so records form no
    reference cycle and are freed as soon as nobody can reach them.
    """

    __slots__ = (
        "__weakref__",
        "code",
        "edges",
        "hooks",
        "inputs",
        "keep",
        "mask",
        "number",
        "offset",
        "operands",
        "outputs",
        "params",
        "phase",
        "primitive",
        "saved",
        "scope",
    )

    number: int
    primitive: Primitive
    params: dict[str, Any]
    edges: tuple[Any, ...]
    operands: tuple[Any, ...]
    mask: tuple[bool, ...]
    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...]
    keep: Keep
    saved: tuple[tuple[Array, Memory, int], ...] | None
    code: CodeType | None
    offset: int
    scope: str
    phase: str
    hooks: dict[int, list[Any]] | None

    @property
    def name(self) -> str:
        """Name of the operation."""
        return self.primitive.name

    @property
    def line(self) -> Line | None:
        """The user's line."""
        return None if self.code is None else Line(self.code, self.offset)

    @property
    def cost(self) -> Cost:
        """Floating-point operations and bytes."""
        return self.primitive.cost(self.inputs, self.outputs, **self.params)

    def settings(self) -> list[str]:
        """Return the parameters as ``name=value``; arrays by dtype and shape, for they may hold addresses."""
        return [
            f"{name}={f'array of {x.dtype}{list(x.shape)}' if isinstance(x, np.ndarray) else repr(x)}"
            for name, x in self.params.items()
        ]

    def input(self, position: int) -> Any:
        """Return the saved input at `position` as a tensor, with its history while gradients are recorded."""
        place = self.keep.inputs.index(position)
        tensor = self._restore(place, self.inputs[position], position)
        if MODE.grad and self.mask[position]:
            tensor.edge = self.edges[position]
            tensor.needs_grad = True
        if MODE.recorder is not None:
            MODE.recorder.alias(tensor, self.operands[position])
        return tensor

    def output(self, position: int) -> Any:
        """Return the saved output at `position` as a tensor, with its history while gradients are recorded."""
        place = len(self.keep.inputs) + self.keep.outputs.index(position)
        tensor = self._restore(place, self.outputs[position], None)
        if MODE.grad:
            tensor.edge = (self, position)
            tensor.needs_grad = True
        if MODE.recorder is not None:
            MODE.recorder.alias(tensor, (self, position))
        return tensor

    def _restore(self, place: int, spec: Spec, position: int | None) -> Any:
        """Wrap a saved array as a tensor again, or raise when it was freed or changed since."""
        if self.saved is None or self.saved[place][1].version != self.saved[place][2]:
            self._refuse(place, spec, position)
        array, memory, _ = self.saved[place]  # type: ignore[index]
        memory.shared = True
        tensor = _new(tensor_class[0])
        tensor.array = array
        tensor.spec = spec
        tensor.memory = memory
        return tensor

    def _refuse(self, place: int, spec: Spec, position: int | None) -> None:
        """Raise what is wrong with a saved array."""
        if self.saved is None:
            raise GradientError(
                self.name,
                "the backward pass needs saved tensors that an earlier backward pass has freed",
                fix="pass retain_graph=True to the first backward; if a state is carried to the next iteration, "
                "cut it with state.detach()",
                line=self.line,
            )
        _, memory, version = self.saved[place]
        raise InPlaceError(
            self.name,
            f"{self._describe(position)} {spec!r} was saved for the backward pass and then changed in place",
            expected=f"version {version}",
            got=f"version {memory.version}, last changed at {memory.changed}",
            fix="use the out-of-place form (y = x + 1 instead of x += 1), or change a clone()",
            line=self.line,
        )

    def _describe(self, position: int | None) -> str:
        """Name an input, or the output when `position` is None, for an error message."""
        if position is None:
            return "its output"
        edge = self.edges[position]
        if type(edge) is tuple:
            return f"its input {position} (made by {edge[0].name} at {edge[0].line})"
        name = getattr(edge, "name", None)
        return f"its input {position}" + (f" '{name}'" if name else "")

    def __repr__(self) -> str:
        return f"<record {self.number} {self.name}>"


# The class that arrays are wrapped in; the file that defines it is above this floor and puts it here.
tensor_class: list[Any] = [object]


class Program:
    """The records of a computation in order: the tape.

    Args:
        records: in the order they ran.
        outputs: edges ``(record, output index)`` of the results.

    Swept backward by `autodiff.reverse`, drawn by `autodiff.viz`, priced by `cost`, printed by `str`.
    """

    def __init__(self, records: Iterable[Record], outputs: Sequence[tuple[Record, int]] = ()) -> None:
        self.records = list(records)
        self.outputs = tuple(outputs)

    @staticmethod
    def reaching(edges: Iterable[Any]) -> Program:
        """Return the program of all records that the given edges reach, without recursion."""
        outputs = [edge for edge in edges if type(edge) is tuple]
        return Program(reachable([edge[0] for edge in outputs]), outputs)

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def leaves(self) -> list[Any]:
        """Return the leaf tensors that the records read, each once, in order of first use."""
        found: dict[int, Any] = {}
        for record in self.records:
            for edge in record.operands:
                if edge is not None and type(edge) is not tuple:
                    found.setdefault(id(edge), edge)
        return list(found.values())

    def cost(self) -> Cost:
        """Return the sum of the records' costs."""
        total = Cost(0, 0)
        for record in self.records:
            total = total + record.cost
        return total

    def verify(self) -> None:
        """Check that every record reads only what earlier records wrote, with the specs they wrote.

        Raises:
            ValueError: names the first record that does not.
        """
        seen: set[Record] = set()
        for record in self.records:
            for position, edge in enumerate(record.operands):
                if type(edge) is not tuple:
                    continue
                producer, index = edge
                if producer not in seen:
                    raise ValueError(
                        f"{record!r} reads input {position} from {producer!r}, which has not run before it"
                    )
                if producer.outputs[index].shape != record.inputs[position].shape:
                    raise ValueError(
                        f"{record!r} reads {record.inputs[position]!r} where {producer!r} wrote "
                        f"{producer.outputs[index]!r}"
                    )
            seen.add(record)

    def __str__(self) -> str:
        """Return one line a record: values, operation, parameters, module and the user's line."""
        names: dict[tuple[int, int], str] = {}
        leaf_names = {id(leaf): leaf.name or f"leaf{i}" for i, leaf in enumerate(self.leaves())}
        lines = [f"{leaf_names[id(leaf)]}: {leaf.spec!r}" for leaf in self.leaves()]
        for record in self.records:
            operands = []
            for edge, spec in zip(record.operands, record.inputs, strict=True):
                if edge is None:
                    operands.append(f"constant {spec!r}")
                elif type(edge) is tuple:
                    operands.append(names.get((edge[0].number, edge[1]), "?"))
                else:
                    operands.append(leaf_names[id(edge)])
            results = []
            for index, spec in enumerate(record.outputs):
                names[record.number, index] = f"%{len(names)}"
                results.append(f"{names[record.number, index]}: {spec!r}")
            params = "".join(f" {text}" for text in record.settings())
            place = f"  # {record.scope}" if record.scope else ""
            lines.append(f"{', '.join(results)} = {record.name}({', '.join(operands)}){params}{place}")
        if self.outputs:
            lines.append("return " + ", ".join(names.get((r.number, i), "?") for r, i in self.outputs))
        return "\n".join(lines)


class Recorder:
    """Collects every record of this thread while a function is being recorded, and knows what each tensor is.

    The methods from `target` on are what the library tells it of. They do nothing here; the compiler's recorder needs
    to know.

    Attributes:
        records: in the order they ran.
        written: for each record that wrote into memory that was there before, what its outputs were before; for one
            that only says what a change through a view has made of its base, that base.
    """

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.written: dict[Record, tuple[Any, ...]] = {}
        self._values: dict[int, tuple[Any, Any]] = {}

    def add(self, record: Record | None, results: Sequence[Any], written: tuple[Any, ...] = ()) -> None:
        """Append a record, and note that the tensors `results` are its outputs."""
        assert record is not None
        self.records.append(record)
        if written:
            self.written[record] = written
        for index, tensor in enumerate(results):
            self.alias(tensor, (record, index))

    def alias(self, tensor: Any, operand: Any) -> None:
        """Note that `tensor` is now the value `operand`. The tensor is kept alive, so that its id stays its own."""
        self._values[id(tensor)] = (tensor, operand)

    def operand(self, tensor: Any) -> Any:
        """Return what `tensor` is: an output of a record, or an input of the program."""
        found = self._values.get(id(tensor))
        return tensor if found is None or found[1] is None else found[1]

    def target(self, tensor: Any) -> Any:
        """Return what `tensor` is, just before it changes in place."""
        return self.operand(tensor)

    def born(self, tensor: Any) -> None:
        """Hear that `tensor` was made of numbers that no operation computed."""

    def replaced(self, tensor: Any, value: Any) -> None:
        """Hear that `tensor` is about to be put on the memory of `value`."""

    def drawn(self, key: Any, generator: Any) -> None:
        """Hear that `key` is the key of the draw that `generator` made last."""

    def asked(self, operation: str, tensor: Any) -> None:
        """Hear that somebody wants to know the numbers of `tensor`."""

    def grad_read(self, leaf: Any) -> None:
        """Hear that the `.grad` of `leaf` is looked at."""

    def grad_set(self, leaf: Any) -> None:
        """Hear that `leaf` is about to get another `.grad`."""

    def settings(self, source: dict[str, Any], names: Sequence[str] | None = None, **renamed: str) -> dict[str, Any]:
        """Return the numbers of `source` as an operation should get them; `renamed` are new names with old ones."""
        kept = dict.fromkeys(source if names is None else names)
        return {name: source[old] for name, old in (*zip(kept, kept, strict=True), *renamed.items())}

    def repeat(
        self, advance: Any, conclude: Any, states: Sequence[dict[str, Any]], names: Sequence[str]
    ) -> None:
        """Hear that ``advance()`` comes before what is recorded next, and ``conclude()`` after it.

        Each repetition must call them. They change these numbers of the `states`, which agree in them.
        """


def reachable(roots: Iterable[Record]) -> list[Record]:
    """Return the records that `roots` reach, roots included, in the order they ran."""
    stack = list(roots)
    seen = set(stack)
    while stack:
        for edge in stack.pop().edges:
            if type(edge) is tuple and edge[0] not in seen:
                seen.add(edge[0])
                stack.append(edge[0])
    return sorted(seen, key=_number)


def _number(record: Record) -> int:
    return record.number
