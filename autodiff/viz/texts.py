"""What stands on a picture in words: shapes, layouts, changes, and how many of what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from autodiff.program import Record
from autodiff.spec import Spec

# What a comparison says of an operation, and the sign for it.
SIGNS = {"added": "+", "removed": "−", "changed": "±"}
_NAMES_SHOWN = 3
_PARTS_SHOWN = 4
TOOLTIPS_SHOWN = 12
full = lru_cache(4096)(repr)  # of a spec: shape, dtype and layout


@lru_cache(4096)
def text_of_spec(spec: Spec) -> str:
    """Return shape and dtype as people write them.

    >>> from autodiff.spec import Spec
    >>> text_of_spec(Spec.of((32, 16, 8))), text_of_spec(Spec.of((), "int64"))
    ('32×16×8 float32', 'scalar int64')
    """
    return ("×".join(map(str, spec.shape)) or "scalar") + f" {spec.dtype.name}"


def text_of_layout(record: Record) -> str:
    """Return how an operation that does nothing else lays out its input in memory; empty for any other.

    >>> import autodiff as ad
    >>> [text_of_layout(record) for record in ad.record(ad.conv2d, ad.ones(1, 2, 3, 3), ad.ones(1, 2, 3, 3))]
    ['channels-last', '']
    """
    if record.name != "copy" or record.params["order"] is None or record.inputs[0].dtype != record.outputs[0].dtype:
        return ""
    before, after = record.inputs[0], record.outputs[0]
    return "" if before.strides == after.strides else "channels-last" if after.channels_last else "C order"


def text_of_changes(changes: Mapping[str, int]) -> str:
    """Return how many operations a change has added, removed and altered; empty without any.

    >>> text_of_changes({"added": 2, "changed": 1})
    '2 added, 1 changed'
    """
    return ", ".join(f"{changes[change]:,} {change}" for change in SIGNS if changes.get(change))


def text_of_operations(names: Iterable[str]) -> str:
    """Return the operations that occur most often, with their numbers.

    >>> text_of_operations(["mul", "add", "mul"])
    '2 mul · 1 add'
    """
    found = Counter(names)
    shown = [f"{count:,} {name}" for name, count in found.most_common(_NAMES_SHOWN)]
    return " · ".join(shown) + (" · …" if len(found) > _NAMES_SHOWN else "")


def text_of_parts(names: Sequence[str]) -> str:
    """Return the names of the parts of an operation, as many as fit on a line.

    >>> text_of_parts(["mul", "add", "exp", "neg", "abs"])
    'mul · add · exp · neg · 1 more'
    """
    shown = " · ".join(names[:_PARTS_SHOWN])
    return shown + (f" · {len(names) - _PARTS_SHOWN} more" if len(names) > _PARTS_SHOWN else "")


def text_of_all(specs: Sequence[Spec]) -> str:
    """Return specs with their layouts; of the many that an optimizer's step reads the first."""
    more = len(specs) - TOOLTIPS_SHOWN
    return ", ".join(map(full, specs[:TOOLTIPS_SHOWN])) + (f", and {more:,} more" if more > 0 else "")


def text_of_count(number: int, noun: str) -> str:
    """Return a number of things.

    >>> text_of_count(1, "output"), text_of_count(2000, "leaf")
    ('1 output', '2,000 leaves')
    """
    plural = "leaves" if noun == "leaf" else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


def text_of_number(x: Any) -> str:
    """Return a number, rounded where it is a float.

    >>> text_of_number(0.1 + 0.2), text_of_number(True)
    ('0.3', 'True')
    """
    return f"{x:.6g}" if isinstance(x, float) else str(x)
