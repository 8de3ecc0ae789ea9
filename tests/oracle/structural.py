"""Shape, order and copies: what moves elements without computing with them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from .arrays import Array, array, varargs


def clone(input: Any) -> Array:
    return array(input).copy()


contiguous = clone


def to(input: Any, dtype: Any) -> Array:
    return array(np.asarray(input).astype(dtype))


def reshape(input: Any, *shape: Any) -> Array:
    return array(input).reshape(varargs(shape))


view = reshape


def reshape_as(input: Any, other: Any) -> Array:
    return array(input).reshape(np.shape(other))


view_as = reshape_as


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Array:
    x = array(input)
    if x.ndim == 0:
        return x.reshape(1)
    start, end = start_dim % x.ndim, end_dim % x.ndim
    size = int(np.prod(x.shape[start : end + 1]))
    return x.reshape(x.shape[:start] + (size,) + x.shape[end + 1 :])


def ravel(input: Any) -> Array:
    return flatten(input)


def unflatten(input: Any, dim: int, sizes: Any) -> Array:
    x = array(input)
    dim %= x.ndim
    sizes = list(sizes)
    if -1 in sizes:
        known = int(np.prod([size for size in sizes if size != -1]))
        sizes[sizes.index(-1)] = x.shape[dim] // known
    return x.reshape(x.shape[:dim] + tuple(sizes) + x.shape[dim + 1 :])


def transpose(input: Any, dim0: int, dim1: int) -> Array:
    x = array(input)
    return np.swapaxes(x, dim0, dim1) if x.ndim else x


def t(input: Any) -> Array:
    return array(input).T


T = t


def mT(input: Any) -> Array:
    return np.swapaxes(array(input), -1, -2)


def permute(input: Any, *order: Any, dims: Any = None) -> Array:
    return np.transpose(array(input), varargs(order) if dims is None else dims)


def movedim(input: Any, source: Any, destination: Any) -> Array:
    return np.moveaxis(array(input), source, destination)


def squeeze(input: Any, dim: Any = None) -> Array:
    x = array(input)
    dims = range(x.ndim) if dim is None else dim if isinstance(dim, tuple | list) else (dim,)
    return np.squeeze(x, axis=tuple(d for d in dims if x.ndim and x.shape[d] == 1))


def unsqueeze(input: Any, dim: int) -> Array:
    return np.expand_dims(array(input), dim)


def expand(input: Any, *size: Any) -> Array:
    """-1 keeps the size of a dimension."""
    x = array(input)
    size = varargs(size)
    shape = (1,) * (len(size) - x.ndim) + x.shape
    return np.broadcast_to(x, [old if new == -1 else new for old, new in zip(shape, size, strict=True)]).copy()


def expand_as(input: Any, other: Any) -> Array:
    return broadcast_to(input, np.shape(other))


def broadcast_to(input: Any, size: Any) -> Array:
    return np.broadcast_to(array(input), size).copy()


def broadcast_tensors(*tensors: Any) -> tuple[Array, ...]:
    return tuple(x.copy() for x in np.broadcast_arrays(*[array(x) for x in varargs(tensors)]))


def repeat(input: Any, *repeats: Any) -> Array:
    return np.tile(array(input), varargs(repeats))


def tile(input: Any, *repeats: Any, dims: Any = None) -> Array:
    return np.tile(array(input), varargs(repeats) if dims is None else dims)


def repeat_interleave(input: Any, repeats: Any, dim: int | None = None) -> Array:
    return np.repeat(array(input), repeats, axis=dim)


def cat(tensors: Any, dim: int = 0) -> Array:
    """A tensor of shape (0,) fits everywhere."""
    arrays = [array(x) for x in tensors]
    return np.concatenate([x for x in arrays if x.shape != (0,)] or arrays[:1], axis=dim)


concat = concatenate = cat


def stack(tensors: Any, dim: int = 0) -> Array:
    return np.stack([array(x) for x in tensors], axis=dim)


def hstack(tensors: Any) -> Array:
    return np.hstack([array(x) for x in tensors])


def vstack(tensors: Any) -> Array:
    return np.vstack([array(x) for x in tensors])


def dstack(tensors: Any) -> Array:
    return np.dstack([array(x) for x in tensors])


def column_stack(tensors: Any) -> Array:
    return np.column_stack([array(x) for x in tensors])


def atleast_1d(input: Any) -> Array:
    return np.atleast_1d(array(input))


def atleast_2d(input: Any) -> Array:
    return np.atleast_2d(array(input))


def atleast_3d(input: Any) -> Array:
    return np.atleast_3d(array(input))


def split(tensor: Any, split_size_or_sections: Any, dim: int = 0) -> tuple[Array, ...]:
    """Pieces of one size, the last one smaller; or pieces of the given sizes."""
    x = array(tensor)
    length = x.shape[dim]
    if isinstance(split_size_or_sections, int):
        size = split_size_or_sections
        sizes = [min(size, length - start) for start in range(0, length, size)] or [0]
    else:
        sizes = list(split_size_or_sections)
    ends = np.cumsum(sizes)
    return tuple(narrow(x, dim, int(end) - size, size) for end, size in zip(ends, sizes, strict=True))


def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Array, ...]:
    """At most `chunks` pieces of the size ceil(length / chunks); of an empty dimension exactly `chunks`."""
    if array(input).shape[dim] == 0:
        return split(input, [0] * chunks, dim)
    return split(input, max(1, -(-array(input).shape[dim] // chunks)), dim)


def tensor_split(input: Any, indices_or_sections: Any, dim: int = 0) -> tuple[Array, ...]:
    return tuple(np.array_split(array(input), indices_or_sections, axis=dim))


def hsplit(input: Any, indices_or_sections: Any) -> tuple[Array, ...]:
    return tensor_split(input, indices_or_sections, 0 if array(input).ndim == 1 else 1)


def vsplit(input: Any, indices_or_sections: Any) -> tuple[Array, ...]:
    return tensor_split(input, indices_or_sections, 0)


def unbind(input: Any, dim: int = 0) -> tuple[Array, ...]:
    x = array(input)
    return tuple(select(x, dim, i) for i in range(x.shape[dim]))


def narrow(input: Any, dim: int, start: int, length: int) -> Array:
    x = array(input)
    first = start + x.shape[dim] if start < 0 else start
    return np.take(x, np.arange(first, first + length), axis=dim)


def select(input: Any, dim: int, index: int) -> Array:
    return np.take(array(input), index, axis=dim)


def flip(input: Any, *turned: Any, dims: Any = None) -> Array:
    return np.flip(array(input), varargs(turned) if dims is None else dims)


def fliplr(input: Any) -> Array:
    return np.fliplr(array(input))


def flipud(input: Any) -> Array:
    return np.flipud(array(input))


def roll(input: Any, shifts: Any, dims: Any = None) -> Array:
    return np.roll(array(input), shifts, axis=dims)


def diagonal(input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Array:
    return np.diagonal(array(input), offset, dim1, dim2).copy()


def diag(input: Any, diagonal: int = 0) -> Array:
    """The matrix with a vector on its diagonal, or the diagonal of a matrix."""
    return np.diag(array(input), diagonal).copy()


def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Array:
    x = array(input)
    n = x.shape[-1] + abs(offset)
    out = np.zeros((*x.shape[:-1], n, n), x.dtype)
    for i in range(x.shape[-1]):
        out[..., i + max(-offset, 0), i + max(offset, 0)] = x[..., i]
    return np.moveaxis(out, (-2, -1), (dim1, dim2))


def diagflat(input: Any, offset: int = 0) -> Array:
    return np.diagflat(array(input), offset)


def trace(input: Any) -> Array:
    return np.asarray(np.trace(array(input)))


def tril(input: Any, diagonal: int = 0) -> Array:
    return np.tril(array(input), diagonal)


def triu(input: Any, diagonal: int = 0) -> Array:
    return np.triu(array(input), diagonal)


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Array, ...]:
    return tuple(np.meshgrid(*[array(x) for x in varargs(tensors)], indexing=indexing))


def tensor_unfold(input: Any, dimension: int, size: int, step: int) -> Array:
    """The method Tensor.unfold: windows along a dimension, their elements in a new last dimension."""
    x = array(input)
    if x.ndim == 0:
        return x.reshape(1)
    starts = range(0, x.shape[dimension] - size + 1, step)
    windows = [np.moveaxis(narrow(x, dimension, start, size), dimension, -1) for start in starts]
    return np.stack(windows, axis=dimension % x.ndim)


def pad(input: Any, pad: Any, mode: str = "constant", value: float | None = None) -> Array:
    """`pad` is (left, right) of the last dimension, then of the one before it, and so on; negative amounts crop."""
    x = array(input)
    for i in range(len(pad) // 2):
        axis, (before, after) = x.ndim - 1 - i, pad[2 * i : 2 * i + 2]
        x = narrow(x, axis, max(-before, 0), x.shape[axis] - max(-before, 0) - max(-after, 0))
        widths = [(0, 0)] * x.ndim
        widths[axis] = (max(before, 0), max(after, 0))
        if mode == "constant":
            x = np.pad(x, widths, constant_values=0 if value is None else value)
        else:
            x = np.pad(x, widths, mode={"reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode])
    return x


def block_diag(*tensors: Any) -> Array:
    blocks = [np.atleast_2d(array(x)) for x in tensors]
    out = np.zeros([sum(block.shape[i] for block in blocks) for i in (0, 1)], np.result_type(*blocks))
    row = column = 0
    for block in blocks:
        out[row : row + len(block), column : column + block.shape[1]] = block
        row, column = row + len(block), column + block.shape[1]
    return out


def rot90(input: Any, k: int = 1, dims: Any = (0, 1)) -> Array:
    return np.rot90(array(input), k, tuple(dims))


def cartesian_prod(*tensors: Any) -> Array:
    vectors = [array(x) for x in tensors]
    if len(vectors) == 1:
        return vectors[0]
    places = np.ndindex(*(len(x) for x in vectors))
    return np.array([[x[i] for x, i in zip(vectors, place, strict=True)] for place in places])


def combinations(input: Any, r: int = 2, with_replacement: bool = False) -> Array:
    x = array(input)
    if r == 0:
        return x[:0]
    rows = [place for place in np.ndindex(*(len(x),) * r)
            if all(a < b or (a == b and with_replacement) for a, b in pairwise(place))]
    return x[np.array(rows, np.int64).reshape(-1, r)]
