"""`timeline`: what is alive while a program runs, as bands over time."""

from __future__ import annotations

import os
from collections import defaultdict
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from autodiff.errors import ValueRangeError
from autodiff.program import Program, Record
from autodiff.program_checkpoint import Candidates, Checkpointing
from autodiff.program_memory import KINDS, WORK, Holding
from autodiff.spec import Array
from autodiff.viz.memory_figure import figure_of
from autodiff.viz.memory_page import page_of
from autodiff.viz.memory_svg import svg_of, text_of_size
from autodiff.viz.plots.figures import save_figure
from autodiff.viz.programs import check_inputs, program_of
from autodiff.viz.rendering import write_atomically
from autodiff.viz.texts import text_of_spec

_COLUMNS = 1000  # more would be narrower than a pixel
_SHARE = 1 / 100  # of the peak: what is lower would be a line, and is merged with others


class Band(NamedTuple):
    """A strip of the picture: one piece of memory, or all small ones of a kind.

    Attributes:
        kind: see `autodiff.program_memory.KINDS`.
        title: name of the value and its type, or how many small ones there are.
        module: path of the module; empty outside of modules.
        line: where it was made: file and line of the user's program; empty for leaves.
        first: the first column in which it holds bytes.
        sizes: bytes in each column from there on.
    """

    kind: str
    title: str
    module: str
    line: str
    first: int
    sizes: Array


class Holder(NamedTuple):
    """Who holds bytes at the peak.

    Attributes:
        module: path of the module; empty outside of modules.
        kind: see `autodiff.program_memory.KINDS`.
        size: bytes.
        values: how many pieces of memory these are.
    """

    module: str
    kind: str
    size: int
    values: int


def timeline(x: Any, *inputs: Any, **keywords: Any) -> Timeline:
    """Return what is alive along a program: parameters, saved values, gradients, temporary ones.

    Args:
        x: a program, of `ad.record` or read from text; a compiled function; or a function or module, a whole training
            step for example, that is called once with its `inputs`.
        inputs, keywords: arguments of the function or module.

    Returns:
        A picture: ``render("memory.svg")`` writes it, or as png, pdf or html; Jupyter shows it.

    Raises:
        DTypeError: if `x` has no records, was not given the inputs that it takes, or takes none: a program has run.
        GradientError: if a compiled function has not been recorded.
        ValueRangeError: if the program has no records.

    >>> import autodiff as ad
    >>> from autodiff.viz import timeline
    >>> memory = timeline(lambda x: x.exp().tanh(), ad.ones(256))
    >>> memory
    <timeline of 2 records, 3.00 KiB at the peak>
    >>> [(holder.kind, holder.size) for holder in memory.holders()]
    [('temporary', 2048), ('input', 1024)]

    ![](../../docs/pictures/memory.svg)
    """
    check_inputs("timeline", inputs, keywords, x)
    return Timeline(program_of("timeline", x, inputs, keywords))


class Timeline:
    """The memory of a program along its records.

    Args:
        program: with at least one record.

    Attributes:
        program: the program.
        use: its `Program.memory()`.
        columns: the record that each column of the picture stands for. Of a long program's neighbours it is the one
            with most bytes, so the peak is always among them.
        bands: from the bottom up: by kind, then in the order in which they begin.
    """

    def __init__(self, program: Program) -> None:
        if not len(program):
            raise ValueRangeError("timeline", "the program has no records, so nothing is ever alive")
        self.program = program
        self.use = program.memory()
        edges = np.linspace(0, len(program), min(len(program), _COLUMNS) + 1).astype(int)
        live = np.array(self.use.live)
        self.columns = np.array([low + int(live[low:high].argmax()) for low, high in pairwise(edges)])
        self.bands = self._bands()

    def _bands(self) -> list[Band]:
        firsts = np.searchsorted(self.columns, [holding.first for holding in self.use.holdings])
        lasts = np.searchsorted(self.columns, [holding.last for holding in self.use.holdings], side="right")
        large: list[Band] = []
        small: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
        for holding, first, last in zip(self.use.holdings, firsts.tolist(), lasts.tolist()):
            if first == last:  # between two columns
                continue
            if holding.size >= _SHARE * self.use.peak:
                large.append(Band(holding.kind, title_of(holding), holding.module, place_of(holding.record), first,
                                  np.full(last - first, holding.size)))
            else:
                small[holding.kind].append((first, last, holding.size))
        merged = []
        for kind, pieces in small.items():
            change = np.zeros(len(self.columns) + 1, np.int64)
            for first, last, size in pieces:
                change[first] += size
                change[last] -= size
            first, last = min(piece[0] for piece in pieces), max(piece[1] for piece in pieces)
            sizes = np.cumsum(change)[first:last]
            merged.append(Band(kind, f"{len(pieces):,} small ones", "", "", first, sizes))
        return [band for kind in KINDS for band in large + merged if band.kind == kind]

    @property
    def peak(self) -> int:
        """Place of the first record that needs most."""
        return self.use.live.index(self.use.peak)

    def holders(self, place: int | None = None) -> list[Holder]:
        """Return who holds bytes while a record runs, by module and kind, largest first.

        Args:
            place: of the record in the program; by default that of the peak.
        """
        sizes: dict[tuple[str, str], list[int]] = defaultdict(list)
        for holding in self.use.at(self.peak if place is None else place):
            sizes[holding.module, holding.kind].append(holding.size)
        found = [Holder(module, kind, sum(each), len(each)) for (module, kind), each in sizes.items()]
        return sorted(found, key=lambda holder: -holder.size)

    @cached_property
    def _candidates(self) -> Candidates:
        return Candidates(self.program, self.use)

    def checkpointing(self, most: int = 12) -> list[Checkpointing]:
        """Return what `utils.checkpoint` would change: of one module, or of each in a row of numbered ones, best first.

        It is worked out on the records: what the module's forward saves for its own backward is dropped, and the
        forward runs again when its backward begins.

        Args:
            most: how many to try: those that save most bytes.

        >>> import autodiff as ad
        >>> from autodiff.viz import timeline
        >>> layers = [ad.nn.Sequential(ad.nn.Linear(8, 64), ad.nn.Tanh(), ad.nn.Linear(64, 8)) for _ in range(4)]
        >>> model = ad.nn.Sequential(*layers)
        >>> memory = timeline(ad.record(lambda: model(ad.ones(32, 8)).sum().backward()))
        >>> best = memory.checkpointing()[0]
        >>> best.peak < memory.use.peak, best.flops > 0
        (True, True)
        """
        return self._candidates.effects(most)

    def within(self, budget: int) -> Checkpointing | None:
        """Return modules whose checkpointing brings the peak down to a budget, few flops preferred.

        Args:
            budget: bytes.

        Returns:
            The modules with the peak and the flops they cost; None where checkpointing does not save as much.
        """
        return self._candidates.within(budget)

    def svg(self, width: int = 960, height: int = 420) -> str:
        """Return the picture as SVG text, which fills the width it is given.

        Args:
            width, height: natural size in pixels.
        """
        return svg_of(self, width, height)

    def html(self, title: str = "Memory") -> str:
        """Return one HTML page that needs nothing else: the picture, what is alive at each record, what would change.

        Args:
            title: of the page.
        """
        return page_of(self, title)

    def render(self, outfile: str | os.PathLike[str]) -> str:
        """Write the picture to a file, whole or not at all, and return its path. Folders are made as needed.

        Args:
            outfile: ends with ``.svg``, ``.html`` (the page), ``.png`` or ``.pdf``. For the last two matplotlib is
                needed (extra ``plots``).

        Raises:
            ValueRangeError: for another ending.
            MissingExtraError: for png and pdf if matplotlib is not installed.
        """
        ending = Path(outfile).suffix.lower()
        if ending in (".png", ".pdf"):
            save_figure(figure_of(self.svg()), outfile, dpi=144)
        elif ending in (".svg", ".html"):
            write_atomically(outfile, (self.svg() if ending == ".svg" else self.html()).encode())
        else:
            raise ValueRangeError("timeline", "this is no format of a timeline", expected=".svg, .html, .png or .pdf",
                                  got=ending or os.fspath(outfile))
        return os.fspath(outfile)

    def _repr_svg_(self) -> str:
        return self.svg()

    def __repr__(self) -> str:
        return f"<timeline of {len(self.program):,} records, {text_of_size(self.use.peak)} at the peak>"


def title_of(holding: Holding) -> str:
    """Return what a piece of memory is for: its value, or whose work array it is."""
    if holding.kind == WORK or holding.record is None:
        return holding.name if holding.kind == WORK else f"{holding.name} {text_of_spec(holding.spec)}"
    return f"{holding.record.name} {text_of_spec(holding.spec)} ({holding.name})"


def place_of(record: Record | None) -> str:
    """Return the user's line of a record without folders; empty for a leaf."""
    line = None if record is None else record.line
    return "" if line is None else f"{line.filename.replace(chr(92), '/').rpartition('/')[2]}:{line.number}"
