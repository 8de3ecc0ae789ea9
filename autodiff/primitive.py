"""The operation record: everything the library knows of an operation, declared in one call.

`define` makes a `Primitive`: an operation with a kernel. `composed` enters a function that is made of other operations.
Both stand in one table, `OPERATIONS`, with samples and error samples, and the tests draw on that table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np

from autodiff.spec import Array, Cost, Spec
from autodiff.threads import get_num_threads, on_change, threads_for

Function = TypeVar("Function", bound=Callable[..., Any])


class Sample:
    """One call of an operation: positional and keyword arguments, NumPy arrays standing for tensors.

    Args:
        arguments: positional arguments.
        gradient: whether derivatives are checked on this sample (points where none exists are left out).
        tolerance: relative tolerance of a float32 result against the float64 oracle.
        keywords: keyword arguments.
    """

    __slots__ = ("arguments", "gradient", "keywords", "tolerance")

    def __init__(self, *arguments: Any, gradient: bool = True, tolerance: float = 2e-5, **keywords: Any) -> None:
        self.arguments = arguments
        self.keywords = keywords
        self.gradient = gradient
        self.tolerance = tolerance


class ErrorSample(NamedTuple):
    """A call that must raise: the error class and a regular expression that its message matches."""

    sample: Sample
    error: type[Exception]
    pattern: str


Samples = Callable[[], Iterable[Sample]]
ErrorSamples = Callable[[], Iterable[ErrorSample]]


class Keep(NamedTuple):
    """Which inputs and outputs the backward pass needs, by position."""

    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()


NOTHING = Keep()


class EachPart(NamedTuple):
    """The spec of a work array of which each thread needs one; they lie one after the other in the first dimension."""

    spec: Spec


class Tail(NamedTuple):
    """What follows an operation, element by element: ``activation(residual + out * scale)``.

    Attributes:
        activation: one of `autodiff_kernels.epilogue`.
        scale: which operand is the number that the result is multiplied by, or None.
        residual: which operand is added, a tensor that lies like the result, or None.
    """

    activation: int
    scale: int | None = None
    residual: int | None = None

    def arguments(self, ins: Sequence[Array], missing: Array) -> tuple[Array, Array, int]:
        """Return residual, scale and activation, as a kernel takes them; `missing` is an empty array of the dtype."""
        return (missing if self.residual is None else ins[self.residual],
                missing if self.scale is None else ins[self.scale], self.activation)


class Joined(NamedTuple):
    """Of which two operations another one does the work: a gradient, and before it that of what followed its operation.

    It computes ``then(first(g, y), *rest)`` where ``y = following(result)``, and takes the operands that the result was
    made of instead of y.

    Attributes:
        following: name of the operation that made y: "relu".
        first: name of its gradient, an operation on a cotangent and y.
        then: name of the gradient of what `following` was given, of which a cotangent is the first operand.
        operands: what the joined operation reads behind the cotangent, for each operation that `then` is the gradient
            of: positions among its operands and, behind them, its results. They begin with what `then` reads.
    """

    following: str
    first: str
    then: str
    operands: Mapping[str, tuple[int, ...]]


class Plan:
    """What `bind` knows of an operation for given specs and parameters: worked out once, used by every call.

    Attributes:
        single: whether the operation returns a tensor, not a tuple.
        specs: of the outputs.
        take: take the arrays of the outputs.
        scratch: take the work arrays.
        take_first: takes the one output, where there is one and no status word; None otherwise.
        run: ``run(outs, ins)``; for a view, ``run(array)``.
        alone: what `run` does, on one thread.
        threads: how many threads `run` uses, chosen by the operation's cost.
        work: how many nanoseconds the kernels take one thread, at least.
        parts: into how many parts kernels may be cut at most: also a small operation's, if it runs while its thread is
            interrupted inside a large one.
        status: makes the error of a status word, or None.
        differentiable: whether a record may be needed.
        view_specs: of the tensors that a view has made, strides included; None before the first.
        fine: what the status words hold before `run`, and after it where nothing is wrong.
    """

    __slots__ = ("alone", "differentiable", "fine", "parts", "run", "scratch", "scratch_specs", "single", "specs",
                 "status", "take", "take_first", "threads", "view_specs", "work")

    def __init__(
        self, primitive: Primitive, inputs: tuple[Spec, ...], params: dict[str, Any], into: Spec | None = None
    ) -> None:
        result = primitive.infer(*inputs, **params) if into is None else into
        self.single = isinstance(result, Spec)
        self.specs: tuple[Spec, ...] = (result,) if isinstance(result, Spec) else tuple(result)
        prepared = primitive.prepare(inputs, self.specs, **params) if primitive.prepare else params
        if callable(prepared):
            run: Callable[..., Any] = prepared
        else:
            run = partial(primitive.run, **prepared) if prepared else primitive.run
        self.alone = self.run = run
        self.threads, self.work, self.parts = 1, 0, get_num_threads()
        if not primitive.view and not primitive.host:
            threads = threads_for(primitive.cost(inputs, self.specs, **params), largest(self.specs))
            self.threads, self.work, self.run = threads.number, threads.work, threads.run(run)
        scratch = primitive.scratch(inputs, self.specs, **params) if primitive.scratch else ()
        self.scratch_specs = tuple(_for_all(spec, self.parts) for spec in scratch)
        self.take: tuple[Callable[[], Array], ...] = tuple(spec.empty for spec in self.specs)
        self.scratch: tuple[Callable[[], Array], ...] = tuple(spec.empty for spec in self.scratch_specs)
        self.status = primitive.status
        self.view_specs: tuple[Spec, ...] | None = None
        self.fine = np.full(self.parts, -1)
        self.take_first = self.take[0] if self.single and self.status is None and not primitive.view else None
        self.differentiable = primitive.differentiable and any(spec.floating for spec in self.specs)


def largest(outputs: Sequence[Spec]) -> int:
    """Return the bytes of the largest output."""
    return max([spec.nbytes for spec in outputs], default=0)


def _for_all(scratch: Spec | EachPart, parts: int) -> Spec:
    if isinstance(scratch, Spec):
        return scratch
    first, *rest = scratch.spec.shape
    return Spec.of((parts * first, *rest), scratch.spec.dtype)


class Operation:
    """An entry of the table: a name, how to call it, samples and error samples."""

    __slots__ = ("call", "errors", "name", "samples")

    def __init__(self, name: str, call: Callable[..., Any], samples: Samples, errors: ErrorSamples) -> None:
        if name in OPERATIONS:
            raise ValueError(f"the operation '{name}' is defined twice")
        self.name = name
        self.call = call
        self.samples = samples
        self.errors = errors
        OPERATIONS[name] = self

    def __repr__(self) -> str:
        return f"<operation {self.name}>"


OPERATIONS: dict[str, Operation] = {}


class Primitive(Operation):
    """An operation with a kernel. See `define` for the fields."""

    __slots__ = ("cost", "differentiable", "epilogue", "formula", "host", "infer", "joined", "keeps", "label", "plans",
                 "prepare", "progress", "relocate", "run", "saves", "scratch", "status", "twin", "view", "vjp")

    infer: Callable[..., Spec | Sequence[Spec]]
    run: Callable[..., Any]
    vjp: Callable[..., Sequence[Any]] | None
    twin: Callable[..., Any] | None
    saves: Keep | tuple[Keep, ...]
    cost: Callable[..., Cost]
    prepare: Callable[..., Any] | None
    epilogue: Callable[..., Any] | None
    joined: Joined | None
    scratch: Callable[..., Sequence[Spec | EachPart]] | None
    status: Callable[..., Exception] | None
    relocate: Callable[..., dict[str, Any]] | None
    progress: tuple[str, ...]
    view: bool
    host: bool
    formula: str | None
    differentiable: bool
    plans: dict[Any, Plan]
    keeps: dict[tuple[bool, ...], Keep]

    def keep(self, mask: tuple[bool, ...]) -> Keep:
        """Return what to save when gradients are wanted for the inputs marked in `mask`."""
        found = self.keeps.get(mask)
        if found is None:
            if self.vjp is None:
                found = Keep(inputs=tuple(range(len(mask))))
            elif isinstance(self.saves, Keep):
                found = self.saves
            else:
                wanted = [keep for keep, needed in zip(self.saves, mask, strict=False) if needed]
                found = Keep(
                    inputs=tuple(sorted({i for keep in wanted for i in keep.inputs})),
                    outputs=tuple(sorted({i for keep in wanted for i in keep.outputs})),
                )
            self.keeps[mask] = found
        return found


def define(
    name: str,
    *,
    infer: Callable[..., Spec | Sequence[Spec]],
    run: Callable[..., Any],
    cost: Callable[..., Cost],
    samples: Samples,
    errors: ErrorSamples,
    vjp: Callable[..., Sequence[Any]] | None,
    saves: Keep | tuple[Keep, ...] = NOTHING,
    twin: Callable[..., Any] | None = None,
    prepare: Callable[..., Any] | None = None,
    epilogue: Callable[..., Any] | None = None,
    joined: Joined | None = None,
    scratch: Callable[..., Sequence[Spec | EachPart]] | None = None,
    status: Callable[..., Exception] | None = None,
    relocate: Callable[..., dict[str, Any]] | None = None,
    progress: tuple[str, ...] = (),
    view: bool = False,
    host: bool = False,
    formula: str | None = None,
    call: Callable[..., Any] | None = None,
) -> Primitive:
    """Declare an operation that has a kernel, and enter it into the table.

    Args:
        name: unique; the name of the public function where there is one.
        infer: ``infer(*input specs, **params)`` returns the spec of the output, or a tuple of specs of several. It is
            the only place where an operation raises errors about shapes and dtypes. Memoised.
        run: ``run(outs, ins, **params)`` fills the arrays `outs` (outputs, then scratch, then the status word) from the
            arrays `ins`. It allocates nothing. For a view, ``run(array, **params)`` returns a list of
            NumPy views instead, one an output.
        cost: ``cost(input specs, output specs, **params)`` returns a `Cost`.
        samples: function that returns the calls the tests make.
        errors: function that returns the calls that must raise.
        vjp: ``vjp(record, *cotangents)`` returns one cotangent (or None) an input, computed with operations, so that it
            can be recorded and differentiated itself. A cotangent is None where an output did not take part. None: the
            operation has only a twin, or no derivative.
        saves: what the vjp reads through ``record.input(i)`` and ``record.output(i)``: one `Keep`, or one an input that
            says what *its* gradient needs.
        twin: the same function composed of other operations: differentiates an operation that has no vjp, and is the
            tests' reference.
        prepare: ``prepare(input specs, output specs, **params)`` returns the keyword arguments for `run` in place of
            `params`: whatever depends on specs alone. Memoised with `infer`. Where even that costs too much, it
            returns the finished function of ``(outs, ins)``.
        epilogue: ``epilogue(input specs, output specs, tail, **params)`` returns what `prepare` would, for an operation
            whose first output is followed by `tail`, a `Tail`. The operands of the tail are positions in `ins`, which
            begins with the operation's inputs. Where it is given, `ops/followed.py` makes one operation of the two.
        joined: of which operations it does the work, where a compiled program has these.
        scratch: ``scratch(input specs, output specs, **params)`` returns specs of work arrays, handed to `run` after
            the outputs. Where a kernel wants an array that grows with its `parts`, it is the `EachPart` of one.
        status: ``status(position, ins, **params)`` returns the error for a bad value that the kernel met at `position`.
            Where it is given, `run` gets int64 status words (-1), one a thread, as the last of `outs`.
        relocate: ``relocate(outs, ins, **params)`` returns the parameters for other arrays, where they hold addresses.
        progress: parameters that say how far a run has come, such as the number of a step. Programs that differ in
            nothing else do the same.
        view: the output shares the input's memory.
        host: `run` does more than call kernels: a recorded program has to call it, and threads are not its business.
        formula: name of the scalar formula that each element of an element-wise operation is computed with.
        call: what the samples call; by default the primitive itself, bound to its inputs.

    Parameters must be hashable, and always of one type each (`int(...)`, `float(...)`, tuples): the plan is looked up
    by their values.
    """
    operation = Primitive(name, call or _unbound, samples, errors)
    operation.infer = infer
    operation.run = run
    operation.vjp = vjp
    operation.saves = saves
    operation.twin = twin
    operation.cost = cost
    operation.prepare = prepare
    operation.epilogue = epilogue
    operation.joined = joined
    operation.scratch = scratch
    operation.status = status
    operation.relocate = relocate
    operation.progress = progress
    operation.view = view
    operation.host = host
    operation.formula = formula
    operation.differentiable = vjp is not None or twin is not None
    operation.plans = {}
    operation.keeps = {}
    if call is None:
        operation.call = partial(_bind, operation)
    return operation


def _unbound(*_: Any, **__: Any) -> Any:
    raise AssertionError


def _bind(primitive: Primitive, *inputs: Any, **params: Any) -> Any:
    return bind_hook[0](primitive, *inputs, **params)


# `bind` lives one file up (it needs this one); it puts itself here.
bind_hook: list[Callable[..., Any]] = [_unbound]


@on_change.append
def forget_plans() -> None:
    """Forget all plans: each holds a number of threads."""
    for operation in OPERATIONS.values():
        if isinstance(operation, Primitive):
            operation.plans.clear()


def composed(*, samples: Samples, errors: ErrorSamples, name: str | None = None) -> Callable[[Function], Function]:
    """Enter a function composed of operations into the table, under its own name unless `name` is given."""

    def enter(function: Function) -> Function:
        Operation(name or function.__name__, function, samples, errors)
        return function

    return enter


def no_errors() -> list[ErrorSample]:
    """Return no error samples: for operations that accept every tensor."""
    return []
