"""What goes wrong, and how it is said: ``[operation] what is wrong; expected ...; got ...; what to do``.

Every message ends with the line of the user's code that led there, and the module that was running. The classes also
inherit from the built-in exception that PyTorch or NumPy programs would catch in the same place.
"""

from __future__ import annotations

from autodiff import source


class AutodiffError(RuntimeError):
    """Base of all errors of this library.

    Args:
        operation: name the user knows: ``"conv2d"``, ``"backward"``.
        what: what is wrong.
        expected: what would have been right; left out when empty.
        got: what was found instead; left out when empty.
        fix: what to do; left out when empty.
        line: the user's line, as `autodiff.source.Line`; found on the call stack when None.
    """

    def __init__(
        self,
        operation: str,
        what: str,
        *,
        expected: str = "",
        got: str = "",
        fix: str = "",
        line: source.Line | None = None,
    ) -> None:
        parts = [f"[{operation}] {what}"]
        parts += [f"expected {expected}"] if expected else []
        parts += [f"got {got}"] if got else []
        parts += [fix] if fix else []
        self._text = "; ".join(parts)
        self.module = ""
        self.line: source.Line | None
        self.move_to(line or source.here())

    def move_to(self, line: source.Line | None) -> None:
        """Name another line as the one that led here, or none."""
        self.line = line
        places = [f"\n  at {line}"] * bool(line) + [f"\n  in module {self.module}"] * bool(self.module)
        self.args = (self._text + "".join(places),)

    def within(self, path: str, kind: str = "") -> None:
        """Name the module that was running, unless one is named: the innermost hears of an error first.

        Args:
            path: of the module, such as ``"Net.body.2"``.
            kind: name of its class.

        >>> error = ShapeError("linear", "the sizes do not fit")
        >>> error.within("Net.body.2", "Linear")
        >>> error.within("Net.body", "Sequential")
        >>> error.module
        'Net.body.2 (Linear)'
        """
        if not self.module:
            self.module = f"{path} ({kind})" if kind not in ("", path) else path
            self.move_to(self.line)


class ShapeError(AutodiffError, ValueError):
    """Shapes, dimensions or sizes do not fit the operation."""


class DTypeError(AutodiffError, TypeError):
    """A dtype or the type of an argument does not fit the operation."""


class ValueRangeError(AutodiffError, ValueError):
    """A number is outside the range an operation or a constructor accepts."""


class PositionError(AutodiffError, IndexError):
    """An index or a target points outside its tensor."""


class GradientError(AutodiffError):
    """The backward pass cannot run: nothing requires a gradient, or the records it needs were freed."""


class InPlaceError(AutodiffError):
    """Memory was changed in place where that is not allowed, or after the backward pass had come to rely on it."""


class ParseError(AutodiffError, ValueError):
    """A text is not the printed form of a program; the message names line and column."""


class MissingExtraError(AutodiffError, ImportError):
    """An optional package is not installed; the message names the extra that brings it."""


def missing_extra(feature: str, package: str, extra: str) -> MissingExtraError:
    """Return the error to raise when `package`, needed by `feature`, cannot be imported.

    >>> from autodiff.errors import missing_extra
    >>> str(missing_extra("viz", "pygraphviz", "draw")).splitlines()[0]
    "[viz] the package 'pygraphviz' is not installed; install it with: pip install 'autodiff-tape[draw]'"
    """
    return MissingExtraError(
        feature,
        f"the package '{package}' is not installed",
        fix=f"install it with: pip install 'autodiff-tape[{extra}]'",
    )
