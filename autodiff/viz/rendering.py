"""From DOT text to pictures: through the program `dot` where it is installed, otherwise through pygraphviz."""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import io
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from autodiff.errors import AutodiffError, MissingExtraError, ValueRangeError

_BLANK = re.compile(rb"<text [^<>]*> </text>\n")
FORMATS = "'svg', 'png', 'pdf', 'dot', or another one that the installed Graphviz knows"


def layout_with_pygraphviz(source: str, format: str, engine: str = "dot") -> bytes:
    """Return DOT text laid out and rendered by the Graphviz libraries that pygraphviz brings along.

    Args:
        source: DOT text.
        format: ``"svg"``, ``"png"``, ``"pdf"`` and what else Graphviz knows.
        engine: layout algorithm.

    Raises:
        MissingExtraError: if pygraphviz is not installed either; it names both ways.
        ValueRangeError: if Graphviz does not draw this format.
        AutodiffError: if it fails at the layout.
    """
    try:
        import pygraphviz
    except ImportError:
        raise MissingExtraError(
            "draw", "nothing is installed that lays graphs out", expected="Graphviz's program `dot`, or pygraphviz",
            fix="install Graphviz (on Debian: apt install graphviz), or: pip install 'autodiff-tape[draw]'",
        ) from None
    graph = pygraphviz.AGraph(string=source)
    picture, failure = None, ""
    # Python remarks on every graph of more than 1000 nodes, Graphviz on edges that it cannot bend as it would like to.
    with contextlib.redirect_stderr(io.StringIO()), _standard_error() as said:
        try:
            picture = graph.draw(format=format, prog=engine)
        except (TypeError, ValueError, OSError) as error:
            failure = str(error)
        said.seek(0)
        remarks = said.read().decode(errors="replace").strip() or failure
    if not isinstance(picture, bytes):
        raise not_drawn(format, remarks)
    return picture


def plainer(source: str) -> str:
    """Return DOT text that asks for less: Graphviz 2.43 gives up on some pictures.

    Arrows are straight, as it does not always find a way for a curve, and their ends stand on different levels: where
    several arrows between the same boxes lead along one level, it may fail.
    """
    return source.replace("newrank=true", "newrank=true splines=line", 1).replace("minlen=0", "")


def layout_with_other_graphviz(source: str, format: str, engine: str = "dot") -> bytes | None:
    """Return what pygraphviz's Graphviz draws in a process of its own, which it may abort; None where it draws nothing.

    Args:
        source, format, engine: as in `layout_with_pygraphviz`.
    """
    if importlib.util.find_spec("pygraphviz") is None:
        return None
    code = ("import sys, pygraphviz; graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode()); "
            "sys.stdout.buffer.write(graph.draw(format=sys.argv[1], prog=sys.argv[2]))")
    done = subprocess.run([sys.executable, "-c", code, format, engine], input=source.encode(), capture_output=True)
    return done.stdout if done.returncode == 0 and done.stdout else None


def not_drawn(format: str, remarks: str) -> AutodiffError:
    """Return the error to raise where Graphviz draws nothing, with the first of its remarks that is no warning."""
    lines = remarks.splitlines()
    first = next((line for line in lines if "warning" not in line.lower()), "".join(lines[:1]))
    said = f" ({first})" if first else ""
    if remarks and "not recognized" not in remarks:
        return AutodiffError("draw", f"Graphviz fails to lay this graph out{said}", fix=(
            "fold modules (depth=1) or equal blocks (roll=True), install a newer Graphviz, or pip install "
            "'autodiff-tape[draw]', which brings one; render(outfile='graph.dot') writes the text"))
    return ValueRangeError("draw", f"Graphviz does not draw this format{said}", expected=FORMATS, got=repr(format))


@contextlib.contextmanager
def _standard_error() -> Iterator[IO[bytes]]:
    """Yield a file that meanwhile gets what libraries in C write to standard error."""
    with tempfile.TemporaryFile() as file:
        try:
            kept = os.dup(2)
        except OSError:  # there is none
            yield file
            return
        os.dup2(file.fileno(), 2)
        try:
            yield file
        finally:
            os.dup2(kept, 2)
            os.close(kept)


@contextlib.contextmanager
def without_collection() -> Iterator[None]:
    """Keep Python from looking for garbage: where millions of objects are made that stay, it would look many times."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def scalable(svg: bytes) -> bytes:
    """Let an SVG fill the width it is given, at most its natural one; Graphviz writes fixed sizes, and blanks as texts.

    >>> scalable(b'<svg width="9pt" height="7pt" viewBox="0 0 9 7">')
    b'<svg width="100%" style="max-width:9pt" viewBox="0 0 9 7">'
    """
    fixed = rb'<svg width="([0-9.]+)(pt|px)" height="[0-9.]+(?:pt|px)"'
    return _BLANK.sub(b"", re.sub(fixed, rb'<svg width="100%" style="max-width:\1\2"', svg, count=1))


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file so that nobody ever sees half of it; folders are made as needed."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        # mkstemp makes files that only their owner can read; this one gets the rights of an ordinary new file.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
