"""Hooks on the backward pass of a module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from autodiff.autograd.custom import Function
from autodiff.eager import Tensor
from autodiff.program import call_hook

Gradients = tuple[Any, ...]


class _Gate(Function):
    """The identity on several tensors; their gradients pass through a function on the way back."""

    @staticmethod
    def forward(ctx: Any, see: Callable[[Gradients], Gradients], *tensors: Tensor) -> Any:
        ctx.set_materialize_grads(False)
        ctx.see = see
        return tensors

    @staticmethod
    def backward(ctx: Any, *cotangents: Any) -> Gradients:
        return (None, *ctx.see(cotangents))


class BackwardWatch:
    """Calls the backward hooks of a module for one of its calls.

    Args:
        module: handed to the hooks.
        hooks: functions ``hook(module, grad_input, grad_output)``.
    """

    def __init__(self, module: Any, hooks: Sequence[Callable[..., Any]]) -> None:
        self._module = module
        self._hooks = hooks
        self._places: list[int] = []
        self._count = 0
        self._outputs: Gradients = ()

    def inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the arguments of the call, watched where they require a gradient."""
        self._count = len(args)
        self._places = [place for place, arg in enumerate(args) if isinstance(arg, Tensor) and arg.requires_grad]
        return _passed(self._at_inputs, args, self._places)

    def outputs(self, result: Any) -> Any:
        """Return the result of the call, watched where it requires a gradient."""
        several = isinstance(result, (tuple, list))
        results = tuple(result) if several else (result,)
        places = [place for place, x in enumerate(results) if isinstance(x, Tensor) and x.requires_grad]
        watched = _passed(self._at_outputs, results, places)
        return type(result)(watched) if several else watched[0]

    def _at_outputs(self, cotangents: Gradients) -> Gradients:
        self._outputs = cotangents
        if not self._places:
            self._call((None,) * self._count)
        return cotangents

    def _at_inputs(self, cotangents: Gradients) -> Gradients:
        gradients: list[Any] = [None] * self._count
        for place, gradient in zip(self._places, cotangents, strict=True):
            gradients[place] = gradient
        changed = self._call(tuple(gradients))
        return tuple([changed[place] for place in self._places])

    def _call(self, gradients: Gradients) -> Gradients:
        outputs, self._outputs = self._outputs, ()  # the history that holds this may live longer
        for hook in self._hooks:
            changed = call_hook(hook, self._module, gradients, outputs)
            if changed is not None:
                gradients = changed if isinstance(changed, tuple) else (changed,)
        return gradients


def _passed(see: Callable[[Gradients], Gradients], values: tuple[Any, ...], places: list[int]) -> tuple[Any, ...]:
    """Send the tensors at `places` through a gate."""
    if not places:
        return values
    result = list(values)
    for place, tensor in zip(places, _Gate.apply(see, *[values[place] for place in places]), strict=True):
        result[place] = tensor
    return tuple(result)
