"""From DOT text to pictures: through the program `dot` where it is installed, otherwise through pygraphviz."""

from __future__ import annotations

import contextlib
import io
import os
import re
import tempfile
from pathlib import Path

from autodiff.errors import missing_extra


def layout_with_pygraphviz(source: str, format: str, engine: str = "dot") -> bytes:
    """Return DOT text laid out and rendered by the Graphviz libraries that pygraphviz brings along.

    Args:
        source: DOT text.
        format: ``"svg"``, ``"png"``, ``"pdf"`` and what else Graphviz knows.
        engine: layout algorithm.

    Raises:
        MissingExtraError: if pygraphviz is not installed either.
    """
    try:
        import pygraphviz
    except ImportError:
        raise missing_extra("viz", "pygraphviz", "draw") from None
    graph = pygraphviz.AGraph(string=source)
    with contextlib.redirect_stderr(io.StringIO()):  # a remark on every graph of more than 1000 nodes
        picture: bytes = graph.draw(format=format, prog=engine)
    return picture


def scalable(svg: bytes) -> bytes:
    """Let an SVG fill the width it is given, at most its natural one; Graphviz writes fixed sizes.

    >>> scalable(b'<svg width="9pt" height="7pt" viewBox="0 0 9 7">')
    b'<svg width="100%" style="max-width:9pt" viewBox="0 0 9 7">'
    """
    fixed = rb'<svg width="([0-9.]+)(pt|px)" height="[0-9.]+(?:pt|px)"'
    return re.sub(fixed, rb'<svg width="100%" style="max-width:\1\2"', svg, count=1)


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
