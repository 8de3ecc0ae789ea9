"""What is known of a program's records besides: the columns of `Program.columns`, one entry a record.

========================  ============================================================================================
column                    entry
========================  ============================================================================================
``"seconds"``             how long the record takes, without the `overhead` of the call (see `autodiff.measure`); None
                          where that was not measured
``"values"``              for each output the statistics of its numbers (`statistics`); a ReLU's also the share of
                          units that are ``"dead"`` (`dead_units`)
``"gradient_of"``         pairs of an output index and what that output is the gradient of: a record's output
                          ``(record, output index)``, or a leaf
``"origin"``              the record that it propagates back through, or that it computes again; else None
``"classes"``             class names of the modules in `Record.scope`, outermost first; empty where one is not known
``"call_number"``         a number for the call of a public function that has made it; None where that is not known
``"module_calls"``        numbers for the calls of the modules in `Record.scope`, outermost first: of those that a
                          record of a backward pass propagates back through; None or nothing where they are not known
``"call"``                the call of a public function that it is of (`autodiff.program_calls`), where the records
                          themselves do not say it: of a replay, and in a comparison
``"parts"``               the records that this one does the work of, in order: of a fused operation
``"recomputed"``          for each of its parts, or for itself, the phase in which the same was computed before; empty
                          where it was not (`utils.checkpoint`, `compile` with a `memory_budget`)
``"saved_bytes"``         bytes that it makes and that are kept for the backward pass (`saved_bytes`)
``"roofline"``            share of the least time that the machine needs in the time it took (`shares_of_roofline`)
``"change"``              in a comparison of two programs: ``"same"``, ``"added"``, ``"removed"`` or ``"changed"``
``"before"``              what a changed record has read before and reads no longer
========================  ============================================================================================

`autodiff.record` fills ``gradient_of``, ``origin``, ``classes``, ``call_number``, ``module_calls`` and ``recomputed``,
`autodiff.measure` ``seconds``, ``values`` and ``saved_bytes``, too. Columns are no part of what a program does: they
are not printed, and programs are equal without them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from autodiff.program import Program, Record
from autodiff.roofline import limit
from autodiff.spec import Array, Spec


def statistics(array: Array) -> dict[str, float]:
    """Return what is to be known of many numbers.

    Returns:
        ``"norm"`` (Euclidean), ``"largest"`` (absolute value), ``"mean"``, ``"std"``, and the shares of ``"zeros"`` and
        ``"nans"``, from 0 to 1. All but the last are those of the numbers that are no NaN; empty without any numbers.

    >>> import numpy as np
    >>> found = statistics(np.array([3.0, -4.0, 0.0, np.nan]))
    >>> found["norm"], found["largest"], found["nans"]
    (5.0, 4.0, 0.25)
    """
    if not array.size:
        return {}
    numbers = np.asarray(array, np.float64).reshape(-1)
    nans = np.isnan(numbers)
    number_of_nans = int(np.count_nonzero(nans))
    if number_of_nans:
        numbers = numbers[~nans]
        if not numbers.size:
            return {"nans": 1.0}
    with np.errstate(all="ignore"):  # of infinities
        largest = float(np.abs(numbers).max())
        # Squares of large numbers overflow where their root does not.
        scale = largest if np.isfinite(largest) and largest > 0 else 1.0
        return {
            "norm": float(np.sqrt(np.square(numbers / scale).sum()) * scale),
            "largest": largest,
            "mean": float(numbers.mean()),
            "std": float(numbers.std()),
            "zeros": 1 - np.count_nonzero(numbers) / numbers.size,
            "nans": number_of_nans / array.size,
        }


def statistics_of(operation: Any, array: Array) -> dict[str, float]:
    """Return the statistics of what a record (or an instruction) has made."""
    found = statistics(array)
    if operation.primitive.name == "relu" and found:
        found["dead"] = dead_units(array)
    return found


def dead_units(array: Array) -> float:
    """Return which share of the units is 0 in every example of a batch: of at least two, along the first dimension.

    >>> import numpy as np
    >>> dead_units(np.array([[0.0, 1.0], [0.0, 0.0]]))
    0.5
    """
    if array.ndim < 2 or array.shape[0] < 2 or not array.size:
        return 0.0
    return float(1 - np.count_nonzero(array.any(axis=0)) / array[0].size)


def saved_bytes(program: Program) -> list[int]:
    """Return, for each record, how many bytes it makes that are kept until the backward pass.

    That is what a backward pass in the program reads of the forward pass; in a program without one, what the records
    have saved for it, or `utils.checkpoint` has kept. Each value counts once, at the record that made its memory;
    leaves are there anyway.

    >>> import autodiff as ad
    >>> x = ad.ones(4, requires_grad=True)
    >>> saved_bytes(ad.record(lambda: x.exp().sum()))
    [16, 0]
    """
    makers = _makers(program)
    needed: set[tuple[Record, int]] = set()
    for record in program:
        if record.phase == "backward":
            needed.update(x for x in record.operands if type(x) is tuple and x[0].phase == "forward")
    if not needed and not any(record.phase == "backward" for record in program):
        for record in program:
            kept = [*[record.operands[i] for i in record.keep.inputs], *[(record, i) for i in record.keep.outputs]]
            needed.update(x for x in (record.dropped.kept if record.dropped else kept) if type(x) is tuple)
    sizes: dict[tuple[Record, int], int] = {}
    for value in needed:
        maker = makers.get(value)
        if maker is not None:
            sizes[maker] = maker[0].outputs[maker[1]].nbytes
    return [sum(sizes.get((record, i), 0) for i in range(len(record.outputs))) for record in program]


def _makers(program: Program) -> dict[tuple[Record, int], tuple[Record, int] | None]:
    """Return, for each value, the value that was the first on its memory; None where that is a leaf's."""
    makers: dict[tuple[Record, int], tuple[Record, int] | None] = {}
    for record in program:
        written = program.written.get(record, ())
        for index in range(len(record.outputs)):
            source = written[index] if index < len(written) else None
            if source is None and record.primitive.view:
                source = record.operands[0]
            own = source is None and not record.primitive.view
            makers[record, index] = (record, index) if own else makers.get(source) if type(source) is tuple else None
    return makers


def shares_of_roofline(program: Program, limits: Mapping[str, Any]) -> list[float | None]:
    """Return, for each record, the share of the least time that the machine needs in the time that was measured.

    Args:
        program: with a column ``"seconds"``.
        limits: of the machine: `autodiff.machine.limits_here()`.

    The least time is that of `autodiff.roofline.limit`. None where nothing was measured, or nothing is to be done.
    """
    shares: list[float | None] = []
    for record, seconds in zip(program, program.columns["seconds"], strict=True):
        work = work_of(record)
        shares.append(limit(work, limits)["seconds"] / seconds if work and seconds else None)
    return shares


def slowest_path(program: Program) -> tuple[float, list[Record]]:
    """Return the chain of records, each of which needs what the one before it has made, that takes longest together.

    Args:
        program: with a column ``"seconds"``.

    Returns:
        Its seconds and its records in order, found in one pass over what they read and overwrite.

    >>> import autodiff as ad
    >>> program = ad.record(lambda x: x.exp() + x.tanh(), ad.ones(3))
    >>> program.columns["seconds"] = [0.5, 2.0, 1.0]
    >>> seconds, records = slowest_path(program)
    >>> seconds, [record.name for record in records]
    (3.0, ['tanh', 'add'])
    """
    longest: dict[Record, float] = {}
    behind: dict[Record, Record] = {}
    for record, seconds in zip(program, program.columns["seconds"], strict=True):
        needed = (x[0] for x in (*record.operands, *program.written.get(record, ())) if type(x) is tuple)
        best = max((other for other in needed if other in longest), key=longest.__getitem__, default=None)
        longest[record] = seconds or 0.0
        if best is not None:
            longest[record] += longest[best]
            behind[record] = best
    if not longest:
        return 0.0, []
    path = [max(longest, key=longest.__getitem__)]
    while path[-1] in behind:
        path.append(behind[path[-1]])
    return longest[path[0]], path[::-1]


def work_of(record: Record) -> dict[str, int] | None:
    """Return what `autodiff.roofline.limit` wants to know of a record; None where nothing is to be done."""
    flops, moved = record.cost
    if not (flops or moved):
        return None
    specs: tuple[Spec, ...] = (*record.inputs, *record.outputs)
    itemsize = 8 if any(spec.dtype == np.float64 for spec in specs) else 4
    return {"flops": flops, "bytes": moved, "operand_bytes": sum(spec.nbytes for spec in specs), "itemsize": itemsize}


def text_of(name: str, number: float) -> str:
    """Return the entry of a column that is a number with a unit, as text.

    >>> text_of("seconds", 0.00123), text_of("bytes", 2048), text_of("flops", 3.4e9)
    ('1.23 ms', '2.05 kB', '3.4 GFLOP')
    """
    unit = {"seconds": "s", "flops": "FLOP"}.get(name, "B")
    if not number:
        return f"0 {unit}"
    prefixes = ("n", "µ", "m", "", "k", "M", "G", "T")
    number = float(f"{number:.2e}")  # 999.9 becomes 1 of the next
    place = min(max(math.floor(math.log10(number) / 3), -3 if name == "seconds" else 0), 0 if name == "seconds" else 4)
    return f"{number / 1000.0**place:.3g} {prefixes[place + 3]}{unit}"
