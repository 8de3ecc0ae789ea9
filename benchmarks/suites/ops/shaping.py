"""Operations that say anew how elements lie, join and cut tensors, or read and write parts of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.suites.ops.table import MATRIX, ROWS, VECTOR, Shapes, booleans, entries, orders, reals, whole

X = reals(MATRIX)
V = reals(VECTOR)
COLUMN = reals(((32, 1), (320, 1), (2000, 1)))
ROW = reals(ROWS)
SIDES = (32, 320, 2000)  # of MATRIX
PLACES = whole(ROWS, SIDES)
EVERYWHERE = whole(MATRIX, SIDES)
ORDER = orders(ROWS)
CUBE: Shapes = ((10, 10, 10), (46, 46, 46), (160, 160, 160))
VOCABULARY: Shapes = ((100, 16), (1000, 64), (10_000, 256))
WORDS: Shapes = ((8, 8), (40, 40), (128, 128))


def joined(join: Callable[..., Any], *tensors: Any) -> Any:
    """Call a function that takes its tensors in one argument."""
    return join(tensors)


def written(write: Callable[..., Any], x: Any, *arguments: Any) -> Any:
    """Return a copy that was written to."""
    result = x.clone()
    write(result, *arguments)
    return result


def seen_through_view(write: Callable[..., Any], x: Any) -> Any:
    """Return a view of a copy that was written to after the view was made."""
    result = x.clone()
    view = result[1:-1, 1:-1]
    write(result, 2.0)
    return view


ENTRIES = [
    # Views
    *entries("reshape", X, call=lambda reshape, x: reshape(x, (-1,))),
    *entries("permute", reals(CUBE), call=lambda permute, x: permute(x, (2, 0, 1))),
    *entries("movedim", reals(CUBE), source=0, destination=2),
    *entries("squeeze", COLUMN),
    *entries("unsqueeze", X, dim=1),
    *entries("flatten ravel t diagonal", X),
    *entries("unflatten", X, dim=1, sizes=(4, -1)),
    *entries("reshape_as view_as", X, X, call=lambda function, x, y: function(x, y.detach())),
    *entries("atleast_1d atleast_2d atleast_3d", V),
    *entries("slice", X, path="Tensor.__getitem__", call=lambda get, x: get(x, (slice(1, -1), slice(None, None, 2)))),
    *entries("tensor_unfold", X, path="Tensor.unfold", call=lambda unfold, x: unfold(x, 1, 4, 2)),
    *entries("expand", COLUMN, call=lambda expand, x: expand(x, (-1, x.shape[0])), path="Tensor.expand"),
    *entries("expand_as", ROW, X, call=lambda expand_as, x, y: expand_as(x, y.detach())),
    *entries("broadcast_to", ROW, call=lambda broadcast_to, x: broadcast_to(x, (x.shape[0], x.shape[0]))),
    *entries("broadcast_tensors", COLUMN, ROW, call=lambda broadcast, x, y: tuple(broadcast(x, y))),
    *entries("meshgrid", ROW, ROW, call=lambda meshgrid, x, y: tuple(meshgrid(x, y, indexing="ij"))),
    # Joining and cutting
    *entries("cat stack hstack vstack dstack column_stack", X, X, call=joined),
    *entries("split", X, call=lambda split, x: tuple(split(x, x.shape[0] // 4))),
    *entries("chunk", X, call=lambda chunk, x: tuple(chunk(x, 4))),
    *entries("tensor_split hsplit vsplit", X, call=lambda split, x: tuple(split(x, 4))),
    *entries("unbind", reals(((4, 256), (4, 25_600), (4, 1_000_000)))),
    # Rearranging
    *entries("flip", X, call=lambda flip, x: flip(x, (0, 1))),
    *entries("fliplr flipud tril triu trace", X),
    *entries("roll", X, shifts=7, dims=1),
    *entries("rot90", X),
    *entries("block_diag", X, X, call=lambda block_diag, x, y: block_diag(x, y)),
    *entries("cartesian_prod", ROW, ROW, call=lambda product, x, y: product(x, y)),
    *entries("combinations", ROW),
    *entries("repeat", X, call=lambda repeat, x: repeat(x, 2, 1)),
    *entries("tile", X, call=lambda tile, x: tile(x, (2, 1))),
    *entries("repeat_interleave", X, repeats=2, dim=0),
    *entries("diag", X),
    *entries("diag_embed diagflat", ROW),
    *entries("pad", X, pad=(1, 1, 1, 1)),
    # Reading at places
    *entries("index_select", X, PLACES, call=lambda select, x, i: select(x, 0, i)),
    *entries("getitem", X, PLACES, PLACES, path="Tensor.__getitem__",
             call=lambda get, x, i, j: get(x, (i[:, None], j))),
    *entries("gather", X, EVERYWHERE, call=lambda gather, x, i: gather(x, 1, i)),
    *entries("take_along_dim", X, EVERYWHERE, dim=1),
    *entries("take", V, whole(VECTOR, (1_000, 100_000, 4_000_000))),
    *entries("masked_select", X, booleans(MATRIX)),
    *entries("nonzero", booleans(MATRIX), gradient=False),
    *entries("nonzero_static", booleans(MATRIX), size=500, gradient=False),
    *entries("embedding", whole(WORDS, (100, 1000, 10_000)), reals(VOCABULARY)),
    *entries("embedding_bag", whole(WORDS, (100, 1000, 10_000)), reals(VOCABULARY)),
    *entries("one_hot", whole(ROWS, (32, 320, 2000)), gradient=False),
    # Writing at places
    *entries("index_add", X, PLACES, X, call=lambda add, x, i, y: add(x, 0, i, y)),
    *entries("index_copy", X, ORDER, X, call=lambda copy, x, i, y: copy(x, 0, i, y)),
    *entries("index_fill", X, ORDER, call=lambda fill, x, i: fill(x, 0, i[::2], 0.5)),
    *entries("index_put", X, PLACES, X, call=lambda put, x, i, y: put(x, (i,), y, accumulate=True)),
    *entries("scatter", X, orders(MATRIX), X, call=lambda scatter, x, i, y: scatter(x, 1, i, y)),
    *entries("scatter_add", X, EVERYWHERE, X, call=lambda scatter, x, i, y: scatter(x, 1, i, y)),
    *entries("scatter_reduce", X, EVERYWHERE, X, call=lambda scatter, x, i, y: scatter(x, 1, i, y, "mean")),
    *entries("scatter_prod", X, EVERYWHERE, X, path="scatter_reduce", tolerance=1e-3,
             call=lambda scatter, x, i, y: scatter(x, 1, i, y, "prod")),
    *entries("scatter_amax", X, EVERYWHERE, X, path="scatter_reduce",
             call=lambda scatter, x, i, y: scatter(x, 1, i, y, "amax")),
    *entries("scatter_amin", X, EVERYWHERE, X, path="scatter_reduce",
             call=lambda scatter, x, i, y: scatter(x, 1, i, y, "amin")),
    *entries("index_reduce", X, PLACES, X, call=lambda reduce, x, i, y: reduce(x, 0, i, y, "amax")),
    *entries("masked_scatter", X, booleans(MATRIX), X),
    *entries("setitem", X, ORDER, ROW, path="Tensor.__setitem__", call=written),
    *entries("place", X, path="Tensor.mul_", call=lambda mul, x: written(lambda y: mul(y[1:-1, 1:-1], 2.0), x)),
    *entries("window", X, path="Tensor.mul_", call=seen_through_view),
]
