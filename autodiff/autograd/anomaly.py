"""A search for the operation whose gradient is NaN first."""

from __future__ import annotations

from types import TracebackType

from autodiff.thread_mode import MODE


class set_detect_anomaly:
    """Look for NaN in every gradient of a backward pass, or stop looking: at once when called, or for a block.

    An operation whose gradient has a NaN that its cotangent may not have had raises a `GradientError`, which names the
    operation, the input, the module and the line of the forward pass. This reads every gradient once more; without it
    nothing is checked. It holds for the thread. A compiled function runs as it is meanwhile, not replayed.

    Args:
        mode: whether to look.
        check_nan: False looks for nothing; errors of the backward pass name the line of the forward pass anyway.

    >>> import autodiff as ad
    >>> x = ad.tensor([0.0], requires_grad=True)
    >>> with ad.autograd.set_detect_anomaly(True):
    ...     (ad.sqrt(x) * 0.0).sum().backward()
    Traceback (most recent call last):
        ...
    autodiff.errors.GradientError: [sqrt] the gradient of its input 0 has NaN, the first in this backward pass; ...
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._before = [MODE.anomaly]
        MODE.anomaly = bool(mode and check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        MODE.anomaly = self._before.pop()


class detect_anomaly(set_detect_anomaly):
    """Look for NaN in every gradient of the backward passes in a block; see `set_detect_anomaly`.

    Args:
        check_nan: False looks for nothing.

    >>> import autodiff as ad
    >>> with ad.autograd.detect_anomaly():
    ...     ad.is_anomaly_enabled()
    True
    """

    def __init__(self, check_nan: bool = True) -> None:
        self._before = []
        self._check_nan = check_nan

    def __enter__(self) -> None:
        self._before.append(MODE.anomaly)
        MODE.anomaly = bool(self._check_nan)


def is_anomaly_enabled() -> bool:
    """Return whether this thread looks for NaN in gradients.

    >>> import autodiff as ad
    >>> ad.is_anomaly_enabled()
    False
    """
    return MODE.anomaly
