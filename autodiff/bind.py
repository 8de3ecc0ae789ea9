"""`bind`: the one way through which every operation runs.

plan (worked out once for given specs) -> take output arrays -> run the kernel -> make the record -> wrap.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import count
from operator import attrgetter, call
from types import FrameType
from typing import Any, NamedTuple, TypeVar

import numpy as np

from autodiff import primitive as _primitive
from autodiff.errors import DTypeError, InPlaceError, ShapeError
from autodiff.primitive import NOTHING, Plan, Primitive
from autodiff.program import Memory, Record, tensor_class
from autodiff.slots import held
from autodiff.source import OPERATION, WHOSE, Line, here, learn
from autodiff.spec import Array, Spec, address_of, spec_of
from autodiff.thread_mode import MODE
from autodiff.threads import Threads

TensorT = TypeVar("TensorT")

_PLAN_LIMIT = 4096
next_number = count().__next__  # of a record; every number is above those given out before
# The path of every operation: attributes of all inputs are read by loops in C, objects are made without `__init__`.
_new = object.__new__
_frame_above = sys._getframe
_spec, _array, _memory, _needs_grad = map(attrgetter, ("spec", "array", "memory", "needs_grad"))


def bind(primitive: Primitive, *inputs: Any, **params: Any) -> Any:
    """Run an operation on tensors and return its output, or the tuple of its outputs.

    The result requires a gradient, and a record is made, when gradients are recorded, an input requires one and the
    operation has a derivative.
    """
    if len(inputs) == 2:  # written out: a loop over one or two would take a tenth of a small operation's time
        x, y = inputs
        specs, ins = (x.spec, y.spec), [x.array, y.array]
    elif len(inputs) == 1:
        (x,) = inputs
        specs, ins = (x.spec,), [x.array]  # type: ignore[assignment]
    else:
        specs, ins = tuple(map(_spec, inputs)), list(map(_array, inputs))
    plan = primitive.plans.get((specs, *params.values()) if params else specs) or make_plan(primitive, specs, params)
    mode = MODE
    if plan.take_first is not None:
        # By far the most operations have one output and cannot fail.
        array = plan.take_first()
        plan.run((array, *map(call, plan.scratch)) if plan.scratch else (array,), ins)
        specs_out = plan.specs
        tensor = _new(tensor_class[0])
        tensor.array = array
        tensor.spec = specs_out[0]
        tensor.memory = _new(Memory)
        results = [tensor]
    elif primitive.view:
        source: Any = inputs[0]
        outs = plan.run(source.array)
        specs_out = plan.view_specs  # type: ignore[assignment]
        if specs_out is None:
            specs_out = plan.view_specs = tuple(map(spec_of, outs))
        results = []
        for array, spec in zip(outs, specs_out):
            tensor = _new(tensor_class[0])
            tensor.array = array
            tensor.spec = spec
            share_memory(tensor, source, mode.grad)
            results.append(tensor)
    else:
        outs = run_plan(plan, ins, params)
        specs_out = plan.specs
        results = []
        for array, spec in zip(outs, specs_out):  # without strict: scratch follows the outputs
            tensor = _new(tensor_class[0])
            tensor.array = array
            tensor.spec = spec
            tensor.memory = _new(Memory)
            results.append(tensor)

    needed = False
    ended: Any = None
    for x in inputs:
        if x.base is not None and x.seen != x.memory.version and mode.grad:
            refresh(x)
        if x.needs_grad:
            needed = True
        elif ended is None and x.cut is not None:
            ended = x
    recorder = mode.recorder
    if needed and plan.differentiable and mode.grad:
        mask = tuple(map(_needs_grad, inputs))
        record = make_record(primitive, inputs, params, specs, specs_out, mask, results)
        for index, tensor in enumerate(results):
            if tensor.spec.floating:
                tensor.edge = (record, index)
                tensor.needs_grad = True
        if recorder is not None:
            recorder.add(record, results)
    else:
        if (needed or ended is not None) and mode.origin is None:
            cut = cut_of(primitive, inputs, results) if needed else ended.cut
            for tensor in results:
                tensor.cut = cut
        if recorder is not None:
            recorder.add(make_record(primitive, inputs, params, specs, specs_out, None, ()), results)
    return results[0] if plan.single else tuple(results)


def bind_into(target: Any, primitive: Primitive, *inputs: Any, **params: Any) -> Any:
    """Run an element-wise operation and write its result into `target` in place; return `target`.

    PyTorch's rules: a leaf that requires a gradient, or a view of one, may change only while gradients are off; a
    change through a view is a change of its base; every change raises the version that saved tensors are checked by.

    Raises:
        InPlaceError: for such a leaf, or for memory that several elements of `target` share.
        ShapeError: if the result has another shape than `target`.
    """
    name = primitive.name + "_"
    spec = target.spec
    mode = MODE
    if spec.order is None and any(
        stride == 0 and size > 1 for stride, size in zip(spec.strides, spec.shape, strict=True)
    ):
        raise InPlaceError(
            name,
            "several elements of the tensor share one place in memory, so it cannot change in place",
            got=repr(spec),
            fix="write into x.clone()",
        )
    if not target.array.flags.writeable:
        raise InPlaceError(name, "the NumPy array behind this tensor is read-only", fix="write into x.clone()")
    if target.copied_view:
        raise InPlaceError(
            name,
            "this tensor is a copy that stands for a view: the change would not reach the original",
            fix="call contiguous() on the original first, then view or flatten that",
        )
    if mode.grad:
        refuse_leaf(name, target)
        for x in (target, *inputs):
            if x.base is not None and x.seen != x.memory.version:
                refresh(x)

    specs = read = tuple(map(_spec, inputs))
    ins = list(map(_array, inputs))
    for position, array in enumerate(ins):
        # Where an input overlaps the target other than element by element, it would be overwritten before it is read.
        if (
            array is not target.array
            and inputs[position].memory is target.memory
            and np.may_share_memory(array, target.array)
            and array.__array_interface__ != target.array.__array_interface__
        ):
            ins[position] = array.copy()
            read = (*read[:position], spec_of(ins[position]), *read[position + 1 :])
            if mode.recorder is not None:
                copied = bind(_operation("copy"), inputs[position], dtype=None, order=tuple(range(array.ndim)))
                inputs, specs = (*inputs[:position], copied, *inputs[position + 1 :]), read
    plan = plan_for(primitive, read, params, spec)
    before = () if mode.recorder is None else (mode.recorder.target(target),)
    mask = None
    if mode.grad and plan.differentiable:
        mask = tuple([x.needs_grad for x in inputs])
        if True not in mask:
            mask = None
    record = None
    if mask is not None or mode.recorder is not None:
        # Inputs are saved with the version they have before the change.
        record = make_record(primitive, inputs, params, specs, (spec,), mask, ())
    plan.run([target.array], ins)
    target.memory.version += 1
    target.memory.changed = here()
    if mode.recorder is not None:
        mode.recorder.add(record, [target], before)
    if mask is not None and record is not None:
        if record.keep.outputs:
            assert record.saved is not None
            record.saved = (*record.saved, (target.array, target.memory, target.memory.version))
        rebase(target, (record, 0))
    elif mode.grad and (target.needs_grad or mode.recorder is not None):
        rebase(target, None)
    return target


def bind_update(
    primitive: Primitive, written: Sequence[Any], read: Sequence[Any], threads: Threads, **params: Any
) -> None:
    """Run an operation that overwrites the tensors `written`, from them and the tensors `read`: an optimizer's step.

    No gradient flows through it; it raises the versions of what it writes, and is recorded as one operation.
    """
    settings = {name: held(x) for name, x in params.items()}
    threads.run(partial(primitive.run, **settings))(list(map(_array, written)), list(map(_array, read)))
    note_changes(written)
    if MODE.recorder is not None:
        inputs = (*written, *read)
        record = make_record(primitive, inputs, params, tuple(map(_spec, inputs)), tuple(map(_spec, written)), None, ())
        MODE.recorder.add(record, written, record.operands[: len(written)])


def note_changes(tensors: Iterable[Any]) -> None:
    """Raise the versions of tensors that have changed in place, and note the user's line."""
    line = here()
    for memory in map(_memory, tensors):
        memory.version += 1
        memory.changed = line


def share_memory(view: Any, source: Any, tracked: bool) -> None:
    """Put `view` on the memory of `source`; a tracked one has a base, the tensor whose history covers both."""
    view.memory = source.memory
    view.memory.shared = True
    if tracked:
        view.base = source if source.base is None else source.base
        view.seen = view.memory.version


def refuse_leaf(name: str, target: Any) -> None:
    """Raise if `target` is a leaf that requires a gradient, or a view of one: it must not change while recorded.

    Raises:
        InPlaceError: says which of the two.
    """
    for leaf in (target, target.base):
        if leaf is not None and leaf.needs_grad and leaf.edge is None:
            view = "" if leaf is target else "a view of "
            raise InPlaceError(
                name,
                f"{view}a leaf that requires a gradient cannot change in place while gradients are recorded",
                fix="do it under no_grad(), or work on a clone()",
            )


def rebase(target: Any, edge: tuple[Record, int] | None) -> None:
    """After a change in place, let the histories of `target` and of its base go through it.

    `edge` is the operation's output that holds the new values; None when they are constants.
    """
    target.edge = edge
    target.needs_grad = edge is not None
    base = target.base
    if base is None:
        return
    target.seen = target.memory.version
    recorder = MODE.recorder
    if not base.needs_grad and edge is None and recorder is None:
        return
    params = strides_in(base, target)
    placed = make_record(
        _operation("place"),
        (base, target),
        params,
        (base.spec, target.spec),
        (base.spec,),
        (base.needs_grad, target.needs_grad),
        (),
    )
    if recorder is not None:
        recorder.add(placed, [base], placed.operands[:1])
    if base.needs_grad or target.needs_grad:
        base.edge = (placed, 0)
        base.needs_grad = True


def refresh(view: Any) -> None:
    """Give a view whose memory has changed the history that its base has now."""
    base = view.base
    view.seen = view.memory.version
    if view.edge is None and not base.needs_grad:
        return  # neither has a history: a view made a leaf by requires_grad_() stays one
    view.needs_grad = base.needs_grad
    view.edge = None
    if base.needs_grad:
        place = strides_in(base, view)
        record = make_record(_operation("window"), (base,), place, (base.spec,), (view.spec,), (True,), ())
        view.edge = (record, 0)
        if MODE.recorder is not None:
            MODE.recorder.add(record, [view])


def strides_in(base: Any, view: Any) -> dict[str, Any]:
    """Return where `view` lies in `base`, in elements of the memory of `base`."""
    start, first = (address_of(tensor.array) for tensor in (base, view))
    return {
        "shape": view.spec.shape,
        "strides": view.spec.strides,
        "offset": (first - start) // base.spec.dtype.itemsize,
    }


def _operation(name: str) -> Primitive:
    """Return an operation of the floor above, which only a change in place through a view needs here."""
    operation = _primitive.OPERATIONS[name]
    assert isinstance(operation, Primitive)
    return operation


class Cut(NamedTuple):
    """Why no gradient flows into a tensor, and the user's line where it stopped."""

    reason: str
    line: Line | None


def cut_of(primitive: Primitive, inputs: Sequence[Any], results: Sequence[Any]) -> Cut:
    """Return why the history of the inputs ends before `results`, for the error of a later `backward`."""
    cut: Cut | None = next(x.cut for x in inputs if x.needs_grad or x.cut is not None)
    if cut is not None:
        return cut
    if not MODE.grad:
        reason = "it ran under no_grad()"
    elif results[0].spec.floating:
        reason = f"{primitive.name} has no derivative"
    else:
        name = "a conversion" if primitive.name == "copy" else primitive.name
        reason = f"{name} made {results[0].spec.dtype}, which has no derivative,"
    return Cut(reason, here())


def plan_for(primitive: Primitive, specs: tuple[Spec, ...], params: dict[str, Any], into: Spec | None = None) -> Plan:
    """Return the plan for these specs and parameters; `into` is the spec of a target in place."""
    key = (specs, *params.values()) if params else specs
    if into is not None:
        key = (specs, into, *params.values())
    return primitive.plans.get(key) or make_plan(primitive, specs, params, into)


def make_plan(primitive: Primitive, specs: tuple[Spec, ...], params: dict[str, Any], into: Spec | None = None) -> Plan:
    """Work out and remember the plan for these specs and parameters; `into` is the spec of a target in place."""
    plan = Plan(primitive, specs, params)
    key: tuple[Any, ...] = (specs, *params.values()) if params else specs
    if into is not None:
        key = (specs, into, *params.values())
        (result,) = plan.specs
        if result.shape != into.shape:
            raise ShapeError(
                primitive.name + "_",
                "an in-place operation cannot change the shape of its tensor",
                expected=str(into.shape),
                got=str(result.shape),
                fix="use the out-of-place form",
            )
        if result.dtype != into.dtype:
            raise DTypeError(
                primitive.name + "_",
                "an in-place operation cannot change the dtype of its tensor",
                expected=into.dtype.name,
                got=result.dtype.name,
                fix="use the out-of-place form",
            )
        plan = Plan(primitive, specs, params, into)
    if len(primitive.plans) >= _PLAN_LIMIT:
        primitive.plans.clear()
    primitive.plans[key] = plan
    return plan


def run_plan(plan: Plan, ins: list[Array], params: dict[str, Any]) -> list[Array]:
    """Take the arrays an operation wants, run it, return outputs and scratch; raise what the status word reports."""
    outs = [take() for take in (*plan.take, *plan.scratch)]
    if plan.status is None:
        plan.run(outs, ins)
        return outs
    status = plan.fine.copy()
    plan.run([*outs, status], ins)
    met = status.tolist()
    if max(met) >= 0:
        raise plan.status(min(position for position in met if position >= 0), ins, **params)
    return outs


def make_record(
    primitive: Primitive,
    inputs: tuple[Any, ...],
    params: dict[str, Any],
    specs: tuple[Spec, ...],
    specs_out: tuple[Spec, ...],
    mask: tuple[bool, ...] | None,
    results: Sequence[Any],
) -> Record:
    """Make the record of an operation on `inputs`; outputs that its backward pass needs are saved from `results`."""
    mode = MODE
    record: Record = _new(Record)
    record.number = next_number()
    record.primitive = primitive
    record.params = params
    record.inputs = specs
    record.outputs = specs_out
    record.hooks = None
    record.scope = mode.scope
    record.phase = mode.phase
    edges = []
    for x in inputs:
        edge = x.edge
        edges.append(edge if edge is not None else x if x.needs_grad else None)
    record.edges = record.operands = tuple(edges)
    if mode.recorder is not None:
        record.operands = tuple(map(mode.recorder.operand, inputs))
    if mask is None:
        record.tracked = (False,) * len(inputs)
        record.keep = NOTHING
        record.saved = ()
    else:
        record.tracked = mask
        keep = primitive.keeps.get(mask)
        record.keep = keep = primitive.keep(mask) if keep is None else keep
        saved = []
        for i in keep.inputs:
            x = inputs[i]
            saved.append((x.array, x.memory, x.memory.version))
        if results:
            for i in keep.outputs:
                x = results[i]
                saved.append((x.array, x.memory, 0))
        record.saved = tuple(saved)
    if mode.origin is not None:
        record.code = mode.origin.code
        record.offset = mode.origin.offset
        record.scope = mode.scope or mode.origin.scope
        record.called = None
        record.step = 0
        return record
    frame: FrameType | None = _frame_above(2)
    called: FrameType | None = None
    try:
        while frame is not None and (whose := WHOSE[frame.f_code.co_filename]):
            if whose == OPERATION:
                called = frame
            frame = frame.f_back
    except KeyError as error:
        learn(error.args[0])
        return make_record(primitive, inputs, params, specs, specs_out, mask, results)
    record.code = None if frame is None else frame.f_code
    record.offset = 0 if frame is None else frame.f_lasti
    if called is None:
        record.called = None
        record.step = 0
    else:
        record.called = called.f_code
        record.step = called.f_lasti
        if mode.recorder is not None:
            mode.recorder.made_in(called, record)
    return record


_primitive.bind_hook[0] = bind
