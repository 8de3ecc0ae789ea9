"""What several families of layers share: sizes given as one number or several, and checks of arguments."""

from __future__ import annotations

from typing import Any

from autodiff.arguments import integer
from autodiff.errors import ShapeError, ValueRangeError

Size = Any  # an integer, or a sequence of them


def sizes(value: Size, rank: int, operation: str, name: str) -> tuple[int, ...]:
    """Return `rank` integers: the given ones, or one number repeated.

    Raises:
        ShapeError: for another number of integers.

    >>> from autodiff.nn.modules.common import sizes
    >>> sizes(3, 2, "Conv2d", "kernel_size")
    (3, 3)
    """
    if isinstance(value, int):
        return (value,) * rank
    found = tuple([int(n) for n in value])
    if len(found) != rank:
        raise ShapeError(operation, f"{name} has the wrong number of entries", expected=f"an integer, or {rank}",
                         got=str(value))
    return found


def require(operation: str, holds: bool, what: str, got: Any) -> None:
    """Raise unless a constructor's argument is right.

    Raises:
        ValueRangeError: says what is wrong and what was given.
    """
    if not holds:
        raise ValueRangeError(operation, what, got=str(got))


def counts(operation: str, **numbers: Any) -> None:
    """Raise for the first of a constructor's arguments that is no integer from 0 on: features, channels.

    Raises:
        DTypeError: for something that is no integer.
        ValueRangeError: for a negative number.

    >>> from autodiff.nn.modules.common import counts
    >>> counts("Linear", in_features=3)
    """
    for name, number in numbers.items():
        require(operation, integer(operation, name, number) >= 0, f"{name} is negative", number)
