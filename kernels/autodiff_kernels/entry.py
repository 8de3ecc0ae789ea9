"""The ways into a compiled kernel: from Python, and from native code through a uniform entry.

Numba gives each compiled function a wrapper that takes Python objects. For a kernel this file puts a door between the
wrapper and the machine code. The door reads one word, `CONTROL[OWNER]`. It is 0 as long as no thread wants help: the
kernel is called, and that is all. Otherwise a call for all of the work (part 0 of 1) is written down as the address of
the kernel's *entry* and of a block of memory that holds the arguments, and handed to the function whose address stands
in `CONTROL[LAUNCH]`: the thread team (`team.py`), which calls

    entry(block, part, parts)

for every part. So a kernel is written once and compiled once, and whoever holds such a pair can run it without Python.
The function also gets the address of the block's *form*, with which it can keep the block instead (`replay.py`). Calls
from compiled code do not pass the door.

An operation that calls one kernel again and again calls what `compiled` returns: the wrapper itself, without Numba's
look at the types of all arguments, which takes as long as all the rest of a call.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import from_dtype
from numba.core import cgutils, lowering, typed_passes, types
from numba.core.callwrapper import PyCallWrapper
from numba.core.compiler_machinery import register_pass
from numba.core.pythonapi import NativeValue

from autodiff_kernels import inner

LINE = 8  # words in a cache line: what several threads write stands apart
OWNER, LAUNCH = 0, 1  # the thread whose calls the team runs, or 0; address of launch(control, entry, block, form)
WORDS = 16 * LINE
_memory = np.zeros(WORDS + LINE, np.int64)
CONTROL = _memory[-_memory.ctypes.data // 8 % LINE :][:WORDS]  # compiled code holds its address: it never moves
_SYMBOL = "autodiff_team_control"
llvm.add_symbol(_SYMBOL, CONTROL.ctypes.data)

_WORD, _VOID = ir.IntType(64), ir.VoidType()
ENTRY = ir.FunctionType(_VOID, [_WORD, _WORD, _WORD])
_LAUNCH = ir.FunctionType(_VOID, [_WORD, _WORD, _WORD, _WORD])


class _Lower(lowering.Lower):  # type: ignore[misc, unused-ignore]
    """Lowers a kernel as Numba does, but lets Python in through a door."""

    def create_cpython_wrapper(self, release_gil: bool = False) -> None:
        """Write the wrapper for Python, the door and the uniform entry."""
        context, described = self.context, self.fndesc
        module = context.create_module("wrapper")
        kind = context.call_conv.get_function_type(described.restype, described.argtypes)
        kernel = ir.Function(module, kind, described.llvm_func_name)
        values = [context.get_value_type(argument) for argument in described.argtypes[:-2]]
        block = ir.LiteralStructType(values)
        entry = _entry(context, module, kernel, described, block)
        door = _door(context, module, kernel, described, block, entry)
        _Wrapper(context, module, door, described, self.env, self.call_helper, release_gil).build()
        self.library.add_ir_module(module)


class _Wrapper(PyCallWrapper):  # type: ignore[misc, unused-ignore]
    """Takes arrays of any rank where the kernel has one-dimensional ones in C order: it reads their heads itself."""

    def build_wrapper(self, api: Any, builder: Any, *arguments: Any) -> None:
        """Write the code that unpacks the arguments and calls the door."""
        numbas = api.to_native_value

        def native(kind: Any, value: Any) -> Any:
            if isinstance(kind, types.Array) and kind.ndim == 1 and kind.layout == "C":
                return NativeValue(_flat(self.context, builder, kind, value))
            return numbas(kind, value)

        api.to_native_value = native
        super().build_wrapper(api, builder, *arguments)


_HEAD = object.__basicsize__  # bytes that every Python object begins with
_DATA, _RANK, _SIZES = _HEAD, _HEAD + 8, _HEAD + 16  # `PyArrayObject_fields` in NumPy's C API: data, nd, dimensions


def _field(builder: Any, head: Any, offset: int, kind: Any) -> Any:
    return builder.load(builder.inttoptr(builder.add(head, _WORD(offset)), kind.as_pointer()))


def _flat(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """Emit an array, whatever its rank and strides, as the one-dimensional one that begins at its first element."""
    head = builder.ptrtoint(value, _WORD)
    items = builder.call(_count(builder.module), [head])
    itemsize = _WORD(context.get_abi_sizeof(context.get_data_type(kind.dtype)))
    array = context.make_array(kind)(context, builder)
    array.meminfo = cgutils.get_null_value(array.meminfo.type)
    array.parent = value
    array.nitems = items
    array.itemsize = itemsize
    array.data = _field(builder, head, _DATA, array.data.type)
    array.shape = cgutils.pack_array(builder, [items])
    array.strides = cgutils.pack_array(builder, [itemsize])
    return array._getvalue()


def _count(module: Any) -> Any:
    """Return the wrapper's function that counts an array's elements; one for all its arrays, as LLVM unrolls it."""
    name = "autodiff_elements"
    if name in module.globals:
        return module.globals[name]
    function = ir.Function(module, ir.FunctionType(_WORD, [_WORD]), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    builder = ir.IRBuilder(function.append_basic_block())
    (head,) = function.args
    rank = builder.zext(_field(builder, head, _RANK, ir.IntType(32)), _WORD)
    sizes = builder.inttoptr(_field(builder, head, _SIZES, _WORD), _WORD.as_pointer())
    count = cgutils.alloca_once_value(builder, _WORD(1))
    with cgutils.for_range(builder, rank) as loop:
        builder.store(builder.mul(builder.load(count), builder.load(builder.gep(sizes, [loop.index]))), count)
    builder.ret(builder.load(count))
    return function


@functools.cache
def compiled(kernel: Any, *dtypes: Any) -> Callable[..., None]:
    """Return a kernel as it is compiled for one-dimensional arrays of these dtypes in C order, and then whole numbers.

    It trusts its caller: nobody looks at what it is given. In place of each array it takes one of that dtype of any
    rank, whose elements are in C order, or of which the kernel uses the address of the first element only.

    >>> import numpy as np
    >>> import autodiff_kernels as kernels
    >>> follow = kernels.entry.compiled(kernels.update.follow, np.dtype(np.int64))
    >>> words, objects = np.zeros((1, 2), np.int64), np.array([41, 42])
    >>> pointers = objects.ctypes.data + 8 * np.arange(2)
    >>> follow(words, pointers.ctypes.data, 0, 0, 1)
    >>> words
    array([[41, 42]])
    """
    open_doors()
    arrays = [types.Array(from_dtype(dtype), 1, "C") for dtype in dtypes]
    numbers = kernel.py_func.__code__.co_argcount - len(arrays)
    function: Callable[..., None] = kernel.compile((*arrays, *[types.int64] * numbers))
    return function


def _entry(context: Any, module: Any, kernel: Any, described: Any, block: Any) -> Any:
    """Write ``entry(block, part, parts)``: call the kernel with the arguments that the block holds."""
    entry = ir.Function(module, ENTRY, f"{described.llvm_func_name}.entry")
    builder = ir.IRBuilder(entry.append_basic_block())
    address, part, parts = entry.args
    fields = builder.inttoptr(address, block.as_pointer())
    values = [builder.load(cgutils.gep_inbounds(builder, fields, 0, i)) for i in range(len(block.elements))]
    context.call_conv.call_function(builder, kernel, described.restype, described.argtypes, [*values, part, parts],
                                    attrs=("noinline",))
    builder.ret_void()
    return entry


def _door(context: Any, module: Any, kernel: Any, described: Any, block: Any, entry: Any) -> Any:
    """Write the function that Python's wrapper calls in place of the kernel: it runs the kernel or has it launched."""
    handover = _handover(context, module, kernel, described, block, entry)
    door = ir.Function(module, kernel.function_type, f"{described.llvm_func_name}.door")
    builder = ir.IRBuilder(door.append_basic_block())
    owner = builder.load_atomic(_word(builder, OWNER), "monotonic", 8)
    chosen = builder.select(builder.icmp_signed("==", owner, _WORD(0)), kernel, handover)
    # One jump that leaves the arguments where they are. With two calls, or an internal function into which constants
    # can be propagated, LLVM would copy them all.
    builder.ret(builder.call(chosen, door.args, tail="musttail"))
    return door


def _handover(context: Any, module: Any, kernel: Any, described: Any, block: Any, entry: Any) -> Any:
    """Write the function with the kernel's arguments that has all of the work launched, and does a share itself."""
    handover = ir.Function(module, kernel.function_type, f"{described.llvm_func_name}.handover")
    handover.linkage = "internal"
    builder = ir.IRBuilder(handover.append_basic_block())
    *values, _, parts = context.call_conv.decode_arguments(builder, described.argtypes, handover)
    with builder.if_then(builder.icmp_signed("==", parts, _WORD(1))):
        fields = cgutils.alloca_once(builder, block)
        for i, value in enumerate(values):
            builder.store(value, cgutils.gep_inbounds(builder, fields, 0, i))
        launch = builder.inttoptr(builder.load(_word(builder, LAUNCH)), _LAUNCH.as_pointer())
        form = _form(context, module, block, described.argtypes[:-2])
        builder.call(launch, [builder.ptrtoint(p, _WORD) for p in (_word(builder, 0), entry, fields, form)])
        context.call_conv.return_value(builder, ir.Constant(context.get_value_type(described.restype), None))
    builder.ret(builder.call(kernel, handover.args, attrs=("noinline",)))
    return handover


def _form(context: Any, module: Any, block: Any, kinds: Any) -> Any:
    """Return a constant that says how a block is made: its size in bytes, and how many arrays stand at which bytes."""
    data = context.target_data
    at = [place for i, kind in enumerate(kinds)
          for place in _arrays(data, kind, block.elements[i], block.get_element_offset(data, i))]
    form = ir.ArrayType(_WORD, 2 + len(at))([_WORD(value) for value in (block.get_abi_size(data), len(at), *at)])
    return cgutils.global_constant(module, "form", form)


def _arrays(data: Any, kind: Any, value: Any, start: int) -> list[int]:
    """Return where the arrays of an argument lie, those in tuples included."""
    if isinstance(kind, types.Array):
        return [start]
    if not isinstance(kind, types.BaseTuple):  # type: ignore[attr-defined, unused-ignore]
        return []
    places = []
    for i, part in enumerate(kind):
        if isinstance(value, ir.ArrayType):
            places += _arrays(data, part, value.element, start + i * value.element.get_abi_size(data))
        else:
            places += _arrays(data, part, value.elements[i], start + value.get_element_offset(data, i))
    return places


def _word(builder: Any, word: int) -> Any:
    """Return the address of a word of `CONTROL`."""
    kind = ir.ArrayType(_WORD, WORDS)
    control = builder.module.globals.get(_SYMBOL) or ir.GlobalVariable(builder.module, kind, _SYMBOL)
    return cgutils.gep_inbounds(builder, control, 0, word)


@register_pass(mutates_CFG=True, analysis_only=False)
class _Lowering(typed_passes.BaseNativeLowering):  # type: ignore[misc, unused-ignore]
    _name = "kernel_lowering"

    @property
    def lowering_class(self) -> type:
        return _Lower


class _Compiler(inner.Compiler):
    """Compiles a kernel."""

    lowering = _Lowering

    def choose(self, flags: Any) -> None:
        """Make no wrapper for C: the entry is one."""
        flags.no_cfunc_wrapper = True


_open: set[str] = set()  # modules that have been seen to


def open_doors() -> None:
    """Have all kernels compiled with doors that are not yet: `nogil` functions of the package that end with parts.

    Raises:
        ImportError: if one has been compiled already: its module was imported past `cache.importing`.
    """
    for name in [name for name in sys.modules if name.startswith("autodiff_kernels.") and name not in _open]:
        for kernel in inner.kernels_of(name):
            code = kernel.py_func.__code__
            if code.co_varnames[: code.co_argcount][-2:] == ("part", "parts"):
                compiler = kernel._compiler
                if kernel.signatures and compiler.pipeline_class is not _Compiler:
                    raise ImportError(f"a kernel of {name} was compiled without a door: the module was imported by "
                                      f"its own name; use 'from autodiff_kernels import {name.partition('.')[2]}'")
                compiler.pipeline_class = _Compiler
        _open.add(name)
