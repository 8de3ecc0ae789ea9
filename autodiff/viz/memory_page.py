"""The page of a `Timeline`: one HTML file without network, whose picture and tables stand without JavaScript, too."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np

from autodiff.viz.dot import escape, printable
from autodiff.viz.memory_svg import BOTTOM, COLOURS, LEFT, RIGHT, TOP, svg_of, text_of_size

if TYPE_CHECKING:
    from autodiff.program_checkpoint import Checkpointing
    from autodiff.viz.memory import Band, Timeline

_TEMPLATE = Path(__file__).with_name("memory_page.html")
_WIDTH, _HEIGHT = 1120, 480
_HOLDERS = 20
_TRIED = 200_000  # records in all the programs that are tried with modules checkpointed


def page_of(timeline: Timeline, title: str) -> str:
    """Return the page of a timeline; see `Timeline.html`."""
    use, program = timeline.use, timeline.program
    record = program.records[timeline.peak]
    summary = (f"{len(program):,} records. The peak, {text_of_size(use.peak)}, is at record {timeline.peak}, "
               f"{record.name}{f' in {record.scope}' if record.scope else ''} ({record.phase}).")
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escape(title), summary=escape(summary), picture=svg_of(timeline, _WIDTH, _HEIGHT),
        holders=_holders(timeline), checkpointing=_checkpointing(timeline), data=_data(timeline),
    )


def _data(timeline: Timeline) -> str:
    """Return what the page's script knows, as JSON that cannot end the element it stands in."""
    records = timeline.program.records
    known = {
        "left": LEFT, "across": (_WIDTH - LEFT - RIGHT) / len(timeline.columns), "top": TOP, "bottom": _HEIGHT - BOTTOM,
        "peak": int(np.searchsorted(timeline.columns, timeline.peak)),
        "colours": COLOURS,
        "records": [{"number": place, "text": printable(_text(records[place]))} for place in timeline.columns.tolist()],
        "bands": [_band(band) for band in timeline.bands],
    }
    return json.dumps(known, separators=(",", ":")).replace("<", "\\u003c")


def _text(record: Any) -> str:
    return f"{record.name}{f' in {record.scope}' if record.scope else ''} ({record.phase})"


def _band(band: Band) -> dict[str, Any]:
    constant = band.sizes.min() == band.sizes.max()
    return {"kind": band.kind, "title": printable(band.title), "module": printable(band.module),
            "line": printable(band.line), "first": band.first, "length": len(band.sizes),
            "sizes": int(band.sizes[0]) if constant else band.sizes.tolist()}


def _holders(timeline: Timeline) -> str:
    holders, peak = timeline.holders(), timeline.use.peak or 1
    rows = [(text_of_size(holder.size), f"{holder.size / peak:.1%}", holder.kind, holder.module or "—",
             f"{holder.values:,}") for holder in holders[:_HOLDERS]]
    rest = holders[_HOLDERS:]
    if rest:
        size = sum(holder.size for holder in rest)
        rows.append((text_of_size(size), f"{size / peak:.1%}", "all others", "", f"{sum(h.values for h in rest):,}"))
    return _table(("bytes", "share", "kind", "module", "values"), rows, numbers=(0, 1, 4))


def _checkpointing(timeline: Timeline) -> str:
    """Return the table of what checkpointing would change; nothing for a program that saves nothing."""
    program = timeline.program
    found = timeline.checkpointing(min(12, _TRIED // len(program)))
    if not found:
        return ""
    flops = program.cost().flops or 1
    rows = [(_modules(effect), text_of_size(effect.peak), f"{effect.peak / timeline.use.peak - 1:+.1%}",
             f"{effect.flops / flops:+.1%}") for effect in found]
    return ("<h2>What checkpointing a module would change</h2>"
            "<p>What its forward pass saves is dropped and computed again when its backward pass begins.</p>"
            + _table(("each of", "peak", "bytes", "flops"), rows, numbers=(1, 2, 3)))


def _modules(effect: Checkpointing) -> str:
    """Return the modules of an effect; several numbered ones of a row as their first and last."""
    first, *others = effect.modules
    return f"{first} … {others[-1].rpartition('.')[2]}" if others else first


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f'<{tag} class="number">{escape(cell)}</{tag}>' if place in numbers
                                else f"<{tag}>{escape(cell)}</{tag}>" for place, cell in enumerate(cells)) + "</tr>"

    return f"<table>{line(head, 'th')}{''.join(line(row, 'td') for row in rows)}</table>"
