"""Element-wise kernels against NumPy in float64 and long double: accuracy, special values, dtypes, strides, parts."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest
from llvmlite import ir

from autodiff_kernels import elementwise, memory, softmax

Array = np.ndarray[Any, np.dtype[Any]]
FLOATS = [np.float32, np.float64]
INTEGERS = [np.int64, np.int32, np.int16, np.int8, np.uint8]


def strides(x: Array) -> tuple[int, ...]:
    return tuple(step // x.itemsize for step in x.strides)


def run(name: str, *inputs: Array, dtype: Any = None, out: Array | None = None, parts: int = 1) -> Array:
    if out is None:
        shape = np.broadcast_shapes(*(x.shape for x in inputs))
        out = np.full(shape, 1, dtype or inputs[0].dtype)
    walk = elementwise.plan(out.shape, strides(out), [(x.shape, strides(x)) for x in inputs])
    carriers = [elementwise.carrier(x) for x in (out, *inputs)]
    for part in range(parts):
        getattr(elementwise, name)(*carriers, walk, part, parts)
    return out


def magnitudes(dtype: Any, rng: np.random.Generator, count: int = 3000) -> Array:
    """Floats of both signs, of all sizes that the dtype has, subnormals too, and every special value."""
    info = np.finfo(dtype)
    with np.errstate(over="ignore"):
        exponents = rng.integers(info.minexp - info.nmant, info.maxexp, count)
        spread = np.ldexp(rng.uniform(1, 2, count), exponents).astype(dtype)
    special = [0, math.inf, math.nan, 1, info.max, info.tiny, info.smallest_subnormal]
    positive = np.concatenate([spread, rng.uniform(0, 10, count), rng.uniform(0, 100, count), special]).astype(dtype)
    return np.concatenate([positive, -positive])


def error_in_ulp(got: Array, exact: Array) -> float:
    """The largest distance in units of the last place of the exact result; infinite when a special value is wrong."""
    with np.errstate(over="ignore"):
        rounded = exact.astype(got.dtype)
    finite = np.isfinite(rounded)
    if not np.array_equal(got[~finite], rounded[~finite], equal_nan=True) or not np.isfinite(got[finite]).all():
        return math.inf
    zero = finite & (rounded == 0) & (exact == 0)
    if not np.array_equal(np.signbit(got[zero]), np.signbit(rounded[zero])):
        return math.inf
    unit = np.spacing(np.abs(rounded[finite])).astype(np.longdouble)
    return float(np.max(np.abs(got[finite] - exact[finite]) / unit, initial=0))


LONG_ERF = np.vectorize(math.erf, otypes=[np.float64])
MATHS: dict[str, tuple[Any, float]] = {
    "exp": (np.exp, 1), "expm1": (np.expm1, 2), "log": (np.log, 1), "log1p": (np.log1p, 2), "tanh": (np.tanh, 2),
    "sigmoid": (lambda x: np.where(x < 0, np.exp(-np.abs(x)), 1) / (1 + np.exp(-np.abs(x))), 2),
    "sqrt": (np.sqrt, 0.5), "rsqrt": (lambda x: 1 / np.sqrt(x), 2), "reciprocal": (lambda x: 1 / x, 0.5),
    "square": (np.square, 0.5), "cube": (lambda x: x * x * x, 2),
    "sin": (np.sin, 1), "cos": (np.cos, 1), "tan": (np.tan, 2), "asin": (np.arcsin, 2),
    "exp2": (np.exp2, 1), "log2": (np.log2, 2), "log10": (np.log10, 2),
    "acos": (np.arccos, 2), "atan": (np.arctan, 2), "sinh": (np.sinh, 2), "cosh": (np.cosh, 2),
    "asinh": (np.arcsinh, 2), "acosh": (np.arccosh, 2), "atanh": (np.arctanh, 2),
}  # fmt: skip


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", MATHS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_maths_is_within_its_error(name: str, dtype: Any) -> None:
    if dtype == np.float64 and np.finfo(np.longdouble).nmant < 60:
        pytest.skip("needs a long double that is longer than a double")
    formula, bound = MATHS[name]
    x = magnitudes(dtype, np.random.default_rng(0))
    assert error_in_ulp(run(name, x), formula(x.astype(np.longdouble))) <= bound + 0.01


@pytest.mark.parametrize("dtype", FLOATS)
def test_erf_is_within_2_ulp(dtype: Any) -> None:
    x = magnitudes(dtype, np.random.default_rng(0))
    bound = 2 if dtype == np.float32 else 3  # the reference itself is a float64 function, within 1 ulp
    assert error_in_ulp(run("erf", x), LONG_ERF(x.astype(np.float64)).astype(np.longdouble)) <= bound


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_functions_of_two_numbers_are_within_2_ulp(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    x = magnitudes(dtype, rng)
    y = np.where(rng.random(x.size) < 0.5, rng.permutation(x), x * rng.uniform(-3, 3, x.size)).astype(dtype)
    for name, formula in (("atan2", np.arctan2), ("hypot", np.hypot)):
        assert error_in_ulp(run(name, x, y), formula(x.astype(np.longdouble), y.astype(np.longdouble))) <= 2


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_exp_of_registers_has_the_bits_of_exp_of_numbers(dtype: Any) -> None:
    # The gradient of a log-sum-exp that is 0, of a cotangent that is 1, is exp in registers.
    x = np.concatenate([magnitudes(dtype, np.random.default_rng(0)), np.linspace(-760, 720, 20_000)]).astype(dtype)
    x = x[None]
    out = np.empty_like(x)
    softmax.logsumexp_grad(out, np.ones(1, dtype), x, np.zeros(1, dtype), 0, 1)
    np.testing.assert_array_equal(out, run("exp", x))


@pytest.mark.parametrize("dtype", FLOATS)
def test_powers_and_roots_of_base_2_and_10_are_exact(dtype: Any) -> None:
    n = np.arange(-120, 121).astype(dtype)
    np.testing.assert_array_equal(run("exp2", n), np.ldexp(1.0, n.astype(int)))
    np.testing.assert_array_equal(run("log2", run("exp2", n)), n)
    n = np.arange(11 if dtype == np.float32 else 23)
    np.testing.assert_array_equal(run("log10", (10.0**n).astype(dtype)), n)


FAR = {
    "sin": (1, 1e7, np.sin), "cos": (1, 1e30, np.cos), "tan": (1, 1e15, np.tan), "fmod": (2, 1e20, np.fmod),
    "remainder": (2, 1e20, np.remainder), "floor_divide": (2, 1e20, np.floor_divide),
}  # fmt: skip


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", FAR)
def test_operands_beyond_the_reach_of_a_formula_change_no_neighbour(name: str, dtype: Any) -> None:
    operands, far, formula = FAR[name]
    xs = [np.random.default_rng(8 + i).uniform(-9, 9, 3000).astype(dtype) for i in range(operands)]
    near = run(name, *xs)
    mixed = [xs[0].copy(), *xs[1:]]
    mixed[0][::7] = far
    got = run(name, *mixed)
    np.testing.assert_array_equal(np.delete(got, np.s_[::7]), np.delete(near, np.s_[::7]))
    tolerance = 2e-7 if dtype == np.float32 else 4e-16
    want = formula(*(x[::7].astype(np.longdouble if operands == 1 else dtype) for x in mixed))
    np.testing.assert_allclose(got[::7], want, rtol=tolerance)
    run(name, *mixed, out=mixed[0])
    np.testing.assert_array_equal(mixed[0], got)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_remainders_of_floats_are_exact(dtype: Any) -> None:
    rng = np.random.default_rng(9)
    x = magnitudes(dtype, rng)
    nearby = rng.integers(-40, 40, x.size).astype(dtype) * x
    for first, second in ((x, rng.permutation(x)), (nearby, x), (rng.uniform(-1e6, 1e6, x.size).astype(dtype), x)):
        np.testing.assert_array_equal(run("fmod", first, second), np.fmod(first, second))
        np.testing.assert_array_equal(np.signbit(run("fmod", first, second)), np.signbit(np.fmod(first, second)))
        np.testing.assert_array_equal(run("remainder", first, second), np.remainder(first, second))
        # A quotient between two floats may be rounded to either.
        quotient = np.floor_divide(first, second)
        np.testing.assert_allclose(run("floor_divide", first, second), quotient, rtol=2 * np.finfo(dtype).eps)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def cdf(x: Array) -> Array:
    return 0.5 * (1 + LONG_ERF(x / math.sqrt(2)))


def density(x: Array) -> Array:
    return np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def gelu_tanh_inner(x: Array) -> Array:
    return math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)


def gelu_tanh_slope(x: Array) -> Array:
    t = np.tanh(gelu_tanh_inner(x))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)


def mish_slope(x: Array) -> Array:
    t = np.tanh(np.log1p(np.exp(x)))
    return t + x * sigmoid(x) * (1 - t * t)


# Each function beside its formula in float64, for normally distributed operands; `positive` marks the operands whose
# absolute value is taken.
FORMULAS: dict[str, tuple[Any, str]] = {
    "copy": (lambda x: x, ""), "add": (np.add, ""), "subtract": (np.subtract, ""), "multiply": (np.multiply, ""),
    "divide": (np.divide, ""), "negative": (np.negative, ""), "multiply_add": (lambda x, y, z, s: x + s * y * z, ""),
    "divide_add": (lambda x, y, z, s: x + s * y / z, "z"), "lerp": (lambda x, y, w: x + w * (y - x), ""),
    "absolute": (np.abs, ""), "sign": (np.sign, ""), "round": (np.rint, ""), "floor": (np.floor, ""),
    "ceil": (np.ceil, ""), "truncate": (np.trunc, ""), "maximum": (np.maximum, ""), "minimum": (np.minimum, ""),
    "clamp": (lambda x, low, high: np.minimum(np.maximum(x, low), high), ""), "fmod": (np.fmod, ""),
    "remainder": (np.remainder, ""), "floor_divide": (np.floor_divide, ""), "power": (np.power, "x"),
    "atan2": (np.arctan2, ""), "relu": (lambda x: np.maximum(x, 0), ""),
    "leaky_relu": (lambda x, s: np.where(x > 0, x, s * x), ""),
    "elu": (lambda x, a: np.where(x > 0, x, a * np.expm1(x)), ""), "gelu": (lambda x: x * cdf(x), ""),
    "gelu_tanh": (lambda x: 0.5 * x * (1 + np.tanh(gelu_tanh_inner(x))), ""), "silu": (lambda x: x * sigmoid(x), ""),
    "softplus": (lambda x, b, t: np.where(x * b > t, x, np.log1p(np.exp(b * x)) / b), "b"),
    "log_sigmoid": (lambda x: np.log(sigmoid(x)), ""), "sqrt_grad": (lambda g, y: g / (2 * y), "y"),
    "rsqrt_grad": (lambda g, y: -0.5 * g * y**3, ""), "reciprocal_grad": (lambda g, y: -g * y * y, ""),
    "square_grad": (lambda g, x: 2 * g * x, ""), "cube_grad": (lambda g, x: 3 * g * x * x, ""),
    "absolute_grad": (lambda g, x: g * np.sign(x), ""),
    "tanh_grad": (lambda g, y: g * (1 - y * y), ""), "sigmoid_grad": (lambda g, y: g * y * (1 - y), ""),
    "erf_grad": (lambda g, x: 2 / math.sqrt(math.pi) * g * np.exp(-x * x), ""),
    "relu_grad": (lambda g, y: g * (y > 0), ""), "leaky_relu_grad": (lambda g, x, s: np.where(x > 0, g, s * g), ""),
    "elu_grad": (lambda g, x, a: np.where(x > 0, g, g * a * np.exp(x)), ""),
    "clamp_grad": (lambda g, x, low, high: g * ((low <= x) & (x <= high)), ""),
    "gelu_grad": (lambda g, x: g * (cdf(x) + x * density(x)), ""),
    "gelu_tanh_grad": (lambda g, x: g * gelu_tanh_slope(x), ""),
    "silu_grad": (lambda g, x: g * sigmoid(x) * (1 + x * (1 - sigmoid(x))), ""),
    "softplus_grad": (lambda g, x, b, t: np.where(x * b > t, g, g * sigmoid(b * x)), "b"),
    "log_sigmoid_grad": (lambda g, x: g * sigmoid(-x), ""),
    "scaled_difference": (lambda g, x, y, s: g * s * (x - y), ""), "scaled_product": (lambda x, y, s: x * y * s, ""),
    "power_base_grad": (lambda g, x, y: g * y * x ** (y - 1), "x"),
    "frac": (lambda x: np.modf(x)[0], ""), "hypot": (np.hypot, ""), "logaddexp": (np.logaddexp, ""),
    "logit": (lambda x: np.log(x / (1 - x)), "x"),
    "nan_to_num": (lambda x, a, b, c: x, ""), "hardsigmoid": (lambda x: np.clip(x + 3, 0, 6) / 6, ""),
    "hardswish": (lambda x: x * np.clip(x + 3, 0, 6) / 6, ""),
    "hardshrink": (lambda x, limit: np.where(np.abs(x) > limit, x, 0), ""),
    "softshrink": (lambda x, limit: np.sign(x) * np.maximum(np.abs(x) - limit, 0), "limit"),
    "softsign": (lambda x: x / (1 + np.abs(x)), ""), "mish": (lambda x: x * np.tanh(np.log1p(np.exp(x))), ""),
    "threshold": (lambda x, t, v: np.where(x > t, x, v), ""),
    "bent_loss": (lambda x, y, c, s: s * np.clip(x - y, -c, c) * (x - y - np.clip(x - y, -c, c) / 2), "c"),
    "logistic_loss": (lambda x, y: np.log1p(np.exp(x)) - x * y, ""),
    "exp2_grad": (lambda g, y: g * y * np.log(2), ""), "expm1_grad": (lambda g, y: g * (y + 1), ""),
    "log1p_grad": (lambda g, x: g / (1 + x), "x"), "log2_grad": (lambda g, x: g / (x * np.log(2)), "x"),
    "log10_grad": (lambda g, x: g / (x * np.log(10)), "x"), "tan_grad": (lambda g, y: g * (1 + y * y), ""),
    "asin_grad": (lambda g, x: g / np.sqrt(1 - x * x), ""), "acos_grad": (lambda g, x: -g / np.sqrt(1 - x * x), ""),
    "atan_grad": (lambda g, x: g / (1 + x * x), ""), "asinh_grad": (lambda g, x: g / np.sqrt(x * x + 1), ""),
    "acosh_grad": (lambda g, x: g / np.sqrt(x * x - 1), ""), "atanh_grad": (lambda g, x: g / (1 - x * x), ""),
    "logit_grad": (lambda g, x: g / (x * (1 - x)), ""),
    "atan2_grad": (lambda g, a, b, s: s * g * a / (a * a + b * b), ""),
    "hypot_grad": (lambda g, x, z: g * x / z, "z"), "logaddexp_grad": (lambda g, x, y: g * sigmoid(x - y), ""),
    "nan_to_num_grad": (lambda g, x: g, ""),
    "hardtanh_grad": (lambda g, x, low, high: g * ((low < x) & (x < high)), ""),
    "hardsigmoid_grad": (lambda g, x: g * (np.abs(x) < 3) / 6, ""),
    "hardswish_grad": (lambda g, x: g * np.where(np.abs(x) < 3, (2 * x + 3) / 6, x > 0), ""),
    "shrink_grad": (lambda g, x, limit: g * (np.abs(x) > limit), ""),
    "softsign_grad": (lambda g, x: g / (1 + np.abs(x)) ** 2, ""),
    "mish_grad": (lambda g, x: g * mish_slope(x), ""), "threshold_grad": (lambda g, x, t: g * (x > t), ""),
    "bent_loss_grad": (lambda g, x, y, c, s: g * s * np.clip(x - y, -c, c), "c"),
    "logistic_loss_grad": (lambda g, x, y: g * (sigmoid(x) - y), ""),
    "power_exponent_grad": (lambda g, z, x, y: g * z * np.log(x), "x"), "normal_cdf": (cdf, ""),
    "normal_slope": (lambda x: cdf(x) + x * density(x), ""),
}  # fmt: skip
PREDICATES: dict[str, Any] = {
    "equal": np.equal, "not_equal": np.not_equal, "less": np.less, "less_equal": np.less_equal,
    "greater": np.greater, "greater_equal": np.greater_equal, "logical_and": np.logical_and,
    "logical_or": np.logical_or, "logical_xor": np.logical_xor, "logical_not": np.logical_not,
    "isnan": np.isnan, "isinf": np.isinf, "isfinite": np.isfinite,
}  # fmt: skip
INTEGER_FORMULAS: dict[str, Any] = {
    "add": np.add, "subtract": np.subtract, "multiply": np.multiply, "negative": np.negative, "absolute": np.abs,
    "square": np.square, "sign": np.sign, "round": np.positive, "floor": np.positive, "maximum": np.maximum,
    "minimum": np.minimum, "clamp": lambda x, low, high: np.minimum(np.maximum(x, low), high),
    "remainder": np.remainder, "floor_divide": np.floor_divide, "fmod": np.fmod, "bitwise_and": np.bitwise_and,
    "bitwise_or": np.bitwise_or, "bitwise_xor": np.bitwise_xor, "bitwise_not": np.bitwise_not,
}  # fmt: skip
ELSEWHERE = {"where", "left_shift", "right_shift", "erf"}
# The operations' samples and docs/accuracy.md measure these.
SPECIAL = {"i0", "i0e", "i1", "i1e", "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "bessel_k0", "bessel_k0e",
           "bessel_k1", "bessel_k1e", "erfc", "erfcx", "erfinv", "ndtri", "log_ndtr", "gammainc", "gammaincc", "zeta",
           "lgamma", "digamma", "trigamma", "polygamma"}


def arguments(formula: Any) -> list[str]:
    if isinstance(formula, np.ufunc):
        return ["x", "y"][: formula.nin]
    return list(inspect.signature(formula).parameters)


def test_every_function_has_a_test() -> None:
    assert set(elementwise.FORMULAS) == {*MATHS, *FORMULAS, *PREDICATES, *INTEGER_FORMULAS, *ELSEWHERE, *SPECIAL}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_formula(name: str, dtype: Any) -> None:
    formula, positive = FORMULAS[name]
    rng = np.random.default_rng(1)
    names = arguments(formula)
    xs = [rng.standard_normal(500).astype(dtype) for _ in names]
    xs = [np.abs(x) if name in positive else x for name, x in zip(names, xs, strict=True)]
    want = formula(*(x.astype(np.float64) for x in xs))
    tolerance = 3e-6 if dtype == np.float32 else 3e-13
    np.testing.assert_allclose(run(name, *xs), want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.bool_])
@pytest.mark.parametrize("name", PREDICATES)
def test_predicate(name: str, dtype: Any) -> None:
    rng = np.random.default_rng(2)
    xs = [rng.integers(0, 3, 300).astype(dtype) for _ in arguments(PREDICATES[name])]
    if dtype in FLOATS:
        xs = [np.where(rng.integers(0, 5, 300) == 0, rng.choice([np.nan, np.inf, -np.inf], 300), x) for x in xs]
        xs = [x.astype(dtype) for x in xs]
    np.testing.assert_array_equal(run(name, *xs, dtype=np.bool_), PREDICATES[name](*xs))


@pytest.mark.parametrize("dtype", [np.int64, np.uint8])
@pytest.mark.parametrize("name", INTEGER_FORMULAS)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_integer_formula(name: str, dtype: Any) -> None:
    rng = np.random.default_rng(3)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    formula = INTEGER_FORMULAS[name]
    xs = [rng.integers(low, high, 300, dtype=dtype, endpoint=True) >> rng.integers(0, 7, 300).astype(dtype)
          for _ in arguments(formula)]  # fmt: skip
    if name == "floor_divide":
        xs[1][xs[1] == -1] = 3  # the smallest integer / -1 does not fit
    np.testing.assert_array_equal(run(name, *xs), formula(*xs))


@pytest.mark.parametrize("dtype", [np.int32, np.int16, np.int8])
@pytest.mark.parametrize("name", ["add", "multiply", "remainder"])
def test_narrow_integers_wrap(name: str, dtype: Any) -> None:
    x = np.arange(-120, 120, dtype=dtype)
    np.testing.assert_array_equal(run(name, x[:, None], x[::7] | 1), getattr(np, name)(x[:, None], x[::7] | 1))


def test_the_smallest_integer_divided_by_minus_one_wraps() -> None:
    smallest = np.array([np.iinfo(np.int64).min])
    np.testing.assert_array_equal(run("floor_divide", smallest, np.array([-1])), smallest)


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint8])
def test_integer_power_and_shifts(dtype: Any) -> None:
    x, y = np.arange(0, 5, dtype=dtype)[:, None], np.arange(0, 4, dtype=dtype)
    np.testing.assert_array_equal(run("power", x, y), x**y)
    np.testing.assert_array_equal(run("left_shift", x, y), x << y)
    np.testing.assert_array_equal(run("right_shift", x, y), x >> y)
    if np.iinfo(dtype).min < 0:
        bases, exponents = np.array([1, -1, -1, 2, -3, 0], dtype), np.array([-2, -2, -3, -1, -1, -1], dtype)
        np.testing.assert_array_equal(run("power", bases, exponents), [1, 1, -1, 0, 0, 0])
        np.testing.assert_array_equal(run("power", -x, y), (-x) ** y)


def test_bool_logic() -> None:
    x, y = np.array([True, True, False, False]), np.array([True, False, True, False])
    for name in ("bitwise_and", "bitwise_or", "bitwise_xor", "maximum", "minimum"):
        np.testing.assert_array_equal(run(name, x, y), getattr(np, name)(x, y))
    np.testing.assert_array_equal(run("bitwise_not", x), ~x)
    np.testing.assert_array_equal(run("add", x, y), x | y)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_power_of_special_values(dtype: Any) -> None:
    values = [0, 0.5, 1, 2, 3, 1e5, 1e30, math.inf, math.nan, 2.5, 1 / 3]
    x = np.array(values + [-value for value in values], dtype)
    got, want = run("power", x[:, None], x), np.power(x[:, None].astype(np.longdouble), x.astype(np.longdouble))
    assert error_in_ulp(got, want) <= 1


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_remainders_of_special_values(dtype: Any) -> None:
    values = [0, 0.1, 1, 3, 7, 1e10, math.inf, math.nan]
    x = np.array(values + [-value for value in values], dtype)
    for name in ("fmod", "remainder", "floor_divide"):
        want = getattr(np, name)(x[:, None], x)
        np.testing.assert_array_equal(run(name, x[:, None], x), want)


@pytest.mark.parametrize("dtype", FLOATS)
def test_nan_and_signs(dtype: Any) -> None:
    x, y = np.array([math.nan, 1, math.nan, -1], dtype), np.array([1, math.nan, math.nan, 2], dtype)
    np.testing.assert_array_equal(run("maximum", x, y), np.maximum(x, y))
    np.testing.assert_array_equal(run("minimum", x, y), np.minimum(x, y))
    for name in ("relu", "gelu", "gelu_tanh", "silu"):
        np.testing.assert_array_equal(np.isnan(run(name, x)), np.isnan(x))
    np.testing.assert_array_equal(run("sign", np.array([math.nan, -0.0, -2, 3], dtype)), [0, 0, -1, 1])
    halves = np.array([0.5, 1.5, 2.5, -0.5, -2.5], dtype)
    np.testing.assert_array_equal(run("round", halves), [0, 2, 2, -0.0, -2])
    far = np.array([-40, -20, 20, 40], dtype)
    np.testing.assert_allclose(run("gelu", far), [0, 0, 20, 40], atol=1e-6)


@pytest.mark.parametrize("source", [*FLOATS, *INTEGERS, np.bool_])
@pytest.mark.parametrize("target", [*FLOATS, *INTEGERS, np.bool_])
def test_copy_casts(source: Any, target: Any) -> None:
    x = np.array([0, 1, 2, 100, 3.75, 0.25, 127], np.float64).astype(source)
    x = np.concatenate([x, -x]) if np.dtype(source).kind in "fi" and np.dtype(target).kind != "u" else x
    np.testing.assert_array_equal(run("copy", np.tile(x, 20), dtype=target), np.tile(x, 20).astype(target))


def test_out_of_range_casts_wrap_alike_in_every_lane() -> None:
    x = np.full(1000, 300.5, np.float32)
    np.testing.assert_array_equal(run("copy", x, dtype=np.uint8), 44)
    np.testing.assert_array_equal(run("copy", -x, dtype=np.uint8), 212)
    np.testing.assert_array_equal(run("copy", np.full(1000, math.nan, np.float32), dtype=np.bool_), True)


@pytest.mark.parametrize("dtype", [*FLOATS, np.int64, np.bool_])
def test_where(dtype: Any) -> None:
    rng = np.random.default_rng(4)
    condition, x, y = rng.integers(0, 2, (40, 1)) > 0, rng.integers(0, 2, (40, 33)), rng.integers(0, 2, 33)
    got = run("where", condition, x.astype(dtype), y.astype(dtype), dtype=dtype)
    np.testing.assert_array_equal(got, np.where(condition, x, y).astype(dtype))


LAYOUTS: dict[str, Any] = {
    "contiguous": lambda x: x,
    "transposed": lambda x: np.ascontiguousarray(np.moveaxis(x, 0, -1)).transpose(-1, *range(x.ndim - 1)),
    "reversed": lambda x: np.ascontiguousarray(x[..., ::-1])[..., ::-1],
    "all reversed": lambda x: np.ascontiguousarray(x[::-1, ..., ::-1])[::-1, ..., ::-1],
    "every other": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "row": lambda x: x[0],
    "column": lambda x: x[..., :1],
    "single": lambda x: x[:1, ..., :1],
    "expanded": lambda x: np.broadcast_to(x[0], x.shape),
    "0-d": lambda x: x[(0,) * x.ndim].reshape(()),
}


SHAPES = [(1, 1), (3, 5), (4, 1, 700), (2, 3, 4, 6), (130, 3), (3, 1200), (40, 100), (3, 50, 7)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("first", LAYOUTS)
@pytest.mark.parametrize("second", LAYOUTS)
def test_any_strides(first: str, second: str, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(5)
    x, y = LAYOUTS[first](rng.standard_normal(shape)), LAYOUTS[second](rng.standard_normal(shape))
    want = np.subtract(x, y)
    for out_layout in ("contiguous", "transposed", "reversed", "every other"):
        out = LAYOUTS[out_layout](np.zeros(want.shape)) if want.ndim > 1 else np.zeros(want.shape)
        for parts in (1, 3):
            out[...] = 0
            np.testing.assert_array_equal(run("subtract", x, y, out=out, parts=parts), want)


@pytest.mark.parametrize("name", ["exp", "tanh", "gelu", "sin", "silu", "log", "asinh", "atan"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_same_bits_for_any_parts_and_any_place_in_a_vector(name: str, dtype: Any) -> None:
    x = np.random.default_rng(6).uniform(0.01, 5, 1001).astype(dtype)
    whole = run(name, x)
    for parts in (2, 3, 8, 40):
        assert run(name, x, parts=parts).tobytes() == whole.tobytes()
    single = np.concatenate([run(name, x[i : i + 1]) for i in range(70)])
    assert single.tobytes() == whole[:70].tobytes()


@pytest.mark.parametrize("dtype", FLOATS)
def test_in_place(dtype: Any) -> None:
    x = np.random.default_rng(7).standard_normal((50, 21)).astype(dtype)
    want = np.tanh(x.astype(np.float64))
    run("tanh", x, out=x)
    np.testing.assert_allclose(x, want, rtol=1e-6)
    run("add", x.T, x.T, out=x.T)
    np.testing.assert_allclose(x, 2 * want, rtol=1e-6)


def test_empty_arrays_and_no_dimensions() -> None:
    assert run("add", np.zeros((3, 0, 2)), np.zeros((3, 1, 2))).shape == (3, 0, 2)
    assert run("add", np.array(1.0), np.array(2.0)) == 3


def test_plan_merges_what_every_operand_holds_as_one() -> None:
    assert elementwise.plan((2, 3, 4), (12, 4, 1), [((2, 3, 4), (12, 4, 1))]).tolist() == [1, 24, 24, 1, 1]
    assert elementwise.plan((2, 3, 4), (12, 4, 1), [((4,), (1,))]).tolist() == [2, 24, 6, 4, 4, 1, 0, 1]
    channels_last = elementwise.plan((2, 3, 4, 5), (60, 1, 15, 3), [((2, 3, 4, 5), (60, 1, 15, 3))])
    assert channels_last.tolist() == [1, 120, 120, 1, 1]
    assert elementwise.plan((), (), [((), ())]).tolist() == [1, 1, 1, 1, 1]


def test_each_loop_names_a_group_of_accesses_of_its_own() -> None:
    module = ir.Module()
    name = ir.MetaDataString(module, "llvm.loop.parallel_accesses")
    first, second = (module.add_metadata([name, memory.DistinctNode(module)]) for _ in range(2))
    assert first is not second


def test_formulas_with_loops_are_not_asked_for_vectors() -> None:
    assert memory.plain(elementwise.FORMULAS["multiply_add"].py_func)
    assert not any(memory.plain(elementwise.FORMULAS[name].py_func) for name in ("zeta", "polygamma", "gammainc"))


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no scalar formula 'sqare'"):
        elementwise.sqare  # noqa: B018


CHAIN = (("subtract", (0, 1), "float32"), ("multiply", (3, 2), "float32"), ("greater", (4, 0), "bool"))


def test_kernels_that_differ_in_which_inputs_are_numbers_have_names_of_their_own() -> None:
    """Processes share the folder of the sources: of two with one name, one would be compiled and the other kept."""
    kernels = [elementwise.fused(CHAIN, (1, 2), 3, frozenset(numbers)) for numbers in ((), (2,), (1, 2))]
    assert len({kernel.py_func.__name__ for kernel in kernels}) == 3


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_chain_with_several_outputs_and_any_strides(layout: str, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(8)
    x, y = (LAYOUTS[name](rng.standard_normal(shape).astype(np.float32)) for name in ("contiguous", layout))
    number = np.float32(0.7).reshape(())
    kernel = elementwise.fused(CHAIN, (1, 2), 3, frozenset({2}))
    for first, second in (("contiguous", "contiguous"), ("transposed", "every other"), ("reversed", "transposed")):
        for parts in (1, 3):
            outs = [LAYOUTS[first](np.zeros(shape, np.float32)), LAYOUTS[second](np.zeros(shape, np.bool_))]
            operands = [outs[1], x, y]
            walk = elementwise.plan(shape, strides(outs[0]), [(a.shape, strides(a)) for a in operands])
            for part in range(parts):
                kernel(*map(elementwise.carrier, (*outs, x, y, number)), walk, part, parts)
            np.testing.assert_array_equal(outs[0], (x - y) * number)
            np.testing.assert_array_equal(outs[1], (x - y) * number > x)


def test_a_chain_in_place() -> None:
    x, y = (np.random.default_rng(k).standard_normal((50, 21)).astype(np.float32) for k in range(2))
    want = np.maximum(x.T - y.T, 0) * y.T, x.T - y.T
    kernel = elementwise.fused(
        (("subtract", (0, 1), "float32"), ("relu", (2,), "float32"), ("multiply", (3, 1), "float32")), (2, 0), 2,
        frozenset(),
    )
    walk = elementwise.plan(x.T.shape, strides(x.T), [(a.shape, strides(a)) for a in (y.T, x.T, y.T)])
    kernel(*map(elementwise.carrier, (x.T, y.T, x.T, y.T)), walk, 0, 1)
    np.testing.assert_array_equal(x.T, want[0])
    np.testing.assert_array_equal(y.T, want[1])
