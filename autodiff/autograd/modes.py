"""Context managers, usable as decorators, that say whether operations are recorded for a backward pass."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from autodiff.thread_mode import MODE

F = TypeVar("F", bound=Callable[..., Any])


class _GradMode:
    """Switches recording for a block, or for every call of a decorated function, and restores it after."""

    _enabled = False

    def __init__(self) -> None:
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(MODE.grad)
        MODE.grad = self._enabled

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        MODE.grad = self._before.pop()

    def _again(self) -> _GradMode:
        """Return a context manager for one call of a decorated function: calls may nest and run in threads."""
        return type(self)()

    def __call__(self, function: F) -> F:
        if inspect.isgeneratorfunction(function):
            # The mode holds while the generator's own code runs, not while its consumer's does.
            @functools.wraps(function)
            def generator(*args: Any, **kwargs: Any) -> Any:
                source = function(*args, **kwargs)
                while True:
                    try:
                        with self._again():
                            item = next(source)
                    except StopIteration as end:
                        return end.value
                    yield item

            return generator  # type: ignore[return-value]

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with self._again():
                return function(*args, **kwargs)

        return call  # type: ignore[return-value]


class _DecoratorWithoutCall(_GradMode):
    """Allows ``@no_grad`` beside ``@no_grad()``, as PyTorch does."""

    def __new__(cls, function: Any = None) -> Any:
        self = super().__new__(cls)
        if function is None:
            return self
        self.__init__()  # type: ignore[misc]
        return self(function)

    def __init__(self, function: Any = None) -> None:
        super().__init__()


class no_grad(_DecoratorWithoutCall):
    """Do not record: results require no gradient. Context manager and decorator.

    >>> import autodiff as ad
    >>> x = ad.ones(2, requires_grad=True)
    >>> with ad.no_grad():
    ...     (x * 2).requires_grad
    False
    """


class enable_grad(_DecoratorWithoutCall):
    """Record again inside a block without gradients. Context manager and decorator.

    >>> import autodiff as ad
    >>> x = ad.ones(2, requires_grad=True)
    >>> with ad.no_grad(), ad.enable_grad():
    ...     (x * 2).requires_grad
    True
    """

    _enabled = True


class set_grad_enabled(_GradMode):
    """Record or not, as `mode` says: at once when called, and for a block or decorated function.

    Args:
        mode: whether to record.

    >>> import autodiff as ad
    >>> with ad.set_grad_enabled(False):
    ...     ad.is_grad_enabled()
    False
    """

    def __init__(self, mode: bool) -> None:
        super().__init__()
        self._enabled = bool(mode)
        self._outside = MODE.grad
        MODE.grad = self._enabled

    def __enter__(self) -> None:
        self._before.append(self._outside)
        MODE.grad = self._enabled

    def _again(self) -> _GradMode:
        return set_grad_enabled(self._enabled)

    def __call__(self, function: F) -> F:
        """Decorate a function; the mode outside stays as it was."""
        MODE.grad = self._outside
        return super().__call__(function)


class inference_mode(_GradMode):
    """Like `no_grad`: results require no gradient.

    Args:
        mode: False records after all.

    >>> import autodiff as ad
    >>> x = ad.ones(2, requires_grad=True)
    >>> with ad.inference_mode():
    ...     (x * 2).requires_grad
    False
    """

    def __new__(cls, mode: Any = True) -> Any:
        """Allow ``@inference_mode`` beside ``@inference_mode()``."""
        self = super().__new__(cls)
        if not callable(mode):
            return self
        self.__init__()  # type: ignore[misc]
        return self(mode)

    def __init__(self, mode: bool = True) -> None:
        super().__init__()
        self._enabled = not mode

    def _again(self) -> _GradMode:
        again: _GradMode = inference_mode(not self._enabled)
        return again


def is_grad_enabled() -> bool:
    """Return whether operations are recorded in this thread.

    >>> import autodiff as ad
    >>> ad.is_grad_enabled()
    True
    """
    return MODE.grad
