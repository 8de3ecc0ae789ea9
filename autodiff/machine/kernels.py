"""The loops whose speed is the machine's limit, written in LLVM's instructions.

A loop that a compiler vectorises measures the compiler, too. These hold nothing but the loads, stores and multiply-adds
that are counted. They are called through ctypes, which lets other threads run meanwhile.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

CHAINS = 12  # independent sums: two FMA units with a latency of 4 or 5 need 8 to 10, and AVX2 has 16 registers
UNROLL = 8  # vectors of a stream in one turn of its loop

# stream -> bytes that are read and written for each byte of one operand, and number of operands.
#   copy   target = source
#   triad  target = source + c other         (McCalpin's STREAM)
#   axpy   target = c target + source
# The first two write lines that they have not read. Most processors read such a line from memory all the same, which
# is not counted, so in place, as an optimizer works, more bytes get through.
STREAMS = {"copy": (2, 2), "triad": (3, 3), "axpy": (3, 2)}


class Kernels:
    """Compiled functions for vectors of `width` bytes.

    - ``float32``, ``float64``: (target, source, turns) does ``CHAINS`` vector multiply-adds in each turn; both
      addresses hold ``CHAINS`` vectors.
    - each of ``STREAMS``: (target, source, other, size, repeats) goes `repeats` times through operands of `size`
      bytes, a multiple of ``UNROLL * width``.
    """

    def __init__(self, width: int) -> None:
        import llvmlite.binding as llvm
        from llvmlite import ir

        self.ir, self.width = ir, width
        self.word = ir.IntType(64)
        self.module = ir.Module("limits")
        self.arithmetic(32)
        self.arithmetic(64)
        for name in STREAMS:
            self.stream(name)
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3
        )
        # The engine owns the machine code.
        self.engine = llvm.create_mcjit_compiler(llvm.parse_assembly(str(self.module)), machine)
        self.engine.finalize_object()

    def function(self, name: str) -> Callable[..., None]:
        """Return a compiled function by its name."""
        count = 5 if name in STREAMS else 3
        kind = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * count)
        compiled: Callable[..., None] = kind(self.engine.get_function_address(name))
        return compiled

    def arithmetic(self, bits: int) -> None:
        """Define the multiply-adds on floats of so many bits."""
        builder, (target, source, turns) = self.start(f"float{bits}", 3)
        vectors = Vectors(self, builder, bits)
        # Each chain starts from a number of its own: equal chains would be computed once.
        starts = [vectors.load(source, i) for i in range(CHAINS)]
        loop = Loop(builder, turns, starts)
        sums = loop.end([vectors.halve_and_add(x, vectors.half) for x in loop.values])
        for i, x in enumerate(sums):
            vectors.store(x, target, i)
        builder.ret_void()

    def stream(self, name: str) -> None:
        """Define a stream."""
        builder, (target, source, other, size, repeats) = self.start(name, 5)
        vectors = Vectors(self, builder, 32)
        step = self.word(UNROLL * self.width)
        outer = Loop(builder, repeats)
        inner = Loop(builder, builder.udiv(size, step), [target, source, other])
        target, source, other = inner.values
        for i in range(UNROLL):
            x = vectors.load(source, i)
            if name == "triad":
                x = vectors.halve_and_add(vectors.load(other, i), x)
            elif name == "axpy":
                x = vectors.halve_and_add(vectors.load(target, i), x)
            vectors.store(x, target, i)
        inner.end([builder.add(place, step) for place in inner.values])
        outer.end()
        builder.ret_void()

    def start(self, name: str, arguments: int) -> tuple[Any, Any]:
        """Begin a function of integers; return a builder and its arguments."""
        signature = self.ir.FunctionType(self.ir.VoidType(), [self.word] * arguments)
        function = self.ir.Function(self.module, signature, name)
        return self.ir.IRBuilder(function.append_basic_block()), function.args


class Loop:
    """A loop of at least one turn, which begins where the builder stands; `values` change from turn to turn."""

    def __init__(self, builder: Any, turns: Any, values: Any = ()) -> None:
        self.builder, self.turns = builder, turns
        before, self.block = builder.block, builder.append_basic_block()
        builder.branch(self.block)
        builder.position_at_end(self.block)
        starts = [turns.type(0), *values]
        self.places = [builder.phi(start.type) for start in starts]
        for place, start in zip(self.places, starts):
            place.add_incoming(start, before)
        self.values = self.places[1:]

    def end(self, values: Any = ()) -> list[Any]:
        """End the turn with these values for the next one; return them. The builder goes on behind the loop."""
        builder = self.builder
        turn = builder.add(self.places[0], self.turns.type(1))
        for place, value in zip(self.places, [turn, *values]):
            place.add_incoming(value, builder.block)
        after = builder.append_basic_block()
        builder.cbranch(builder.icmp_unsigned("<", turn, self.turns), self.block, after)
        builder.position_at_end(after)
        return list(values)


class Vectors:
    """Emits instructions on vectors of floats of so many bits."""

    def __init__(self, kernels: Kernels, builder: Any, bits: int) -> None:
        ir = kernels.ir
        count = 8 * kernels.width // bits
        self.builder, self.width, self.bits = builder, kernels.width, bits
        self.kind = ir.VectorType(ir.FloatType() if bits == 32 else ir.DoubleType(), count)
        self.half = ir.Constant(self.kind, [0.5] * count)
        name = f"llvm.fmuladd.v{count}f{bits}"  # two instructions where the processor has no FMA
        self.fmuladd = kernels.module.globals.get(name) or ir.Function(
            kernels.module, ir.FunctionType(self.kind, [self.kind] * 3), name
        )

    def pointer(self, address: Any, index: int) -> Any:
        """Return a pointer to the vector with this number after an address."""
        address = self.builder.add(address, address.type(index * self.width))
        return self.builder.inttoptr(address, self.kind.as_pointer())

    def load(self, address: Any, index: int) -> Any:
        """Read a vector, which may lie across two lines."""
        return self.builder.load(self.pointer(address, index), align=self.bits // 8)

    def store(self, value: Any, address: Any, index: int) -> None:
        """Write a vector, which may lie across two lines."""
        self.builder.store(value, self.pointer(address, index), align=self.bits // 8)

    def halve_and_add(self, x: Any, y: Any) -> Any:
        """Return x / 2 + y in one instruction. Repeated, it neither overflows nor vanishes."""
        return self.builder.call(self.fmuladd, [x, self.half, y])
