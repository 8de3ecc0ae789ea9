"""PyTorch's `torch.cuda`, for programs that ask: there is no such device here, and every answer says so."""

from __future__ import annotations


def is_available() -> bool:
    """Return False: this library computes on the CPU only.

    >>> import autodiff as ad
    >>> ad.cuda.is_available()
    False
    """
    return False


def device_count() -> int:
    """Return 0."""
    return 0


def manual_seed(seed: int) -> None:
    """Do nothing: there is no device to seed."""


def manual_seed_all(seed: int) -> None:
    """Do nothing: there is no device to seed."""


def empty_cache() -> None:
    """Do nothing: there is no cache to empty."""


def synchronize() -> None:
    """Do nothing: every operation has finished when it returns."""
