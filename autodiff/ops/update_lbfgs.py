"""What L-BFGS does with its history, and its way along a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff.bind import bind
from autodiff.errors import DTypeError, ShapeError
from autodiff.ops.broadcast import column_sums, running_sums
from autodiff.ops.elementwise import spread
from autodiff.ops.products import require_floats
from autodiff.ops.promotion import cast
from autodiff.ops.structural import contiguous, require_tensor
from autodiff.ops.update import define_step, path, step
from autodiff.primitive import EachPart, ErrorSample, Sample, define
from autodiff.slots import number
from autodiff.spec import Array, Cost, Spec, addresses_of, moved
from autodiff.threads import Threads, threads_for

__all__ = ["lbfgs_direction", "lbfgs_step"]


# ---- The direction ---------------------------------------------------------------------------------------------------


def _direction_infer(gradient: Spec, known: Spec, *history: Spec) -> tuple[Spec, Spec]:
    if any(spec != gradient for spec in history) or gradient.ndim != 1:
        raise ShapeError("lbfgs_direction", "the history does not fit the gradient",
                         expected=f"vectors like {gradient!r}", got=", ".join({repr(spec) for spec in history}))
    n = len(history) // 2
    if known.shape != (2, n - 1, n - 1):
        raise ShapeError("lbfgs_direction", "the products are not those of all pairs but the newest",
                         expected=str((2, n - 1, n - 1)), got=str(known.shape))
    return gradient, Spec.of((2, n, n), np.float64)


def _direction_scratch(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...]) -> tuple[Spec | EachPart, ...]:
    vectors, block = len(inputs) - 2, kernels.lbfgs.BLOCK
    partial = Spec.of((-(-inputs[0].size // block), 2, vectors), np.float64)
    return (
        Spec.of((vectors + 1,), np.int64), partial, running_sums(partial), Spec.of((2, vectors), np.float64),
        Spec.of((vectors + 1,), np.float64), EachPart(Spec.of((1, block), np.float64)),
    )  # fmt: skip


def _direction_cost(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...]) -> Cost:
    gradient, _, *history = inputs
    return Cost(6 * len(history) * gradient.size, 2 * moved(*inputs) + moved(*outputs))


def _direction_run(outs: list[Array], ins: list[Array], threads: Threads) -> None:
    outs[2][:] = addresses_of([*ins[2:], ins[0]])
    threads.run(_direction_kernels)(outs, ins)


def _direction_kernels(outs: list[Array], ins: list[Array]) -> None:
    direction, products, table, partial, running, sums, weights, total = outs
    kernels.lbfgs.products(partial, table, ins[0], 0, 1)
    column_sums(partial.dtype)(sums, running, partial, 1, len(partial), sums.size, 1, 0, 1)
    kernels.lbfgs.two_loops(weights, products, ins[1], sums, 0, 1)
    kernels.lbfgs.combination(direction, total, table, weights, 0, 1)


def _direction_samples() -> list[Sample]:
    def sample(n: int, size: int, dtype: Any) -> Sample:
        changes = [(spread(-1, 1, size) * 0.7**i + i % 3).astype(dtype) for i in range(n)]
        steps = [(y * (i + 2) + 0.1 * y[::-1]).astype(dtype) for i, y in enumerate(changes)]
        y, s = (np.array(rows[:-1], np.float64).reshape(n - 1, size) for rows in (changes, steps))
        known = np.triu([s @ y.T, y @ y.T])
        return Sample(spread(-2, 2, size, dtype=dtype), known, changes, steps, gradient=False, tolerance=1e-4)

    return [sample(1, 5, np.float32), sample(3, 70, np.float32), sample(4, 9000, np.float32), sample(3, 40, np.float64)]


def _direction_errors() -> list[ErrorSample]:
    x, none = np.ones(3, np.float32), np.zeros((2, 0, 0))
    return [ErrorSample(Sample(x, none, [x], [x[:2]]), ShapeError, "the history does not fit the gradient"),
            ErrorSample(Sample(x, none, [x, x], [x, x]), ShapeError, r"the newest; expected \(2, 1, 1\)"),
            ErrorSample(Sample(np.arange(3), none, [x], [x]), DTypeError, "int64")]


lbfgs_direction_p = define(
    "lbfgs_direction",
    host=True,  # the table of addresses is made anew in every call
    infer=_direction_infer,
    prepare=lambda inputs, outputs: {"threads": threads_for(_direction_cost(inputs, outputs))},
    run=_direction_run,
    scratch=_direction_scratch,
    vjp=None,
    cost=_direction_cost,
    samples=_direction_samples,
    errors=_direction_errors,
    call=lambda gradient, known, changes, steps: lbfgs_direction(gradient, known, changes, steps),
)


def lbfgs_direction(gradient: Any, known: Any, changes: Sequence[Any], steps: Sequence[Any]) -> tuple[Any, Any]:
    """Return the direction of L-BFGS, and the products among its history; see `autodiff.optim.LBFGS`.

    Args:
        gradient: (N,).
        known: (2, n - 1, n - 1), float64: what this function returned for the pairs without the newest.
        changes: the last n changes of the gradient y, (N,) each, the newest last; one at least.
        steps: the n changes of the parameters s.

    Returns:
        The direction (N,), minus the estimate of the inverse Hessian times the gradient; and (2, n, n) in float64: of
        the pairs i <= j the products s_i . y_j and y_i . y_j, 0 where i > j.

    Raises:
        ShapeError: if sizes differ.
        DTypeError: if the gradient does not hold floats.
    """
    require_tensor("lbfgs_direction", gradient)
    require_floats("lbfgs_direction", gradient.spec)
    gradient = contiguous(gradient)
    history = [contiguous(cast(x, gradient.spec.dtype)) for x in (*changes, *steps)]
    return bind(lbfgs_direction_p, gradient, contiguous(cast(known, np.dtype(np.float64))), *history)  # type: ignore[no-any-return]


# ---- Along a line ----------------------------------------------------------------------------------------------------


def lbfgs_step(params: Any, starts: Any, directions: Any, *, lr: float = 1, step_count: int = 1) -> None:
    """Set parameters to ``start + lr * direction``, all in place; see `autodiff.optim.LBFGS`.

    Args:
        params: parameters of one dtype.
        starts: one a parameter; empty for the parameters themselves.
        directions: one a parameter.
        lr: how far.
        step_count: number of this step; it has no influence.
    """
    step(lbfgs_p, params, [starts], directions, lr=number(lr))


def _along_path(param: Any, grads: Any, from_start: bool = False, **settings: Any) -> tuple[Any, ...]:
    def take(params: Any, starts: Any, directions: Any, **numbers: Any) -> None:
        lbfgs_step(params, starts if from_start else (), directions, **numbers)

    return path(take, 1, param, grads, **settings)


lbfgs_p = define_step("lbfgs", _along_path, 2, {}, {"lr": -0.3}, {"from_start": True, "lr": 0.3})
