"""`Function`: an operation with a backward pass of the user's own."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from autodiff.bind import make_record, rebase, refuse_leaf
from autodiff.eager import Tensor, wrap
from autodiff.errors import GradientError, InPlaceError
from autodiff.primitive import NOTHING, Primitive
from autodiff.program import Record
from autodiff.recording import rebuilt
from autodiff.spec import Cost, moved
from autodiff.thread_mode import MODE


class Context:
    """What `Function.forward` leaves for `Function.backward`. Other attributes may be set freely.

    Attributes:
        needs_input_grad: one bool an argument of `forward`.
    """

    def __init__(self) -> None:
        self.needs_input_grad: tuple[bool, ...] = ()
        self._to_save: tuple[Any, ...] = ()
        self._saved: list[tuple[Any, Any, int]] = []
        self._not_differentiable: tuple[int, ...] = ()
        self._dirty: tuple[int, ...] = ()
        self._materialize = True
        self._record: Any = None

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep inputs, outputs or other tensors for `backward`; changing them in place before it is an error there."""
        self._to_save = tensors

    def mark_non_differentiable(self, *outputs: Tensor) -> None:
        """Say that these outputs have no gradient."""
        self._not_differentiable = tuple(id(output) for output in outputs)

    def mark_dirty(self, *inputs: Tensor) -> None:
        """Say that these inputs were changed in place and are returned."""
        self._dirty = tuple(id(x) for x in inputs)

    def set_materialize_grads(self, value: bool) -> None:
        """Say whether `backward` gets zeros (the default) or None for an output that did not take part."""
        self._materialize = value

    def like(self, tensors: Iterator[Any] | None = None, kind: Any = Tensor) -> Context:
        """Return a context for a call outside of any record: an empty one, or with these in place of each `kind`."""
        other = Context()
        other.needs_input_grad = self.needs_input_grad
        if tensors is not None:
            vars(other).update(rebuilt(vars(self), tensors, kind))
            other._record, other._to_save = None, tuple([x for x, *_ in other._saved])
            other.keep()
        return other

    def keep(self) -> None:
        """Keep what `forward` has given to `save_for_backward`."""
        self._saved = [(x, None, x.memory.version if isinstance(x, Tensor) else 0) for x in self._to_save]
        self._to_save = ()

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """The tensors given to `save_for_backward`.

        Raises:
            GradientError: if an earlier backward pass has freed them.
            InPlaceError: if one was changed in place since.
        """
        if self._record is not None and self._record() is not None and self._record().saved is None:
            raise GradientError(
                self._record().name,
                "the saved tensors were freed by an earlier backward pass",
                fix="pass retain_graph=True to the first backward",
                line=self._record().line,
            )
        result: list[Any] = []
        for tensor, index, version in self._saved:
            if tensor is None:
                result.append(None)
                continue
            if tensor.memory.version != version:
                raise InPlaceError(
                    "Function",
                    "a tensor saved for the backward pass was changed in place",
                    expected=f"version {version}",
                    got=f"version {tensor.memory.version}, last changed at {tensor.memory.changed}",
                )
            if index is not None and MODE.grad:
                record = self._record()
                tensor = wrap(tensor.array, tensor.spec, tensor.memory)
                tensor.edge, tensor.needs_grad = (record, index), True
            result.append(tensor)
        return tuple(result)


class Function:
    """Base of operations with a hand-written gradient.

    Subclass it with two static methods: ``forward(ctx, *args)`` computes with tensors (nothing in it is recorded), and
    ``backward(ctx, *cotangents)`` returns one gradient an argument of `forward`, None where there is none. Call it with
    `apply`. Gradients of gradients work when `backward` is made of operations.

    >>> import autodiff as ad
    >>> class Square(ad.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         (x,) = ctx.saved_tensors
    ...         return 2 * x * g
    >>> x = ad.tensor(3.0, requires_grad=True)
    >>> Square.apply(x).backward()
    >>> x.grad
    tensor(6.)
    """

    _primitive: Primitive

    @staticmethod
    def forward(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        """Compute the result; override."""
        raise NotImplementedError("a Function needs a static method forward(ctx, *args)")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Keep what `backward` needs; where this is overridden, `forward` takes its arguments without ``ctx``."""

    @staticmethod
    def backward(ctx: Any, *cotangents: Any) -> Any:
        """Compute the gradients of the arguments; override."""
        raise NotImplementedError("a Function needs a static method backward(ctx, *cotangents)")

    def __init_subclass__(cls) -> None:
        cls._primitive = _primitive_of(cls)

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run `forward`, and record it where an argument requires a gradient."""
        context = Context()
        positions = [i for i, arg in enumerate(args) if isinstance(arg, Tensor)]
        inputs = tuple([args[i] for i in positions])
        context.needs_input_grad = tuple(isinstance(arg, Tensor) and arg.requires_grad for arg in args)
        grad, recorder = MODE.grad, MODE.recorder
        inside = recorder is not None and recorder.inside  # what `forward` does is recorded, not the function
        MODE.grad, MODE.recorder = False, recorder if inside else None
        try:
            if recorder is not None and inside:
                results = recorder.forward_of(cls.__name__, partial(_forward, cls), context, args, kwargs)
            else:
                results = _forward(cls, context, args, kwargs)
        finally:
            MODE.grad, MODE.recorder = grad, recorder
        single = not isinstance(results, tuple)
        outputs = [results] if single else list(results)
        tracked = grad and any(x.needs_grad for x in inputs)
        if not tracked and recorder is None:
            return results
        for x in inputs:
            if tracked and id(x) in context._dirty:
                refuse_leaf(cls.__name__, x)
        # An input that comes back as it was becomes a tensor of its own, so that its history stays its own.
        outputs = [
            _again(o) if any(o is x for x in inputs) and id(o) not in context._dirty else o
            for o in outputs
        ]
        record = make_record(
            cls._primitive,
            inputs,
            {"context": context, "positions": tuple(positions), "count": len(args)},
            tuple([x.spec for x in inputs]),
            tuple([o.spec for o in outputs]),
            tuple([x.needs_grad for x in inputs]) if tracked else None,
            (),
        )
        _keep_saved(context, record, outputs)
        for index, output in enumerate(outputs):
            if tracked and output.spec.floating and id(output) not in context._not_differentiable:
                rebase(output, (record, index))
        if recorder is not None and not inside:
            recorder.add(record, outputs)
        return outputs[0] if single else tuple(outputs)


def _forward(cls: type[Function], context: Context, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if cls.setup_context is Function.setup_context:
        return cls.forward(context, *args, **kwargs)
    results = cls.forward(*args, **kwargs)
    cls.setup_context(context, args, results)
    return results


def _keep_saved(context: Context, record: Record, outputs: list[Tensor]) -> None:
    """Let the context keep the saved tensors; outputs without their history, which would close a reference cycle."""
    import weakref

    context._record = weakref.ref(record)
    record.saved = ((np.empty(0), outputs[0].memory, outputs[0].memory.version),) if context._to_save else ()
    for tensor in context._to_save:
        index = next((i for i, output in enumerate(outputs) if output is tensor), None)
        if tensor is None:
            context._saved.append((None, None, 0))
        elif index is None:
            context._saved.append((tensor, None, tensor.memory.version))
        else:
            context._saved.append((_again(tensor), index, tensor.memory.version))
    context._to_save = ()


def _again(tensor: Tensor) -> Tensor:
    """Return another tensor with the same numbers, without history."""
    other = wrap(tensor.array, tensor.spec, tensor.memory)
    if MODE.recorder is not None:
        MODE.recorder.alias(other, MODE.recorder.operand(tensor))
    return other


def _primitive_of(cls: type[Function]) -> Primitive:
    """Return the operation record of a user's function; it is not entered into the table."""
    primitive = Primitive.__new__(Primitive)
    primitive.name = cls.__name__
    primitive.call = cls.apply
    primitive.samples = primitive.errors = tuple
    primitive.saves = NOTHING
    primitive.progress = ()
    primitive.twin = primitive.prepare = primitive.epilogue = primitive.scratch = primitive.status = None
    primitive.formula = None
    primitive.view = False
    primitive.differentiable = True
    primitive.plans, primitive.keeps = {}, {}
    primitive.cost = lambda inputs, outputs, **_: Cost(0, moved(*inputs, *outputs))

    def vjp(record: Record, *cotangents: Any) -> list[Any]:
        context: Context = record.params["context"]
        if context._materialize:
            cotangents = tuple(
                [
                    wrap(np.zeros(spec.shape, spec.dtype)) if g is None else g
                    for g, spec in zip(cotangents, record.outputs, strict=True)
                ]
            )
        if MODE.recorder is None:
            found = cls.backward(context, *cotangents)
        else:
            found = MODE.recorder.backward_of(cls.__name__, cls.backward, context, cotangents)
        gradients = found if isinstance(found, tuple | list) else (found,)
        if len(gradients) != record.params["count"]:
            raise GradientError(
                cls.__name__,
                "backward returned the wrong number of gradients",
                expected=f"{record.params['count']}, one an argument of forward",
                got=str(len(gradients)),
            )
        chosen = [gradients[i] for i in record.params["positions"]]
        for gradient, spec, position in zip(chosen, record.inputs, record.params["positions"], strict=True):
            if gradient is not None and gradient.spec.shape != spec.shape:
                raise GradientError(
                    cls.__name__,
                    f"backward returned a gradient of the wrong shape for argument {position}",
                    expected=str(spec.shape),
                    got=str(gradient.shape),
                )
            if gradient is not None:
                gradient.memory.shared = True  # the user's code may keep it
        return chosen

    primitive.vjp = vjp
    return primitive
