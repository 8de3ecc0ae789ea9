"""`draw`: the picture of anything that has records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from autodiff import ops, reverse
from autodiff.eager import Tensor, cotangent_of, tape_of
from autodiff.errors import DTypeError, GradientError, ValueRangeError
from autodiff.mode import MODE
from autodiff.program import Program
from autodiff.recording import argument_names, record, tensors_in
from autodiff.viz.dot import lines_of
from autodiff.viz.graph import graph_of

if TYPE_CHECKING:
    from autodiff.viz.picture import Picture


def draw(
    x: Any, *inputs: Any, backward: bool = False, depth: int | None = None, constants: bool = False,
    title: str | None = None, names: Mapping[str, Tensor] | None = None, direction: str = "TB", legend: bool = True,
) -> Picture:
    """Return the picture of a computation: one node an operation, one edge a value that it reads.

    Args:
        x: what to draw:

            - a tensor, or several in a tuple or list: the tape that leads to them (operations that carry a gradient);
            - a `Program`;
            - a module or any function, with its `inputs`: it is called once and everything that runs is drawn. A
              function that does a whole training step shows forward, backward and update side by side.
        inputs: arguments of the module or function.
        backward: after calling the function, propagate back from its result (its sum, when it has several elements) to
            the parameters and inputs that require a gradient, and draw that too. No `.grad` is touched.
        depth: modules nested deeper are shown as one node each: 0 shows the outermost module as a node, 1 its
            children; None shows every operation.
        constants: show the numbers in a computation as nodes; otherwise they stand on the operation that reads them.
        title: text above; by default the name of the module or function.
        names: tensors to show as inputs under a name, besides the arguments.
        direction: where the computation runs to: ``"TB"`` down, ``"LR"`` to the right.
        legend: explain the colours that occur.

    Returns:
        A `graphviz.Digraph` (of the class `autodiff.viz.picture.Picture`): ``picture.source`` is the DOT text,
        ``picture.render(outfile="graph.svg")`` writes a file (also png, pdf), Jupyter shows it as SVG.

    Raises:
        GradientError: if a tensor has no history, or `backward` starts from something without gradient.
        DTypeError: if `x` has no records.
        ValueRangeError: if `depth` is negative or `direction` unknown.

    >>> import autodiff as ad
    >>> from autodiff.viz import draw
    >>> x = ad.tensor([1.0, 2.0], requires_grad=True)
    >>> picture = draw((x * x).sum())
    >>> picture.source.count("<B>")  # two operations, the leaf and the output
    4
    """
    if depth is not None and depth < 0:
        raise ValueRangeError("draw", "the depth cannot be negative", got=str(depth),
                              fix="use 0 to show the outermost modules as nodes")
    if direction not in ("TB", "LR", "BT", "RL"):
        raise ValueRangeError("draw", "the direction is unknown", expected="'TB' or 'LR'", got=repr(direction))
    input_names = {id(tensor): name for name, tensor in (names or {}).items()}
    results: list[tuple[Any, str]] | None = None
    gradients: list[tuple[Any, str]] = []
    if isinstance(x, Program):
        program = x
    elif isinstance(x, Tensor | tuple | list):
        tensors = list(tensors_in(x))
        program = tape_of(*tensors)
        if not len(program):
            raise GradientError("draw", "no recorded operation leads to this tensor",
                                fix="draw the function that computes it: draw(function, *inputs)")
        labels = _result_names(len(tensors))
        results = [(tensor.edge, tensor.name or label) for tensor, label in zip(tensors, labels)
                   if type(tensor.edge) is tuple]
    elif callable(x):
        if backward:
            for name, tensor in argument_names(x, inputs, {}):
                input_names.setdefault(id(tensor), name)
            program, results, gradients = _record_gradients(x, inputs, input_names)
        else:
            program = record(x, *inputs)
        title = getattr(x, "__name__", type(x).__name__) if title is None else title
    else:
        raise DTypeError("draw", "nothing here has records", got=type(x).__name__,
                         expected="a tensor, a Program, or a function or module with its inputs")

    from autodiff.viz.picture import Picture

    for name, tensor in program.inputs:
        input_names.setdefault(id(tensor), tensor.name or name)
    graph = graph_of(program, depth=depth, constants=constants, names=input_names, results=results, gradients=gradients)
    return Picture(lines_of(graph, title=title or "", direction=direction, legend=legend), graph=graph)


def _record_gradients(
    function: Callable[..., Any], inputs: tuple[Any, ...], input_names: Mapping[int, str]
) -> tuple[Program, list[tuple[Any, str]], list[tuple[Any, str]]]:
    """Record a call and the gradients of its results; return the program, its named results and named gradients."""
    results: list[tuple[Any, str]] = []
    gradients: list[tuple[Any, str]] = []

    def note(tensor: Tensor | None, name: str, into: list[tuple[Any, str]]) -> None:
        operand = None if tensor is None else MODE.recorder.operand(tensor)
        if type(operand) is tuple:
            into.append((operand, name))

    def run() -> None:
        outputs = list(tensors_in(function(*inputs)))
        losses = [y if y.spec.size == 1 else ops.sum(y) for y in outputs if y.needs_grad] or outputs
        cotangents = [cotangent_of(loss, None, "draw") for loss in losses]
        edges = (edge for record in tape_of(*losses) for edge in record.edges)
        leaves = list({id(edge): edge for edge in edges if edge is not None and type(edge) is not tuple}.values())
        for output, name in zip(outputs, _result_names(len(outputs))):
            note(output, name, results)
        for i, (leaf, gradient) in enumerate(zip(leaves, reverse.sweep(losses, cotangents, leaves))):
            note(gradient, "gradient of " + (input_names.get(id(leaf)) or leaf.name or f"leaf {i}"), gradients)

    return record(run), results, gradients


def _result_names(count: int) -> list[str]:
    return ["output"] if count == 1 else [f"output {i}" for i in range(count)]
