"""Derivatives checked against finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.autograd.gradients import grad
from autodiff.eager import Tensor, wrap
from autodiff.errors import AutodiffError, DTypeError


class GradcheckError(AutodiffError):
    """A derivative does not agree with finite differences."""


def _outputs(results: Any) -> tuple[Tensor, ...]:
    return tuple(r for r in (results if isinstance(results, tuple) else (results,)) if r.spec.floating)


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """Compare the gradients of a function with central differences, element by element.

    Args:
        func: takes tensors, returns one tensor or a tuple.
        inputs: float64 tensor or tuple of tensors; those that require a gradient are checked.
        eps: step of the difference quotient.
        atol, rtol: allowed difference, absolute and relative.
        raise_exception: raise on a difference; otherwise return False.

    Returns:
        True when all agree.

    Raises:
        GradcheckError: names the output, the input and the element that differs most.
        DTypeError: if a checked input is not float64, in which difference quotients are too coarse.

    >>> import autodiff as ad
    >>> ad.autograd.gradcheck(ad.tanh, ad.tensor([0.5, -1.0], dtype=ad.float64, requires_grad=True))
    True
    """
    given = inputs if isinstance(inputs, tuple) else (inputs,)
    checked = [i for i, x in enumerate(given) if isinstance(x, Tensor) and x.needs_grad]
    for i in checked:
        if given[i].dtype != np.float64:
            raise DTypeError(
                "gradcheck",
                f"input {i} is too coarse for finite differences",
                expected="float64",
                got=given[i].dtype.name,
                fix="call .double() on the inputs",
            )
    outputs = _outputs(func(*given))
    for number, output in enumerate(outputs):
        for i in checked:
            analytic = np.zeros((output.spec.size, given[i].spec.size))
            for row in range(output.spec.size if output.needs_grad else 0):
                seed = np.zeros(output.spec.size, output.dtype)
                seed[row] = 1
                (found,) = grad(
                    output, given[i], wrap(seed.reshape(output.shape)), retain_graph=True, materialize_grads=True
                )
                analytic[row] = found.detach().array.reshape(-1)
            numeric = _numeric_jacobian(func, given, i, number, eps)
            difference = np.abs(analytic - numeric)
            worst = (
                np.unravel_index(int(np.argmax(difference - (atol + rtol * np.abs(numeric)))), numeric.shape)
                if numeric.size
                else None
            )
            if worst is not None and not difference[worst] <= atol + rtol * np.abs(numeric[worst]):
                if not raise_exception:
                    return False
                raise GradcheckError(
                    "gradcheck",
                    f"the derivative of element {worst[0]} of output {number} by element "
                    f"{worst[1]} of input {i} differs from finite differences",
                    expected=f"{numeric[worst]:.8g}",
                    got=f"{analytic[worst]:.8g}",
                )
    return True


def _numeric_jacobian(func: Callable[..., Any], given: tuple[Any, ...], position: int, output: int, eps: float) -> Any:
    columns = []
    values = np.ascontiguousarray(given[position].detach().array)
    for element in range(values.size):
        ends = []
        for step in (eps, -eps):
            moved = values.copy()
            moved.reshape(-1)[element] += step
            arguments = [x.detach().requires_grad_() if isinstance(x, Tensor) and x.needs_grad else x for x in given]
            arguments[position] = wrap(moved).requires_grad_()
            ends.append(_outputs(func(*arguments))[output].detach().array.reshape(-1).copy())
        columns.append((ends[0] - ends[1]) / (2 * eps))
    return np.stack(columns, axis=1) if columns else np.zeros((_outputs(func(*given))[output].spec.size, 0))


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """Compare second derivatives with central differences of the first.

    Args:
        func, inputs, eps, atol, rtol, raise_exception: as in `gradcheck`.
        grad_outputs: cotangents of the outputs; irregular numbers by default.

    Raises:
        GradcheckError: as `gradcheck`.

    >>> import autodiff as ad
    >>> ad.autograd.gradgradcheck(ad.tanh, ad.tensor([0.5, -1.0], dtype=ad.float64, requires_grad=True))
    True
    """
    given = inputs if isinstance(inputs, tuple) else (inputs,)
    outputs = _outputs(func(*given))
    if grad_outputs is None:
        cotangents = tuple(
            wrap((np.cos(np.arange(1, o.spec.size + 1) * 1.7) + 1.3).astype(o.dtype).reshape(o.shape)).requires_grad_()
            for o in outputs
        )
    else:
        cotangents = grad_outputs if isinstance(grad_outputs, tuple) else (grad_outputs,)
    count = len(given)

    def first(*arguments: Any) -> Any:
        xs, gs = arguments[:count], arguments[count:]
        results = _outputs(func(*xs))
        live = [(r, g) for r, g in zip(results, gs, strict=True) if r.needs_grad]
        wanted = [x for x in xs if isinstance(x, Tensor) and x.needs_grad]
        return grad([r for r, _ in live], wanted, [g for _, g in live], create_graph=True, materialize_grads=True)

    return gradcheck(first, (*given, *cotangents), eps, atol, rtol, raise_exception)
