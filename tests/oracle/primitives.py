"""References of operations that users do not call by name: views, their duals, copies."""

from __future__ import annotations

from typing import Any

import numpy as np

from .elementwise import div as divide
from .elementwise import mul as multiply
from .elementwise import neg as negative
from .elementwise import sub as subtract


def _slices(index: Any) -> Any:
    picks = []
    for entry in index:
        picks.append([entry] if isinstance(entry, int) else [entry[0] + i * entry[2] for i in range(entry[1])])
    return np.ix_(*picks), tuple(len(p) for p, e in zip(picks, index, strict=True) if not isinstance(e, int))


def copy(x: Any, dtype: Any, order: Any) -> Any:
    """x, converted."""
    return x if dtype is None or np.dtype(dtype).kind == "f" else np.trunc(x).astype(dtype)


def alias(x: Any) -> Any:
    """x."""
    return x


def slice(x: Any, index: Any) -> Any:
    """The places that `index` lists, dimension by dimension."""
    places, shape = _slices(index)
    return x[places].reshape(shape) if index else x


def slice_grad(g: Any, index: Any, shape: Any) -> Any:
    """Zeros with g at the places that `index` lists."""
    out = np.zeros(shape)
    places, _ = _slices(index)
    out[places] = np.reshape(g, out[places].shape)
    return out


def window(x: Any, shape: Any, strides: Any, offset: int) -> Any:
    """Element (i, j, ...) is element offset + i * strides[0] + j * strides[1] + ... of the flat x."""
    out = np.zeros(shape)
    for place in np.ndindex(*shape):
        out[place] = x.reshape(-1)[offset + sum(i * s for i, s in zip(place, strides, strict=True))]
    return out


def window_grad(g: Any, strides: Any, offset: int, base: Any) -> Any:
    """Each element of g added to the place that `window` reads it from."""
    out = np.zeros(base.shape)
    for place in np.ndindex(*g.shape):
        out.reshape(-1)[offset + sum(i * s for i, s in zip(place, strides, strict=True))] += g[place]
    return out


def place(base: Any, patch: Any, shape: Any, strides: Any, offset: int) -> Any:
    """base with patch written where `window` reads."""
    out = base.copy()
    for at in np.ndindex(*shape):
        out.reshape(-1)[offset + sum(i * s for i, s in zip(at, strides, strict=True))] = patch[at]
    return out


def positions(*indices: Any, sizes: Any) -> Any:
    """The C-order position of elements of dimensions of these sizes."""
    wrapped = [np.where(index < 0, index + n, index) for index, n in zip(indices, sizes, strict=True)]
    return np.ravel_multi_index(tuple(wrapped), sizes)


def pick(x: Any, index: Any, dim: int, padding: int) -> Any:
    """The places of a dimension that the index lists."""
    return np.take(x, index, axis=dim)


def index_select_grad(g: Any, index: Any, dim: int, padding: int, size: int) -> Any:
    """Each place of g added to the place that the index sends it to; nothing goes to the padding."""
    rows = np.moveaxis(g.reshape(*g.shape[:dim], index.size, *g.shape[dim + index.ndim:]), dim, 0)
    out = np.zeros((size, *rows.shape[1:]))
    for k, row in zip(index.reshape(-1), rows, strict=True):
        out[k] += row * (k != padding)
    return np.moveaxis(out, 0, dim)


def put_along(x: Any, index: Any, source: Any, dim: int) -> Any:
    """x with the places of source where the index sends them."""
    rows = np.moveaxis(source.reshape(*source.shape[:dim], index.size, *source.shape[dim + index.ndim:]), dim, 0)
    out = np.moveaxis(x.copy(), dim, 0)
    out[index.reshape(-1)] = rows
    return np.moveaxis(out, 0, dim)


def gather_grad(g: Any, index: Any, dim: int, size: int) -> Any:
    """Each element of g added to the place that its index names."""
    out = np.zeros((*g.shape[:dim], size, *g.shape[dim + 1:]))
    for place in np.ndindex(*g.shape):
        out[(*place[:dim], index[place], *place[dim + 1:])] += g[place]
    return out
