"""Derivatives of functions: Jacobians, Hessians, and products with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff import ops
from autodiff.autograd.gradients import grad
from autodiff.eager import Tensor, wrap
from autodiff.thread_mode import MODE


def _fresh(inputs: Any, create_graph: bool) -> tuple[Tensor, ...]:
    given = inputs if isinstance(inputs, tuple) else (inputs,)
    if create_graph:
        return tuple(ops.alias(x) if x.needs_grad else x.detach().requires_grad_() for x in given)
    return tuple(x.detach().requires_grad_() for x in given)


def _evaluate(func: Callable[..., Any], inputs: tuple[Tensor, ...]) -> Any:
    before, MODE.grad = MODE.grad, True
    try:
        return func(*inputs)
    finally:
        MODE.grad = before


def _zeros(x: Tensor) -> Tensor:
    return wrap(np.zeros(x.shape, x.dtype))


def _ones(x: Tensor) -> Tensor:
    return wrap(np.ones(x.shape, x.dtype))


def jacobian(func: Callable[..., Any], inputs: Any, create_graph: bool = False) -> Any:
    """Return the Jacobian of a function, one row (a backward sweep) an output element.

    Args:
        func: takes tensors, returns one tensor or a tuple.
        inputs: tensor or tuple of tensors.
        create_graph: make the result differentiable.

    Returns:
        A tensor of shape output + input; for several inputs or outputs, nested tuples of them, outputs first.

    >>> import autodiff as ad
    >>> ad.autograd.functional.jacobian(lambda x: x ** 2, ad.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    xs = _fresh(inputs, create_graph)
    results = _evaluate(func, xs)
    outputs = results if isinstance(results, tuple) else (results,)
    blocks = []
    for output in outputs:
        rows: list[list[Any]] = [[] for _ in xs]
        for position in range(output.spec.size):
            seed = np.zeros(output.spec.size, output.spec.dtype)
            seed[position] = 1
            if output.needs_grad:
                found = grad(
                    output,
                    xs,
                    wrap(seed.reshape(output.shape)),
                    retain_graph=True,
                    create_graph=create_graph,
                    materialize_grads=True,
                )
            else:
                found = tuple(_zeros(x) for x in xs)
            for row, gradient in zip(rows, found, strict=True):
                row.append(gradient)
        blocks.append(
            tuple(
                ops.reshape(ops.stack(row), (*output.shape, *x.shape))
                if row
                else wrap(np.zeros((*output.shape, *x.shape), x.dtype))
                for row, x in zip(rows, xs, strict=True)
            )
        )
    per_output = [block if isinstance(inputs, tuple) else block[0] for block in blocks]
    return tuple(per_output) if isinstance(results, tuple) else per_output[0]


def hessian(func: Callable[..., Any], inputs: Any, create_graph: bool = False) -> Any:
    """Return the Hessian of a function with one output element.

    Args:
        func: takes tensors, returns a tensor of one element.
        inputs: tensor or tuple of tensors.
        create_graph: make the result differentiable.

    Returns:
        A tensor of shape input + input, or nested tuples of them for several inputs.

    >>> import autodiff as ad
    >>> ad.autograd.functional.hessian(lambda x: (x ** 3).sum(), ad.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    several = isinstance(inputs, tuple)

    def gradient(*xs: Tensor) -> Any:
        found = grad(func(*xs), xs, create_graph=True, materialize_grads=True)
        return found if several else found[0]

    return jacobian(gradient, inputs, create_graph)


def vjp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False) -> tuple[Any, Any]:
    """Return the function's value and the product of `v` with its Jacobian: one backward sweep.

    Args:
        func: takes tensors, returns one tensor or a tuple.
        inputs: tensor or tuple of tensors.
        v: cotangent of each output; may be left out for one output of one element.
        create_graph: make the result differentiable.

    >>> import autodiff as ad
    >>> ad.autograd.functional.vjp(lambda x: x ** 2, ad.tensor([1.0, 2.0]), ad.tensor([1.0, 10.0]))[1]
    tensor([ 2., 40.])
    """
    xs = _fresh(inputs, create_graph)
    results = _evaluate(func, xs)
    found = grad(results, xs, v, create_graph=create_graph, materialize_grads=True)
    return _detached(results, create_graph), found if isinstance(inputs, tuple) else found[0]


def jvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False) -> tuple[Any, Any]:
    """Return the function's value and the product of its Jacobian with `v`, by differentiating the vjp.

    The vjp is linear in its cotangent, so its own vjp is the jvp (the double-backward trick).

    Args:
        func: takes tensors, returns one tensor or a tuple.
        inputs: tensor or tuple of tensors.
        v: tangent of each input; ones by default.
        create_graph: make the result differentiable.

    >>> import autodiff as ad
    >>> ad.autograd.functional.jvp(lambda x: x ** 2, ad.tensor([1.0, 2.0]), ad.tensor([1.0, 10.0]))[1]
    tensor([ 2., 40.])
    """
    xs = _fresh(inputs, create_graph)
    results = _evaluate(func, xs)
    outputs = results if isinstance(results, tuple) else (results,)
    tangents = tuple(_ones(x) for x in xs) if v is None else v if isinstance(v, tuple) else (v,)
    cotangents = tuple(_zeros(y).requires_grad_() for y in outputs)
    pulled = grad(outputs, xs, cotangents, create_graph=True, materialize_grads=True)
    live = [(p, t) for p, t in zip(pulled, tangents, strict=True) if p.needs_grad]
    if not live:
        pushed: tuple[Any, ...] = tuple(_zeros(y) for y in outputs)
    else:
        pushed = grad(
            [p for p, _ in live], cotangents, [t for _, t in live], create_graph=create_graph, materialize_grads=True
        )
    return _detached(results, create_graph), pushed if isinstance(results, tuple) else pushed[0]


def vhp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False) -> tuple[Any, Any]:
    """Return the function's value and the product of `v` with its Hessian; the Hessian is symmetric, so it is `hvp`."""
    return hvp(func, inputs, v, create_graph)


def hvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False) -> tuple[Any, Any]:
    """Return the function's value and the product of its Hessian with `v`: two backward sweeps, no matrix.

    Args:
        func: takes tensors, returns a tensor of one element.
        inputs: tensor or tuple of tensors.
        v: vector (of the inputs' shapes); ones by default.
        create_graph: make the result differentiable.

    >>> import autodiff as ad
    >>> ad.autograd.functional.hvp(lambda x: (x ** 3).sum(), ad.tensor([1.0, 2.0]), ad.tensor([1.0, 1.0]))[1]
    tensor([ 6., 12.])
    """
    xs = _fresh(inputs, create_graph)
    result = _evaluate(func, xs)
    vectors = tuple(_ones(x) for x in xs) if v is None else v if isinstance(v, tuple) else (v,)
    first = grad(result, xs, create_graph=True, materialize_grads=True)
    live = [(g, vector) for g, vector in zip(first, vectors, strict=True) if g.needs_grad]
    if not live:
        second: tuple[Any, ...] = tuple(_zeros(x) for x in xs)
    else:
        second = grad(
            [g for g, _ in live], xs, [vector for _, vector in live], create_graph=create_graph, materialize_grads=True
        )
    return _detached(result, create_graph), second if isinstance(inputs, tuple) else second[0]


def _detached(results: Any, keep: bool) -> Any:
    if keep:
        return results
    return tuple(r.detach() for r in results) if isinstance(results, tuple) else results.detach()
