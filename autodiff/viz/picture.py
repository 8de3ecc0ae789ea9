"""`Picture`: a `graphviz.Digraph` that can be drawn with or without the program `dot`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import graphviz

from autodiff.errors import AutodiffError, MissingExtraError, ValueRangeError
from autodiff.program import Program
from autodiff.viz.graph import Graph, Group
from autodiff.viz.rendering import (
    layout_with_other_graphviz,
    layout_with_pygraphviz,
    not_drawn,
    plainer,
    scalable,
    without_collection,
    write_atomically,
)

STILL_BOXES = 250  # drawn in about a second


class Picture(graphviz.Digraph):  # type: ignore[misc]
    """A graph as DOT text (`source`), drawn when it is asked for: `save`, `render`, `pipe`, or shown by Jupyter as SVG.

    Everything that works on a `graphviz.Digraph` works here; nodes and edges may be added. Where there is no program
    `dot` on the path, pygraphviz draws.

    Args:
        lines: DOT statements.
        name: of the graph.
        graph: what they draw: nodes, edges and groups. It keeps the records alive, and what they have saved.
        program: what it is the picture of.
        title: of the interactive page.
        expanded: returns the graph for that page, in which nothing is folded. By default it is `graph`.
        folded: returns DOT statements for the page's still picture, where `graph` is too large to wait for it.
        overlay: the measurement that the page is coloured by at first; none by default.
        depth: modules nested deeper are folded on the page at first; None: as much is open as is readable.

    >>> import autodiff as ad
    >>> from autodiff.viz import draw
    >>> picture = draw(lambda x: x * x, ad.ones(2))
    >>> picture.source.splitlines()[0]
    'digraph {'
    """

    def __init__(
        self, lines: Sequence[str] = (), name: str | None = None, graph: Graph | None = None,
        program: Program | None = None, title: str = "", expanded: Callable[[], Graph] | None = None,
        folded: Callable[[], Sequence[str]] | None = None, overlay: str = "", depth: int | None = None, **options: Any,
    ) -> None:
        super().__init__(name=name, **options)
        self.body += lines
        self.graph = graph or Graph(Group("root", "", "", None, 0), [], [])
        self.program = program or Program(())
        self.title = title
        self.expanded = expanded or (lambda: self.graph)
        self.folded = folded or (lambda: self.body)
        self.overlay = overlay
        self.depth = depth

    def write_page(self, path: str | os.PathLike[str]) -> str:
        """Write an interactive page to a file, whole or not at all, and return its path: one file, without a network.

        Args:
            path: of the file, such as ``"graph.html"``. Folders are made as needed.
        """
        from autodiff.viz.page import page_of

        source = self.source if len(self.graph.nodes) <= STILL_BOXES else Picture(self.folded()).source
        with without_collection():
            page = page_of(self.expanded(), source, self.title, self.overlay, self.depth)
        write_atomically(path, page.encode())
        return os.fspath(path)

    def __repr__(self) -> str:
        return f"<picture of {len(self.graph.nodes):,} nodes and {len(self.graph.edges):,} edges>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **options: Any) -> dict[str, Any]:
        """Return what a notebook shows: SVG, or where nothing can draw it, a text that says so."""
        try:
            return dict(super()._repr_mimebundle_(include, exclude, **options))
        except MissingExtraError as error:
            error.move_to(None)
            return {"text/plain": f"{self!r}\n{error}"}

    def pipe(
        self, format: str | None = None, renderer: str | None = None, formatter: str | None = None,
        neato_no_op: bool | int | None = None, quiet: bool = True, *, engine: str | None = None,
        encoding: str | None = None,
    ) -> Any:
        """Return the picture as bytes, or as text where an `encoding` is given.

        Args:
            format: ``"svg"``, ``"png"``, ``"pdf"``, ``"dot"`` (with positions), ...; ``"pdf"`` by default.
            renderer, formatter, neato_no_op: as in `graphviz.Digraph.pipe`.
            quiet: do not show what Graphviz remarks.
            engine: layout algorithm; ``"dot"`` by default.
            encoding: of the text, such as ``"utf-8"``.

        Raises:
            MissingExtraError: if neither `dot` nor pygraphviz is installed.
            ValueRangeError: if they do not draw this format.
            AutodiffError: if they fail at the layout.
        """
        format, engine = format or self.format, engine or self.engine
        if format not in graphviz.FORMATS:
            raise not_drawn(format, "")
        data = laid_out(self.source, format, engine, renderer, formatter, neato_no_op, quiet)
        if format == "svg":
            data = scalable(data)
        return data if encoding is None else data.decode(encoding)

    def render(
        self, filename: Any = None, directory: Any = None, view: bool = False, cleanup: bool = False,
        format: str | None = None, renderer: str | None = None, formatter: str | None = None,
        neato_no_op: bool | int | None = None, quiet: bool = True, quiet_view: bool = False, *, outfile: Any = None,
        engine: str | None = None, raise_if_result_exists: bool = False, overwrite_source: bool = False,
    ) -> str:
        """Write the picture to a file, whole or not at all, and return its path. Folders are made as needed.

        Args:
            filename: file for the DOT text; the picture is written beside it with the format's ending.
            directory: folder for both.
            view: open the picture in the system's viewer.
            cleanup: do not leave the DOT text.
            format: ``"svg"``, ``"png"``, ``"pdf"``, ...; by default that of the ending of `outfile`.
            outfile: file for the picture; the DOT text is then written only where `filename` is given.
            renderer, formatter, neato_no_op, quiet_view, engine: as in `graphviz.Digraph.render`.
            quiet: do not show what Graphviz remarks.
            raise_if_result_exists: do not replace an existing picture.
            overwrite_source: has no meaning here, for text and picture never share a file.

        Raises:
            MissingExtraError: if neither `dot` nor pygraphviz is installed.
            ValueRangeError: if they do not draw this format.
            AutodiffError: if they fail at the layout.
            graphviz.FileExistsError: if `raise_if_result_exists` and there is such a file.
        """
        if outfile is not None:
            picture = Path(directory or self.directory or "", outfile)
            format = format or picture.suffix[1:] or self.format
            source = None if filename is None else Path(directory or self.directory or "", filename)
        else:
            source = Path(directory or self.directory or "", filename or self.filename)
            format = format or self.format
            endings = [part for part in (formatter, renderer, format) if part]
            picture = source.with_name(".".join([source.name, *endings]))
        if raise_if_result_exists and picture.exists():
            raise graphviz.FileExistsError(f"output file exists: {os.fspath(picture)!r}")
        if source is not None and not cleanup:
            write_atomically(source, self.source.encode())
        if format in ("gv", "dot") and outfile is not None:
            data = self.source.encode()
        else:
            data = self.pipe(format, renderer, formatter, neato_no_op, quiet, engine=engine)
        write_atomically(picture, data)
        if view or quiet_view:
            self._view(os.fspath(picture), format=format, quiet=quiet_view)
        return os.fspath(picture)


def laid_out(
    source: str, format: str, engine: str = "dot", renderer: str | None = None, formatter: str | None = None,
    neato_no_op: bool | int | None = None, quiet: bool = True,
) -> bytes:
    """Return DOT text laid out and rendered, by the program `dot` where there is one, otherwise through pygraphviz.

    Where `dot` fails at the layout, pygraphviz is asked, for the Graphviz that it brings is often newer. Where both
    fail, they try again with a plainer picture.

    Args:
        source: DOT text.
        format, engine, renderer, formatter, neato_no_op, quiet: as in `Picture.pipe`.

    Raises:
        MissingExtraError: if neither is installed.
        ValueRangeError: if they do not draw this format.
        AutodiffError: if they fail at the layout.
    """
    full_format = ":".join(filter(None, (format, renderer, formatter)))

    def once(text: str) -> bytes:
        if shutil.which(graphviz.DOT_BINARY):
            try:
                return bytes(graphviz.pipe(engine, format, text.encode(), renderer=renderer, formatter=formatter,
                                           neato_no_op=neato_no_op, quiet=quiet))
            except graphviz.CalledProcessError as error:
                remarks = (error.stderr or b"").decode(errors="replace") or f"it ended with code {error.returncode}"
                failed = not_drawn(format, remarks)
                drawn = None if isinstance(failed, ValueRangeError) else (
                    layout_with_other_graphviz(text, full_format, engine))
                if drawn is None:
                    raise failed from None
                return drawn
        return layout_with_pygraphviz(text, full_format, engine)

    try:
        return once(source)
    except (MissingExtraError, ValueRangeError):
        raise
    except AutodiffError:
        plain = plainer(source)
        if plain == source:
            raise
    return once(plain)
