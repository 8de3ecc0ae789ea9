"""`draw`: the picture of anything that has records."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from autodiff import ops, reverse
from autodiff.eager import Tensor, cotangent_of, tape_of, wrap
from autodiff.errors import DTypeError, GradientError, ValueRangeError
from autodiff.measuring import measure
from autodiff.program import Program, Record
from autodiff.program_columns import saved_bytes, shares_of_roofline
from autodiff.program_diff import merged
from autodiff.program_recorder import Recorder
from autodiff.recording import argument_names, named, record, record_with, tensors_in, title_of
from autodiff.source import user_frame
from autodiff.thread_mode import MODE
from autodiff.viz.building import graph_of
from autodiff.viz.dot import lines_of
from autodiff.viz.graph import Graph
from autodiff.viz.overlay import OVERLAYS
from autodiff.viz.overlay import overlay as show
from autodiff.viz.programs import TENSORS, check_inputs, program_of
from autodiff.viz.rendering import without_collection
from autodiff.viz.rolling import roll as roll_up
from autodiff.viz.summary import boxes_in, fewest, summary
from autodiff.viz.texts import text_of_changes

if TYPE_CHECKING:
    from autodiff.viz.picture import Picture


MOST_BOXES = 200  # what a picture shows where nobody says how much: more is neither drawn nor read in a moment
MOST_RECORDS = 2000  # up to here all operations are shown


def draw(
    x: Any, *inputs: Any, backward: bool = False, depth: int | None = None, roll: bool = False, unfold: bool = False,
    overlay: str | None = None, limits: Mapping[str, Any] | None = None, against: Any = None,
    constants: bool = False, title: str | None = None, names: Mapping[str, Tensor] | None = None,
    direction: str = "TB", legend: bool = True, **keywords: Any,
) -> Picture:
    """Return the picture of a computation: one node an operation, one edge a value that it reads.

    An operation has the name by which the user's program calls it. Where several come from one call of a function, they
    are a group with its name, which `depth` folds as it folds modules.

    Nothing that an operation reads is left out. Numbers stand on it (`constants=True` draws them). Where it alone reads
    more than eight leaves, as an optimizer's step does, those of a kind are one box, and its edge says how many. A
    module that is shown as one node holds the leaves that it alone reads.

    Args:
        x: what to draw:

            - a tensor, or several in a tuple, list or dictionary: the tape that leads to them (operations that carry a
              gradient);
            - a `Program`, such as `autodiff.record` and `autodiff.measure` return;
            - a compiled function: what is replayed, where a fused operation is one node that lists its parts;
            - a module or any function, with its `inputs`: it is called once and everything that runs is drawn. A
              function that does a whole training step shows forward, backward and update side by side.
        inputs: arguments of the module or function.
        backward: propagate back from the result of the function, or from the tensor (from its sum, when it has several
            elements), to the parameters and inputs that require a gradient, and draw that too. No `.grad` is touched.
        depth: modules nested deeper are shown as one node each: 0 shows the outermost module as a node, 1 its
            children; None shows every operation, up to 2000. Of a larger program it shows as much as is readable, with
            equal blocks in a row once, of a comparison the modules in which nothing has changed as one node each. 0 is
            as None where more than 2000 operations and modules would be left.
        roll: show equal blocks in a row once, with their number: modules, and steps of a loop.
        unfold: show the parts of fused operations.
        overlay: colour by a measurement, with a scale: ``"seconds"`` (and the slowest path), ``"flops"``, ``"bytes"``,
            ``"saved_bytes"``, ``"roofline"``; of the gradients ``"gradient"`` (the norm, and where it vanishes or
            explodes), ``"gradient_largest"``, ``"gradient_zeros"`` and ``"gradient_nans"`` (shares); of the numbers
            ``"values"`` (the norm), ``"largest"``, ``"zeros"``, ``"nans"`` and ``"dead"`` (the share of the units of
            a ReLU that are 0 in the whole batch). A function is then called several times, see `autodiff.measure`; of
            a program the columns are shown.
        limits: of the machine, for the roofline; by default `autodiff.machine.limits_here()`, which measures them for
            two seconds, once.
        against: another program, tensor or function (called with the same `inputs`) to compare with: what `x` has and
            `against` has not is added, the other way round removed.
        constants: show numbers, and weights that were not given, as nodes; otherwise they stand on what reads them.
        title: text above; by default the name of the module or function.
        names: tensors to show as inputs under a name, besides the arguments. Tensors without a name get that of a
            variable, where the function or the caller of `draw` has one. A tape does not hold inputs that need no
            gradient, nor numbers: those have a name or are shown where an operation has saved them.
        direction: where the computation runs to: ``"TB"`` down, ``"LR"`` to the right.
        legend: explain the colours that occur.
        keywords: all others are arguments of the module or function, such as ``mask=mask``. Where it has one of the
            names above, pass a function that gives it: ``draw(lambda x: model(x, depth=3), x)``.

    Returns:
        A `graphviz.Digraph` (of the class `autodiff.viz.picture.Picture`): ``picture.source`` is the DOT text,
        ``picture.graph`` nodes and edges, ``picture.program`` the records. ``picture.render(outfile="graph.svg")``
        writes a file (also png, pdf), ``picture.write_page("graph.html")`` an interactive page. Jupyter shows SVG.

    Raises:
        GradientError: if a tensor has no history, or `backward` starts from something without gradient, or is wanted of
            a program that has none.
        DTypeError: if `x` or `against` has no records, `x` was not given the inputs that it takes, or is a program or
            tensor and given some, `depth` is no whole number, or an option that is on or off something else.
        ValueRangeError: if `depth` is negative, `direction` or `overlay` unknown, or what `overlay` shows was not
            measured.

    >>> import autodiff as ad
    >>> from autodiff.viz import draw
    >>> x = ad.tensor([1.0, 2.0], requires_grad=True)
    >>> picture = draw((x * x).sum())
    >>> picture.source.count("<B>")  # two operations, the leaf and the output
    4
    """
    if not (depth is None or isinstance(depth, int)):
        raise DTypeError("draw", "the depth is no whole number", expected="0, 1, 2, ... or None", got=repr(depth))
    switches = {"backward": backward, "roll": roll, "unfold": unfold, "constants": constants, "legend": legend}
    for name, switch in switches.items():
        if not isinstance(switch, bool):
            raise DTypeError("draw", f"{name} is on or off", expected="True or False", got=repr(switch))
    if depth is not None and depth < 0:
        raise ValueRangeError("draw", "the depth cannot be negative", got=str(depth),
                              fix="use 0 to show the outermost modules as nodes")
    if direction not in ("TB", "LR", "BT", "RL"):
        raise ValueRangeError("draw", "the direction is unknown", expected="'TB' or 'LR'", got=repr(direction))
    if overlay is not None and overlay not in OVERLAYS:
        raise ValueRangeError("draw", "there is no such overlay", expected=", ".join(OVERLAYS), got=repr(overlay))
    check_inputs("draw", inputs, keywords, x, against, options=_options())
    given = "tensors" if isinstance(x, TENSORS) else "program" if isinstance(x, Program) else "function"
    drawn = _Drawn(names or {}, backward, overlay, _variables(x) | _variables(against))
    program = drawn.program_of(x, inputs, keywords)
    remarks: list[str] = []
    if title is None:
        title = x.title if isinstance(x, Program) else title_of(x) if callable(x) else ""
    if against is not None:
        other = drawn.program_of(against, inputs, keywords, "in `against`")
        both = merged(other, program)
        remarks.append(_what_changed(both) or ("other results of the same operations" if other.diff(program)
                                               else "no difference"))  # fmt: skip
        program, drawn.results, drawn.gradients = both, None, []
    if depth == 0 and len(program) > MOST_RECORDS and fewest(program) > MOST_RECORDS:
        depth = None  # hardly any modules to fold: who asks for one node does not want them all
    for name, tensor in program.inputs:
        drawn.names.setdefault(id(tensor), tensor.name or name)
    if overlay == "saved_bytes":
        program.columns.setdefault("saved_bytes", saved_bytes(program))
    if overlay == "roofline" and "seconds" in program.columns and (limits or "roofline" not in program.columns):
        from autodiff.machine import limits_here

        program.columns["roofline"] = shares_of_roofline(program, limits or limits_here())
    expanded = partial(graph_of, program, constants=constants, unfold=unfold, names=drawn.names,
                       variables=drawn.variables, operands=drawn.operands, results=drawn.results,
                       gradients=drawn.gradients)  # fmt: skip
    with without_collection():
        graph, is_whole = _readable(program, expanded, depth, roll, against is not None)
    if not len(program):
        remarks.append("no operation has run")
    graph.remarks[:0] = remarks
    known = len(graph.remarks)
    if overlay is not None and len(program):
        show(graph, overlay, given)
    found = graph.remarks[known:]

    from autodiff.viz.picture import STILL_BOXES, Picture

    written = partial(lines_of, title=title, direction=direction, legend=legend)

    def whole() -> Graph:
        """Return the graph in which nothing is folded, for the page: that folds by itself."""
        if is_whole:
            return graph
        built = expanded()
        if roll:
            roll_up(built)
        built.remarks += [*remarks, *found]
        return built

    def folded() -> list[str]:
        still = summary(program, expanded, STILL_BOXES // 2)  # leaves come on top
        still.remarks[:0] = remarks
        if overlay is not None:
            show(still, overlay, given)
        return written(still)

    return Picture(written(graph), graph=graph, program=program, title=title, expanded=whole, folded=folded,
                   overlay=overlay or "", depth=depth)


def _options() -> list[str]:
    """Return the keyword arguments that `draw` does not hand on."""
    return [p.name for p in inspect.signature(draw).parameters.values() if p.kind is p.KEYWORD_ONLY]


def _readable(
    program: Program, expanded: Callable[..., Graph], depth: int | None, roll: bool, compared: bool
) -> tuple[Graph, bool]:
    """Return as much of a graph as is asked for, or, where nobody says how much, as can be read; and whether it is all.

    Of a comparison the modules in which nothing has changed are folded.
    """
    if depth is not None or len(program) <= MOST_RECORDS or roll or compared:
        graph = expanded(depth=depth, changes=compared and depth is None)
        if roll:
            roll_up(graph)
        # Much may be the same: what is left of a large program is perhaps small enough.
        if depth is not None or len(program) <= MOST_RECORDS or boxes_in(graph) <= MOST_BOXES:
            return graph, depth is None and not compared
    return summary(program, expanded, MOST_BOXES), False


def _variables(x: Any) -> dict[int, tuple[str, Tensor]]:
    """Return tensors by ``id``, with what the function that is drawn, or who asks for the picture, calls them."""
    spaces: list[Mapping[str, Any]] = []
    if inspect.isfunction(x):
        closure = inspect.getclosurevars(x)
        spaces += [closure.nonlocals, closure.globals]
    frame = user_frame()
    if frame is not None:
        spaces += [frame.f_locals, frame.f_globals]
    found: dict[int, tuple[str, Tensor]] = {}
    for space in spaces:
        for name, value in list(space.items()):
            # A notebook keeps what it has shown under names that begin with a line.
            if name.isidentifier() and not name.startswith("_") and _holds_tensors(value):
                for path, tensor in named(name, value):
                    found.setdefault(id(tensor), (path, tensor))
    return found


def _holds_tensors(value: Any) -> bool:
    first = value[0] if isinstance(value, tuple | list) and value else value
    return isinstance(first, Tensor)


def _what_changed(both: Program) -> str:
    """Return how many operations of a comparison differ; empty where none does."""
    return text_of_changes(Counter(both.columns["change"]))


class _Drawn:
    """What is known of a computation besides its program.

    Attributes:
        names: of tensors by ``id``.
        variables: names by ``id`` of tensors that have no other.
        operands: tensors without gradient that records of a tape have read, by record and position.
        results: values to show as outputs, with their names; None for the program's own.
        gradients: gradients to show, with their names.
        returned: what a function has returned, where there is no tensor in it, for errors.
    """

    def __init__(
        self, names: Mapping[str, Tensor], backward: bool, overlay: str | None,
        variables: Mapping[int, tuple[str, Tensor]],
    ) -> None:  # fmt: skip
        self.names = {id(tensor): name for name, tensor in names.items()}
        self.variables = {key: name for key, (name, _) in variables.items()}
        self.operands: dict[tuple[Record, int], Tensor] = {}
        self.results: list[tuple[Any, str]] | None = None
        self.gradients: list[tuple[Any, str]] = []
        self.returned = ""
        self.backward = backward
        self.run = measure if overlay is not None and OVERLAYS[overlay].timed else record
        known = (*(tensor for _, tensor in variables.values()), *names.values())
        self._arrays = {id(tensor.array): tensor for tensor in known}

    def program_of(
        self, x: Any, inputs: tuple[Any, ...], keywords: Mapping[str, Any], where: str = "here"
    ) -> Program:
        """Return the program of anything that can be drawn; see `autodiff.viz.programs.program_of`.

        Raises:
            GradientError: if a backward pass is wanted and there is none.
        """
        program = program_of("draw", x, inputs, keywords, self._with_gradients if self.backward else self.run, where,
                             _options())
        if isinstance(x, TENSORS):
            program = self._tape(program, list(tensors_in(x)))
        if self.backward and not any(record.phase == "backward" for record in program):
            raise GradientError("draw", "nothing is propagated back here", expected="something with a result that has "
                                "a gradient: a tensor, or a function or module with its inputs",
                                got=title_of(x) + self.returned,
                                fix="of a program, record a function that calls backward()")  # fmt: skip
        return program

    def _tape(self, tape: Program, tensors: Sequence[Tensor]) -> Program:
        """Return the program of a tape; tensors without gradient, which it does not hold, are known by their arrays."""
        for made in tape:
            for position, (array, _, _) in zip(made.keep.inputs, () if made.dropped else made.saved or ()):
                known = self._arrays.get(id(array), None if array.shape else wrap(array))
                if made.operands[position] is None and known is not None:
                    self.operands[made, position] = known
        if self.backward:
            recorder = _Continued(tape, tensors, self._arrays)
            return record_with(recorder, self._propagating(lambda: tensors, retain_graph=True))
        self.results = [(tensor.edge, self._result_name(tensor, label))
                        for tensor, label in zip(tensors, _result_names(len(tensors))) if type(tensor.edge) is tuple]
        return tape

    def _with_gradients(self, function: Callable[..., Any], *inputs: Any, **keywords: Any) -> Program:
        """Return the program of a call and of the gradients of its results."""
        arguments = argument_names(function, inputs, keywords)
        for name, tensor in arguments:
            self.names.setdefault(id(tensor), name)
        program = self.run(self._propagating(lambda: function(*inputs, **keywords)))
        program.inputs = tuple(arguments)
        return program

    def _propagating(self, compute: Callable[[], Any], retain_graph: bool = False) -> Callable[[], None]:
        """Return a function that computes and propagates back from the results; results and gradients get names."""
        results: list[tuple[Any, str]] = []

        def note(tensor: Tensor | None, name: str, into: list[tuple[Any, str]]) -> None:
            operand = None if tensor is None or MODE.recorder is None else MODE.recorder.operand(tensor)
            if type(operand) is tuple or id(operand) in self.names:
                into.append((operand, name))

        def run() -> None:
            result = compute()
            outputs = list(tensors_in(result))
            self.returned = "" if outputs else f", which returned {result!r:.40}"
            losses = [y if y.spec.size == 1 else ops.sum(y) for y in outputs if y.needs_grad] or outputs
            cotangents = [cotangent_of(loss, None, "draw") for loss in losses]
            edges = (edge for record in tape_of(*losses) for edge in record.edges)
            leaves = list({id(edge): edge for edge in edges if edge is not None and type(edge) is not tuple}.values())
            for output, name in zip(outputs, _result_names(len(outputs))):
                note(output, self._result_name(output, name), results)
            gradients = reverse.sweep(losses, cotangents, leaves, retain_graph=retain_graph)
            for i, (leaf, gradient) in enumerate(zip(leaves, gradients)):
                name = self.names.get(id(leaf)) or leaf.name or self.variables.get(id(leaf)) or f"leaf {i}"
                note(gradient, f"gradient of {name}", self.gradients)

        self.results = results
        return run

    def _result_name(self, tensor: Tensor, label: str) -> str:
        is_argument = id(tensor) in self.names  # and has its name there
        return label if is_argument else tensor.name or self.variables.get(id(tensor), label)


class _Continued(Recorder):
    """Goes on with the tape that has led to some tensors.

    Args:
        tape: its records.
        tensors: that they have led to.
        arrays: tensors by the ``id`` of their arrays: so what records have saved without a gradient is known again.
    """

    def __init__(self, tape: Program, tensors: Sequence[Tensor], arrays: Mapping[int, Tensor]) -> None:
        super().__init__()
        self.records = list(tape)
        self._arrays = arrays
        for tensor in tensors:
            self.alias(tensor, tensor.edge)

    def alias(self, tensor: Any, operand: Any) -> None:
        """Note that `tensor` is the value `operand`, or where that is not known, the tensor with the same array."""
        super().alias(tensor, self._arrays.get(id(tensor.array)) if operand is None else operand)


def _result_names(count: int) -> list[str]:
    return ["output"] if count == 1 else [f"output {i}" for i in range(count)]
