"""Typed addresses and the loop that applies a scalar formula to elements: what compiled code needs below NumPy arrays.

Numba's arrays wrap negative indices and say nothing about overlap, so a loop over them vectorises by luck. Here an
address is a plain pointer, an offset may be negative (a negative stride), and `apply` tells LLVM that the turns of its
loop are independent: also where an output *is* one of the inputs, which a runtime overlap check would send down the
scalar path. Inputs that overlap an output in any other way are the caller's error.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.dispatcher import Dispatcher
from numba.extending import intrinsic
from numba.np import numpy_support
from numba.np.arrayobj import populate_array

from autodiff_kernels.cpu import VECTOR_BYTES

INT64 = ir.IntType(64)
_OURS = "autodiff_kernels"
SIDE_BY_SIDE = 4  # vectors of a loop over elements that are computed at a time
# Of the widest vectors where memory is what takes the time: those of 64 bytes lie on two lines of the cache each,
# unless the array begins at one, and even then they are a tenth slower from the third-level cache and from memory.
STREAM_BYTES = 32


@intrinsic
def pointer(typing_context: Any, array: Any, offset: Any) -> Any:
    """pointer(array, offset): the address of the element `offset` elements (any sign) after the array's first one."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = cgutils.create_struct_proxy(array)(context, builder, arguments[0]).data
        return builder.gep(data, [arguments[1]])

    return types.CPointer(array.dtype)(array, types.intp), generate


@intrinsic(prefer_literal=True)
def pointers_at(typing_context: Any, addresses: Any, like: Any, offset: Any, count: Any) -> Any:
    """pointers_at(addresses, like, offset, count): tuple of the first `count` (a literal) of an array of addresses.

    Each as a pointer to elements of the dtype of the array `like`, `offset` elements further on.
    """
    kind, size = types.CPointer(like.dtype), count.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = cgutils.create_struct_proxy(addresses)(context, builder, arguments[0]).data
        places = []
        for i in range(size):
            first = builder.inttoptr(builder.load(builder.gep(data, [INT64(i)])), context.get_value_type(kind))
            places.append(builder.gep(first, [arguments[2]]))
        return context.make_tuple(builder, signature.return_type, places)

    return types.UniTuple(kind, size)(addresses, like, types.intp, count), generate


@intrinsic
def pointer_at(typing_context: Any, address: Any, dtype: Any) -> Any:
    """pointer_at(address, dtype): a number of bytes as a pointer to elements of a dtype."""
    kind = types.CPointer(dtype.instance_type)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(kind))

    return kind(types.intp, dtype), generate


@intrinsic
def forward(typing_context: Any, address: Any, offset: Any) -> Any:
    """forward(address, offset): the pointer `offset` elements (any sign) further on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.gep(arguments[0], [arguments[1]])

    return address(address, types.intp), generate


@intrinsic(prefer_literal=True)
def stack(typing_context: Any, like: Any, count: Any) -> Any:
    """stack(like, count): pointer to `count` (a literal) elements, of the dtype of an array or number, on the stack."""
    dtype, size = getattr(like, "dtype", like), count.literal_value
    kind = types.CPointer(dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        with builder.goto_entry_block():
            place = builder.alloca(ir.ArrayType(context.get_data_type(dtype), size))
            place.align = 64
        return builder.bitcast(place, context.get_value_type(kind))

    return kind(like, count), generate


@intrinsic
def address_of(typing_context: Any, place: Any) -> Any:
    """address_of(place): a pointer as a number of bytes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ptrtoint(arguments[0], INT64)

    return types.intp(place), generate


@intrinsic
def load(typing_context: Any, address: Any) -> Any:
    """load(address): the element there."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return read(context, builder, address, arguments[0])[0]

    return address.dtype(address), generate


@intrinsic
def store(typing_context: Any, address: Any, value: Any) -> Any:
    """store(address, value): write the value, cast as `convert` says."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        write(context, builder, address, arguments[0], value, arguments[1])
        return context.get_dummy_value()

    return types.void(address, value), generate


@intrinsic
def copy(typing_context: Any, target: Any, source: Any, count: Any) -> Any:
    """copy(target, source, count): write so many elements to where no others of them are read, by libc's memcpy."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        cgutils.raw_memcpy(builder, *arguments, context.get_abi_sizeof(context.get_data_type(source.dtype)))
        return context.get_dummy_value()

    return types.void(target, source, types.intp), generate


def read(context: Any, builder: Any, kind: Any, place: Any) -> tuple[Any, Any]:
    """Emit the load of an element through a pointer of type `kind`; return the value and the instruction."""
    access = builder.load(place)
    return context.data_model_manager[kind.dtype].from_data(builder, access), access


def write(context: Any, builder: Any, kind: Any, place: Any, source: Any, value: Any) -> Any:
    """Emit the cast and the store of a value of type `source` through a pointer of type `kind`; return the store."""
    element = convert(context, builder, value, source, kind.dtype)
    return builder.store(context.data_model_manager[kind.dtype].as_data(builder, element), place)


def convert(context: Any, builder: Any, value: Any, source: Any, target: Any) -> Any:
    """Emit the cast of a scalar: a number to bool is `!= 0` (NaN is true), a float to an integer is cut towards zero.

    The way to a narrow integer goes through int64, so that what does not fit wraps in the same way in every lane.
    """
    if target == types.boolean and isinstance(source, types.Float):
        return builder.fcmp_unordered("!=", value, ir.Constant(value.type, 0.0))
    if isinstance(source, types.Float) and isinstance(target, types.Integer) and target.bitwidth < 64:
        return builder.trunc(builder.fptosi(value, INT64), ir.IntType(target.bitwidth))
    return context.cast(builder, value, source, target)


@intrinsic
def cast(typing_context: Any, value: Any, dtype: Any) -> Any:
    """cast(value, dtype): a number in another dtype, as `convert` says."""
    target = dtype.instance_type

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return convert(context, builder, arguments[0], value, target)

    return target(value, dtype), generate


class DistinctNode(ir.MDValue):
    """A metadata node that equals itself only, as LLVM wants for a loop and for a group of memory accesses."""

    def __init__(self, module: Any, hints: tuple[Any, ...] = (), names_itself: bool = False) -> None:
        super().__init__(module, hints, name=str(len(module.metadata)))
        if names_itself:
            self.operands = (self, *hints)

    def descr(self, buffer: Any) -> None:
        """Write the node's text."""
        buffer += ("distinct ",)
        super().descr(buffer)

    # llvmlite takes nodes with equal operands for one, and gave a second loop the group of the first.

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)


def plain(function: Any) -> bool:
    """Return whether a formula, a Python function, is a few instructions: it calls nothing but other plain formulas."""
    names = function.__code__.co_names
    values = [function.__globals__.get(name) for name in names]
    modules = [value for value in values if isinstance(value, ModuleType) and value.__name__.startswith(_OURS)]
    values += [getattr(module, name) for module in modules for name in names if hasattr(module, name)]
    called = [value for value in values if callable(value) and value is not cast and value.__module__.startswith(_OURS)]
    return all(isinstance(value, Dispatcher) and plain(value.py_func) and _inlined(value) for value in called)


def _inlined(formula: Dispatcher) -> bool:
    """Return whether a formula becomes a part of its callers: what does not, has loops and branches, and no vectors."""
    return bool(formula.targetoptions.get("forceinline"))


def independent_turns(builder: Any, count: Any, body: Any, lanes: int = 0) -> None:
    """Emit `body(index)` for 0 <= index < count; `body` returns its loads and stores, on which no other turn depends.

    LLVM is told to compute some vectors side by side: a formula is one chain of arithmetic, as long as several turns
    of what a processor looks ahead, and left alone LLVM does so for short ones only.
    https://llvm.org/docs/LangRef.html#llvm-access-group-metadata, #llvm-loop-interleave-count-metadata
    Vectors are as wide as LLVM finds best, or have as many lanes as are given.
    """
    module, start = builder.module, builder.block
    group = DistinctNode(module)
    turn, end = builder.append_basic_block("elements"), builder.append_basic_block("elements.end")
    builder.cbranch(builder.icmp_signed(">", count, INT64(0)), turn, end)
    builder.position_at_end(turn)
    index = builder.phi(INT64)
    index.add_incoming(INT64(0), start)
    for access in body(index):
        access.set_metadata("llvm.access.group", group)
    following = builder.add(index, INT64(1), flags=["nsw", "nuw"])
    index.add_incoming(following, builder.block)
    latch = builder.cbranch(builder.icmp_signed("<", following, count), turn, end)
    hints: dict[str, Any] = {"llvm.loop.parallel_accesses": group}
    hints["llvm.loop.interleave.count"] = ir.IntType(32)(SIDE_BY_SIDE)
    if lanes:
        hints["llvm.loop.vectorize.width"] = ir.IntType(32)(lanes)
    nodes = tuple(module.add_metadata([ir.MetaDataString(module, name), value]) for name, value in hints.items())
    latch.set_metadata("llvm.loop", DistinctNode(module, nodes, names_itself=True))
    builder.position_at_end(end)


@intrinsic
def apply(typing_context: Any, formula: Any, count: Any, outputs: Any, inputs: Any, numbers: Any) -> Any:
    """apply(formula, count, outputs, inputs, numbers): outputs[..][i] = formula(*inputs[..][i], *numbers), i < count.

    `formula` is a compiled function, `outputs` and `inputs` are tuples of pointers to elements that lie side by side,
    `numbers` is a tuple of scalars. A formula for several outputs returns a tuple. Results are cast as `convert` says.
    """
    called = formula.get_call_type(typing_context, [kind.dtype for kind in inputs] + list(numbers), {})
    results = list(called.return_type) if len(outputs) > 1 else [called.return_type]
    items = [numpy_support.as_dtype(kind.dtype).itemsize for kind in (*outputs, *inputs)]
    lanes = STREAM_BYTES // max(items) if VECTOR_BYTES > STREAM_BYTES and plain(formula.dispatcher.py_func) else 0

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        function = context.get_function(formula, called)
        context.add_linking_libs(getattr(function, "libs", ()))
        targets, sources, fixed = (cgutils.unpack_tuple(builder, packed) for packed in arguments[2:])

        def body(index: Any) -> list[Any]:
            accesses, elements = [], []
            for kind, source in zip(inputs, sources, strict=True):
                element, access = read(context, builder, kind, builder.gep(source, [index]))
                accesses.append(access)
                elements.append(element)
            value = function(builder, [*elements, *fixed])
            values = cgutils.unpack_tuple(builder, value) if len(outputs) > 1 else [value]
            for kind, target, result, value in zip(outputs, targets, results, values, strict=True):
                accesses.append(write(context, builder, kind, builder.gep(target, [index]), result, value))
            return accesses

        independent_turns(builder, arguments[1], body, lanes)
        return context.get_dummy_value()

    return types.void(formula, types.intp, outputs, inputs, numbers), generate


@intrinsic
def array(typing_context: Any, pointer: Any, shape: Any) -> Any:
    """array(pointer, shape): what lies there as an array in C order. Numba's `carray` counts references."""
    kind = types.Array(pointer.dtype, len(shape), "C")

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = context.make_array(kind)(context, builder)
        sizes = cgutils.unpack_tuple(builder, arguments[1])
        item = sizes[0].type(context.get_abi_sizeof(context.get_data_type(kind.dtype)))
        strides = [item]
        for size in reversed(sizes[1:]):
            strides.insert(0, builder.mul(strides[0], size))
        populate_array(view, data=arguments[0], shape=sizes, strides=strides, itemsize=item, meminfo=None)
        return view._getvalue()

    return kind(pointer, shape), generate
