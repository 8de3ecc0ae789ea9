"""How a tensor prints: PyTorch's form, four decimals, long tensors summarised."""

from __future__ import annotations

from typing import Any

import numpy as np

_QUIET = ("float32", "int64", "bool")


def text_of(tensor: Any) -> str:
    """Return ``tensor([...])`` with dtype and gradient notes where they matter."""
    array = tensor.array
    formatter: Any = {"bool": str}
    if array.dtype.kind == "f":
        formatter = {"float_kind": _float_format(array)}
    elif array.dtype.kind in "iu":
        width = max((len(str(n)) for n in (array.min(), array.max())), default=1) if array.size else 1
        formatter = {"int_kind": lambda n: f"{n:>{width}d}"}
    body = np.array2string(
        array, separator=", ", prefix="tensor(", formatter=formatter, threshold=1000, edgeitems=3, max_line_width=100
    )
    notes = [body]
    if array.dtype.name not in _QUIET or array.size == 0:
        notes.append(f"dtype={array.dtype.name}")
    if array.size == 0 and array.ndim != 1:
        notes.insert(1, f"size={tensor.shape}")
    if tensor.grad_fn is not None:
        notes.append(f"grad_fn=<{tensor.grad_fn.name}>")
    elif tensor.needs_grad:
        notes.append("requires_grad=True")
    name = "tensor" if type(tensor).__name__ == "Tensor" else f"{type(tensor).__name__} containing:\ntensor"
    return f"{name}({', '.join(notes)})"


def _float_format(array: Any) -> Any:
    """Return a formatter: whole numbers as ``1.``, others with four decimals, wide ranges in scientific form."""
    finite = np.abs(array[np.isfinite(array)]).astype(np.float64)
    nonzero = finite[finite > 0]
    if finite.size and np.array_equal(finite, np.round(finite)) and (not nonzero.size or nonzero.max() < 1e8):
        texts = [f"{x:.0f}." for x in (array[np.isfinite(array)].max(), array[np.isfinite(array)].min())]
        width = max(len(text) for text in texts)
        return lambda x: (f"{x:.0f}." if np.isfinite(x) else f"{x:f}").rjust(width)
    wide = nonzero.size > 0 and (
        nonzero.max() >= 1e8 or nonzero.min() < 1e-4 or nonzero.max() / nonzero.min() > 1e3 * 1e1
    )
    style = ".4e" if wide else ".4f"
    width = max((len(f"{x:{style}}") for x in array.reshape(-1)[:2000]), default=0)
    return lambda x: f"{x:{style}}".rjust(width)
