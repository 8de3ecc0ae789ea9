"""In what two programs differ, told in lines of their printed form.

Records are aligned by what they do on their own (operation, parameters, types, numbers), as many as possible. Where
that leaves a choice, as many as possible stay in their module and at their line. Then it is checked that aligned
records read aligned values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from copy import copy
from typing import Any, NamedTuple

import numpy as np

from autodiff.program import Program, Record
from autodiff.program_calls import Call, calls_of
from autodiff.program_scopes import around, beside, classes_of, scopes_of
from autodiff.program_text import Printer, key_of, settings_of, text_of_operation, text_of_type

_Aligned = list[tuple[int, int]]
_FEW = 2_000_000  # pairs of records that are all looked at


def diff(first: Program, second: Program) -> str:
    """Return the lines in which two programs differ; see `Program.diff`."""
    if first.structural_hash() == second.structural_hash():
        return ""
    both = _Comparison(first, second)
    lines = []
    for old, new in both.rows():
        if old is not None and (new is None or both.changed(old, new)):
            lines.append(f"- {both.old.record(old)}{both.old.place(old)}")
        if new is not None and (old is None or both.changed(old, new)):
            lines.append(f"+ {both.new.record(new)}{both.new.place(new)}")
    if not both.wiring.same_outputs():
        for sign, text in (("-", both.old.results()), ("+", both.new.results())):
            lines += [f"{sign} {text}"] * bool(text)
    return "\n".join(lines)


def merged(first: Program, second: Program) -> Program:
    """Return what two programs do together, each common record once, to be shown as their difference.

    Returns:
        The records of the second program and those that only the first one has, with these columns: ``"change"`` says
        ``"same"``, ``"added"``, ``"removed"`` or ``"changed"`` (a record that does the same with other values, or
        with other parameters), ``"before"`` what a changed record has read in the first program and reads no longer;
        ``"parts"``, ``"classes"``, ``"recomputed"`` and ``"call"`` are those of the two programs. Where a module is of
        another class in each, ``"classes"`` has ``"Tanh → ReLU"``.
        What was removed stands in the module, and the call, of the second program that its own one has become.

    >>> import autodiff as ad
    >>> x = ad.ones(2)
    >>> both = merged(ad.record(lambda: x.exp().sum()), ad.record(lambda: x.exp().tanh().sum()))
    >>> [(record.name, change) for record, change in zip(both, both.columns["change"])]
    [('exp', 'same'), ('tanh', 'added'), ('sum', 'changed')]
    """
    both = _Comparison(first, second)
    rows = list(both.rows())
    shown = {old: copy(old) if new is None else new for old, new in rows if old is not None}
    scopes = dict(zip(first, scopes_of(first), strict=True))
    others = dict(zip(second, scopes_of(second), strict=True))
    names = beside(scopes.values(), [(scopes[old], others[new]) for old, new in rows if old and new])

    def here(operand: Any) -> Any:
        """Return what stands for a value of the first program."""
        if both.old.is_value(operand):
            return shown[operand[0]], operand[1]
        return operand if operand is None else both.leaf(operand)

    own, theirs = (dict(zip(program, calls_of(program), strict=True)) for program in (first, second))
    become = {own[old]: theirs[new] for old, new in rows if old and new and own[old]}
    calls: list[Call | None] = []
    records: list[Record] = []
    changes: list[str] = []
    before: list[tuple[Any, ...]] = []
    written = dict(second.written)
    for old, new in rows:
        reads: list[Any] = []
        if new is None:
            assert old is not None
            record = shown[old]
            record.scope = names.get(scopes[old], "")
            record.operands = tuple(map(here, old.operands))
            if old in first.written:
                written[record] = tuple(map(here, first.written[old]))
            calls.append(become.get(own[old], own[old]))
        else:
            record = new
            calls.append(theirs[new])
            if old is not None:
                left = Counter(map(key_of, new.operands))
                for operand in old.operands:
                    if operand is None or both.old.is_number(operand):
                        continue  # two programs have the same numbers, in tensors of their own
                    value = here(operand)
                    left[key_of(value)] -= 1
                    if left[key_of(value)] < 0:
                        reads.append(value)
        records.append(record)
        before.append(tuple(reads))
        change = "removed" if new is None else "added" if old is None else "changed" if reads else "same"
        if old is not None and new is not None and change == "same" and both.changed(old, new):
            change = "changed"
        changes.append(change)
    columns: dict[str, list[Any]] = {"change": changes, "before": before, "call": calls}
    columns["classes"] = _classes(
        records, {names[path]: name for path, name in classes_of(first).items()}, classes_of(second))
    for name in ("parts", "recomputed"):
        known = {record: entry for program in (first, second)
                 for record, entry in zip(program, program.columns.get(name, ()))}  # fmt: skip
        columns[name] = [known.get(record, ()) for record in (new or old for old, new in rows) if record is not None]
    return Program(records, second.outputs, written, columns, (*second.inputs, *first.inputs))


def _classes(records: Sequence[Record], before: Mapping[str, str], now: Mapping[str, str]) -> list[tuple[str, ...]]:
    """Return the column of class names: both where a module has another one now."""
    both = {path: f"{before[path]} → {now[path]}" for path in before.keys() & now if before[path] != now[path]}
    known = {**before, **now, **both}
    return [tuple([known.get(path, "") for path in around(record.scope)]) for record in records]


class _Comparison:
    """Two programs, and which of their records stand for each other."""

    def __init__(self, first: Program, second: Program) -> None:
        self.first, self.second = first, second
        self.old, self.new = Printer(first), Printer(second)
        self.places = _Places.of(first), _Places.of(second)
        self.same = _align(*_keys(self.old, self.new, self.places), *self.places)
        self.wiring = _Wiring(self.old, self.new, [(first.records[i], second.records[j]) for i, j in self.same])
        self.leaves = {id(leaf): leaf for leaf in second.leaves()}
        self.aligned = {first.records[i]: second.records[j] for i, j in self.same}

    def rows(self) -> Iterator[tuple[Record | None, Record | None]]:
        """Yield records of the first program with those that stand for them in the second, None where there is none."""
        for old_gap, new_gap, pair in _gaps(self.same, len(self.first), len(self.second)):
            # Records between the aligned ones: those of one operation stand in for each other.
            olds, news = self.first.records[old_gap], self.second.records[new_gap]
            names = [r.name for r in olds], [r.name for r in news]
            places = self.places[0].cut(old_gap), self.places[1].cut(new_gap)
            for removed, added, both in _gaps(_align(*names, *places), len(olds), len(news)):
                yield from ((record, None) for record in olds[removed])
                yield from ((None, record) for record in news[added])
                if both is not None:
                    yield olds[both[0]], news[both[1]]
            if pair is not None:
                yield self.first.records[pair[0]], self.second.records[pair[1]]

    def changed(self, old: Record | None, new: Record | None) -> bool:
        """Tell whether a record differs from the one that stands for it."""
        return old is None or new is None or self.aligned.get(old) is not new or not self.wiring.agrees(old, new)

    def leaf(self, leaf: Any) -> Any:
        """Return the leaf of the second program that stands for one of the first; that one where there is none."""
        key = key_of(leaf)
        return self.leaves.get(self.wiring.leaves.get(key, key), leaf)


class _Places(NamedTuple):
    """Where records stand: the path of the module, and the text of the user's line, or its number without one."""

    modules: list[str]
    lines: list[Hashable]

    @staticmethod
    def of(program: Program) -> _Places:
        """Return the places of a program's records."""
        known: dict[Any, Hashable] = {}  # those of a loop come from one line
        for record in program:
            key, line = (id(record.code), record.offset), record.line
            if key not in known:
                known[key] = line and (line.text or line.number)
        return _Places(scopes_of(program), [known[id(record.code), record.offset] for record in program])

    def cut(self, part: slice) -> _Places:
        """Return some of them."""
        return _Places(self.modules[part], self.lines[part])

    def at(self, numbers: Sequence[int]) -> _Places:
        """Return those with these numbers."""
        return _Places([self.modules[i] for i in numbers], [self.lines[i] for i in numbers])


def _keys(old: Printer, new: Printer, places: tuple[_Places, _Places]) -> tuple[list[Hashable], list[Hashable]]:
    """Return by what the records of two programs are aligned: what each does on its own.

    Of equal layers in a row, one more or less would leave open which is which, and the backward pass meets them in
    reverse. So it follows the forward pass: a record that propagates back through another goes with that one's partner.
    """
    programs = old.program, new.program
    keys = [[_key(printer, record) for record in printer.program] for printer in (old, new)]
    origins = [program.columns.get("origin") or [None] * len(program) for program in programs]
    ahead = [[i for i, origin in enumerate(column) if origin is None] for column in origins]
    (first, second), (a, b) = keys, ahead
    pairs = _align([first[i] for i in a], [second[i] for i in b], places[0].at(a), places[1].at(b))
    found: list[list[Hashable]] = []
    for side, (program, own, column, numbers) in enumerate(zip(programs, keys, origins, ahead, strict=True)):
        number = {program.records[numbers[pair[side]]]: i for i, pair in enumerate(pairs)}
        found.append([(key, number.get(record if origin is None else origin), origin is None)
                      for record, key, origin in zip(program, own, column, strict=True)])
    return found[0], found[1]


def _key(printer: Printer, record: Record) -> Hashable:
    """Return what a record does on its own: all but where its operands come from."""
    operands = [
        printer.operand(operand, spec) if operand is None or printer.is_number(operand) else text_of_type(spec)
        for operand, spec in zip(record.operands, record.inputs, strict=True)
    ]
    results = [text_of_type(spec) for spec in record.outputs]
    in_place = record in printer.program.written
    return text_of_operation(record.primitive), *settings_of(record, progress=False), *operands, in_place, *results


def _align(
    first: Sequence[Hashable], second: Sequence[Hashable], old: _Places, new: _Places
) -> _Aligned:
    """Return pairs of positions, both rising, at which two sequences hold the same: as many as there can be.

    Of the ways to choose so many it is the one that keeps most in their places, unless there are too many to look at.
    """
    both = min(len(first), len(second))
    ends = list(zip(first, *old)), list(zip(second, *new))
    start = next((i for i in range(both) if ends[0][i] != ends[1][i]), both)
    behind = next((i for i in range(both - start) if ends[0][-1 - i] != ends[1][-1 - i]), both - start)
    left, right = slice(start, len(first) - behind), slice(start, len(second) - behind)
    if (left.stop - start) * (right.stop - start) <= _FEW:
        middle = _best(first[left], second[right], old.cut(left), new.cut(right))
    else:
        middle = _shortest(first[left], second[right])
    return [
        *((i, i) for i in range(start)),
        *((start + i, start + j) for i, j in middle),
        *((left.stop + i, right.stop + i) for i in range(behind)),
    ]


def _best(first: Sequence[Hashable], second: Sequence[Hashable], old: _Places, new: _Places) -> _Aligned:
    """Return the pairs for `_align`, from the table of how good the alignment of each two beginnings can be.

    Wagner and Fischer, "The String-to-String Correction Problem" (J. ACM 21, 1974). A pair counts more than all modules
    together, and a module more than all lines.
    """
    unit = min(len(first), len(second)) + 1
    weights = (unit * unit, unit, 1)
    codes: dict[Hashable, int] = {}
    rows, columns = (
        [np.array([codes.setdefault(x, len(codes)) for x in texts], np.int64) for texts in (keys, *places)]
        for keys, places in ((first, old), (second, new)))
    table = np.zeros((len(first) + 1, len(second) + 1), np.int64)
    for i in range(len(first)):
        gain = sum(weight * (column == row[i]) for weight, row, column in zip(weights, rows, columns, strict=True))
        gain = np.where(columns[0] == rows[0][i], gain, 0)
        np.maximum.accumulate(np.maximum(table[i, 1:], table[i, :-1] + gain), out=table[i + 1, 1:])
    pairs = []
    i, j = len(first), len(second)
    while i and j:
        if table[i, j] == table[i - 1, j]:
            i -= 1
        elif table[i, j] == table[i, j - 1]:
            j -= 1
        else:
            i, j = i - 1, j - 1
            pairs.append((i, j))
    return pairs[::-1]


def _shortest(first: Sequence[Hashable], second: Sequence[Hashable]) -> _Aligned:
    """Return the pairs for `_align` of long sequences, wherever they stand.

    The shortest path of steps to the right (an item of `first` alone) and down (of `second` alone) through the grid of
    all pairs, where a diagonal step over an equal pair is free. After d such steps `reached` holds, for each diagonal
    k = x - y, the furthest x: Myers, "An O(ND) Difference Algorithm and Its Variations" (Algorithmica 1, 1986).
    """
    common = {key: code for code, key in enumerate(set(first) & set(second))}
    rows, columns = ([i for i, key in enumerate(keys) if key in common] for keys in (first, second))
    a, b = [common[first[i]] for i in rows], [common[second[j]] for j in columns]
    history: list[dict[int, int]] = []
    reached = {1: 0}
    goal = len(a) - len(b)
    while not history or reached.get(goal, -1) < len(a):
        d = len(history)
        history.append(dict(reached))
        for k in range(-d, d + 1, 2):
            x = reached[k + 1] if _comes_down(reached, k, d) else reached[k - 1] + 1
            while x < len(a) and x - k < len(b) and a[x] == b[x - k]:
                x += 1
            reached[k] = x
    pairs = []
    x, k = len(a), goal
    for d in reversed(range(len(history))):
        reached = history[d]
        down = _comes_down(reached, k, d)
        start = reached[k + 1] if down else reached[k - 1] + 1
        pairs += [(rows[i], columns[i - k]) for i in reversed(range(start, x))]
        x, k = (start, k + 1) if down else (start - 1, k - 1)
    return pairs[::-1]


def _comes_down(reached: dict[int, int], k: int, d: int) -> bool:
    """Tell whether diagonal `k` is best reached from the one above it in step `d`, rather than from the left."""
    return k == -d or (k != d and reached[k - 1] < reached[k + 1])


def _gaps(pairs: _Aligned, old: int, new: int) -> Iterator[tuple[slice, slice, tuple[int, int] | None]]:
    """Yield what lies before each pair of aligned positions, with the pair; and what lies behind the last."""
    i = j = 0
    for pair in pairs:
        yield slice(i, pair[0]), slice(j, pair[1]), pair
        i, j = pair[0] + 1, pair[1] + 1
    yield slice(i, old), slice(j, new), None


class _Wiring:
    """Which values of two programs stand for each other."""

    def __init__(self, old: Printer, new: Printer, pairs: Sequence[tuple[Record, Record]]) -> None:
        self.old, self.new = old, new
        self.partner = dict(pairs)
        self.aligned = set(self.partner.values())
        self.leaves: dict[Any, Any] = {}
        taken: set[Any] = set()
        for pair in pairs:
            for a, b in zip(_read(old, pair[0]), _read(new, pair[1])):
                free = self._is_leaf(old, a) and self._is_leaf(new, b) and key_of(b) not in taken
                if free and self.leaves.setdefault(key_of(a), key_of(b)) == key_of(b):
                    taken.add(key_of(b))
        self.old_sources = self._sources(old)
        self.new_sources = self._sources(new)

    @staticmethod
    def _is_leaf(printer: Printer, operand: Any) -> bool:
        return key_of(operand) in printer.leaves

    def _name(self, printer: Printer, operand: Any) -> Any:
        """Return what an operand is called in both programs; None for a value that the other one does not have."""
        if operand is None or printer.is_number(operand):
            return "on its own"
        if not printer.is_value(operand):
            key = key_of(operand)
            return ("leaf", self.leaves.get(key, key) if printer is self.old else key)
        record, index = operand
        if printer is self.new:
            return operand if record in self.aligned else None
        return (self.partner[record], index) if record in self.partner else None

    def _sources(self, printer: Printer) -> dict[Record, set[Any]]:
        """Return, for each record that the other program does not have, which common values it is made from."""
        found: dict[Record, set[Any]] = {}
        for record in printer.program:
            if self._name(printer, (record, 0)) is None:
                names: set[Any] = set()
                for operand in _read(printer, record):
                    name = self._name(printer, operand)
                    names |= found[operand[0]] if name is None else {name}
                found[record] = names - {"on its own"}
        return found

    def same(self, a: Any, b: Any) -> bool:
        """Tell whether two values stand for each other.

        A value that only one program has stands for what it is made from: its own line says what has changed.
        """
        first, second = self._name(self.old, a), self._name(self.new, b)
        if first is not None and second is not None:
            return bool(first == second)
        if first is None and second is None:
            return True
        return second in self.old_sources[a[0]] if first is None else first in self.new_sources[b[0]]

    def agrees(self, first: Record, second: Record) -> bool:
        """Tell whether two aligned records read and overwrite the same."""
        pairs = zip(_read(self.old, first), _read(self.new, second), strict=True)
        return all(self.same(a, b) for a, b in pairs)

    def same_outputs(self) -> bool:
        """Tell whether the programs return the same."""
        pair = self.old.program.outputs, self.new.program.outputs
        return len(pair[0]) == len(pair[1]) and all(map(self.same, *pair))


def _read(printer: Printer, record: Record) -> tuple[Any, ...]:
    """Return what a record reads, and then what it overwrites."""
    return (*record.operands, *printer.program.written.get(record, ()))
