"""Gradients kept within bounds before an optimizer's step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff import ops
from autodiff.arguments import number
from autodiff.autograd.modes import no_grad
from autodiff.bind import note_changes
from autodiff.creation import zeros
from autodiff.eager import Tensor, grads_of, wrap
from autodiff.errors import DTypeError, GradientError, ShapeError
from autodiff.ops.promotion import cast
from autodiff.ops.statistics import root, square_sum, vector_norm
from autodiff.spec import Array, Cost, addresses_of
from autodiff.thread_mode import MODE
from autodiff.threads import threads_for


def _listed(operation: str, tensors: Any) -> list[Tensor]:
    """Return the tensors as a list.

    Raises:
        DTypeError: for anything else, such as a module.
    """
    found = [tensors] if isinstance(tensors, Tensor) else list(tensors) if isinstance(tensors, Iterable) else [tensors]
    for x in found:
        if not isinstance(x, Tensor):
            raise DTypeError(operation, "this is no tensor, nor several", expected="a tensor, or tensors",
                             got=f"a {type(x).__name__}", fix="pass the parameters: model.parameters()")
    return found


def _gradients(operation: str, parameters: Any) -> list[Tensor]:
    """Return the gradients that the parameters have."""
    return [grad for grad in grads_of(_listed(operation, parameters)) if grad is not None]


@contextmanager
def _updating() -> Iterator[None]:
    """Let operations belong to the update, which they prepare, instead of the forward pass."""
    phase, MODE.phase = MODE.phase, "update"
    try:
        yield
    finally:
        MODE.phase = phase


# ---- All gradients by one call of a kernel: operations one by one would take longer than their kernels --------------


def _alike(tensors: Sequence[Tensor]) -> bool:
    """Return whether tensors are floats of one dtype without gaps, and nobody records what is done to each."""
    specs = [x.spec for x in tensors]
    return (MODE.recorder is None and len({spec.dtype for spec in specs}) == 1 and specs[0].floating
            and None not in [spec.order for spec in specs])  # fmt: skip


def _writable(tensors: Sequence[Tensor]) -> bool:
    """Return whether each tensor without gaps has a place of its own and may change there.

    `bind_into` says what is wrong. Tensors may lie on parts of one NumPy array, which several threads must not scale.
    """
    if any(x.copied_view or not x.array.flags.writeable for x in tensors):
        return False
    starts = addresses_of([x.array for x in tensors])
    ends = starts + [x.spec.nbytes for x in tensors]
    order = np.argsort(starts)
    return bool((starts[order][1:] >= ends[order][:-1]).all())


def _table(tensors: Sequence[Tensor], sizes: Sequence[int]) -> Array:
    """Return where tensors lie, and how many elements of each a kernel works on."""
    table = np.empty((len(tensors), 2), np.int64)
    table[:, 0] = addresses_of([x.array for x in tensors])
    table[:, 1] = sizes
    return table


def _square_sums(tensors: Sequence[Tensor]) -> Array:
    """Return the sum of the squares of each tensor, with the bits of one after the other."""
    sums = np.empty(len(tensors), tensors[0].spec.dtype)
    sizes = [x.spec.size if x.spec.size <= kernels.reduce.ALONE else 0 for x in tensors]
    threads = threads_for(Cost(2 * sum(sizes), sums.itemsize * sum(sizes)))
    threads.run(kernels.update.square_sums)(sums, _table(tensors, sizes), 0, 1)
    for i, x in enumerate(tensors):
        if x.spec.size > kernels.reduce.ALONE:  # several threads work on it
            sums[i] = square_sum(x).array
    return sums


def _change(kernel: Any, tensors: Sequence[Tensor], numbers: Array) -> None:
    """Change tensors in place by a kernel that takes numbers of their dtype."""
    sizes = [x.spec.size for x in tensors]
    threads = threads_for(Cost(sum(sizes), 2 * numbers.itemsize * sum(sizes)))
    threads.run(kernel)(_table(tensors, sizes), numbers, 0, 1)
    note_changes(tensors)


# ---- What users call -------------------------------------------------------------------------------------------------


@no_grad()
@_updating()
def get_total_norm(
    tensors: Tensor | Iterable[Tensor], norm_type: float = 2.0, error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Return the norm of the norms of all tensors: that of all their elements, unless `norm_type` is 0.

    Args:
        tensors: any number of any shape.
        norm_type: p of the norm; infinity for the largest absolute value.
        error_if_nonfinite: raise if the norm is infinite or NaN.
        foreach: accepted for PyTorch's sake.

    Raises:
        DTypeError: for anything but tensors.
        GradientError: if the norm is not finite and `error_if_nonfinite` says so.

    >>> import autodiff as ad
    >>> ad.nn.utils.get_total_norm([ad.tensor([3.0]), ad.tensor([[4.0]])])
    tensor(5.)
    """
    found = _listed("get_total_norm", tensors)
    if not found:
        return zeros(())
    p = float(norm_type)
    if len(found) == 1 and p != 0:
        total = vector_norm(found[0], p)
    elif p == 2 and _alike(found):
        total = vector_norm(root(wrap(_square_sums(found))), p)
    else:
        total = vector_norm(ops.stack([vector_norm(x, p) for x in found]), p)
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

    Raises:
        DTypeError: for anything but tensors.
        ShapeError: unless the norm is one number.

    >>> import autodiff as ad
    >>> x = ad.zeros(2, requires_grad=True)
    >>> x.grad = ad.tensor([3.0, 4.0])
    >>> ad.nn.utils.clip_grads_with_norm_(x, 1.0, ad.tensor(5.0))
    >>> x.grad
    tensor([0.6000, 0.8000])
    """
    if total_norm.spec.size != 1:
        raise ShapeError("clip_grads_with_norm_", "the norm of all gradients is not one number", expected="()",
                         got=str(total_norm.spec.shape), fix="pass what get_total_norm returns")
    most = number("clip_grads_with_norm_", "max_norm", max_norm)
    factor = ops.clamp(ops.div(most, ops.add(total_norm, 1e-6)), max=1.0)
    grads = _gradients("clip_grads_with_norm_", parameters)
    if _alike(grads) and _writable(grads):
        _change(kernels.update.scale, grads, cast(factor, grads[0].spec.dtype).array.reshape(1))
    else:
        for grad in grads:
            grad.mul_(factor)


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
        DTypeError: for anything but tensors.
        GradientError: if the norm is not finite and `error_if_nonfinite` says so.

    Source: Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", 2013.

    >>> import autodiff as ad
    >>> x = ad.zeros(2, requires_grad=True)
    >>> x.grad = ad.tensor([3.0, 4.0])
    >>> ad.nn.utils.clip_grad_norm_([x], 1.0), x.grad
    (tensor(5.), tensor([0.6000, 0.8000]))
    """
    found = _listed("clip_grad_norm_", parameters)
    total = get_total_norm(_gradients("clip_grad_norm_", found), norm_type, error_if_nonfinite)
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

    Raises:
        DTypeError: for anything but tensors.

    >>> import autodiff as ad
    >>> x = ad.zeros(2, requires_grad=True)
    >>> x.grad = ad.tensor([-3.0, 0.5])
    >>> ad.nn.utils.clip_grad_value_(x, 1.0)
    >>> x.grad
    tensor([-1.0000,  0.5000])
    """
    limit = number("clip_grad_value_", "clip_value", clip_value)
    grads = _gradients("clip_grad_value_", parameters)
    if _alike(grads) and _writable(grads):
        _change(kernels.update.limit, grads, np.array([-limit, limit], grads[0].spec.dtype))
    else:
        for grad in grads:
            grad.clamp_(-limit, limit)
