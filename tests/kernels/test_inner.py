"""Functions that only compiled code calls."""

from __future__ import annotations

import sys

import pytest
from numba import njit

import autodiff_kernels as kernels
from autodiff_kernels import inner


@njit
def second_half(n: int) -> tuple[int, int]:
    return kernels.parts.share(n, 1, 2)


def test_compiled_code_calls_them_and_python_does_not() -> None:
    """Also compiled code that is not ours."""
    with pytest.raises(TypeError, match="not callable"):
        kernels.parts.share(7, 1, 2)
    assert second_half(7) == (3, 7)


def test_they_have_no_machine_code() -> None:
    second_half(7)
    shares = kernels.parts.share.overloads.values()
    (caller,) = second_half.overloads.values()
    assert {getattr(share.library, "_compiled_object", None) for share in shares} == {None}
    assert caller.library._compiled_object is not None


def test_every_function_that_is_no_kernel_is_one() -> None:
    """Also those whose file was imported by another kernel's file."""
    from autodiff_kernels import attention, elementwise, pool, winograd

    assert attention, pool and winograd and elementwise.tanh
    found = [function for name, module in list(sys.modules.items()) if name.startswith("autodiff_kernels.")
             for function in vars(module).values() if hasattr(function, "targetoptions")
             and not function.targetoptions.get("nogil")]
    assert len(found) > 100
    assert {function._compiler.pipeline_class for function in found} == {inner.Compiler}
