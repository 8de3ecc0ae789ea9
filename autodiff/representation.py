"""How a tensor prints: in PyTorch's form."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from autodiff.errors import ValueRangeError
from autodiff.spec import Array

_QUIET = ("float32", "int64", "bool")
_INDENT = len("tensor(")


class _Options(NamedTuple):
    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_PROFILES = {"default": _Options(), "short": _Options(precision=2, edgeitems=2), "full": _Options(threshold=math.inf)}
_options = [_Options()]


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Say how tensors print from now on; what is not given stays as it is.

    Args:
        precision: digits behind the point; 4.
        threshold: tensors of more elements are summarised; 1000.
        edgeitems: elements shown at each end of a summarised dimension; 3.
        linewidth: characters on a line; 80.
        profile: ``"default"``, ``"short"`` (2 digits, 2 elements) or ``"full"`` (nothing is summarised), before the
            others are applied.
        sci_mode: always (True) or never (False) in scientific notation; None, also when left out, decides by the
            numbers.

    Raises:
        ValueRangeError: for another profile.

    >>> import autodiff as ad
    >>> ad.set_printoptions(precision=2)
    >>> ad.tensor([0.1234])
    tensor([0.12])
    >>> ad.set_printoptions(profile="default")
    """
    if profile is not None and profile not in _PROFILES:
        raise ValueRangeError(
            "set_printoptions", "the profile is unknown", expected=" or ".join(map(repr, _PROFILES)), got=repr(profile)
        )
    options = _options[0] if profile is None else _PROFILES[profile]
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    _options[0] = options._replace(sci_mode=sci_mode, **changes)


def text_of(tensor: Any) -> str:
    """Return ``tensor([...])`` with dtype and gradient notes where they matter."""
    array, options = tensor.array, _options[0]
    notes = []
    if array.size == 0 and array.ndim != 1:
        notes.append(f"size={tensor.shape}")
    if array.dtype.name not in _QUIET or (array.size == 0 and array.dtype != np.float32):
        notes.append(f"dtype={array.dtype.name}")
    if tensor.grad_fn is not None:
        notes.append(f"grad_fn=<{tensor.grad_fn.name}>")
    elif tensor.needs_grad:
        notes.append("requires_grad=True")
    text = "tensor(" + _body(array, options)
    for note in notes:
        room = options.linewidth - (len(text) - text.rfind("\n") - 1)
        text += f", {note}" if len(note) + 4 <= room else f",\n{' ' * _INDENT}{note}"
    kind = type(tensor).__name__
    return f"{text})" if kind == "Tensor" else f"{kind} containing:\n{text})"


def _body(array: Array, options: _Options) -> str:
    """Return the numbers in brackets."""
    if array.size == 0:
        return "[]"
    summarised = array.size > options.threshold
    shown = _edges(array, options.edgeitems) if summarised else array
    write, width = _writer(shown, options)

    def rows(part: Array, indent: int) -> str:
        if part.ndim == 0:
            return write(part.item())
        edge = options.edgeitems
        cut = summarised and len(part) > 2 * edge
        items = [rows(item, indent + 1) for item in ([*part[:edge], *part[-edge:]] if cut else part)]
        if cut:
            items.insert(edge, " ..." if part.ndim == 1 else "...")
        margin = "\n" * max(1, part.ndim - 1) + " " * indent
        if part.ndim > 1:
            return "[" + f",{margin}".join(items) + "]"
        in_line = max(1, (options.linewidth - indent + 1) // (width + 2))
        lines = [", ".join(items[i:i + in_line]) for i in range(0, len(items), in_line)]
        return "[" + f",{margin}".join(lines) + "]"

    return rows(array, _INDENT + 1)


def _edges(array: Array, edge: int) -> Array:
    """Return the elements that a summary shows: the first and last of every long dimension."""
    for axis, size in enumerate(array.shape):
        if size > 2 * edge:
            array = np.take(array, [*range(edge), *range(size - edge, size)], axis)
    return array


def _writer(array: Array, options: _Options) -> tuple[Callable[[Any], str], int]:
    """Return a function that writes one number, and the width of what it writes.

    Floats that are whole print as ``1.``; numbers print in scientific notation where the digits after the point would
    not show them: beside ones a thousand times larger, from 1e8, and below 1e-4.
    """
    if array.dtype.kind != "f":
        width = max(len(str(number)) for number in array.reshape(-1).tolist())
        return (lambda number: str(number).rjust(width)), width
    numbers = array[np.isfinite(array) & (array != 0)].astype(np.float64)
    whole = bool(np.all(numbers == np.ceil(numbers)))
    scientific = False
    if numbers.size:
        low, high = np.abs(numbers).min(), np.abs(numbers).max()
        scientific = bool(high / low > 1000 or high > 1e8 or (not whole and low < 1e-4))
        if options.sci_mode is not None:
            scientific = options.sci_mode

    def plain(number: float) -> str:
        if scientific:
            return f"{number:.{options.precision}e}"
        if whole:
            return f"{number:.0f}." if math.isfinite(number) else f"{number:.0f}"
        return f"{number:.{options.precision}f}"

    width = max((len(plain(number)) for number in numbers.tolist()), default=1)
    return (lambda number: plain(number).rjust(width)), width
