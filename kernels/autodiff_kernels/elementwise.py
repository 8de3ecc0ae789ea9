"""Element-wise kernels over operands with any strides, one for each formula of the modules `scalar...`.

    elementwise.<name>(out, x0, ..., walk, part, parts)

`out` and the inputs are 1-D C arrays that carry the address of the operand's element (0, ..., 0) and its dtype: their
length does not matter. `walk` holds shape and strides. `out` may be one of the inputs (in place), but must not overlap
one in another way. dtypes: what the function takes; the result is cast to the dtype of `out`.

    >>> import numpy as np
    >>> from autodiff_kernels import elementwise
    >>> x, y, out = np.ones((2, 3), np.float32), np.arange(3, dtype=np.float32), np.empty((2, 3), np.float32)
    >>> walk = elementwise.plan((2, 3), (3, 1), [((2, 3), (3, 1)), ((3,), (1,))])
    >>> elementwise.add(elementwise.carrier(out), elementwise.carrier(x), elementwise.carrier(y), walk, 0, 1)
    >>> out
    array([[1., 2., 3.],
           [1., 2., 3.]], dtype=float32)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba.core.dispatcher import Dispatcher

from autodiff_kernels import (
    cache,
    generate,
    scalar,
    scalar_activations,
    scalar_gamma,
    scalar_gradients,
    scalar_special,
)

Array = np.ndarray[Any, np.dtype[Any]]
Shape = Sequence[int]

SHORT = 8  # a row of so many elements is not worth a loop

FORMULAS: dict[str, Any] = {
    name: value
    for module in (scalar, scalar_activations, scalar_gradients, scalar_special, scalar_gamma)
    for name, value in vars(module).items()
    if isinstance(value, Dispatcher) and name[0] != "_"
}

PARTIAL: dict[str, tuple[Any, Any]] = scalar.PARTIAL | scalar_special.PARTIAL


def __getattr__(name: str) -> Any:
    if name not in FORMULAS:
        raise AttributeError(f"there is no scalar formula '{name}'")
    with cache.importing():
        partial = PARTIAL.get(name, ())
        kernel = globals()[name] = globals().get(name) or generate.elementwise(name, FORMULAS[name], *partial)
    return kernel


def fused(
    steps: tuple[tuple[str, tuple[int, ...], str], ...], results: tuple[int, ...], arity: int, numbers: frozenset[int]
) -> Any:
    """Return the kernel of a chain: `fused(out0, ..., x0, ..., walk, part, parts)`.

    Args:
        steps: (name of the formula, operands, name of the result's dtype) each. Operands are numbered: inputs first,
            then the results of steps. Each result is rounded to its dtype, so the outputs have the bits that the
            kernels of the steps would give one after the other.
        results: which steps have outputs, in the order of the outputs.
        arity: how many inputs there are.
        numbers: those that are numbers. They have no place in the walk.
    """
    made = [generate.Step(FORMULAS[name], operands, _NUMBA.get(dtype, dtype)) for name, operands, dtype in steps]
    with cache.importing():
        return generate.fused(tuple(made), results, arity, numbers)


_NUMBA = {"bool": "boolean"}  # dtypes that Numba calls by another name than NumPy


def plan(out_shape: Shape, out_strides: Shape, inputs: Sequence[tuple[Shape, Shape]]) -> Array:
    """Return the walk over an output and the inputs that are broadcast to its shape.

    Args:
        out_shape, out_strides: shape and strides (in elements, any sign) of the output.
        inputs: (shape, strides) of each further output and of each input, broadcastable to `out_shape`.

    Returns:
        int64 array [dims, total, shape..., strides of out..., strides of x0..., ...] with dims >= 1. Dimensions are in
        the order of the output's memory, those of size 1 are left out, and neighbours that every operand holds as one
        are merged. The last two are exchanged where the last one is short and an input holds the other side by side.
    """
    rank = len(out_shape)
    rows = [tuple(out_strides)]
    for shape, strides in inputs:
        missing = rank - len(shape)
        rows.append((0,) * missing + tuple(0 if size == 1 else step for size, step in zip(shape, strides, strict=True)))
    axes = [axis for axis in range(rank) if out_shape[axis] != 1]
    axes.sort(key=lambda axis: [-abs(row[axis]) for row in rows])
    sizes: list[int] = []
    steps: list[list[int]] = []
    for axis in axes:
        size, column = out_shape[axis], [row[axis] for row in rows]
        if sizes and steps[-1] == [step * size for step in column]:
            sizes[-1] *= size
            steps[-1] = column
        else:
            sizes.append(size)
            steps.append(column)
    if not sizes:
        sizes, steps = [1], [[1] * len(rows)]
    if len(sizes) > 1 and sizes[-1] <= SHORT < sizes[-2] and any(
        inner != 1 == outer for outer, inner in zip(steps[-2][1:], steps[-1][1:], strict=True)
    ):
        sizes[-2:], steps[-2:] = sizes[:-3:-1], steps[:-3:-1]
    total = 1
    for size in out_shape:
        total *= size
    strides_by_operand = [step for row in zip(*steps, strict=True) for step in row]
    return np.array([len(sizes), total, *(sizes if total else [1] * len(sizes)), *strides_by_operand], dtype=np.int64)


def carrier(array: Array) -> Array:
    """Return the 1-D C array that carries an array's first address: a view of all of it, or of its first element."""
    if array.flags.c_contiguous:
        return array.reshape(-1)
    return array[(0,) * (array.ndim - 1)][:1]
