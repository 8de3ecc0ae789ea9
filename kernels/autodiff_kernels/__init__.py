"""Numba kernels behind autodiff's operations: arrays in, arrays out.

A family (a module of this package) is imported by the first access to its name, so that Numba is loaded by the first
operation that runs and not by ``import autodiff_kernels``. The contract that every kernel keeps is `kernels/README.md`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autodiff_kernels.cache import import_module

if TYPE_CHECKING:
    from autodiff_kernels import elementwise as elementwise


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    try:
        return import_module(f"autodiff_kernels.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"autodiff_kernels.{name}":
            raise
        raise AttributeError(f"autodiff_kernels has no family '{name}'") from None
