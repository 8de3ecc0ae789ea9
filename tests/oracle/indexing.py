"""Indexing, gathering, scattering, sorting."""

from __future__ import annotations

from typing import Any

import numpy as np

from .arrays import Array, array


def _is_integer(item: Any) -> bool:
    return not isinstance(item, bool) and np.ndim(item) == 0 and np.asarray(item).dtype.kind in "iu"


def _parts_of_index(x: Array, index: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return the index in two steps: integers select first, then slices, arrays and masks act on what is left.

    NumPy takes an integer beside an index array for an index array, which may move the indexed dimensions to the front.
    """
    items = list(index) if isinstance(index, tuple) else [index]
    items = [np.asarray(item) if isinstance(item, list) else item for item in items]

    def consumed(item: Any) -> int:
        if isinstance(item, bool):
            return 0
        return item.ndim if isinstance(item, np.ndarray) and item.dtype == bool else 1

    used = sum(consumed(item) for item in items if item is not None and item is not Ellipsis)
    rest = [slice(None)] * (x.ndim - used)
    position = next((i for i, item in enumerate(items) if item is Ellipsis), None)
    items = items + rest if position is None else items[:position] + rest + items[position + 1 :]
    first: list[Any] = []
    for item in items:
        if item is not None:
            first += [int(item)] if _is_integer(item) else [slice(None)] * consumed(item)
    return tuple(first), tuple(item for item in items if not _is_integer(item))


def getitem(input: Any, index: Any) -> Array:
    x = array(input)
    selected, rest = _parts_of_index(x, index)
    return np.asarray(x[selected])[rest].copy()


def setitem(input: Any, index: Any, value: Any) -> Array:
    """Return a copy of the input in which x[index] = value has been done."""
    x = array(input).copy()
    selected, rest = _parts_of_index(x, index)
    x[selected + (...,)][rest] = array(value)
    return x


def index_select(input: Any, dim: int, index: Any) -> Array:
    return np.take(array(input), index, axis=dim)


def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: float = 1) -> Array:
    out = np.moveaxis(array(input).copy(), dim, 0)
    for i, row in zip(np.atleast_1d(index), np.moveaxis(array(source), dim, 0), strict=True):
        out[i] += alpha * row
    return np.moveaxis(out, 0, dim)


def index_copy(input: Any, dim: int, index: Any, source: Any) -> Array:
    out = np.moveaxis(array(input).copy(), dim, 0)
    for i, row in zip(np.atleast_1d(index), np.moveaxis(array(source), dim, 0), strict=True):
        out[i] = row
    return np.moveaxis(out, 0, dim)


def index_fill(input: Any, dim: int, index: Any, value: Any) -> Array:
    out = np.moveaxis(array(input).copy(), dim, 0)
    for i in np.atleast_1d(index):
        out[i] = value
    return np.moveaxis(out, 0, dim)


def index_put(input: Any, indices: Any, values: Any, accumulate: bool = False) -> Array:
    out = array(input).copy()
    if accumulate:
        np.add.at(out, tuple(indices), array(values))
    else:
        out[tuple(indices)] = array(values)
    return out


def gather(input: Any, dim: int, index: Any) -> Array:
    """out[i, j, k] = input[index[i, j, k], j, k] for dim 0."""
    x, index = array(input), np.asarray(index)
    out = np.empty(index.shape, x.dtype)
    for place in np.ndindex(index.shape):
        out[place] = x[_replace(place, dim, index[place])]
    return out


def scatter(input: Any, dim: int, index: Any, src: Any, *, reduce: str | None = None) -> Array:
    """out[index[i, j, k], j, k] = src[i, j, k] for dim 0; `src` may be a number."""
    out, index = array(input).copy(), np.asarray(index)
    src = array(src)
    for place in np.ndindex(index.shape):
        target = _replace(place, dim, index[place])
        value = src[place] if src.ndim or not place else src[()]
        if reduce == "add":
            out[target] += value
        elif reduce == "multiply":
            out[target] *= value
        else:
            out[target] = value
    return out


def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Array:
    return scatter(input, dim, index, src, reduce="add")


def scatter_reduce(input: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True) -> Array:
    """Reduce all scattered to a place ("sum", "prod", "mean", "amax", "amin"), with or without what was there."""
    x, index, src = array(input), np.asarray(index), array(src)
    met: dict[tuple[int, ...], list[Any]] = {}
    for place in np.ndindex(index.shape):
        met.setdefault(_replace(place, dim, index[place]), []).append(src[place])
    functions = {"sum": np.sum, "prod": np.prod, "mean": np.mean, "amax": np.max, "amin": np.min}
    out = x.copy()
    for target, values in met.items():
        found = functions[reduce](values + ([x[target]] if include_self else []))
        out[target] = np.floor(found) if x.dtype.kind == "i" else found
    return out


def index_reduce(input: Any, dim: int, index: Any, source: Any, reduce: str, *, include_self: bool = True) -> Array:
    shape = np.moveaxis(array(source), dim, -1).shape
    places = np.moveaxis(np.broadcast_to(index, shape), -1, dim)
    return scatter_reduce(input, dim, places, source, reduce, include_self=include_self)


def _replace(place: tuple[int, ...], dim: int, index: Any) -> tuple[int, ...]:
    changed = list(place)
    if changed:
        changed[dim] = int(index)
    return tuple(changed)


def take(input: Any, index: Any) -> Array:
    return array(input).reshape(-1)[np.asarray(index)]


def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Array:
    if dim is None:
        return array(input).reshape(-1)[np.asarray(indices).reshape(-1)]
    return np.take_along_axis(array(input), np.asarray(indices), axis=dim)


def masked_select(input: Any, mask: Any) -> Array:
    x, mask = np.broadcast_arrays(array(input), mask)
    return x[mask]


def masked_scatter(input: Any, mask: Any, source: Any) -> Array:
    out = array(input).copy()
    mask = np.broadcast_to(mask, out.shape)
    out[mask] = array(source).reshape(-1)[: int(mask.sum())]
    return out


def nonzero(input: Any, as_tuple: bool = False) -> Any:
    x = array(input)
    return tuple(np.nonzero(x)) if as_tuple else np.argwhere(x)


def nonzero_static(input: Any, *, size: int, fill_value: int = -1) -> Array:
    found = np.argwhere(np.asarray(input))[:size]
    return np.concatenate([found, np.full((size - len(found), found.shape[1]), fill_value)])


argwhere = nonzero


def argsort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Array:
    """Equal elements keep their order; NaN is larger than any number."""
    x = array(input)
    if x.ndim == 0:
        return np.array(0)
    if not descending:
        return np.argsort(x, axis=dim, kind="stable")
    backwards = np.argsort(np.flip(x, dim), axis=dim, kind="stable")
    return x.shape[dim] - 1 - np.flip(backwards, dim)


def sort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> tuple[Array, Array]:
    x, order = array(input), argsort(input, dim, descending)
    return (np.take_along_axis(x, order, axis=dim) if x.ndim else x), order


def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> tuple[Array, Array]:
    values, order = sort(input, dim, descending=largest)
    if values.ndim == 0:
        return values, order
    return np.take(values, np.arange(k), axis=dim), np.take(order, np.arange(k), axis=dim)


def unique(
    input: Any,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    return np.unique(array(input), return_inverse=return_inverse, return_counts=return_counts, axis=dim)


def msort(input: Any) -> Array:
    return sort(input, 0)[0]


def _at_rank(x: Array, rank: Array, dim: int, keepdim: bool) -> tuple[Array, Array]:
    """The elements that stand at the given rank in order, and their places."""
    places = np.take_along_axis(argsort(x, dim), rank, axis=dim)
    found = np.take_along_axis(x, places, axis=dim)
    return (found, places) if keepdim else (np.squeeze(found, dim), np.squeeze(places, dim))


def kthvalue(input: Any, k: int, dim: int = -1, keepdim: bool = False) -> tuple[Array, Array]:
    x = array(input)
    if x.ndim == 0:
        return x, np.array(0)
    return _at_rank(x, np.full(np.expand_dims(x.take(0, dim), dim).shape, k - 1), dim, keepdim)


def median(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The lower median; NaN where there is one."""
    x = array(input)
    if dim is None:
        return median(x.reshape(-1), 0)[0] if x.size else np.array(np.nan)
    ranks = np.full(np.expand_dims(x.take(0, dim), dim).shape, (x.shape[dim] - 1) // 2)
    if x.dtype.kind == "f":
        missing = np.isnan(x).sum(axis=dim, keepdims=True)
        ranks = np.where(missing > 0, x.shape[dim] - missing, ranks)
    return _at_rank(x, ranks, dim, keepdim)


def searchsorted(sorted_sequence: Any, input: Any, *, right: bool = False, side: str | None = None) -> Array:
    """The number of elements of the row that are smaller, or not larger for the right side."""
    rows, x = np.asarray(sorted_sequence)[..., None, :], np.asarray(input)[..., None]
    rows = rows if rows.ndim > 2 else rows[0]
    return (rows <= x if right or side == "right" else rows < x).sum(axis=-1)


def bucketize(input: Any, boundaries: Any, *, right: bool = False) -> Array:
    return searchsorted(boundaries, input, right=right)


def isin(elements: Any, test_elements: Any, *, invert: bool = False) -> Array:
    return np.isin(elements, test_elements, invert=invert)


def unique_consecutive(
    input: Any, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    x = array(input)
    rows = list(x.reshape(-1) if dim is None else np.moveaxis(x, dim, 0))
    kept: list[Any] = []
    counts: list[int] = []
    inverse: list[int] = []
    for row in rows:
        if not kept or not np.array_equal(row, kept[-1]):
            kept.append(row)
            counts.append(0)
        counts[-1] += 1
        inverse.append(len(kept) - 1)
    out = np.array(kept, x.dtype) if dim is None else np.stack(kept, axis=dim)
    places = np.array(inverse, np.int64)
    results = [out]
    results += [places.reshape(x.shape) if dim is None else places] if return_inverse else []
    results += [np.array(counts, np.int64)] if return_counts else []
    return tuple(results) if len(results) > 1 else out
