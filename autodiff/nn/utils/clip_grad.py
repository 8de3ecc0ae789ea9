"""Gradients kept within bounds before an optimizer's step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from autodiff import ops
from autodiff.autograd.modes import no_grad
from autodiff.creation import zeros
from autodiff.eager import Tensor
from autodiff.errors import GradientError
from autodiff.ops.statistics import vector_norm
from autodiff.thread_mode import MODE


def _listed(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [parameters] if isinstance(parameters, Tensor) else list(parameters)


@contextmanager
def _updating() -> Iterator[None]:
    """Let operations belong to the update, which they prepare, instead of the forward pass."""
    phase, MODE.phase = MODE.phase, "update"
    try:
        yield
    finally:
        MODE.phase = phase


@no_grad()
@_updating()
def get_total_norm(
    tensors: Tensor | Iterable[Tensor], norm_type: float = 2.0, error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Return the norm of all elements of all tensors, as if they were one vector.

    Args:
        tensors: any number of any shape.
        norm_type: p of the norm; infinity for the largest absolute value.
        error_if_nonfinite: raise if the norm is infinite or NaN.
        foreach: accepted for PyTorch's sake.

    Raises:
        GradientError: if the norm is not finite and `error_if_nonfinite` says so.

    >>> import autodiff as ad
    >>> ad.nn.utils.get_total_norm([ad.tensor([3.0]), ad.tensor([[4.0]])])
    tensor(5.)
    """
    found = _listed(tensors)
    if not found:
        return zeros(())
    p = float(norm_type)
    norms = [vector_norm(x, p) for x in found]
    total = norms[0] if len(norms) == 1 else vector_norm(ops.stack(norms), p)
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise GradientError("get_total_norm", "the norm of the gradients is not finite", expected="a finite norm",
                            got=str(total.item()), fix="lower the learning rate, or pass error_if_nonfinite=False")
    return total


@no_grad()
@_updating()
def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Multiply all gradients by ``min(1, max_norm / (total_norm + 1e-6))``, in place.

    Args:
        parameters: tensors with gradients; those without are left out.
        max_norm: the norm wanted at most.
        total_norm: the norm that they have, from `get_total_norm`.
        foreach: accepted for PyTorch's sake.

    >>> import autodiff as ad
    >>> x = ad.zeros(2, requires_grad=True)
    >>> x.grad = ad.tensor([3.0, 4.0])
    >>> ad.nn.utils.clip_grads_with_norm_(x, 1.0, ad.tensor(5.0))
    >>> x.grad
    tensor([0.6000, 0.8000])
    """
    factor = ops.clamp(ops.div(float(max_norm), ops.add(total_norm, 1e-6)), max=1.0)
    for parameter in _listed(parameters):
        if parameter.grad is not None:
            parameter.grad.mul_(factor)


@no_grad()
@_updating()
def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients, in place, so that their common norm is at most `max_norm`; return the norm they had.

    Args:
        parameters: tensors with gradients; those without are left out.
        max_norm: the norm wanted at most.
        norm_type: p of the norm; infinity for the largest absolute value.
        error_if_nonfinite: raise if the norm is infinite or NaN.
        foreach: accepted for PyTorch's sake.

    Raises:
        GradientError: if the norm is not finite and `error_if_nonfinite` says so.

    Source: Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", 2013.

    >>> import autodiff as ad
    >>> x = ad.zeros(2, requires_grad=True)
    >>> x.grad = ad.tensor([3.0, 4.0])
    >>> ad.nn.utils.clip_grad_norm_([x], 1.0), x.grad
    (tensor(5.), tensor([0.6000, 0.8000]))
    """
    found = [parameter for parameter in _listed(parameters) if parameter.grad is not None]
    total = get_total_norm([parameter.grad for parameter in found], norm_type, error_if_nonfinite)
    clip_grads_with_norm_(found, max_norm, total)
    return total


@no_grad()
@_updating()
def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None) -> None:
    """Limit every element of all gradients to [-clip_value, clip_value], in place.

    Args:
        parameters: tensors with gradients; those without are left out.
        clip_value: the limit.
        foreach: accepted for PyTorch's sake.

    >>> import autodiff as ad
    >>> x = ad.zeros(2, requires_grad=True)
    >>> x.grad = ad.tensor([-3.0, 0.5])
    >>> ad.nn.utils.clip_grad_value_(x, 1.0)
    >>> x.grad
    tensor([-1.0000,  0.5000])
    """
    for parameter in _listed(parameters):
        if parameter.grad is not None:
            parameter.grad.clamp_(-float(clip_value), float(clip_value))
