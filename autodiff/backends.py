"""PyTorch's `torch.backends`, for programs that set its switches: there is no such backend, and they change nothing."""

from __future__ import annotations


class Backend:
    """A backend that is not there. Its switches can be set and are not read.

    >>> import autodiff as ad
    >>> ad.backends.cudnn.benchmark = True
    >>> ad.backends.mps.is_available()
    False
    """

    benchmark = False
    deterministic = True
    enabled = False

    def is_available(self) -> bool:
        """Return False."""
        return False

    def is_built(self) -> bool:
        """Return False."""
        return False


cudnn, cuda, mps, mkldnn = Backend(), Backend(), Backend(), Backend()
