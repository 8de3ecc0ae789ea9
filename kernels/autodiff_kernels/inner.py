"""How kernels and the functions inside them are compiled: what Numba does, without what they do not need.

Numba treats every compiled function as one that Python may call: it makes wrappers for Python and for C, has LLVM
optimise the function by itself, and emits machine code. A function that only compiled code calls needs none of that:
each kernel that it is linked into optimises it again, together with what surrounds it there. So it is kept as it was
lowered (`_Library`), and becomes machine code within kernels alone. Kernels are seen to in `entry.py`.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

from numba import _dynfunc
from numba.core import typed_passes, untyped_passes
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.dispatcher import Dispatcher

# Passes that look for what no kernel has: functions and comprehensions inside it, and arithmetic on whole arrays.
_NEEDLESS = (untyped_passes.InlineClosureLikes, typed_passes.NopythonRewrites)

# What Python would call. It takes what a C function of Python's takes, and calls the first of it: an object that
# cannot be called. So Python gets a TypeError.
_REFUSE: Any = ctypes.cast(ctypes.pythonapi.PyObject_Call, ctypes.c_void_p).value


class _Library(JITCodeLibrary):  # type: ignore[misc, unused-ignore]
    """The code of a function and of those that it calls, to be linked into kernels."""

    def add_llvm_module(self, module: Any) -> None:
        """Add a module as it is."""
        self._final_module.link_in(module)

    def finalize(self) -> None:
        """Link what the function calls, and leave the rest to the kernels."""
        for library in dict.fromkeys(self._linking_libraries):
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._finalized = True


@register_pass(mutates_CFG=True, analysis_only=False)
class _Lowering(typed_passes.NativeLowering):  # type: ignore[misc, unused-ignore]
    _name = "inner_lowering"

    def run_pass(self, state: Any) -> bool:
        """Lower the function into a `_Library`, and have compiled code find it there."""
        state.library = _Library(state.targetctx.codegen(), state.func_id.func_qualname)
        super().run_pass(state)
        described, environment, keep = state.cr.fndesc, state.cr.env, (state.library,)
        function = _dynfunc.make_function(described.lookup_module(), described.qualname, "", _REFUSE, environment, keep)
        state.targetctx.insert_user_function(function, described, [state.library])
        state.cr = state.cr._replace(cfunc=function)
        return True


class Compiler(CompilerBase):  # type: ignore[misc, unused-ignore]
    """Compiles a function that only compiled code calls."""

    lowering: type = _Lowering

    def __init__(self, typing_context: Any, context: Any, library: Any, arguments: Any, result: Any, flags: Any,
                 kinds: Any) -> None:
        flags.nrt = False  # kernels do not allocate: no references are counted, not even of a row cut out of a matrix
        self.choose(flags)
        super().__init__(typing_context, context, library, arguments, result, flags, kinds)

    def choose(self, flags: Any) -> None:
        """Choose what is made of the function."""
        flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True

    def define_pipelines(self) -> list[Any]:
        """Return Numba's passes without the needless ones, and with a lowering of our own."""
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.passes = [(self.lowering, text) if step is typed_passes.NativeLowering else (step, text)
                         for step, text in passes.passes if step not in _NEEDLESS]
        passes._finalized = False
        passes.finalize()
        return [passes]


def kernels_of(name: str) -> list[Any]:
    """Return the functions of a module that Python may call, and have all others compiled for compiled code alone."""
    found: list[Any] = [value for value in list(vars(sys.modules[name]).values()) if isinstance(value, Dispatcher)]
    for function in found:
        if not function.targetoptions.get("nogil"):
            function._compiler.pipeline_class = Compiler
    return [function for function in found if function.targetoptions.get("nogil")]
