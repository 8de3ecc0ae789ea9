"""Which line of the user's program an operation came from.

A record keeps a code object and an instruction offset, never the frame: a frame would keep every local variable of the
user's function alive. They are decoded into a file and a line only when somebody asks.
"""

from __future__ import annotations

import linecache
import os
import sys
from types import CodeType, FrameType

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
# Models and programs that live inside the package are written as a user would write them: their lines count as such.
_STANDARD_LIBRARY = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_PROGRAMS = (_PACKAGE + "demo.py", _PACKAGE + "models" + os.sep)
# Where the functions and methods stand that users call as operations; not those that only hand on to another name.
_OPERATIONS = tuple([_PACKAGE + part.replace("/", os.sep) for part in (
    "ops/", "eager.py", "conversion.py", "creation.py", "distributions/", "nn/utils/", "nn/init.py")])


# File name -> whose it is; `learn` fills it as names are met. A plain dictionary, for every operation looks into it.
WHOSE: dict[str, int] = {}
USERS, INSIDE, OPERATION = 0, 1, 2  # the user's; this library's, or Python's own; one with operations of this library


def learn(filename: str) -> int:
    """Find out whose a file is."""
    inside = filename.startswith(_PACKAGE) and not filename.startswith(_PROGRAMS)
    # `copy.deepcopy(x)` is the user's doing, not that of copy.py; installed packages are users.
    inside |= filename.startswith(_STANDARD_LIBRARY) and "-packages" + os.sep not in filename
    inside |= filename.startswith("<frozen ")  # what Python starts programs and imports with
    WHOSE[filename] = whose = OPERATION if filename.startswith(_OPERATIONS) else INSIDE if inside else USERS
    return whose


class Line:
    """One line of Python: prints as ``file.py:12 in forward: `y = self.layer(x)` ``."""

    __slots__ = ("code", "offset")

    def __init__(self, code: CodeType, offset: int) -> None:
        self.code = code
        self.offset = offset

    @property
    def filename(self) -> str:
        """Path of the file, as Python knows it."""
        return self.code.co_filename

    @property
    def number(self) -> int:
        """Line number in the file, from 1."""
        at = self.code.co_firstlineno
        for start, end, line in self.code.co_lines():
            if start <= self.offset < end and line is not None:
                at = line
        return at

    @property
    def text(self) -> str:
        """The line itself without indentation; empty when the file cannot be read."""
        return linecache.getline(self.filename, self.number).strip()

    def __str__(self) -> str:
        text = self.text
        return f"{self.filename}:{self.number} in {self.code.co_name}" + (f": `{text}`" if text else "")

    def __repr__(self) -> str:
        return f"<Line {self}>"


def user_frame() -> FrameType | None:
    """Return the innermost frame outside the library, or None."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        whose = WHOSE.get(frame.f_code.co_filename)
        if (learn(frame.f_code.co_filename) if whose is None else whose) == USERS:
            break
        frame = frame.f_back
    return frame


def here() -> Line | None:
    """Return the user's line that is being executed, or None when no frame lies outside the library."""
    frame = user_frame()
    return None if frame is None else Line(frame.f_code, frame.f_lasti)
