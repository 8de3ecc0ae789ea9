"""Numbers among the arguments of public functions: what is no number is refused by name, and nothing is truncated."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

from autodiff.errors import AutodiffError, DTypeError


def integer(operation: str, name: str, value: Any) -> int:
    """Return an argument that is an integer: Python's, NumPy's, or a tensor of integers with one element.

    Args:
        operation: name the user knows.
        name: of the argument.
        value: what was given.

    Raises:
        DTypeError: if it is no integer; 2.0 is none.

    >>> from autodiff.arguments import integer
    >>> integer("topk", "k", 3)
    3
    """
    if type(value) is int:  # by far the most calls
        return value
    try:
        return operator.index(value)
    except AutodiffError:  # a tensor's own: it says more, and inside compiled functions it is how reading is refused
        raise
    except TypeError:
        raise DTypeError(operation, f"{name} is no integer", expected="an integer", got=repr(value)) from None


def several(value: Any) -> bool:
    """Return whether an argument is a sequence, an array or a tensor of any number of elements, and not one number.

    >>> from autodiff.arguments import several
    >>> several([3]), several(3)
    (True, False)
    """
    return isinstance(value, Iterable) and not isinstance(value, str) and getattr(value, "ndim", 1) > 0


def integers(operation: str, name: str, value: Any) -> tuple[int, ...]:
    """Return an argument that is one integer or several of them, as a tuple.

    Raises:
        DTypeError: if it is neither.

    >>> from autodiff.arguments import integers
    >>> integers("roll", "shifts", 3), integers("roll", "shifts", [1, 2])
    ((3,), (1, 2))
    """
    if several(value):
        return tuple([integer(operation, name, n) for n in value])
    return (integer(operation, name, value),)


def number(operation: str, name: str, value: Any) -> float:
    """Return an argument that is a real number as a float: Python's, NumPy's, or a tensor with one element.

    Raises:
        DTypeError: if it is none; a text is none, even ``"2.0"``.

    >>> from autodiff.arguments import number
    >>> number("dropout", "p", 1)
    1.0
    """
    if isinstance(value, str | bytes) or (not hasattr(value, "__float__") and not hasattr(value, "__index__")):
        raise DTypeError(operation, f"{name} is no number", expected="a number", got=repr(value))
    return float(value)
