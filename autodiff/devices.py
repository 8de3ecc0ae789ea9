"""The one device there is: the CPU."""

from __future__ import annotations

from typing import Any

from autodiff.errors import DTypeError


class device:  # PyTorch's name
    """A device: always the CPU, under any of the names that PyTorch programs use for it.

    Args:
        type: ``"cpu"``, ``"cpu:0"`` or another `device`.
        index: 0 or None.

    Raises:
        DTypeError: for a device that is not the CPU.

    >>> import autodiff as ad
    >>> ad.device("cuda" if ad.cuda.is_available() else "cpu")
    device(type='cpu')
    """

    type = "cpu"

    def __init__(self, type: Any = "cpu", index: int | None = None) -> None:
        name, _, number = str(type).partition(":")
        if name != "cpu" or number not in ("", "0") or index not in (None, 0):
            raise DTypeError("device", "this library computes on the CPU only", expected="'cpu'", got=str(type),
                             fix="use device('cpu'); cuda.is_available() is False here")
        self.index = 0 if number else index

    def __str__(self) -> str:
        return "cpu"

    def __repr__(self) -> str:
        return "device(type='cpu')"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device)

    def __hash__(self) -> int:
        return hash("cpu")


CPU = device()


def check_device(name: Any) -> None:
    """Accept the CPU, under any name, and None; refuse every other device.

    Raises:
        DTypeError: for a device that is not the CPU.
    """
    if name is not None and name is not CPU:
        device(name)
