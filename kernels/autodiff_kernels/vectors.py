"""A Numba type for vectors of floats: kernels written with it are vector code without the compiler's help.

A `Vector` holds one or more registers' worth of numbers. LLVM splits wide ones into registers, which gives a loop
several independent chains of arithmetic. Operators work lane by lane, numbers count as vectors of themselves,
comparisons give a `Mask`. `read` and `write` take how many elements are left, so that one loop serves the whole vectors
and the rest of a row: what lies beyond is neither read nor written.

A function that takes a vector learns its width from it, so that the same source serves a wide strip and a narrow one.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils as _cgutils
from numba.core.typing.templates import AbstractTemplate as _AbstractTemplate
from numba.core.typing.templates import infer_global as _infer_global
from numba.core.typing.templates import signature
from numba.extending import intrinsic as _intrinsic
from numba.extending import lower_builtin as _lower_builtin
from numba.extending import models as _models
from numba.extending import register_model as _register_model

from autodiff_kernels.cpu import VECTOR_BYTES
from autodiff_kernels.lanes import Lanes

# Numba's extension points are partly annotated.
cgutils: Any = _cgutils
intrinsic: Any = _intrinsic
infer_global: Any = _infer_global
lower_builtin: Any = _lower_builtin
models: Any = _models
register_model: Any = _register_model
AbstractTemplate: Any = _AbstractTemplate

_BIT, _I32, _I64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)


class Vector(types.Type):
    """`count` floats of one dtype."""

    def __init__(self, dtype: Any, count: int) -> None:
        super().__init__(f"Vector({dtype}, {count})")
        self.dtype = dtype
        self.count = count


class Mask(types.Type):
    """`count` truth values."""

    def __init__(self, count: int) -> None:
        super().__init__(f"Mask({count})")
        self.count = count


def _scalar(dtype: Any) -> Any:
    return ir.FloatType() if dtype.bitwidth == 32 else ir.DoubleType()


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, ir.VectorType(_scalar(kind.dtype), kind.count))


@register_model(Mask)
class _MaskModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, ir.VectorType(_BIT, kind.count))


def lanes_of(builder: Any, kind: Vector) -> Lanes:
    """Return what emits instructions on vectors of this type."""
    return Lanes(builder, kind.dtype, kind.count)


def as_vector(context: Any, builder: Any, value: Any, source: Any, kind: Vector) -> Any:
    """Emit the value, a vector or a number, as a vector of the type `kind`."""
    if isinstance(source, Vector):
        return value
    return lanes_of(builder, kind).broadcast(context.cast(builder, value, source, kind.dtype))


def joint(*kinds: Any) -> Vector | None:
    """Return the vector type among vectors of one type and numbers, or None."""
    vectors = {kind for kind in kinds if isinstance(kind, Vector)}
    if len(vectors) != 1 or not all(isinstance(kind, Vector | types.Number) for kind in kinds):
        return None
    return vectors.pop()


# ---- Operators -------------------------------------------------------------------------------------------------------


def _operate(symbol: Any, emit: Any, mask: bool = False) -> None:
    """Teach Numba a binary operator on vectors and numbers: `emit(builder, x, y)` on LLVM vectors."""

    class Template(AbstractTemplate):
        def generic(self, arguments: Any, keywords: Any) -> Any:
            kind = joint(*arguments)
            if kind is None or len(arguments) != 2:
                return None
            return signature(Mask(kind.count) if mask else kind, *arguments)

    def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = joint(*signature.args)
        assert kind is not None
        x, y = (as_vector(context, builder, *pair, kind) for pair in zip(arguments, signature.args, strict=True))
        return emit(builder, x, y)

    infer_global(symbol)(Template)
    for left, right in ((Vector, Vector), (Vector, types.Number), (types.Number, Vector)):
        lower_builtin(symbol, left, right)(lower)


_operate(operator.add, lambda builder, x, y: builder.fadd(x, y))
_operate(operator.sub, lambda builder, x, y: builder.fsub(x, y))
_operate(operator.mul, lambda builder, x, y: builder.fmul(x, y))
_operate(operator.truediv, lambda builder, x, y: builder.fdiv(x, y))
_operate(operator.lt, lambda builder, x, y: builder.fcmp_ordered("<", x, y), mask=True)
_operate(operator.le, lambda builder, x, y: builder.fcmp_ordered("<=", x, y), mask=True)
_operate(operator.gt, lambda builder, x, y: builder.fcmp_ordered(">", x, y), mask=True)
_operate(operator.ne, lambda builder, x, y: builder.fcmp_unordered("!=", x, y), mask=True)


@infer_global(operator.or_)
class _EitherTemplate(AbstractTemplate):
    def generic(self, arguments: Any, keywords: Any) -> Any:
        x, y = arguments
        return signature(x, x, y) if isinstance(x, Mask) and x == y else None


@lower_builtin(operator.or_, Mask, Mask)
def _either(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return builder.or_(*arguments)


# ---- Making vectors --------------------------------------------------------------------------------------------------


@intrinsic(prefer_literal=True)
def zeros(typing_context: Any, like: Any, single: Any, double: Any) -> Any:
    """zeros(like, single, double): 0 in so many registers (literals; for float32 and for float64), of `like`'s dtype.

    `like` is an array, or a pointer to elements.
    """
    registers = single.literal_value if like.dtype.bitwidth == 32 else double.literal_value
    kind = Vector(like.dtype, registers * VECTOR_BYTES * 8 // like.dtype.bitwidth)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return lanes_of(builder, kind).zeros

    return kind(like, single, double), generate


@intrinsic(prefer_literal=True)
def zeros_in(typing_context: Any, like: Any, size: Any) -> Any:
    """zeros_in(like, size): 0 in so many bytes (a literal), of the dtype of `like`, an array or a pointer."""
    kind = Vector(like.dtype, size.literal_value * 8 // like.dtype.bitwidth)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return lanes_of(builder, kind).zeros

    return kind(like, size), generate


@intrinsic
def half(typing_context: Any, vector: Any) -> Any:
    """half(vector): a vector of zeros with half as many lanes."""
    kind = Vector(vector.dtype, vector.count // 2)
    return kind(vector), lambda context, builder, signature, arguments: lanes_of(builder, kind).zeros


@intrinsic
def filled(typing_context: Any, like: Any, value: Any) -> Any:
    """filled(like, value): a vector of the type of `like` with the number in every lane."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return as_vector(context, builder, arguments[1], value, like)

    return like(like, value), generate


@intrinsic
def width(typing_context: Any, vector: Any) -> Any:
    """width(vector): the number of its lanes."""
    return types.intp(vector), lambda context, builder, signature, arguments: _I64(vector.count)


@njit(error_model="numpy", forceinline=True)
def whole(n: int, vector: Any) -> int:
    """Return the end of the last whole vector in a row of n."""
    return n & -width(vector)


@intrinsic
def first(typing_context: Any, like: Any, count: Any) -> Any:
    """first(like, count): a mask for vectors of the type of `like`, true in the first `count` lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return lanes_of(builder, like).first(arguments[1])

    return Mask(like.count)(like, types.intp), generate


# ---- Memory ----------------------------------------------------------------------------------------------------------


def _branch(builder: Any, left: Any, count: int, whole: Any, rest: Any) -> Any:
    """Emit `whole()` where at least `count` elements are left, otherwise `rest()`; return the value, if any."""
    with builder.if_else(builder.icmp_signed(">=", left, _I64(count))) as (then, otherwise):
        with then:
            one = whole()
            one_block = builder.block
        with otherwise:
            other = rest()
            other_block = builder.block
    if one is None:
        return None
    value = builder.phi(one.type)
    value.add_incoming(one, one_block)
    value.add_incoming(other, other_block)
    return value


@intrinsic
def read(typing_context: Any, address: Any, offset: Any, like: Any, left: Any, fill: Any) -> Any:
    """read(address, offset, like, left, fill): the elements from `offset` on, as many as `like` has lanes.

    Only `left` of them exist, if that is less: the other lanes are the number `fill`. The elements keep their dtype.
    """
    kind = Vector(address.dtype, like.count)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start, offset, _, left, number = arguments
        lanes = lanes_of(builder, kind)
        place = builder.ptrtoint(builder.gep(start, [offset]), _I64)

        def rest() -> Any:
            return lanes.load(place, lanes.first(left), as_vector(context, builder, number, fill, kind))

        return _branch(builder, left, kind.count, lambda: lanes.load(place), rest)

    return kind(address, types.intp, like, types.intp, fill), generate


@intrinsic
def write(typing_context: Any, address: Any, offset: Any, value: Any, left: Any) -> Any:
    """write(address, offset, value, left): write the lanes, the first `left` of them if that is less, from `offset` on.

    The value must have the dtype of the elements.
    """
    if value.dtype != address.dtype:
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start, offset, vector, left = arguments
        lanes = lanes_of(builder, value)
        place = builder.ptrtoint(builder.gep(start, [offset]), _I64)
        _branch(builder, left, value.count, lambda: lanes.store(vector, place),
                lambda: lanes.store(vector, place, lanes.first(left)))
        return context.get_dummy_value()

    return types.void(address, types.intp, value, types.intp), generate


@intrinsic
def fetch(typing_context: Any, address: Any, offset: Any, like: Any) -> Any:
    """fetch(address, offset, like): have what a `read` would read brought into the second-level cache, if it exists."""
    size = like.count * address.dtype.bitwidth // 8

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = builder.ptrtoint(builder.gep(arguments[0], [arguments[1]]), _I64)
        for line in range(0, size, 64):
            lanes_of(builder, like).prefetch(builder.add(place, _I64(line)), far=True)
        return context.get_dummy_value()

    return types.void(address, types.intp, like), generate


@intrinsic
def kept(typing_context: Any, vector: Any, left: Any) -> Any:
    """kept(vector, left): the vector with zeros behind its first `left` lanes, if it has more."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, left = arguments
        lanes = lanes_of(builder, vector)
        return _branch(builder, left, vector.count, lambda: value,
                       lambda: builder.select(lanes.first(left), value, lanes.zeros))

    return vector(vector, types.intp), generate


# ---- Functions of lanes ----------------------------------------------------------------------------------------------


@intrinsic
def select(typing_context: Any, mask: Any, x: Any, y: Any) -> Any:
    """select(mask, x, y): x where the mask is true, otherwise y; also of a bool and two numbers of one dtype."""
    if isinstance(mask, types.Boolean):
        return x(mask, x, x), lambda context, builder, signature, arguments: builder.select(*arguments)
    kind: Any = joint(x, y)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        chosen, *values = arguments
        one, other = (as_vector(context, builder, *pair, kind) for pair in zip(values, (x, y), strict=True))
        return builder.select(chosen, one, other)

    return kind(mask, x, y), generate


@intrinsic
def widen(typing_context: Any, vector: Any) -> Any:
    """widen(vector): the same numbers in float64."""
    kind = Vector(types.float64, vector.count)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return arguments[0] if vector == kind else builder.fpext(arguments[0], lanes_of(builder, kind).vector)

    return kind(vector), generate


@intrinsic
def rounded(typing_context: Any, vector: Any, like: Any) -> Any:
    """rounded(vector, like): the same numbers in the dtype of the vector, number or array `like`."""
    kind = Vector(getattr(like, "dtype", like), vector.count)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return arguments[0] if vector == kind else builder.fptrunc(arguments[0], lanes_of(builder, kind).vector)

    return kind(vector, like), generate


def _halves(builder: Any, vector: Any, combine: Any, count: int) -> Any:
    """Emit the vector with its halves combined, again and again, until `count` lanes are left."""
    length = vector.type.count
    while length > count:
        length //= 2
        low, high = (
            builder.shuffle_vector(vector, vector, ir.Constant(ir.VectorType(_I32, length), list(range(i, i + length))))
            for i in (0, length)
        )
        vector = combine(low, high)
    return vector


@intrinsic
def folded(typing_context: Any, vector: Any) -> Any:
    """folded(vector): the sums, in the vector's own dtype, of its registers, by halves."""
    count = VECTOR_BYTES * 8 // vector.dtype.bitwidth
    kind = Vector(vector.dtype, min(count, vector.count))

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _halves(builder, arguments[0], builder.fadd, count)

    return kind(vector), generate


def emit_two_sum(builder: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """Emit the sum of two vectors and its rounding error (Knuth's TwoSum, see `reduce.py`)."""
    total = builder.fadd(x, y)
    from_y = builder.fsub(total, x)
    return total, builder.fadd(builder.fsub(x, builder.fsub(total, from_y)), builder.fsub(y, from_y))


@intrinsic
def exact_sum_of(typing_context: Any, vector: Any, errors: Any) -> Any:
    """exact_sum_of(vector, errors): the sum of all lanes, and what it lost by rounding plus the sum of `errors`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        total, lost = arguments
        while total.type.count > 1:
            length = total.type.count // 2
            places = [ir.Constant(ir.VectorType(_I32, length), list(range(i, i + length))) for i in (0, length)]
            total, error = emit_two_sum(builder, *[builder.shuffle_vector(total, total, half) for half in places])
            lost = builder.fadd(error, builder.fadd(*[builder.shuffle_vector(lost, lost, half) for half in places]))
        both = [builder.extract_element(value, _I32(0)) for value in (total, lost)]
        return context.make_tuple(builder, signature.return_type, both)

    return types.UniTuple(vector.dtype, 2)(vector, errors), generate


@intrinsic
def sum_of(typing_context: Any, vector: Any) -> Any:
    """sum_of(vector): the sum of all lanes, halves onto halves."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.extract_element(_halves(builder, arguments[0], builder.fadd, 1), _I32(0))

    return vector.dtype(vector), generate


@intrinsic
def sums_of(typing_context: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """sums_of(a, b, c, d): a vector of the four sums that `sum_of` gives, bit for bit.

    Once four lanes of each are left, two vectors are added up in one: half the instructions.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, b, c, d = (_halves(builder, vector, builder.fadd, 4) for vector in arguments)
        ab, cd = (_side_by_side(builder, pair, list(range(8))) for pair in ((a, b), (c, d)))
        for low, high in (([0, 1, 4, 5, 8, 9, 12, 13], [2, 3, 6, 7, 10, 11, 14, 15]), ([0, 2, 4, 6], [1, 3, 5, 7])):
            both = [_side_by_side(builder, (ab, cd), places) for places in (low, high)]
            ab = cd = builder.fadd(*both)
        return ab

    return Vector(a.dtype, 4)(a, b, c, d), generate


def _side_by_side(builder: Any, pair: Any, places: list[int]) -> Any:
    """Emit a vector of the lanes in these places of two vectors, one behind the other."""
    return builder.shuffle_vector(*pair, ir.Constant(ir.VectorType(_I32, len(places)), places))


@intrinsic
def product_of(typing_context: Any, vector: Any) -> Any:
    """product_of(vector): the product of all lanes, halves by halves."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.extract_element(_halves(builder, arguments[0], builder.fmul, 1), _I32(0))

    return vector.dtype(vector), generate


@intrinsic
def largest_of(typing_context: Any, vector: Any) -> Any:
    """largest_of(vector): the largest lane, of lanes that are not NaN."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def larger(x: Any, y: Any) -> Any:
            return builder.select(builder.fcmp_ordered(">", x, y), x, y)

        return builder.extract_element(_halves(builder, arguments[0], larger, 1), _I32(0))

    return vector.dtype(vector), generate


@intrinsic
def broken_lanes(typing_context: Any, vector: Any) -> Any:
    """broken_lanes(vector): mask of half as many lanes, true where one of the two, half a vector apart, is NaN."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _halves(builder, arguments[0], lambda x, y: builder.fcmp_unordered("uno", x, y), vector.count // 2)

    return Mask(vector.count // 2)(vector), generate


@intrinsic
def any_of(typing_context: Any, mask: Any) -> Any:
    """any_of(mask): whether one of its lanes is true."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits = ir.IntType(mask.count)
        return builder.icmp_unsigned("!=", builder.bitcast(arguments[0], bits), bits(0))

    return types.boolean(mask), generate


@intrinsic
def extreme_folded(typing_context: Any, vector: Any, like: Any, largest: Any) -> Any:
    """extreme_folded(vector, like, largest): the better ones of its two halves, again and again, as many as `like` has.

    Where `like` is a number, the best of all lanes as a number. `largest`: larger is better. No lane is NaN.
    """
    count = like.count if isinstance(like, Vector) else 1

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector, _, largest = arguments

        def better(x: Any, y: Any) -> Any:
            found = builder.select(largest, builder.fcmp_ordered(">", x, y), builder.fcmp_ordered("<", x, y))
            return builder.select(found, x, y)

        best = _halves(builder, vector, better, count)
        return best if isinstance(like, Vector) else builder.extract_element(best, _I32(0))

    kind = like if isinstance(like, Vector) else vector.dtype
    return kind(vector, like, types.boolean), generate
