"""Element-wise operations."""

from __future__ import annotations

from benchmarks.suites.ops.table import MATRIX, ROWS, VECTOR, Entry, Input, booleans, constant, entries, reals, whole

X = reals(VECTOR)
POSITIVE = reals(VECTOR, 0.1, 4.0)
INTEGERS = whole(VECTOR, (1000, 1000, 1000))
MASK = booleans(VECTOR)



def special(names: str, *inputs: Input, gradient: bool = True) -> list[Entry]:
    """Return the entries of functions of `torch.special`."""
    return [entry for name in names.split()
            for entry in entries(f"special_{name}", *inputs, path=f"special.{name}", gradient=gradient)]


ENTRIES = [
    # Of one tensor
    *entries("neg square abs sign floor ceil trunc round frac nan_to_num", X),
    *entries("exp expm1 exp2 sin cos atan sinh cosh asinh tanh sigmoid erf logsigmoid", X),
    *entries("sqrt rsqrt reciprocal log log1p log2 log10", POSITIVE),
    *entries("tan", reals(VECTOR, -1.2, 1.2)),
    *entries("asin acos atanh", reals(VECTOR, -0.95, 0.95)),
    *entries("acosh", reals(VECTOR, 1.1, 4.0)),
    *entries("logit", reals(VECTOR, 0.05, 0.95)),
    *entries("clamp", X, min=-1.0, max=1.0),
    *entries("isnan isinf isfinite", X, gradient=False),
    *entries("copy", X, path="clone"),
    *entries("erfc", X),
    *entries("lgamma digamma", POSITIVE),
    *entries("polygamma", POSITIVE, call=lambda polygamma, x: polygamma(1, x)),
    *entries("erfinv", reals(VECTOR, -0.95, 0.95)),
    *special("ndtr log_ndtr erfcx i0e i1 i1e", X),
    *entries("i0", X),
    *special("entr", POSITIVE),
    *special("ndtri", reals(VECTOR, 0.05, 0.95)),
    *special("xlog1py", X, POSITIVE),
    *special("bessel_j0 bessel_j1", reals(VECTOR, -20.0, 20.0), gradient=False),
    *special("bessel_y0 bessel_y1", reals(VECTOR, 0.1, 20.0), gradient=False),
    *special("modified_bessel_k0 modified_bessel_k1 scaled_modified_bessel_k0 scaled_modified_bessel_k1", POSITIVE,
             gradient=False),
    *entries("igamma igammac", constant(reals(VECTOR, 0.1, 9.0)), reals(VECTOR, 0.1, 9.0)),
    *special("zeta", constant(reals(VECTOR, 1.5, 9.0)), reals(VECTOR, 0.5, 9.0)),
    *entries("mvlgamma", reals(MATRIX, 3.0, 9.0), p=3),
    *entries("sinc", X, tolerance=1e-3),  # its gradient cancels about 0
    *entries("deg2rad rad2deg rrelu", X),
    *entries("sgn signbit positive isposinf isneginf isreal", X, gradient=False),
    *entries("zeros_like", X, gradient=False),
    # Activations
    *entries("relu relu6 hardtanh leaky_relu elu selu celu silu mish softplus softsign tanhshrink", X),
    *entries("hardsigmoid hardswish hardshrink softshrink gelu", X),
    *entries("gelu_tanh", X, path="gelu", approximate="tanh"),
    *entries("threshold", X, threshold=0.5, value=0.1),
    *entries("prelu", reals(MATRIX), reals(ROWS)),
    # Of several tensors
    *entries("add sub mul rsub maximum minimum fmax fmin hypot logaddexp atan2", X, X),
    *entries("div", X, POSITIVE),
    *entries("remainder fmod", X, constant(POSITIVE)),
    *entries("floor_divide", X, POSITIVE, gradient=False),
    *entries("xlogy", X, POSITIVE),
    *entries("pow", POSITIVE, X),
    *entries("logaddexp2 ldexp", X, X),
    *entries("copysign", X, constant(X)),
    *entries("heaviside", X, X, gradient=False),
    *entries("float_power", POSITIVE, X),
    *entries("gcd lcm", INTEGERS, INTEGERS, gradient=False),
    *entries("lerp addcmul", X, X, X),
    *entries("addcdiv", X, X, POSITIVE),
    *entries("where", MASK, X, X),
    *entries("masked_fill", X, MASK, value=0.5),
    # Comparisons, logic and bits
    *entries("eq ne lt le gt ge isclose", X, X, gradient=False),
    *entries("logical_and logical_or logical_xor", MASK, MASK, gradient=False),
    *entries("logical_not", MASK, gradient=False),
    *entries("bitwise_and bitwise_or bitwise_xor", INTEGERS, INTEGERS, gradient=False),
    *entries("bitwise_not", INTEGERS, gradient=False),
]
