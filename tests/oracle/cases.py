"""Calls on which the oracle is compared with PyTorch: (name, positional arguments, keyword arguments)."""

from __future__ import annotations

from typing import Any

import numpy as np

rng = np.random.default_rng(0)
CASES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []


def case(name: str, *args: Any, **kwargs: Any) -> None:
    CASES.append((name, args, kwargs))


def normal(*shape: int) -> Any:
    return rng.standard_normal(shape)


def positive(*shape: int) -> Any:
    return rng.uniform(0.05, 0.95, shape)


def integers(low: int, high: int, *shape: int) -> Any:
    return rng.integers(low, high, shape)


# Element-wise: ordinary numbers, and all that is special.
special = np.array(
    [-np.inf, -800.0, -30.0, -2.5, -1.0, -0.5, -0.0, 0.0, 1e-9, 0.5, 1, 1.5, 2.5, 40.0, 900.0, np.inf, np.nan]
)
unary = (
    "abs absolute neg negative square reciprocal sqrt rsqrt sign floor ceil trunc frac round exp exp2 expm1 log log1p"
    " log2 log10 sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh sigmoid logit erf erfc isnan isinf"
    " isfinite logical_not nan_to_num relu relu6 hardtanh leaky_relu elu selu celu gelu silu softplus mish logsigmoid"
    " hardsigmoid hardswish hardshrink softshrink softsign tanhshrink"
)
for name in unary.split():
    case(name, normal(2, 3))
    case(name, np.array(0.25))
    if name not in ("frac", "hardswish", "softsign", "tanhshrink", "gelu", "mish", "silu", "celu"):
        case(name, special)
    else:  # whether these are NaN or a limit at infinity is PyTorch's implementation and not the formula's business
        case(name, special[1:-2])
for name in ["neg", "abs", "sqrt", "exp", "reciprocal", "sigmoid", "erf", "isnan", "sign", "floor", "relu", "square"]:
    case(name, np.array([1, 2, -3]))
for name in [
    "add",
    "sub",
    "rsub",
    "mul",
    "div",
    "maximum",
    "minimum",
    "fmax",
    "fmin",
    "pow",
    "remainder",
    "fmod",
    "floor_divide",
    "logaddexp",
    "xlogy",
    "atan2",
    "hypot",
]:
    case(name, normal(2, 1, 3), normal(4, 1))
    case(name, special, np.roll(special, 3)) if name not in ("remainder", "fmod", "floor_divide", "hypot") else None
for name in [
    "add",
    "sub",
    "rsub",
    "mul",
    "div",
    "pow",
    "floor_divide",
    "remainder",
    "subtract",
    "multiply",
    "divide",
    "true_divide",
]:
    case(name, positive(3), 2)
    case(name, np.array([7, -7, 5]), np.array([2, 2, 3]))
for name in ["eq", "ne", "lt", "le", "gt", "ge", "maximum", "minimum", "logical_and", "logical_or", "logical_xor"]:
    case(name, np.array([0.0, 1.0, np.nan, 3.0]), np.array([0.0, 2.0, 2.0, 1.0]))
    case(name, np.array([[0], [1]]), np.array([0, 1, 2]))
for name in ["bitwise_and", "bitwise_or", "bitwise_xor"]:
    case(name, np.array([True, False]), np.array([True, True]))
    case(name, np.array([5, -3]), np.array([3, 9]))
case("bitwise_not", np.array([5, -3]))
case("add", np.array([True, False]), np.array([True, True]))
case("add", normal(3), normal(3), alpha=0.5)
case("sub", normal(3), normal(3), alpha=2)
for mode in ("floor", "trunc"):
    case("div", normal(5), normal(5), rounding_mode=mode)
    case("div", np.array([7, -7]), np.array([2, 2]), rounding_mode=mode)
case("pow", 2.0, normal(3))
case("pow", np.array([-2.0, 0.0]), np.array([0.5, 0.0]))
case("round", normal(5) * 100, decimals=1)
case("lerp", normal(3), normal(3), 0.3)
case("lerp", normal(2, 3), normal(3), normal(2, 1))
case("addcmul", normal(2, 3), normal(3), normal(2, 1), value=0.5)
case("addcdiv", normal(2, 3), normal(3), normal(2, 1), value=0.5)
for name in ("clamp", "clip"):
    case(name, special, -1.0, 1.5)
case("clamp", normal(3), max=0.1)
case("clamp", normal(2, 3), normal(3), normal(2, 1))
case("clamp", np.array([1, 5, 9]), 2, 6)
case("clamp_min", normal(3), 0.1)
case("clamp_max", normal(3), 0.1)
case("where", np.array([[True], [False]]), normal(3), normal(2, 3))
case("where", np.array([True, False]), normal(2), 0.0)
case("masked_fill", normal(2, 3), np.array([True, False, True]), -1.5)
case("equal", np.arange(3), np.arange(3))
case("isclose", special, special + 1e-9)
case("isclose", special, special, equal_nan=True)
case("allclose", normal(3), normal(3))
case("logit", np.array([0.0, 0.5, 1.0]), 0.1)
case("threshold", normal(5), 0.1, -2.0)
case("gelu", special[1:-2], approximate="tanh")
case("softplus", special, beta=2.0, threshold=3.0)
case("leaky_relu", normal(4), 0.2)
case("elu", normal(4), 0.7)
case("prelu", normal(2, 3, 2), normal(3))
case("prelu", normal(2, 3), normal(1))
case("glu", normal(2, 4))
case("glu", normal(4, 3), 0)

# Reductions.
for name in ["sum", "nansum", "mean", "nanmean", "prod", "amax", "amin", "all", "any", "logsumexp", "var", "std"]:
    for dims in (0, -1, (0, 2)):
        if name == "prod" and dims == (0, 2):
            continue
        case(name, normal(2, 3, 4), dims)
        case(name, normal(2, 3, 4), dims, keepdim=True)
for name in [
    "sum",
    "mean",
    "prod",
    "amax",
    "amin",
    "all",
    "any",
    "var",
    "std",
    "max",
    "min",
    "argmax",
    "argmin",
    "norm",
    "count_nonzero",
]:
    case(name, normal(2, 3))
for name in ["sum", "prod", "cumsum", "cumprod"]:
    case(name, np.array([[True, False], [True, True]]), 0)
    case(name, np.array([1, 2, 3], np.int32), 0)
for name in ["max", "min", "argmax", "argmin"]:
    case(name, np.array([[1.0, 3.0, 3.0], [2.0, np.nan, 0.0]]), 1)
    case(name, normal(2, 3), 0, keepdim=True)
case("max", normal(2, 3), normal(3))
case("min", normal(2, 3), normal(3))
case("sum", np.array(2.0))
case("sum", np.zeros((0, 3)), 0)
case("mean", np.zeros((0, 3)), 0)
case("count_nonzero", integers(0, 2, 3, 4), 1)
case("aminmax", normal(2, 3), dim=1)
case("aminmax", normal(2, 3))
for name in ["var", "std", "var_mean", "std_mean"]:
    case(name, normal(3, 4), 1, unbiased=False)
    case(name, normal(3, 4), dim=1, correction=2, keepdim=True)
    case(name, normal(3, 4), False)
    case(name, normal(1, 4), 0)
case("logsumexp", np.array([[-np.inf, -np.inf], [np.inf, 0.0], [1000.0, 1000.0]]), 1)
case("norm", normal(2, 3), 1, 0)
case("norm", normal(2, 3), float("inf"))
for order in (0, 1, 2, 3.5, float("inf"), float("-inf")):
    for name in ("linalg_vector_norm", "vector_norm"):
        case(name, normal(2, 3), order, dim=1)
        case(name, np.zeros((3, 0)), abs(order), dim=0)
for order in ("fro", "nuc", 1, -1, 2, float("inf")):
    case("linalg_norm", normal(3, 3), order)
case("linalg_norm", normal(2, 3))
case("linalg_norm", normal(4), 3)
for name in ["cumsum", "cumprod", "logcumsumexp"]:
    case(name, normal(3, 4), 1)
    case(name, normal(3, 4), 0)
for name in ["softmax", "log_softmax", "softmin"]:
    case(name, normal(3, 4), 1)
    case(name, normal(3, 4, 2), 0)
    case(name, np.array([1000.0, 0.0, -np.inf]), 0)

# Structure.
x = normal(2, 3, 4)
for name in ["clone", "contiguous", "flatten", "ravel", "squeeze", "mT"]:
    case(name, x)
case("softmax", np.array(2.0), 0)
case("log_softmax", np.array(2.0), 0)
case("to", np.array([1.7, -2.2]), np.int64)
for name in ("reshape", "view"):
    case(name, x, (4, -1))
for name in ("reshape_as", "view_as"):
    case(name, x, normal(4, 6))
case("flatten", np.array(1.0))
case("flatten", x, 1)
case("flatten", x, 0, 1)
case("unflatten", normal(2, 12), 1, (3, -1))
case("transpose", x, 0, -1)
case("t", normal(2, 3))
case("t", normal(3))
case("T", normal(2, 3))
case("permute", x, (2, 0, 1))
case("movedim", x, 0, 2)
case("movedim", x, (0, 1), (2, 0))
case("squeeze", normal(1, 3, 1))
case("squeeze", normal(1, 3, 1), 0)
case("squeeze", normal(1, 3, 1), (0, 1, 2))
case("unsqueeze", x, 1)
case("unsqueeze", x, -1)
case("expand", normal(3, 1), (2, 3, 4))
case("expand", normal(3, 1), (-1, 4))
case("expand_as", normal(3, 1), normal(2, 3, 4))
case("broadcast_to", normal(3, 1), (2, 3, 4))
case("broadcast_tensors", normal(3, 1), normal(2, 1, 4))
case("repeat", normal(2, 3), (2, 1, 2))
case("tile", normal(2, 3), (2,))
case("repeat_interleave", normal(2, 3), 2)
case("repeat_interleave", normal(2, 3), np.array([1, 2]), 0)
for name in ["cat", "concat", "concatenate", "stack"]:
    case(name, [normal(2, 3), normal(2, 3)])
    case(name, [normal(2, 3), normal(2, 3)], -1)
for name in ("hstack", "vstack"):
    case(name, [normal(2, 3), normal(2, 3)])
    case(name, [normal(3), normal(3)])
case("split", normal(5, 2), 2)
case("split", normal(2, 5), [1, 4], 1)
case("chunk", normal(7), 3)
case("chunk", normal(2, 5), 4, 1)
case("unbind", normal(2, 3), 1)
case("narrow", x, 1, 1, 2)
case("narrow", x, 1, -2, 2)
case("select", x, 1, -1)
case("flip", x, (0, 2))
case("roll", x, 2)
case("roll", x, (1, -1), (0, 2))
case("diagonal", x, 1, 1, 2)
case("diag", normal(3), 1)
case("diag", normal(3, 4), -1)
case("tril", normal(2, 3, 3), -1)
case("triu", normal(3, 4), 1)
case("meshgrid", normal(2), normal(3), indexing="ij")
case("meshgrid", [normal(2), normal(3)], indexing="xy")
case("tensor_unfold", normal(2, 7), 1, 3, 2)
case("tensor_unfold", normal(5, 2), 0, 2, 1)
case("pad", x, (1, 2))
case("pad", x, (1, -2, -1, 2), value=3.0)
for mode in ("reflect", "replicate", "circular"):
    case("pad", normal(1, 2, 4, 4), (1, 2, 0, 1), mode=mode)
for name in ("zeros", "ones"):
    case(name, (2, 3))
case("full", (2, 3), 1.5)
for name in ("zeros_like", "ones_like"):
    case(name, np.arange(3))
case("full_like", normal(2), 3.0)
case("eye", 2, 3)
case("arange", 5)
case("arange", 0.5, 3.0, 0.4)
case("arange", 5, 0, -2)
case("linspace", -1.0, 2.0, 7)

# Indexing.
i, j = np.array([[0, 1], [2, 2]]), np.array([1, 3])
for index in (
    1,
    -1,
    (slice(None), 1),
    (..., 2),
    (None, 1, slice(0, 2)),
    i,
    (i, j),
    (slice(None), i),
    (0, slice(None), j),
):
    case("getitem", normal(3, 4, 5), index)
for index in (
    (j % 3, slice(None), j),
    (j % 3, 2, j),
    (np.array(1), slice(1, None, 2)),
    (..., [0, 2], None),
    (0, i, slice(1)),
):
    case("getitem", normal(3, 4, 5), index)
mask = np.array([True, False, True])
for index in (mask, (slice(None), np.array([True, False, False, True])), (slice(None), mask[:, None] & mask)):
    case("getitem", normal(*((3, 4, 5) if len(index) != 2 or np.ndim(index[1]) == 1 else (2, 3, 3))), index)
case("setitem", normal(3, 4), 1, 5.0)
case("setitem", normal(3, 4), (slice(None), 2), normal(3))
case("setitem", normal(3, 4), (mask, 2), normal(2))
case("setitem", normal(3, 4), (np.array([0, 2]), np.array([1, 1])), normal(2))
case("setitem", normal(3, 4), (2, 3), 7.0)
case("index_select", normal(3, 4), 1, j)
case("index_add", normal(3, 4), 1, np.array([1, 1, 0]), normal(3, 3), alpha=2)
case("index_copy", normal(3, 4), 1, np.array([2, 0]), normal(3, 2))
case("index_fill", normal(3, 4), 0, np.array([2, 0]), 1.5)
case("index_put", normal(3, 4), (np.array([0, 2, 0]), np.array([1, 1, 1])), normal(3), accumulate=True)
case("index_put", normal(3, 4), (np.array([0, 2]),), normal(4))
for dim in (0, 1):
    index = integers(0, 3, 2, 3)
    case("gather", normal(3, 3), dim, index)
    case("scatter", normal(3, 3), dim, np.array([[0, 2, 1]]), normal(2, 3))
    case("scatter", normal(3, 3), dim, index, 1.5)
    case("scatter_add", normal(3, 3), dim, index, normal(2, 3))
    for reduction in ("sum", "prod", "mean", "amax", "amin"):
        for include in (True, False):
            case("scatter_reduce", normal(3, 3), dim, index, normal(2, 3), reduction, include_self=include)
case("take", normal(2, 3), np.array([[5, 0]]))
case("take_along_dim", normal(2, 3), integers(0, 3, 2, 2), 1)
case("take_along_dim", normal(2, 3), np.array([4, 1]))
case("masked_select", normal(2, 3), mask)
case("masked_scatter", normal(2, 3), mask, normal(6))
case("nonzero", integers(0, 2, 3, 4))
case("argwhere", integers(0, 2, 3, 4))
ties = np.array([[2.0, 1.0, 2.0, np.nan], [0.0, 3.0, -1.0, 0.5]])
for descending in (False, True):
    case("sort", ties, dim=1, descending=descending, stable=True)
    case("argsort", ties, dim=0, descending=descending, stable=True)
case("topk", normal(3, 5), 2)
case("topk", normal(3, 5), 2, 0, largest=False)
case("unique", integers(0, 4, 10))
case("unique", integers(0, 4, 10), return_inverse=True, return_counts=True)
case("embedding", integers(0, 5, 2, 3), normal(5, 4))
case("one_hot", integers(0, 5, 2, 3), 6)

# Products.
for a, b in [
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (3, 2)),
    ((2, 3), (3, 4)),
    ((5, 2, 3), (3, 4)),
    ((2, 1, 2, 3), (5, 3, 4)),
]:
    case("matmul", normal(*a), normal(*b))
case("matmul", normal(3), normal(2, 3, 4))
case("matmul", normal(2, 0), normal(0, 3))
case("matmul", integers(0, 5, 2, 3), integers(0, 5, 3, 2))
case("mm", normal(2, 3), normal(3, 4))
case("bmm", normal(2, 2, 3), normal(2, 3, 4))
case("mv", normal(2, 3), normal(3))
case("dot", normal(3), normal(3))
case("outer", normal(3), normal(2))
case("addmm", normal(4), normal(2, 3), normal(3, 4), beta=0.5, alpha=2)
case("addmm", np.full(4, np.nan), normal(2, 3), normal(3, 4), beta=0)
case("addmv", normal(2), normal(2, 3), normal(3))
case("baddbmm", normal(2, 2, 4), normal(2, 2, 3), normal(2, 3, 4), beta=0.5)
case("linear", normal(2, 5, 3), normal(4, 3), normal(4))
case("linear", normal(3), normal(4, 3))
case("bilinear", normal(5, 3), normal(5, 2), normal(4, 3, 2), normal(4))
for equation, shapes in {
    "ij,jk->ik": [(2, 3), (3, 4)],
    "ij,jk": [(2, 3), (3, 4)],
    "ii->i": [(3, 3)],
    "ii": [(3, 3)],
    "bij->bji": [(2, 3, 4)],
    "...ij,...jk->...ik": [(5, 1, 2, 3), (4, 3, 2)],
    "i,j->ij": [(2,), (3,)],
    "bhqd, bhkd -> bhqk": [(1, 2, 3, 2), (1, 2, 4, 2)],
    "ij,jk,kl->il": [(2, 3), (3, 2), (2, 2)],
    "ij->": [(2, 3)],
}.items():
    case("einsum", equation, *[normal(*shape) for shape in shapes])

# Shapes, diagonals, order and products that PyTorch has beside NumPy's names.
for shape in ((), (3,), (2, 3), (2, 3, 2)):
    for name in ("atleast_1d", "atleast_2d", "atleast_3d"):
        case(name, normal(*shape))
for name in ("dstack", "column_stack"):
    case(name, [normal(3), normal(3)])
    case(name, [normal(2, 3), normal(2, 3)])
for cuts in (3, (1, 4), (2, 9, 5), (-3,)):
    case("tensor_split", normal(7, 3), cuts)
    case("vsplit", normal(6, 3), cuts)
    case("hsplit", normal(2, 6), cuts)
case("hsplit", normal(6), (1, 4))
case("chunk", normal(0, 2), 3)
case("cat", [normal(2, 3), normal(0)], 1)
for name in ("fliplr", "flipud", "trace"):
    case(name, normal(3, 4))
for args in ((), (1,), (-2, 0, 2), (1, 2, 0)):
    case("diag_embed", normal(2, 3), *args)
case("diagflat", normal(2, 2), 1)
rows = np.array([[1.0, 2.0, 2.0, 5.0], [0.0, 0.0, 3.0, 3.0]])
case("msort", normal(4, 3))
for dim in (0, 1, -1):
    case("kthvalue", normal(3, 4), 2, dim)
    case("median", normal(3, 4), dim, True)
case("median", normal(3, 4))
case("median", np.array([[1, np.nan, 2], [3, 1, 2]]), 1)
for right in (False, True):
    case("searchsorted", rows, rows[::-1].copy(), right=right)
    case("searchsorted", rows[0], normal(2, 3), right=right)
    case("bucketize", rows, np.array([0.0, 2.0, 4.0]), right=right)
case("searchsorted", rows, rows, side="right")
case("isin", integers(0, 5, 3, 4), np.array([1, 3]))
case("isin", integers(0, 5, 6), np.array([2]), invert=True)
case("unique_consecutive", np.array([1, 1, 2, 2, 1]), return_inverse=True, return_counts=True)
case("unique_consecutive", np.array([[1, 2], [1, 2], [3, 2]]), return_inverse=True, return_counts=True, dim=0)
case("inner", normal(2, 3), normal(4, 3))
case("inner", normal(3), normal(3))
case("kron", normal(2, 3), normal(2, 2))
case("kron", normal(2), normal(2, 1, 2))
for dims in (1, ([1, 2], [2, 1]), ([-1], [0])):
    case("tensordot", normal(4, 2, 4), normal(4, 4, 2), dims)

# Linear algebra.
well = normal(2, 3, 3) + np.diag([4.0, -5.0, 7.0])
for name in ("inv", "det", "slogdet", "qr"):
    case(f"linalg_{name}", well)
    case(f"linalg_{name}", well[0])
case("linalg_qr", normal(4, 2))
case("linalg_qr", normal(2, 4))
case("linalg_solve", well, normal(2, 3, 2))
case("linalg_solve", well, normal(2, 3))
case("linalg_solve", well[0], normal(3))
case("linalg_cholesky", well @ np.swapaxes(well, -1, -2))

# Element-wise functions composed of others, and integers.
signed = np.array([-np.inf, -2.5, -0.0, 0.0, 3.0, np.inf])
for name in ("signbit", "sgn", "positive", "isposinf", "isneginf", "isreal", "deg2rad", "rad2deg", "sinc"):
    case(name, normal(2, 3))
    case(name, signed[1:-1])
for name in ("signbit", "sgn", "positive", "isposinf", "isneginf", "isreal"):
    case(name, np.append(signed, np.nan) if name != "sgn" else signed)
    case(name, np.array([-3, 0, 2]))
for name in ("copysign", "heaviside", "logaddexp2", "float_power", "ldexp"):
    case(name, normal(2, 3) if name != "float_power" else positive(2, 3), normal(3))
case("copysign", np.append(signed, np.nan), np.array([-1.0, 1.0, 2.0, -0.0, 0.0, np.inf, -2.0]))
case("heaviside", np.append(signed, np.nan), np.array(0.5))
case("float_power", np.array([1, -2, 3]), np.array([2, 3, -1]))
for name in ("gcd", "lcm"):
    case(name, np.array([12, -9, 0, 7]), np.array([8, 6, 0, -3]))

# Order, counts, differences of neighbours, covariances.
gaps = np.array([[1.0, np.nan, 2.0, 0.5], [3.0, 1.0, 2.0, 4.0], [np.nan] * 4])
for name in ("quantile", "nanquantile"):
    for interpolation in ("linear", "lower", "higher", "midpoint", "nearest"):
        case(name, normal(3, 5), 0.3, 1, interpolation=interpolation)
        case(name, normal(3, 5), np.array([0.0, 0.125, 0.7, 1.0]), 0, True, interpolation=interpolation)
        case(name, gaps, np.array([0.2, 0.6]), 1, interpolation=interpolation)
    case(name, normal(3, 5), 0.4)
    case(name, normal(3, 5), np.array([0.4]), keepdim=True)
case("nanmedian", gaps)
case("nanmedian", gaps[:2], 1)
case("nanmedian", normal(3, 4), 0, True)
case("nanmedian", np.array([3, 1, 2, 2]))
case("nanmedian", np.zeros((2, 0)))
case("median", np.zeros(0))
case("mode", np.array([[3, 1, 3, 1], [2, 2, 0, 1]]))
case("mode", integers(0, 3, 7, 4), 0, True)
for name in ("cummax", "cummin"):
    case(name, normal(3, 5), 1)
    case(name, integers(0, 4, 6, 3), 0)
    case(name, gaps, 1)
    case(name, np.array(2.0), 0)
case("bincount", np.array([3, 1, 3, 0]))
case("bincount", np.array([3, 1, 3, 0]), minlength=7)
case("bincount", np.array([3, 1, 3, 0]), normal(4))
case("bincount", np.array([3, 1, 3, 0]), np.array([1, 2, 3, 4]))
case("bincount", np.zeros(0, np.int64))
case("histc", normal(50), 7)
case("histc", normal(5, 10), 6, -1, 0.5)
case("histc", np.array([0.0, 1, 1, 2, 4]), 4)
case("histc", np.ones(3), 4)
case("histogram", normal(50), 7)
case("histogram", normal(50), 5, range=(-1.0, 1.0))
case("histogram", normal(50), np.array([-1.0, 0.0, 0.3, 1.0]), density=True)
case("histogram", normal(50), np.array([-1.0, 0.0, 0.3, 1.0]), weight=positive(50))
for n in (0, 1, 3, 6):
    case("diff", normal(3, 5), n)
case("diff", normal(3, 5), 2, 0, normal(2, 5), normal(1, 5))
case("diff", np.array([True, False, False]))
for name in ("trapezoid", "cumulative_trapezoid"):
    case(name, normal(3, 4))
    case(name, normal(3, 4), dx=0.5, dim=0)
    case(name, normal(3, 4), normal(4))
    case(name, normal(3, 4), normal(3), dim=0)
    case(name, normal(3, 4), normal(3, 4), dim=1)
    case(name, np.array([1, 2, 5]))
for name in ("cov", "corrcoef"):
    case(name, normal(3, 5))
    case(name, normal(5))
    case(name, np.array([[1, 2, 4], [3, 1, 0]]))
case("cov", normal(3, 5), correction=0)
case("cov", normal(3, 5), fweights=np.array([1, 2, 0, 1, 3]), aweights=positive(5))
case("cov", normal(3, 5), aweights=positive(5), correction=0)

# Distances.
for p in (0, 0.5, 1, 2, 3, float("inf")):
    case("cdist", normal(4, 3), normal(5, 3), p)
    case("pdist", normal(4, 3), p)
    case("dist", normal(4, 3), normal(3), p)
case("cdist", normal(2, 1, 4, 3), normal(3, 5, 3))
case("cdist", normal(40, 3), normal(5, 3))
case("triplet_margin_with_distance_loss", normal(4, 3), normal(4, 3), normal(4, 3))
case("triplet_margin_with_distance_loss", normal(4, 3), normal(4, 3), normal(4, 3), margin=0.3, swap=True,
     reduction="none")

# Reductions at places.
for reduction in ("prod", "mean", "amax", "amin"):
    for include in (True, False):
        case("index_reduce", normal(3, 4), 1, np.array([2, 0, 2]), normal(3, 3), reduction, include_self=include)
case("scatter_reduce", np.array([5, -3, 2]), 0, np.array([1, 1, 0]), np.array([4, -7, 2]), "mean")

# Linear algebra.
tall = normal(2, 4, 3)
low = np.array([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]])
for order in ("fro", "nuc", 1, -1, 2, -2, float("inf"), float("-inf")):
    case("linalg_matrix_norm", tall, order)
    case("linalg_matrix_norm", normal(3, 2, 4), order, (2, 0), True)
    case("linalg_cond", normal(3, 3), order)
for order in ("fro", "nuc", 1, 2, float("inf")):
    case("linalg_matrix_norm", np.zeros((2, 0, 3)), order)
    case("linalg_matrix_norm", np.zeros((2, 3, 0)), order, (-2, -1), True)
    case("linalg_norm", np.zeros((0, 3)), order)
for order in (None, 1, -2):
    case("linalg_cond", np.zeros((2, 0, 0)), order)
case("linalg_matrix_norm", np.zeros((0, 3)), -1)
case("linalg_matrix_rank", np.zeros((2, 0, 3)))
case("linalg_cond", tall)
case("linalg_cond", np.array([[1.0, 2.0], [2.0, 4.0]]), 1)
case("linalg_matrix_rank", tall)
case("linalg_matrix_rank", low)
case("linalg_matrix_rank", np.diag([4.0, 2.0, 1.0]), atol=1.5)
case("linalg_matrix_rank", np.diag([4.0, 2.0, 1.0]), rtol=0.4)
case("linalg_matrix_rank", np.diag([4.0, 2.0, 1.0]), 3.0)
case("linalg_pinv", tall)
case("linalg_pinv", low)
case("linalg_pinv", np.diag([4.0, 2.0, 1.0]), atol=1.5)
case("pinverse", normal(3, 4))
case("linalg_lstsq", normal(5, 3), normal(5, 2), driver="gelsd")
case("linalg_lstsq", normal(3, 5), normal(3, 2), driver="gelsd")
case("linalg_lstsq", normal(5, 3), normal(5), driver="gelsd")
case("linalg_lstsq", normal(2, 5, 3), normal(2, 5), driver="gelsd")
case("linalg_lstsq", normal(2, 3, 5), normal(2, 3), driver="gelsd")
case("linalg_solve_triangular", normal(2, 3, 3), normal(2, 3, 2), upper=True)
case("linalg_solve_triangular", normal(3, 3), normal(2, 3, 2), upper=False, unitriangular=True)
case("linalg_solve_triangular", normal(3, 3), normal(2, 3), upper=True, left=False)
case("cholesky_solve", normal(3, 2), np.tril(normal(3, 3)))
case("cholesky_solve", normal(3, 2), np.triu(normal(3, 3)), True)
for n in (0, 1, 5, -2):
    case("matrix_power", normal(2, 3, 3), n)
for n in (0, 1, 9):
    case("matrix_power", np.array([[1, 1], [1, 0]]), n)
case("matrix_exp", normal(2, 3, 3))
case("matrix_exp", np.array([[[np.inf]], [[-np.inf]]]))
case("matrix_exp", np.array([[[0.0, 1.0], [np.nan, 0.0]], [[0.0, 1.0], [1.0, 0.0]]]))
case("linalg_multi_dot", [normal(2, 5), normal(5, 3), normal(3, 4)])
case("linalg_multi_dot", [normal(5), normal(5, 3), normal(3)])
case("linalg_cross", normal(4, 3), normal(1, 3))
case("linalg_cross", normal(3, 4), normal(3, 1), dim=0)
case("cross", normal(2, 3, 3), normal(2, 3, 3))
case("cross", normal(4, 3), normal(4, 3), 1)
case("linalg_vecdot", normal(4, 3), normal(3))
case("linalg_vecdot", normal(4, 3), normal(4, 3), dim=0)
case("vdot", normal(4), normal(4))
case("addr", normal(2, 3), normal(2), normal(3), beta=0.5, alpha=2)
case("addbmm", normal(2, 3), normal(5, 2, 4), normal(5, 4, 3), beta=0.5, alpha=2)

# Special functions.
poles = np.array([0.0, -0.0, np.inf, np.nan, 1.0, 2.0, 0.3, 7.9, 30.0])
for name in ("lgamma", "digamma"):
    case(name, poles)
    case(name, np.array([-7.3, -2.5, -0.4, -1.0, -3.0]))
    case(name, np.array([-1e308, -(2.0**52), -1e-300]))
    case(name, np.array([1, 2, 5]))
for n in (0, 1, 2, 4):
    case("polygamma", n, np.array([0.3, 0.7, 1.0, 2.5, 9.0, 40.0]))
case("polygamma", 1, np.array([-7.3, -2.5, -0.4]))
for n in (2, 5, 12):
    case("polygamma", n, np.array([-7.3, -2.5, -0.4, -1e-17, -2 + 2.0**-40, 0, -3, -np.inf, np.nan]))
case("erfinv", np.array([0.0, 0.3, -0.9, 0.99999, -1.0, 1.0, 1.5, np.nan, -1 + 1e-12]))
case("erfc", np.array([-3.0, 0.2, 0.5, 4.0, 20.0, 26.5]))
case("special_ndtr", normal(5))
case("special_entr", np.array([-1.0, 0.0, 0.3, 2.0, np.nan]))
case("special_xlog1py", np.array([0.0, 0, 0, 2, 2, -1.5]), np.array([-1.0, np.inf, np.nan, 0.3, -0.9, 4]))
case("special_erfcx", np.array([-30.0, -3, 0, 0.2, 4.9, 5.1, 60, np.inf, np.nan]))
case("special_log_ndtr", np.array([-np.inf, -300.0, -8, -0.3, 0, 0.4, 7, np.inf, np.nan]))
case("special_ndtri", np.array([0.0, 1e-9, 0.01, 0.3, 0.8, 1, 1.5, np.nan]))
circular = np.array([0.0, 1e-9, 0.3, 1, 2.5, 6, 7.9, 9, 40])
for name in ("i0", "special_i0e", "special_i1", "special_i1e", "special_bessel_j0", "special_bessel_j1"):
    case(name, circular)
    case(name, -circular)
for name in ("modified_bessel_k0", "modified_bessel_k1", "scaled_modified_bessel_k0", "scaled_modified_bessel_k1",
             "bessel_y0", "bessel_y1"):
    case(f"special_{name}", circular)
    case(f"special_{name}", np.array([-1.0, np.nan]))
case("mvlgamma", np.array([1.3, 4.0, 9.5]), 3)
orders, ends = np.array([0.2, 1, 4.5, 30, 0, 2, 2]), np.array([0.7, 3, 4, 25, 1, 0, np.inf])
for name in ("igamma", "igammac"):
    case(name, orders, ends)
    case(name, np.array([-1.0, np.nan, 1, 0, np.inf]), np.array([1.0, 1, np.nan, 0, 2]))
case("special_zeta", np.array([1.5, 2, 7, 3, 1, 0.5, 2, 2.5]), np.array([0.3, 4, 9, -2.5, 2, 2, -3, -2.5]))
case("special_zeta", np.array([2.0, 3, 8, 9]), np.array([[-1e-17], [-1 - 2.0**-40], [-7.7]]))
case("nonzero_static", np.array([[0, 3], [2, 0], [1, 1]]), size=3)
case("nonzero_static", np.array([[0, 3], [2, 0], [1, 1]]), size=6, fill_value=-7)

# Tensors put together and turned.
case("block_diag", normal(2, 3), normal(3), np.array(2.0))
for k in (0, 1, 2, -1, 7):
    case("rot90", normal(2, 3), k)
case("rot90", normal(2, 3, 4), 1, (2, 0))
case("cartesian_prod", normal(2), normal(3))
case("cartesian_prod", normal(3))
for r in (0, 1, 2, 3):
    for again in (False, True):
        case("combinations", normal(4), r, again)
