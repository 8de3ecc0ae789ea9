"""References of operations that users do not call by name: views, their duals, copies."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import indexing, structural


def _slices(index: Any) -> Any:
    picks = [[e] if isinstance(e, int) else [e[0] + i * e[2] for i in range(e[1])] for e in index]
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


def pad_grad(g: Any, widths: Any, mode: str) -> Any:
    """Each element of g added to the place that `pad` takes it from, by padding the numbers of the places."""
    shape = [n - before - after for n, (before, after) in zip(g.shape, widths, strict=True)]
    numbers = np.arange(1, 1 + np.prod(shape, dtype=int)).reshape(shape)
    places = structural.pad(numbers, [n for ends in reversed(widths) for n in ends], mode)
    return np.bincount(places.ravel().astype(int), g.ravel(), numbers.size + 1)[1:].reshape(shape)


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
    rows = np.moveaxis(g.reshape(*g.shape[:dim], index.size, *g.shape[dim + index.ndim :]), dim, 0)
    out = np.zeros((size, *rows.shape[1:]))
    for k, row in zip(index.reshape(-1), rows, strict=True):
        out[k] += row * (k != padding)
    return np.moveaxis(out, 0, dim)


def put_along(x: Any, index: Any, source: Any, dim: int) -> Any:
    """x with the places of source where the index sends them."""
    rows = np.moveaxis(source.reshape(*source.shape[:dim], index.size, *source.shape[dim + index.ndim :]), dim, 0)
    out = np.moveaxis(x.copy(), dim, 0)
    out[index.reshape(-1)] = rows
    return np.moveaxis(out, 0, dim)


def gather_grad(g: Any, index: Any, dim: int, size: int) -> Any:
    """Each element of g added to the place that its index names."""
    out = np.zeros((*g.shape[:dim], size, *g.shape[dim + 1 :]))
    for place in np.ndindex(*g.shape):
        out[(*place[:dim], index[place], *place[dim + 1 :])] += g[place]
    return out


def scatter_grad(g: Any, index: Any, dim: int) -> Any:
    """What g holds at the place that each element of the index names; 0 for all but the last of those at one place."""
    last = {(*place[:dim], index[place], *place[dim + 1 :]): place for place in np.ndindex(*index.shape)}
    out = np.zeros(index.shape)
    for source, place in last.items():
        out[place] = g[source]
    return out


# ---- Random draws: the published Philox, and the order of elements that `autodiff_kernels/random.py` describes ----


def _philox(counter: list[int], key: list[int]) -> list[int]:
    low = 0xFFFFFFFF
    for _ in range(10):
        a, b = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [b >> 32 ^ counter[1] ^ key[0], b & low, a >> 32 ^ counter[3] ^ key[1], a & low]
        key = [(key[0] + 0x9E3779B9) & low, (key[1] + 0xBB67AE85) & low]
    return counter


def _words(seed: int, draw: int, element: int, words: int) -> list[int]:
    """The words of the block that an element comes from; `words` elements come from one block."""
    block = element // (64 * words) * 64 + element % 64
    low = 0xFFFFFFFF
    return _philox([block & low, block >> 32, draw & low, draw >> 32], [seed & low, seed >> 32])


def _draws(key: Any, shape: Any, words: int, convert: Any) -> Any:
    """convert(words of the block, which of its elements) for every element."""
    n = int(np.prod(shape))
    seed, draw = int(key[0]), int(key[1])
    return np.array([convert(_words(seed, draw, i, words), i // 64 % words) for i in range(n)]).reshape(shape)


def _pair(w: list[int], which: int) -> int:
    return w[2 * which + 1] << 32 | w[2 * which]


def random_uniform(key: Any, shape: Any, dtype: Any) -> Any:
    """The highest 24 of 32 bits, or 53 of 64, over their range."""
    if np.dtype(dtype) == np.float32:
        return _draws(key, shape, 4, lambda w, k: (w[k] >> 8) * 2.0**-24)
    return _draws(key, shape, 2, lambda w, k: (_pair(w, k) >> 11) * 2.0**-53)


def random_normal(key: Any, shape: Any, dtype: Any) -> Any:
    """Box & Muller: sqrt(-2 log u) times cosine and sine of 2 pi v."""

    def turn(u: float, v: float, which: int) -> float:
        angle = 2 * np.pi * v
        return float(np.sqrt(-2 * np.log(u)) * (np.sin(angle) if which else np.cos(angle)))

    if np.dtype(dtype) == np.float32:
        return _draws(
            key, shape, 4, lambda w, k: turn(w[k // 2 * 2] * 2.0**-32 + 2.0**-33, w[k // 2 * 2 + 1] * 2.0**-32, k % 2)
        )
    return _draws(
        key, shape, 2, lambda w, k: turn(1 - (_pair(w, 0) >> 11) * 2.0**-53, (_pair(w, 1) >> 11) * 2.0**-53, k)
    )


def random_bernoulli(key: Any, shape: Any, dtype: Any, p: float, scale: float) -> Any:
    """`scale` where 32 random bits are below p * 2**32."""
    return _draws(key, shape, 4, lambda w, k: scale if w[k] < int(p * 2**32) else 0.0)


def random_integers(key: Any, shape: Any, low: int, high: int) -> Any:
    """low plus the upper half of 64 random bits times the range."""
    return _draws(key, shape, 2, lambda w, k: low + (_pair(w, k) * (high - low) >> 64))


def random_permutation(key: Any, n: int) -> Any:
    """Fisher & Yates, from the front: number i goes to a place from 0 to i, whose number moves to place i."""
    order: list[int] = []
    for i in range(n):
        place = _pair(_words(int(key[0]), int(key[1]), i, 2), i // 64 % 2) * (i + 1) >> 64
        order.append(i)
        order[i], order[place] = order[place], i
    return np.array(order, np.int64)


def dropout(input: Any, p: float = 0.5, training: bool = True) -> Any:
    """The samples drop nothing; what dropping does is in tests/test_draws.py."""
    return input


dropout1d = dropout2d = dropout3d = alpha_dropout = dropout


def _everywhere(index: Any, source: Any, dim: int) -> Any:
    """The index of each element, where it may be that of a row."""
    shape = [-1 if i == dim else 1 for i in range(source.ndim)]
    return index if index.ndim == source.ndim else np.broadcast_to(index.reshape(shape), source.shape)


def scatter_prod(input: Any, index: Any, source: Any, dim: int) -> Any:
    return indexing.scatter_reduce(input, dim, _everywhere(index, source, dim), source, "prod")


def scatter_amax(input: Any, index: Any, source: Any, dim: int) -> Any:
    return indexing.scatter_reduce(input, dim, _everywhere(index, source, dim), source, "amax")


def scatter_amin(input: Any, index: Any, source: Any, dim: int) -> Any:
    return indexing.scatter_reduce(input, dim, _everywhere(index, source, dim), source, "amin")


def bag_owners(offsets: Any, size: int, bags: int) -> Any:
    return np.array([max(bag for bag in range(bags) if offsets[bag] <= i) for i in range(size)])


def evenly(x: Any, y: Any) -> Any:
    """y, an element of x."""
    return y


def in_range(input: Any, operation: str, what: str, low: float, high: float, fix: str) -> Any:
    return np.array(not any(x < low or x > high for x in np.ravel(input)))


def lbfgs_direction(gradient: Any, known: Any, changes: Any, steps: Any) -> tuple[Any, Any]:
    """Nocedal & Wright, algorithm 7.4, and the products s_i . y_j and y_i . y_j for i <= j."""
    direction, factors = -gradient, []
    for y, s in zip(reversed(changes), reversed(steps), strict=True):
        factors.append(s @ direction / (s @ y))
        direction = direction - factors[-1] * y
    direction = direction * (steps[-1] @ changes[-1]) / (changes[-1] @ changes[-1])
    for y, s, factor in zip(changes, steps, reversed(factors), strict=True):
        direction = direction + (factor - y @ direction / (s @ y)) * s
    return direction, np.triu([np.array(steps) @ np.transpose(changes), np.array(changes) @ np.transpose(changes)])


def lbfgs(param: Any, grads: Any, from_start: bool = False, lr: float = 1) -> list[Any]:
    """Steps along given directions, each from 0 if `from_start`."""
    found = [param]
    for grad in grads:
        found.append((0 if from_start else found[-1]) + lr * grad)
    return found[1:]
