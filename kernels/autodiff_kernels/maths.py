"""Mathematical functions of one float, made to be inlined into a vectorised loop; `exp` also of a `Vector`.

There is no branch, no table and no call into libm, so LLVM turns a loop over these functions into vector code. Every
step is a correctly rounded IEEE operation (`fma` is written out), so a value does not depend on the lane, or on the
part, that computes it. float32 computes in float32, float64 in float64.

The polynomials were computed for this file with Remez' exchange algorithm at 50 digits; beside each stands what it
approximates. Argument reduction follows J.-M. Muller, "Elementary Functions", 3rd ed., chapter 11. The errors stated
are the largest that `tests/kernels/test_elementwise.py` allows.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from autodiff_kernels.lanes import has_avx512
from autodiff_kernels.vectors import Vector, as_vector, joint, lanes_of, select

# ---- Instructions ----------------------------------------------------------------------------------------------------


def _instruction(name: str, arity: int) -> Any:
    """LLVM's `name` for floats and vectors of them. Another number is returned as it is: an integer is rounded."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if not isinstance(signature.return_type, types.Float | Vector):
            return arguments[0]
        kind = arguments[0].type
        element, lanes = (kind.element, f"v{kind.count}") if isinstance(kind, ir.VectorType) else (kind, "")
        suffix = lanes + ("f32" if isinstance(element, ir.FloatType) else "f64")
        kind_of_function = ir.FunctionType(kind, [kind] * arity)
        function = cgutils.get_or_insert_function(builder.module, kind_of_function, f"llvm.{name}.{suffix}")
        return builder.call(function, arguments)

    def unary(typing_context: Any, x: Any) -> Any:
        return x(x), emit

    def binary(typing_context: Any, x: Any, y: Any) -> Any:
        return x(x, y), emit

    define = unary if arity == 1 else binary
    define.__name__ = name
    return intrinsic(define)


rint, round_down, round_up, cut = (_instruction(name, 1) for name in ("rint", "floor", "ceil", "trunc"))
magnitude, root, with_sign = _instruction("fabs", 1), _instruction("sqrt", 1), _instruction("copysign", 2)


@intrinsic
def fma(typing_context: Any, x: Any, y: Any, z: Any) -> Any:
    """fma(x, y, z): x * y + z, rounded once; all of one float dtype, or vectors of one type and numbers."""
    vector = joint(x, y, z)
    if vector is None:
        return x(x, x, x), lambda context, builder, signature, arguments: builder.fma(*arguments)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        operands = zip(arguments, (x, y, z), strict=True)
        return lanes_of(builder, vector).fma(*[as_vector(context, builder, *pair, vector) for pair in operands])

    return vector(x, y, z), generate


@intrinsic
def frem(typing_context: Any, x: Any, y: Any) -> Any:
    """frem(x, y): C's fmod, exact; both of one float dtype."""
    return x(x, x), lambda context, builder, signature, arguments: builder.frem(*arguments)


@intrinsic
def constant(typing_context: Any, x: Any, single: Any, double: Any) -> Any:
    """constant(x, single, double): the number for the float dtype of x, a number or a vector, in that dtype."""
    dtype = getattr(x, "dtype", x)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        choice, kind = (arguments[1], single) if dtype == types.float32 else (arguments[2], double)
        return context.cast(builder, choice, kind, dtype)

    return dtype(x, single, double), generate


@intrinsic
def polynomial(typing_context: Any, x: Any, single: Any, double: Any) -> Any:
    """polynomial(x, single, double): Horner's rule on the coefficients (lowest first) for x's float dtype."""
    dtype = getattr(x, "dtype", x)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        choice = arguments[1] if dtype == types.float32 else arguments[2]
        *coefficients, value = [
            context.cast(builder, number, types.float64, dtype) for number in cgutils.unpack_tuple(builder, choice)
        ]
        multiply_add = builder.fma
        if isinstance(x, Vector):
            multiply_add = lanes_of(builder, x).fma
            *coefficients, value = [
                as_vector(context, builder, number, dtype, x) for number in (*coefficients, value)
            ]
        for coefficient in reversed(coefficients):
            value = multiply_add(value, arguments[0], coefficient)
        return value

    return x(x, single, double), generate


# A float plus this is that float rounded to an integer, which then stands in the lowest bits of the sum: the way to
# integers and back that is exact, vectorises on every CPU, and is defined for NaN.
INTEGERS_SINGLE, INTEGERS_DOUBLE = 1.5 * 2**23, 1.5 * 2**52


def _layout(kind: Any) -> tuple[Any, int, Any, Any]:
    """Integer type of the same width, bits of the fraction, bits of 1.0 and bits of `INTEGERS`, for a float type.

    For a vector of floats all but the second are vectors.
    """
    element = kind.element if isinstance(kind, ir.VectorType) else kind
    if isinstance(element, ir.FloatType):
        bits, fraction, one, integers = 32, 23, 0x3F800000, 0x4B400000
    else:
        bits, fraction, one, integers = 64, 52, 0x3FF0000000000000, 0x4338000000000000
    integer: Any = ir.IntType(bits)
    if isinstance(kind, ir.VectorType):
        vector: Any = ir.VectorType(integer, kind.count)
        return vector, fraction, vector([one] * kind.count), vector([integers] * kind.count)
    return integer, fraction, integer(one), integer(integers)


def _emit_power_of_two(builder: Any, shifted: Any) -> Any:
    integer, fraction, one, _ = _layout(shifted.type)
    places = integer([fraction] * integer.count if isinstance(integer, ir.VectorType) else fraction)
    exponent = builder.shl(builder.bitcast(shifted, integer), places)
    return builder.bitcast(builder.add(exponent, one), shifted.type)


@intrinsic
def power_of_two(typing_context: Any, shifted: Any) -> Any:
    """power_of_two(n + INTEGERS): 2**n for the exponents n of normal numbers."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _emit_power_of_two(builder, arguments[0])

    return shifted(shifted), generate


def _emit_two_factors(builder: Any, multiply_add: Any, value: Any, n: Any) -> Any:
    """Multiply by 2**n in two factors: n reaches below and above what one can hold. The first product is exact."""
    count = getattr(n.type, "count", 0)
    single = isinstance(n.type.element if count else n.type, ir.FloatType)
    numbers = 0.5, INTEGERS_SINGLE if single else INTEGERS_DOUBLE
    one_half, integers = [ir.Constant(n.type, [number] * count if count else number) for number in numbers]
    half = multiply_add(n, one_half, integers)
    rest = builder.fadd(builder.fsub(n, builder.fsub(half, integers)), integers)
    return builder.fmul(builder.fmul(value, _emit_power_of_two(builder, half)), _emit_power_of_two(builder, rest))


@intrinsic
def times_power_of_two(typing_context: Any, value: Any, n: Any) -> Any:
    """times_power_of_two(value, n): value * 2**n, rounded once, for values near 1 and integral n."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if not isinstance(value, Vector):
            return _emit_two_factors(builder, builder.fma, *arguments)
        lanes = lanes_of(builder, value)
        single = has_avx512() and value.count * lanes.itemsize % 64 == 0
        return lanes.times_powers(*arguments) if single else _emit_two_factors(builder, lanes.fma, *arguments)

    return value(value, n), generate


@intrinsic
def exponent_and_fraction(typing_context: Any, x: Any) -> Any:
    """exponent_and_fraction(x): (n, m), floats with x = 2**n * m and sqrt(1/2) <= m < sqrt(2), for a normal x > 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = arguments[0].type
        integer, fraction, _, shift = _layout(kind)
        value = builder.bitcast(arguments[0], integer)
        half_root = builder.bitcast(ir.Constant(kind, math.sqrt(0.5)), integer)
        exponent = builder.ashr(builder.sub(value, half_root), integer(fraction))
        rest = builder.bitcast(builder.sub(value, builder.shl(exponent, integer(fraction))), kind)
        shifted = builder.bitcast(builder.add(exponent, shift), kind)
        number = builder.fsub(shifted, builder.bitcast(shift, kind))
        return context.make_tuple(builder, signature.return_type, [number, rest])

    return types.UniTuple(x, 2)(x), generate


# ---- exp, exp2, expm1, tanh, sigmoid ---------------------------------------------------------------------------------

LOG2_E = 1.4426950408889634
# ln 2 in two parts; the first has so few bits that its product with an exponent is exact.
LN2_HIGH_SINGLE, LN2_LOW_SINGLE = 0.693145751953125, 1.4286068203094172e-06
LN2_HIGH_DOUBLE, LN2_LOW_DOUBLE = 0.693147180369123816490, 1.90821492927058770002e-10
# (e**r - 1 - r) / r**2 for |r| <= ln(2) / 2
EXP_SINGLE = (0.5000000081043168, 0.1666666675667091, 0.041666239859114496, 0.008333285931483048, 0.0013948640637153269,
              0.00019907637995300235)
EXP_DOUBLE = (0.5, 0.16666666666666677, 0.0416666666666667, 0.008333333333321579, 0.001388888888886686,
              0.00019841269886266316, 2.480158736055771e-05, 2.7557244061872493e-06, 2.75572427308971e-07,
              2.5109090411995475e-08, 2.0924458035489523e-09)


@njit(error_model="numpy", forceinline=True)
def _reduced_expm1(x: float) -> tuple[float, float, float]:
    """Return n (an integer), n + INTEGERS and e**r - 1, where x = n ln 2 + r and |r| <= ln(2) / 2."""
    integers = constant(x, INTEGERS_SINGLE, INTEGERS_DOUBLE)
    shifted = fma(x, constant(x, LOG2_E, LOG2_E), integers)
    n = shifted - integers
    r = fma(n, constant(x, -LN2_HIGH_SINGLE, -LN2_HIGH_DOUBLE), x)
    r = fma(n, constant(x, -LN2_LOW_SINGLE, -LN2_LOW_DOUBLE), r)
    return n, shifted, fma(r * r, polynomial(r, EXP_SINGLE, EXP_DOUBLE), r)


@njit(error_model="numpy", forceinline=True)
def exp(x: float) -> float:
    """e**x, within 1 ulp, subnormal results too."""
    low, high = constant(x, -104.0, -746.0), constant(x, 89.0, 710.0)
    x = select(x < low, low, x)
    x = select(x > high, high, x)
    n, _, value = _reduced_expm1(x)
    return times_power_of_two(value + constant(x, 1.0, 1.0), n)


# (2**r - 1) / r for |r| <= 1 / 2
EXP2_SINGLE = (0.6931472077099917, 0.24022650729502174, 0.05550325108250133, 0.009618097278658522,
               0.0013401264229282832, 0.00015445412486160583)
EXP2_DOUBLE = (0.6931471805599453, 0.24022650695910072, 0.0555041086648217, 0.009618129107628479,
               0.0013333558146389713, 0.00015403530393374236, 1.5252733856948619e-05, 1.3215486804239476e-06,
               1.0178050902975437e-07, 7.0548995912842e-09, 4.456721551029973e-10, 2.5725275378716967e-11)


@njit(error_model="numpy", forceinline=True)
def exp2(x: float) -> float:
    """2**x, within 1 ulp, subnormal results too."""
    T = type(x)
    low, high = constant(x, -151.0, -1076.0), constant(x, 129.0, 1025.0)
    x = low if x < low else x
    x = high if x > high else x
    n = rint(x)
    r = x - n
    return times_power_of_two(fma(r, polynomial(r, EXP2_SINGLE, EXP2_DOUBLE), T(1)), n)


@njit(error_model="numpy", forceinline=True)
def expm1(x: float) -> float:
    """e**x - 1, within 2 ulp."""
    T = type(x)
    low, high = constant(x, -20.0, -40.0), constant(x, 89.0, 710.0)
    y = low if x < low else x
    y = high if y > high else y
    n, shifted, value = _reduced_expm1(y)
    half = power_of_two(shifted - T(1))  # 2**n / 2, which is finite also where 2**n is not
    return with_sign(value if n == T(0) else T(2) * fma(half, value, half - T(0.5)), x)


# (tanh(x) / x - 1) / x**2 as a polynomial in x**2, for |x| <= 0.55
TANH_SINGLE = (-0.33333320727666327, 0.1333262097580638, -0.053851130652778974, 0.021053485004248328,
               -0.00623538676463013)
TANH_DOUBLE = (-0.33333333333333315, 0.13333333333328964, -0.05396825396476612, 0.021869488406603868,
               -0.008863232835298218, 0.003592093515375827, -0.0014555477222172825, 0.000588448381548733,
               -0.0002333566346962892, 8.323805791683222e-05, -1.9423632926451596e-05)


@njit(error_model="numpy", forceinline=True)
def tanh(x: float) -> float:
    """1 - 2 / (e**2|x| + 1) with the sign of x, an odd polynomial for |x| <= 0.55; within 2 ulp."""
    T = type(x)
    z, y, high = x * x, T(2) * magnitude(x), constant(x, 20.0, 40.0)
    _, shifted, value = _reduced_expm1(high if y > high else y)
    power = power_of_two(shifted)
    far = T(1) - T(2) / fma(power, value, power + T(1))
    return with_sign(far if y > T(1.1) else fma(x * z, polynomial(z, TANH_SINGLE, TANH_DOUBLE), x), x)


@njit(error_model="numpy", forceinline=True)
def _exp_of_small(x: float, halvings: float) -> float:
    """e**x / 2**halvings, where neither leaves the normal numbers."""
    _, shifted, value = _reduced_expm1(x)
    power = power_of_two(shifted - halvings)
    return fma(power, value, power)


@njit(error_model="numpy", forceinline=True)
def sigmoid(x: float) -> float:
    """1 / (1 + e**-x), within 2 ulp; written with e**-|x|, so that it neither overflows nor loses small results."""
    T = type(x)
    low, raised = constant(x, -104.0, -746.0), constant(x, 24.0, 54.0)
    y = -magnitude(x)
    # Through a larger power: e**-|x| may be subnormal.
    power = _exp_of_small(low if y < low else y, -raised) * constant(x, 2.0**-24, 2.0**-54)
    total = T(1) + power
    value = (T(1) if x >= T(0) else power) / total
    return fma(-value, power - (total - T(1)), value)  # most of what the sum lost, which counts where it is close to 1



# ---- log, log2, log10, log1p -----------------------------------------------------------------------------------------

# (log((1 + s) / (1 - s)) - 2 s) / s**3 as a polynomial in s**2, for |s| <= (sqrt(2) - 1) / (sqrt(2) + 1)
LOG_SINGLE = (0.6666677859933686, 0.3997603382537266, 0.2992685369190402)
LOG_DOUBLE = (0.6666666666666666, 0.4000000000000481, 0.2857142856935891, 0.2222222262564328, 0.1818177619915668,
              0.1538710484471492, 0.1324916870951909, 0.13264310226479128)


@njit(error_model="numpy", forceinline=True)
def _log_of_parts(n: float, f: float, correction: float) -> float:
    """n ln 2 + log(1 + f) + correction, with log(1 + f) = f - (f**2 / 2 - s (f**2 / 2 + R(s))), s = f / (2 + f)."""
    T = type(f)
    s = f / (T(2) + f)
    z = s * s
    half_square = T(0.5) * f * f
    low = fma(n, constant(f, LN2_LOW_SINGLE, LN2_LOW_DOUBLE), correction)
    rest = half_square - fma(s, half_square + z * polynomial(z, LOG_SINGLE, LOG_DOUBLE), low)
    return fma(n, constant(f, LN2_HIGH_SINGLE, LN2_HIGH_DOUBLE), f - rest)


@njit(error_model="numpy", forceinline=True)
def _exponent_and_fraction(x: float) -> tuple[float, float]:
    """`exponent_and_fraction` of any x > 0, subnormal ones too."""
    subnormal = x < constant(x, 2.0**-126, 2.0**-1022)
    n, m = exponent_and_fraction(x * constant(x, 2.0**24, 2.0**54) if subnormal else x)
    return (n - constant(x, 24.0, 54.0) if subnormal else n), m


@njit(error_model="numpy", forceinline=True)
def _at_limits(value: float, x: float) -> float:
    """The logarithm `value` of x, corrected where x is 0, negative, infinite or NaN."""
    T = type(x)
    value = value if x < T(math.inf) else x
    value = T(-math.inf) if x == T(0) else value
    return T(math.nan) if x < T(0) else value


@njit(error_model="numpy", forceinline=True)
def log(x: float) -> float:
    """Natural logarithm, within 1 ulp: -inf at 0, NaN below."""
    T = type(x)
    n, m = _exponent_and_fraction(x)
    return _at_limits(_log_of_parts(n, m - T(1), T(0)), x)


# log2(e) and log10(e) in two parts, and log10(2), whose first part has so few bits that a product with an exponent is
# exact
LOG2_E_SINGLE, LOG2_E_LOW_SINGLE = 1.4426950216293335, 1.925963033500011e-08
LOG2_E_DOUBLE, LOG2_E_LOW_DOUBLE = 1.4426950408889634, 2.0355273740931033e-17
LOG10_E_SINGLE, LOG10_E_LOW_SINGLE = 0.4342944920063019, -1.0103049952192578e-08
LOG10_E_DOUBLE, LOG10_E_LOW_DOUBLE = 0.4342944819032518, 1.098319650216765e-17
LOG10_2_HIGH_SINGLE, LOG10_2_LOW_SINGLE = 0.301025390625, 4.605038981195214e-06
LOG10_2_HIGH_DOUBLE, LOG10_2_LOW_DOUBLE = 0.30102999566383914, 1.42050232272661e-13


@njit(error_model="numpy", forceinline=True)
def log2(x: float) -> float:
    """Logarithm to base 2, within 2 ulp, exact for powers of 2."""
    T = type(x)
    n, m = _exponent_and_fraction(x)
    y = _log_of_parts(T(0), m - T(1), T(0))
    low = fma(y, constant(x, LOG2_E_LOW_SINGLE, LOG2_E_LOW_DOUBLE), n)
    return _at_limits(fma(y, constant(x, LOG2_E_SINGLE, LOG2_E_DOUBLE), low), x)


@njit(error_model="numpy", forceinline=True)
def log10(x: float) -> float:
    """Logarithm to base 10, within 2 ulp."""
    T = type(x)
    n, m = _exponent_and_fraction(x)
    y = _log_of_parts(T(0), m - T(1), T(0))
    low = y * constant(x, LOG10_E_LOW_SINGLE, LOG10_E_LOW_DOUBLE)
    low = fma(n, constant(x, LOG10_2_LOW_SINGLE, LOG10_2_LOW_DOUBLE), low)
    value = fma(y, constant(x, LOG10_E_SINGLE, LOG10_E_DOUBLE), low)
    return _at_limits(fma(n, constant(x, LOG10_2_HIGH_SINGLE, LOG10_2_HIGH_DOUBLE), value), x)


@njit(error_model="numpy", forceinline=True)
def log1p(x: float) -> float:
    """log(1 + x), within 2 ulp: what 1 + x loses by rounding is added as its share of the logarithm."""
    T = type(x)
    u = T(1) + x
    lost = T(1) - (u - x) if x > T(1) else x - (u - T(1))
    n, m = exponent_and_fraction(u)
    near = n == T(0)
    value = _log_of_parts(n, x if near else m - T(1), T(0) if near else lost / u)
    value = value if x < T(math.inf) else x
    value = T(-math.inf) if x == T(-1) else value
    return T(math.nan) if x < T(-1) else with_sign(value, x)


# ---- sinh, cosh and the inverse hyperbolic functions -----------------------------------------------------------------

# (f(x) / x - 1) / x**2 as a polynomial in x**2: sinh for |x| <= 1, asinh for |x| <= 3/4, atanh for |x| <= 1/2
SINH_SINGLE = (0.16666666497560423, 0.008333350058192761, 0.00019836159775504238, 2.8169512354373855e-06)
SINH_DOUBLE = (0.16666666666666669, 0.008333333333333148, 0.00019841269841431873, 2.7557319157071857e-06,
               2.505212313672456e-08, 1.6057259768713512e-10, 7.758748798637882e-13)
ASINH_SINGLE = (-0.16666656560550241, 0.07499519694746137, -0.0445648108736966, 0.029768664728427353,
                -0.019698000242429726, 0.010447870550298863, -0.002980223575634831)
ASINH_DOUBLE = (-0.1666666666666663, 0.07499999999992017, -0.04464285713689506, 0.030381944217688386,
                -0.022372153922667507, 0.017352687059697645, -0.01396403815473638, 0.011545738169365872,
                -0.00972776773214006, 0.008247734349777573, -0.0068535200754688535, 0.005309297935378362,
                -0.003551109453131343, 0.0018477833324013707, -0.0006428991118042203, 0.00010951302299349004)
ATANH_SINGLE = (0.3333333606480156, 0.19999727540111908, 0.14294853007702374, 0.10967182302583228,
                0.10282687426992566, 0.024521986484823836, 0.17594246314114012)
ATANH_DOUBLE = (0.3333333333333328, 0.20000000000018126, 0.1428571428343882, 0.11111111255269894, 0.09090903686890771,
                0.07692438453982468, 0.06664516129426942, 0.059071304734837966, 0.050601827560055004,
                0.05945441707447291, -0.004948424777900428, 0.17405762870238117, -0.1949358912953184,
                0.2404219075078427)
# (acosh(1 + t) / sqrt(2 t) - 1) / t for 0 <= t <= 1
ACOSH_SINGLE = (-0.08333330727064304, 0.018749306456331303, -0.005574054699316179, 0.0018712369488529832,
                -0.0006321694782229879, 0.00017584702872704583, -2.6999820976127985e-05)
ACOSH_DOUBLE = (-0.08333333333333329, 0.01874999999999509, -0.005580357142651364, 0.0018988715233872336,
                -0.0006991299154724216, 0.0002711364732522371, -0.00010909759535098217, 4.5112655442180875e-05,
                -1.9029560011170717e-05, 8.108878079871295e-06, -3.4187520408079444e-06, 1.3656729952380085e-06,
                -4.804479787276235e-07, 1.3397173080747048e-07, -2.5347630815249767e-08, 2.3722991004478624e-09)


@njit(error_model="numpy", forceinline=True)
def _quarter_exp(a: float) -> float:
    """e**a / 4 for a >= 0, which is finite wherever sinh(a) and cosh(a) are."""
    high = constant(a, 89.5, 710.6)
    _, shifted, value = _reduced_expm1(high if a > high else a)
    power = power_of_two(shifted - type(a)(2))
    return fma(power, value, power)


@njit(error_model="numpy", forceinline=True)
def sinh(x: float) -> float:
    """(e**x - e**-x) / 2, an odd polynomial for |x| <= 1; within 2 ulp."""
    T = type(x)
    a, z = magnitude(x), x * x
    quarter = _quarter_exp(a)
    far = T(2) * (quarter - T(0.0625) / quarter)
    return fma(x * z, polynomial(z, SINH_SINGLE, SINH_DOUBLE), x) if a <= T(1) else with_sign(far, x)


@njit(error_model="numpy", forceinline=True)
def cosh(x: float) -> float:
    """(e**x + e**-x) / 2, within 2 ulp."""
    T = type(x)
    quarter = _quarter_exp(magnitude(x))
    return T(2) * (quarter + T(0.0625) / quarter)


@njit(error_model="numpy", forceinline=True)
def _log_of_sum(x: float, s: float) -> float:
    """log(x + s) for x >= 1/2 and s = sqrt(x**2 + 1) or sqrt(x**2 - 1), which is x as a float where x is large."""
    T = type(x)
    large = x > constant(x, 2.0**13, 2.0**28)
    u = x if large else x + s
    larger, smaller = (x if x > s else s), (s if x > s else x)
    lost = T(0) if large else smaller - (u - larger)
    n, m = exponent_and_fraction(u)
    value = _log_of_parts(n + (T(1) if large else T(0)), m - T(1), lost / u)
    return value if u < T(math.inf) else u


@njit(error_model="numpy", forceinline=True)
def asinh(x: float) -> float:
    """log(x + sqrt(x**2 + 1)), an odd polynomial for |x| <= 3/4; within 2 ulp."""
    T = type(x)
    a = magnitude(x)
    z = a * a
    near = fma(a * z, polynomial(z, ASINH_SINGLE, ASINH_DOUBLE), a)
    return with_sign(near if a <= T(0.75) else _log_of_sum(a, root(fma(a, a, T(1)))), x)


@njit(error_model="numpy", forceinline=True)
def acosh(x: float) -> float:
    """log(x + sqrt(x**2 - 1)), the square root of 2 (x - 1) times a polynomial for x <= 2; within 2 ulp."""
    T = type(x)
    t = x - T(1)
    s = root(t + t)
    near = fma(s * t, polynomial(t, ACOSH_SINGLE, ACOSH_DOUBLE), s)
    return near if x <= T(2) else _log_of_sum(x, root(fma(x, x, T(-1))))


@njit(error_model="numpy", forceinline=True)
def atanh(x: float) -> float:
    """log((1 + x) / (1 - x)) / 2, an odd polynomial for |x| <= 1/2; within 2 ulp."""
    T = type(x)
    a = magnitude(x)
    z = a * a
    near = fma(a * z, polynomial(z, ATANH_SINGLE, ATANH_DOUBLE), a)
    return with_sign(near if a <= T(0.5) else T(0.5) * log((T(1) + a) / (T(1) - a)), x)


# ---- Powers ---------------------------------------------------------------------------------------------------------

# (log((1 + s) / (1 - s)) - 2 s) / s**3 as above, to 37 bits
LOG_POWER = (0.6666666564129738, 0.40000336218178084, 0.28537238395081915, 0.23583567552174878)


@njit(error_model="numpy", forceinline=True)
def power_single(x: float, y: float) -> float:
    """float32 x ** y as e**(y log|x|) in float64, whose 29 spare bits leave 1 ulp at the end; C99's special cases.

    The polynomials need a few bits more than a float32 has, so they are short ones.
    """
    T = type(x)
    a, exponent = np.float64(magnitude(x)), np.float64(y)
    n, m = exponent_and_fraction(a)
    f = m - 1.0
    s = f / (2.0 + f)
    z = s * s
    logarithm = fma(n, math.log(2), s * fma(z, polynomial(z, LOG_POWER, LOG_POWER), 2.0))
    logarithm = logarithm if a < math.inf else a
    product = exponent * (-math.inf if a == 0.0 else logarithm)
    product = -110.0 if product < -110.0 else product
    product = 90.0 if product > 90.0 else product
    shifted = fma(product, LOG2_E, INTEGERS_DOUBLE)
    r = fma(shifted - INTEGERS_DOUBLE, -math.log(2), product)
    power = power_of_two(shifted)
    value = T(fma(power, fma(r * r, polynomial(r, EXP_SINGLE, EXP_SINGLE), r), power))
    whole, half = y == round_down(y), y * T(0.5)
    odd = whole and half != round_down(half)
    value = with_sign(value, x) if odd else value
    value = T(math.nan) if x < T(0) and not whole and magnitude(x) != T(math.inf) else value
    one = y == T(0) or x == T(1) or (x == T(-1) and magnitude(y) == T(math.inf))
    return T(1) if one else value


# ---- erf and the normal distribution ---------------------------------------------------------------------------------

# erf(x) / x - 1 as a polynomial in x**2, for x**2 <= 0.85 (single) and 1 (double)
ERF_SINGLE = (0.1283791666367107, -0.37612633729586287, 0.11283695414006521, -0.026859393915448334,
              0.005201021571723628, -0.000814258275720727, 8.369586022434924e-05)
ERF_DOUBLE = (0.12837916709551257, -0.3761263890318375, 0.11283791670954857, -0.026866170645072896,
              0.005223977624780878, -0.0008548326978742835, 0.00012055331036919498, -1.4925593507269706e-05,
              1.6460972821383026e-06, -1.635002525043636e-07, 1.4657879910627581e-08, -1.136566580151185e-09,
              5.945260824914696e-11)
# log(1 - erf(x)) from there to 4 (single) and 6 (double), where erf is 1; weighted by 1 - erf(x)
TAIL_SINGLE = (0.00016137744733850466, -1.129439270249747, -0.6335317398111034, -0.1080268903706464,
               0.0249068534793885, -0.004059136616041675, 0.00039839037314171066, -1.45923041347681e-05,
               -5.018181886170972e-07)
TAIL_DOUBLE = (-5.132627134714045e-07, -1.1283739915201458, -0.6366440558938034, -0.10270228776705011,
               0.01898803845730646, 0.00041354117654792734, -0.0019189501202800541, 0.000773046476439095,
               -0.00013655619968176922, -1.952287272228693e-05, 2.2532914005887425e-05, -8.578800541459516e-06,
               2.1148054064436682e-06, -3.6956651548009685e-07, 4.593335567529305e-08, -3.890025833747119e-09,
               2.0203494719258506e-10, -4.865117291609214e-12)


@njit(error_model="numpy", forceinline=True)
def erf(x: float) -> float:
    """2 / sqrt(pi) times the integral of e**-t**2 from 0 to x, within 2 ulp."""
    T = type(x)
    a, end = magnitude(x), constant(x, 4.0, 6.0)
    square = a * a
    near = fma(a, polynomial(square, ERF_SINGLE, ERF_DOUBLE), a)
    far = T(1) - _exp_of_small(polynomial(end if a > end else a, TAIL_SINGLE, TAIL_DOUBLE), T(0))
    return with_sign(near if square < constant(x, 0.85, 1.0) else far, x)


# log(2 F(-x)) for 0 <= x <= 5.66 (single) and 8.5 (double), F the normal distribution function; weighted by F(-x)
NORMAL_SINGLE = (2.149207038872875e-09, -0.7978847359491061, -0.31830762740700874, -0.03634636017976222,
                 0.0048065156417125, 8.303258591827362e-06, -0.00019595098396301173, 5.160658302875686e-05,
                 -6.56599128765332e-06, 3.5131627367964614e-07)
NORMAL_DOUBLE = (-2.7644928696395442e-17, -0.7978845608028571, -0.31830988618420264, -0.036335602349463876,
                 0.0047821116699044075, 3.6981250710549486e-05, -0.0002120278683927208, 5.216620326858323e-05,
                 -1.6300691578974476e-06, -2.8299542697025237e-06, 9.039808856072323e-07, -5.123998837216068e-08,
                 -6.274474321717371e-08, 3.0571416686482746e-08, -8.23337522618383e-09, 1.482845048832871e-09,
                 -1.7008885740563196e-10, 6.932462151740227e-12, 1.6050014302517355e-12, -3.8845603457968275e-13,
                 4.431314925423038e-14, -3.0373958519303075e-15, 1.2027993893333893e-16, -2.1332766470247724e-18)


@njit(error_model="numpy", forceinline=True)
def normal_cdf(x: float) -> float:
    """(1 + erf(x / sqrt(2))) / 2, within 2**-24 (single) and 2**-53 (double); 0 and 1 where the polynomial ends."""
    T = type(x)
    a, end = magnitude(x), constant(x, 5.66, 8.5)
    below = _exp_of_small(polynomial(a, NORMAL_SINGLE, NORMAL_DOUBLE), T(1))
    below = T(0) if a > end else below
    return T(1) - below if x > T(0) else below


# F(-x) e**(x**2 / 2) - x / sqrt(2 pi) for 0 <= x <= 6 (single) and 9 (double); weighted by e**(-x**2 / 2)
SLOPE_SINGLE = (0.4999999956208243, -0.7978840754012231, 0.24999110214904366, -0.1329168970997337, 0.06226238747554515,
                -0.026069174574506124, 0.009659801190996456, -0.003055352729310335, 0.0007796755119694881,
                -0.00014979155151209798, 1.9893090973607436e-05, -1.6036690370035393e-06, 5.8533428657876974e-08)
SLOPE_DOUBLE = (0.5, -0.7978845608028626, 0.2499999999998495, -0.1329807601304687, 0.062499999960585306,
                -0.02659615174093783, 0.010416665274100748, -0.0037994454541529664, 0.0013020708557194977,
                -0.00042213645965897634, 0.00013016999749515, -3.8330658513570856e-05, 1.0802642924132844e-05,
                -2.9123145067665114e-06, 7.475734223125502e-07, -1.8092822563250908e-07, 4.067319644997453e-08,
                -8.335796832347822e-09, 1.525787719171121e-09, -2.442269569529618e-10, 3.3465496355149214e-11,
                -3.839074265418962e-12, 3.5957436159427337e-13, -2.665828346967934e-14, 1.4995174181834924e-15,
                -5.99557988102378e-17, 1.5146262107234802e-18, -1.8138872729451678e-20)


@njit(error_model="numpy", forceinline=True)
def normal_slope(x: float) -> float:
    """F(x) + x f(x), the derivative of x F(x), f the normal density; within 2**-23 and 2**-52, 0 and 1 far from 0.

    Both parts share one exponential: for x >= 0 its value at -x is e**(-x**2 / 2) times a polynomial.
    """
    T = type(x)
    a, end = magnitude(x), constant(x, 6.2, 9.0)
    below = _exp_of_small(T(-0.5) * x * x, T(0)) * polynomial(a, SLOPE_SINGLE, SLOPE_DOUBLE)
    below = T(0) if a > end else below
    return T(1) - below if x > T(0) else below
