"""Sine, cosine, tangent and their inverses of one float, in the style of `maths`: no branch, no table, no libm.

`sin`, `cos` and `tan` take multiples of pi/2 off their argument with a pi/2 of three floats (Cody and Waite; Muller,
"Elementary Functions", chapter 11.2), which is exact enough up to `REACH`. Beyond it `sin_anywhere` and so on ask libm;
an element-wise kernel takes them, element by element, for a tile with an argument that large (`scalar.PARTIAL`).
"""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from autodiff_kernels.maths import (
    INTEGERS_DOUBLE,
    INTEGERS_SINGLE,
    constant,
    fma,
    magnitude,
    polynomial,
    rint,
    root,
    with_sign,
)

# ---- Sine, cosine, tangent -------------------------------------------------------------------------------------------

REACH_SINGLE, REACH_DOUBLE = 2.0**16, 2.0**40
TWO_OVER_PI = 0.6366197723675814
# pi / 2 as a sum of floats
HALF_PI_SINGLE_0, HALF_PI_DOUBLE_0 = 1.5707963705062866, 1.5707963267948966
HALF_PI_SINGLE_1, HALF_PI_DOUBLE_1 = -4.371138828673793e-08, 6.123233995736766e-17
HALF_PI_SINGLE_2, HALF_PI_DOUBLE_2 = -1.7151245100058819e-15, -1.4973849048591698e-33
# (sin(r) / r - 1) / r**2 and (cos(r) - 1 + r**2 / 2) / r**4 as polynomials in r**2, for |r| <= 0.797
SINE_SINGLE = (-0.1666665348516979, 0.008332089187391268, -0.00019505519639918697)
SINE_DOUBLE = (-0.16666666666666624, 0.008333333333320325, -0.00019841269828118791, 2.7557313100746503e-06,
               -2.5050664828515982e-08, 1.5891351327653488e-10)
COSINE_SINGLE = (0.041666645037518935, -0.0013887275326708026, 2.4427636877401794e-05)
COSINE_DOUBLE = (0.04166666666666659, -0.0013888888888871794, 2.480158728797688e-05, -2.7557313904917993e-07,
                 2.087566096315765e-09, -1.1356353645884948e-11)


@intrinsic(prefer_literal=True)
def has_bit(typing_context: Any, shifted: Any, place: Any) -> Any:
    """has_bit(n + INTEGERS, k): whether the integer n has the bit of 2**k, k a literal."""
    mask = 1 << place.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        integer = ir.IntType(shifted.bitwidth)
        bits = builder.and_(builder.bitcast(arguments[0], integer), integer(mask))
        return builder.icmp_unsigned("!=", bits, integer(0))

    return types.boolean(shifted, place), generate


@njit(error_model="numpy", forceinline=True)
def _quarter_turns(x: float) -> tuple[float, tuple[float, float], tuple[float, float]]:
    """Return n + INTEGERS for an integer n, sin(r) and cos(r), where x = n pi/2 + r and |r| is at most about pi/4.

    r, its sine and its cosine are sums of two floats. x - n HALF_PI_0 is exact: it is below 1 and has no finer digits
    than both; of the second product and sum the errors are kept (Muller, chapter 2.2).
    """
    T = type(x)
    integers = constant(x, INTEGERS_SINGLE, INTEGERS_DOUBLE)
    shifted = fma(x, constant(x, TWO_OVER_PI, TWO_OVER_PI), integers)
    n = integers - shifted
    first = fma(n, constant(x, HALF_PI_SINGLE_0, HALF_PI_DOUBLE_0), x)
    second = constant(x, HALF_PI_SINGLE_1, HALF_PI_DOUBLE_1)
    product = n * second
    r = first + product
    change = r - first
    low = (first - (r - change)) + (product - change)
    low += fma(n, constant(x, HALF_PI_SINGLE_2, HALF_PI_DOUBLE_2), fma(n, second, -product))
    z = r * r
    bend = fma(r * z, polynomial(z, SINE_SINGLE, SINE_DOUBLE), low)
    sine = r + bend
    half = T(0.5) * z
    near_one = T(1) - half
    rest = fma(-r, low, (T(1) - near_one) - half)
    rest = fma(z * z, polynomial(z, COSINE_SINGLE, COSINE_DOUBLE), rest)
    cosine = near_one + rest
    return shifted, (sine, bend - (sine - r)), (cosine, rest - (cosine - near_one))


@njit(error_model="numpy", forceinline=True)
def sin(x: float) -> float:
    """Sine, within 1 ulp for |x| < REACH."""
    T = type(x)
    shifted, sine, cosine = _quarter_turns(x)
    value = cosine[0] if has_bit(shifted, 0) else sine[0]
    value = -value if has_bit(shifted, 1) else value
    return x if x == T(0) else value


@njit(error_model="numpy", forceinline=True)
def cos(x: float) -> float:
    """Cosine, within 1 ulp for |x| < REACH."""
    shifted, sine, cosine = _quarter_turns(x)
    value = sine[0] if has_bit(shifted, 0) else cosine[0]
    return -value if has_bit(shifted + type(x)(1), 1) else value


@njit(error_model="numpy", forceinline=True)
def tan(x: float) -> float:
    """Tangent, within 2 ulp for |x| < REACH: the quotient, and what its rounding left over."""
    T = type(x)
    shifted, sine, cosine = _quarter_turns(x)
    across = has_bit(shifted, 0)
    above, above_low = (-cosine[0] if across else sine[0]), (-cosine[1] if across else sine[1])
    below, below_low = (sine[0] if across else cosine[0]), (sine[1] if across else cosine[1])
    value = above / below
    rest = fma(-value, below, above) + fma(-value, below_low, above_low)
    return x if x == T(0) else value + rest / below


@njit(error_model="numpy", forceinline=True)
def within_reach(x: float) -> bool:
    """Whether `sin`, `cos` and `tan` hold for x."""
    return magnitude(x) < constant(x, REACH_SINGLE, REACH_DOUBLE)


@njit(error_model="numpy", forceinline=True)
def sin_anywhere(x: float) -> float:
    """Sine of any number."""
    return sin(x) if within_reach(x) else math.sin(x)


@njit(error_model="numpy", forceinline=True)
def cos_anywhere(x: float) -> float:
    """Cosine of any number."""
    return cos(x) if within_reach(x) else math.cos(x)


@njit(error_model="numpy", forceinline=True)
def tan_anywhere(x: float) -> float:
    """Tangent of any number."""
    return tan(x) if within_reach(x) else math.tan(x)


# ---- Inverse functions -----------------------------------------------------------------------------------------------

# (atan(x) / x - 1) / x**2 as a polynomial in x**2, for |x| <= 1
ATAN_SINGLE = (-0.3333329908943292, 0.1999854829540012, -0.14264241795518992, 0.10952186320357726, -0.08403451726144444,
               0.057957614327195414, -0.03117786370954997, 0.010914614004909907, -0.0017936232935203314)
ATAN_DOUBLE = (-0.3333333333333307, 0.1999999999995146, -0.14285714282575077, 0.11111111007025408, -0.09090907002980399,
               0.0769227983918168, -0.06666404056779793, 0.05880527810504591, -0.052535185374720295,
               0.047223221743790705, -0.04219178869623474, 0.0366419096493904, -0.029903857225472022,
               0.02198485269148163, -0.01390056033204614, 0.007196503981915224, -0.002884919189593563,
               0.0008313222210902785, -0.00015216097055835944, 1.3225088457145318e-05)
# (asin(x) / x - 1) / x**2 as a polynomial in x**2, for |x| <= 1 / 2
ASIN_SINGLE = (0.1666675248159889, 0.07495297662853487, 0.04547037325394681, 0.024179528677162738, 0.0421662842025574)
ASIN_DOUBLE = (0.16666666666665408, 0.07500000000337005, 0.04464285682833554, 0.03038195913668261, 0.022371758057054478,
               0.017359704664994688, 0.013885236436708316, 0.012169205218789973, 0.0065280032318906405,
               0.019528188582871836, -0.016224133087547114, 0.03191218848413442)


@njit(error_model="numpy", forceinline=True)
def atan(x: float) -> float:
    """Inverse tangent, within 2 ulp; from that of -1 / x where |x| > 1."""
    T = type(x)
    a = magnitude(x)
    steep = a > T(1)
    t = (T(-1) if steep else a) / (a if steep else T(1))
    z = t * t
    bend = t * z * polynomial(z, ATAN_SINGLE, ATAN_DOUBLE)
    base = constant(x, HALF_PI_SINGLE_0, HALF_PI_DOUBLE_0) if steep else T(0)
    low = constant(x, HALF_PI_SINGLE_1, HALF_PI_DOUBLE_1) if steep else T(0)
    return with_sign(base + (t + (bend + low)), x)


@njit(error_model="numpy", forceinline=True)
def atan2(y: float, x: float) -> float:
    """The angle of the point (x, y), within 2 ulp; from the inverse tangent of the smaller coordinate by the larger."""
    T = type(x)
    across, up = magnitude(x), magnitude(y)
    steep = up > across
    smaller, larger = (across if steep else up), (up if steep else across)
    t = smaller / (T(1) if larger == T(0) else larger)
    t = T(1) if smaller == larger and larger == T(math.inf) else t
    left = with_sign(T(1), x) < T(0)
    z = t * t
    t = -t if steep != left else t
    bend = t * z * polynomial(z, ATAN_SINGLE, ATAN_DOUBLE)
    quarters = T(1) if steep else T(2) if left else T(0)
    base = quarters * constant(x, HALF_PI_SINGLE_0, HALF_PI_DOUBLE_0)
    low = quarters * constant(x, HALF_PI_SINGLE_1, HALF_PI_DOUBLE_1)
    return with_sign(base + (t + (bend + low)), y)


@njit(error_model="numpy", forceinline=True)
def asin(x: float) -> float:
    """Inverse sine, within 2 ulp: pi/2 - 2 asin(sqrt((1 - |x|) / 2)) where |x| > 1/2; NaN beyond 1."""
    T = type(x)
    a = magnitude(x)
    near = a <= T(0.5)
    z = a * a if near else (T(1) - a) * T(0.5)
    s = a if near else root(z)
    bend = s * z * polynomial(z, ASIN_SINGLE, ASIN_DOUBLE)
    low = constant(x, HALF_PI_SINGLE_1, HALF_PI_DOUBLE_1)
    base, change = constant(x, HALF_PI_SINGLE_0, HALF_PI_DOUBLE_0), s + s
    far = base - change
    far += (base - far - change) - (bend + bend - low)
    return with_sign(s + bend if near else far, x)


@njit(error_model="numpy", forceinline=True)
def acos(x: float) -> float:
    """Inverse cosine, within 2 ulp: pi/2 - asin(x), or 2 asin(sqrt((1 - x) / 2)) where |x| > 1/2; NaN beyond 1."""
    T = type(x)
    a = magnitude(x)
    near = a <= T(0.5)
    z = a * a if near else (T(1) - a) * T(0.5)
    s = x if near else root(z)
    bend = s * z * polynomial(z, ASIN_SINGLE, ASIN_DOUBLE)
    low = constant(x, HALF_PI_SINGLE_1, HALF_PI_DOUBLE_1)
    rest = constant(x, HALF_PI_SINGLE_0, HALF_PI_DOUBLE_0) - (s + (bend - low))
    beyond = rest if x < T(0) else s + bend
    return rest if near else beyond + beyond


# ---- sine and cosine of a part of a full turn ------------------------------------------------------------------------

# sin(2 pi u) / u and (cos(2 pi u) - 1) / u**2 as polynomials in u**2, for |u| <= 1 / 8
TURN_SINE_SINGLE = (6.283185286744677, -41.34166133019403, 81.59232759799318, -75.3922530485636)
TURN_SINE_DOUBLE = (6.283185307179586, -41.341702240399634, 81.60524927594383, -76.70585970311114, 42.05868487436223,
                    -15.093795786981927, 3.780686468297796)
TURN_COSINE_SINGLE = (-19.739208704488295, 64.93932528800629, -85.44321899583873, 59.21927167401446)
TURN_COSINE_DOUBLE = (-19.739208802178716, 64.93939402266805, -85.45681720655051, 60.244641332230216,
                      -26.426251092163145, 7.9030951036731905, -1.696832564782603)


@njit(error_model="numpy", forceinline=True)
def turn(u: float) -> tuple[float, float]:
    """cos(2 pi u) and sin(2 pi u) for 0 <= u <= 1."""
    T = type(u)
    quarter = rint(T(4) * u)
    f = u - T(0.25) * quarter
    z = f * f
    sine = f * polynomial(z, TURN_SINE_SINGLE, TURN_SINE_DOUBLE)
    cosine = fma(z, polynomial(z, TURN_COSINE_SINGLE, TURN_COSINE_DOUBLE), T(1))
    across = quarter == T(1) or quarter == T(3)
    x, y = (sine if across else cosine), (cosine if across else sine)
    x = -x if quarter == T(1) or quarter == T(2) else x
    return x, -y if quarter == T(2) or quarter == T(3) else y
