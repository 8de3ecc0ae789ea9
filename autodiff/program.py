"""Records of operations that ran, and the program they make when read in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import takewhile
from types import CodeType
from typing import TYPE_CHECKING, Any, TypeVar

from autodiff.errors import GradientError, InPlaceError
from autodiff.primitive import Keep, Primitive
from autodiff.source import Line
from autodiff.spec import Array, Cost, Spec
from autodiff.thread_mode import MODE

if TYPE_CHECKING:
    from autodiff.program_memory import MemoryUse

T = TypeVar("T")

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
        tracked: which inputs require a gradient.
        inputs: specs of the inputs.
        outputs: specs of the outputs.
        keep: which inputs and outputs are saved.
        saved: their ``(array, memory, version)``, inputs first; None once a backward pass has freed them.
        code, offset: where in the user's program.
        called, step: code of the public function that the user's program has called there, and how far in it; None and
            0 where that is not known, and in a backward pass.
        scope: path of the module that ran it, such as ``"ResNet.layer1.0.conv1"``.
        phase: ``"forward"``, ``"backward"`` or ``"update"``.
        hooks: gradient hooks by output index, or None.

    A record holds its inputs' records and never a tensor that one of its own outputs belongs to, so records form no
    reference cycle and are freed as soon as nobody can reach them.
    """

    __slots__ = (
        "__weakref__",
        "called",
        "code",
        "edges",
        "hooks",
        "inputs",
        "keep",
        "number",
        "offset",
        "operands",
        "outputs",
        "params",
        "phase",
        "primitive",
        "saved",
        "scope",
        "step",
        "tracked",
    )

    number: int
    primitive: Primitive
    params: dict[str, Any]
    edges: tuple[Any, ...]
    operands: tuple[Any, ...]
    tracked: tuple[bool, ...]
    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...]
    keep: Keep
    saved: tuple[tuple[Array, Memory, int], ...] | None
    code: CodeType | None
    offset: int
    called: CodeType | None
    step: int
    scope: str
    phase: str
    hooks: dict[int, list[Any]] | None

    @property
    def mask(self) -> tuple[bool, ...]:
        """Which inputs a gradient is wanted for: all tracked ones, or those on the way to what a sweep looks for."""
        return self.tracked if MODE.wanted is None or MODE.origin is not self else MODE.wanted

    @property
    def name(self) -> str:
        """Name of the operation."""
        return self.primitive.name

    @property
    def line(self) -> Line | None:
        """The user's line."""
        return None if self.code is None else Line(self.code, self.offset)

    @property
    def dropped(self) -> Any:
        """What stands for arrays that were saved, and dropped by `utils.checkpoint`; None where they are there."""
        return self.saved if type(self.saved) is not tuple else None

    @property
    def cost(self) -> Cost:
        """Floating-point operations and bytes."""
        return self.primitive.cost(self.inputs, self.outputs, **self.params)

    def input(self, position: int) -> Any:
        """Return the saved input at `position` as a tensor, with its history while gradients are recorded."""
        place = self.keep.inputs.index(position)
        tensor = self._restore(place, self.inputs[position], position)
        if MODE.grad and self.tracked[position]:
            tensor.edge = self.edges[position]
            tensor.needs_grad = True
        if MODE.recorder is not None:
            MODE.recorder.alias(tensor, MODE.recorder.latest(self).operands[position])
        return tensor

    def output(self, position: int) -> Any:
        """Return the saved output at `position` as a tensor, with its history while gradients are recorded."""
        place = len(self.keep.inputs) + self.keep.outputs.index(position)
        tensor = self._restore(place, self.outputs[position], None)
        if MODE.grad:
            tensor.edge = (self, position)
            tensor.needs_grad = True
        if MODE.recorder is not None:
            MODE.recorder.alias(tensor, (MODE.recorder.latest(self), position))
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
        written: for each record that wrote into memory that was there before, what its outputs were before.
        columns: what is known of the records besides, by name: one entry a record. `autodiff.program_columns` says
            which names there are and what their entries mean.
        inputs: the leaves that were arguments, with their names.

    Attributes:
        title: name of the function or module that ran; empty where it is not known.
        overhead: seconds of a call that belong to no record; None where that was not measured (see `autodiff.measure`).
        returned: what the function returned: `outputs`, and between them the leaves that it passed on; empty where
            that is not known.

    Raises:
        ValueError: if a column has more or fewer entries than there are records.

    Swept backward by `autodiff.reverse`, drawn by `autodiff.viz.draw`, priced by `cost` and `memory`, printed by `str`,
    read from text by `parse`, compared by `diff` and `structural_hash`.

    >>> import autodiff as ad
    >>> from autodiff.viz import draw
    >>> program = ad.record(lambda x: (x * 2).sum(), ad.ones(3))
    >>> print(program)
    leaf0: float32[3]
    forward:
      %0: float32[3] = mul(leaf0, 2.0)  # ...
      %1: float32[] = sum(%0) dims=(0,) keepdim=False  # ...
    return %1
    >>> picture = draw(program)  # picture.render(outfile="program.svg") writes it
    """

    title = ""
    overhead: float | None = None
    returned: tuple[Any, ...] = ()

    def __init__(
        self,
        records: Iterable[Record],
        outputs: Sequence[tuple[Record, int]] = (),
        written: Mapping[Record, tuple[Any, ...]] | None = None,
        columns: Mapping[str, Sequence[Any]] | None = None,
        inputs: Sequence[tuple[str, Any]] = (),
    ) -> None:
        self.records = list(records)
        self.outputs = tuple(outputs)
        self.written = dict(written or {})
        self.columns = {name: list(column) for name, column in (columns or {}).items()}
        self.inputs = tuple(inputs)
        for name, column in self.columns.items():
            if len(column) != len(self.records):
                raise ValueError(f"the column '{name}' has {len(column)} entries for {len(self.records)} records")

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
        """Return the leaf tensors that the records read or change, each once, in order of first use."""
        found: dict[int, Any] = {}
        for record in self.records:
            for edge in (*record.operands, *self.written.get(record, ())):
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

    @staticmethod
    def parse(text: str) -> Program:
        r"""Return the program whose printed form is `text`: ``str(Program.parse(str(program))) == str(program)``.

        Its records say what ran, on what, in which module, phase and line. They hold no numbers, so no backward pass
        can start from them; leaves are `autodiff.program_reading.Leaf`. The form is described in
        `autodiff.program_text`.

        Raises:
            ParseError: names line and column, what was expected and what was got.

        >>> from autodiff.program import Program
        >>> program = Program.parse("x: float32[2,3] \n %0: float32[2,3] = tanh(x) \n return %0")
        >>> program.cost().bytes
        48
        """
        from autodiff.program_reading import parse

        return parse(text)

    def structural_hash(self) -> str:
        """Return a text that programs have in common which do the same, in every process.

        Operations, parameters, types, numbers, what each operation reads and overwrites, and the outputs count; names
        of leaves, modules, phases, lines, the numbers of records and how many steps an optimizer has done do not.

        >>> import autodiff as ad
        >>> x, y = ad.ones(2), ad.zeros(2)
        >>> ad.record(ad.exp, x).structural_hash() == ad.record(lambda: y.exp()).structural_hash()
        True
        """
        from autodiff.program_text import Printer

        return sha256(str(Printer(self, anonymous=True)).encode()).hexdigest()

    def diff(self, other: Program) -> str:
        """Return the lines in which `other` differs, ``-`` and ``+`` before them; empty where both do the same.

        Records are aligned by what they do, so an operation that was put in between is one line.

        >>> import autodiff as ad
        >>> x = ad.ones(2)
        >>> print(ad.record(lambda: x.exp().sum()).diff(ad.record(lambda: x.exp().tanh().sum())))
        + %1: float32[2] = tanh(%0)  # ...
        """
        from autodiff.program_diff import diff

        return diff(self, other)

    def memory(self) -> MemoryUse:
        """Return how many bytes the program's values take while each record runs, at most, and what holds them.

        Leaves live all the time, outputs of the program and gradients of leaves to its end, every other value from the
        record that makes it to the last that reads it. What shares memory counts once: views, results written in place,
        leaves that lie on one memory. Work arrays live while their record runs. What is kept for a backward pass
        outside of the program does not count.

        >>> import autodiff as ad
        >>> ad.record(lambda x: x.exp().reshape(4).exp()[:1].exp(), ad.ones(2, 2)).memory().live
        (32, 32, 48, 32, 36)
        """
        from autodiff.program_memory import memory_of

        return memory_of(self)

    def __str__(self) -> str:
        """Return the leaves, one line a record under the headings of the phases, and the outputs."""
        from autodiff.program_text import Printer

        return str(Printer(self))


def call_hook(hook: Callable[..., Any], *arguments: Any) -> Any:
    """Call a hook of a tensor or a module; a recorder hears of it."""
    return hook(*arguments) if MODE.recorder is None else MODE.recorder.hooked(hook, *arguments)


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


def common_scope(scopes: Iterable[str]) -> str:
    """Return the path of the innermost module around all of these places, of which there is at least one."""
    return ".".join(common_items(scope.split(".") for scope in scopes))


def common_items(sequences: Iterable[Sequence[T]]) -> tuple[T, ...]:
    """Return the items that all of these sequences, of which there is at least one, begin with."""
    return tuple([first for first, *_ in takewhile(lambda same: len(set(same)) == 1, zip(*sequences))])


def _number(record: Record) -> int:
    return record.number
