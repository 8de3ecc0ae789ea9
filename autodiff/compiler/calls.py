"""The user's own Python in a program: instructions that call hooks, and functions that look at numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autodiff.eager import Tensor, wrap
from autodiff.errors import AutodiffError, ShapeError
from autodiff.primitive import NOTHING, Primitive
from autodiff.recording import rebuilt, tensors_in
from autodiff.spec import Array, Cost, Spec, moved
from autodiff.thread_mode import MODE


class RecordingError(AutodiffError):
    """A function cannot be recorded and replayed as it is written."""


RAN = Spec.of((), np.dtype(np.bool_))  # the type of a result that only says that something has run


class Hole:
    """Stands for a tensor among the arguments of a call."""


HOLE: Any = Hole()


class PythonCall(Primitive):
    """An operation that calls the user's Python: nobody knows what that looks at."""

    __slots__ = ("_grad",)

    def __init__(self, name: str, outputs: tuple[Spec, ...]) -> None:
        # Not one of the table: each call is an operation of its own, and goes with its program.
        self.name = name
        self.saves = NOTHING
        self.vjp = self.twin = self.prepare = self.epilogue = self.scratch = self.status = None
        self.relocate = self.formula = None
        self.view = self.differentiable = False
        self.host = True
        self.plans, self.keeps = {}, {}
        self.infer = lambda *_: outputs
        self.cost = lambda inputs, outputs: Cost(0, moved(*inputs, *outputs))
        self.run = self._run
        self._grad = MODE.grad

    def _run(self, outs: Sequence[Array], ins: Sequence[Array]) -> None:
        """Call it with copies of the inputs, in the grad mode that it was recorded in."""
        mode, MODE.grad = MODE.grad, self._grad
        try:
            self.call_with(outs, [wrap(array.copy("K")) for array in ins])
        finally:
            MODE.grad = mode

    def call_with(self, outs: Sequence[Array], copies: list[Tensor]) -> None:
        """Call it, and fill the outputs; override."""
        raise NotImplementedError


class HookCall(PythonCall):
    """The operation that calls a hook which has effects only: its result says that it has run.

    Args:
        hook: the hook.
        arguments: of the call that was recorded, with holes for the tensors that are others in each replay: copies of
            the operation's inputs.
        leaves: leaves whose `.grad` it looks at, and whether there was one: a copy of the next input.
    """

    __slots__ = ("_arguments", "_hook", "_leaves")

    def __init__(
        self, hook: Callable[..., Any], arguments: tuple[Any, ...], leaves: Sequence[tuple[Any, bool]]
    ) -> None:
        super().__init__("hook", (RAN,))
        self._hook = hook
        self._arguments = arguments
        self._leaves = leaves

    def call_with(self, outs: Sequence[Array], copies: list[Tensor]) -> None:
        """Call the hook.

        Raises:
            RecordingError: if it returns something or changes a tensor, as it did not when it was recorded.
        """
        tensors = iter(copies)
        arguments = rebuilt(self._arguments, tensors, Hole)
        shown = [(leaf, next(tensors) if there else None) for leaf, there in self._leaves]
        grads = [leaf._grad for leaf, _ in shown]
        for leaf, grad in shown:
            leaf._grad = grad
        try:
            result = self._hook(*arguments)
            changed = any(x.memory.version for x in copies) or any(leaf._grad is not grad for leaf, grad in shown)
        finally:
            for (leaf, _), grad in zip(shown, grads, strict=True):
                leaf._grad = grad
        if result is not None:
            raise RecordingError("compile", "a hook returns something that returned nothing when it was recorded",
                                 got=type(result).__name__, fix="let it return a tensor each time, or never")
        if changed:
            raise RecordingError("compile", "a hook changes a tensor that it left alone when it was recorded",
                                 fix="let it do so each time, or never, and decide with where()")
        outs[0][...] = True


class ForwardCall(PythonCall):
    """The operation that calls the forward pass of a user's own `Function`, which looks at numbers.

    Its last result says that it has run. The context that a call leaves belongs to the memory of that result: so each
    backward pass finds its own.

    Args:
        name: of the function.
        forward: ``forward(context, *arguments)`` returns a tensor or several.
        context: of the call that was recorded.
        arguments: with holes.
        outputs: specs of the results.

    Attributes:
        contexts: those that a backward pass has still to use, by the address of the last result.
        last: id of the last call of a backward pass that uses one; None where there is none.
    """

    __slots__ = ("_arguments", "_context", "_forward", "contexts", "last")

    def __init__(
        self, name: str, forward: Callable[..., Any], context: Any, arguments: Any, outputs: Sequence[Spec]
    ) -> None:
        super().__init__(name, (*outputs, RAN))
        self.contexts: dict[int, Any] = {}
        self.last: int | None = None
        self._forward = forward
        self._context = context.like()
        self._arguments = arguments

    def call_with(self, outs: Sequence[Array], copies: list[Tensor]) -> None:
        """Call the function, and keep its context where it is needed."""
        context = self._context.like()
        results = self._forward(context, *rebuilt(self._arguments, iter(copies), Hole))
        if self.last is not None:
            context.keep()
            self.contexts[outs[-1].ctypes.data] = context
        _fill(self.name, outs[:-1], results)


class BackwardCall(PythonCall):
    """The operation that calls the backward pass of a user's own `Function`.

    Args:
        name: of the function.
        backward: ``backward(context, *cotangents)`` returns a gradient or several, None for some.
        forward: the call whose context it gets, and whose last result is the last input; None if there is none.
        context: with holes for tensors: the first inputs. Not used with `forward`.
        cotangents: with holes for tensors.
        outputs: specs of the gradients; None where there is none.
    """

    __slots__ = ("_backward", "_context", "_cotangents", "_forward", "_wanted")

    def __init__(
        self, name: str, backward: Callable[..., Any], forward: ForwardCall | None, context: Any,
        cotangents: tuple[Any, ...], outputs: Sequence[Spec | None],
    ) -> None:  # fmt: skip
        super().__init__(f"{name}_grad", tuple([spec for spec in outputs if spec is not None]))
        self._backward = backward
        self._forward = forward
        if forward is not None:
            forward.last = id(self)
        self._context = context
        self._cotangents = cotangents
        self._wanted = [spec is not None for spec in outputs]

    def _run(self, outs: Sequence[Array], ins: Sequence[Array]) -> None:
        """Find the context, and call the function."""
        if self._forward is None:
            super()._run(outs, ins)
            return
        contexts, key = self._forward.contexts, ins[-1].ctypes.data
        self._context = contexts.pop(key) if self._forward.last == id(self) else contexts[key]
        try:
            super()._run(outs, ins[:-1])
        finally:
            self._context = None

    def call_with(self, outs: Sequence[Array], copies: list[Tensor]) -> None:
        """Call the function."""
        tensors = iter(copies)
        context = self._context if self._forward is not None else self._context.like(tensors, Hole)
        found = self._backward(context, *rebuilt(self._cotangents, tensors, Hole))
        gradients = found if isinstance(found, tuple | list) else (found,)
        _fill(self.name, outs, [x for x, wanted in zip(gradients, self._wanted, strict=True) if wanted])


def _fill(name: str, outs: Sequence[Array], results: Any) -> None:
    """Copy results to where they are wanted.

    Raises:
        ShapeError: if they are not of the shapes that were recorded.
    """
    tensors = list(tensors_in(results))
    if [x.spec.shape for x in tensors] != [out.shape for out in outs]:
        raise ShapeError(name, "the function returns other shapes than when it was recorded",
                         expected=", ".join(str(out.shape) for out in outs),
                         got=", ".join(str(x.spec.shape) for x in tensors))
    for out, x in zip(outs, tensors, strict=True):
        out[...] = x.array
