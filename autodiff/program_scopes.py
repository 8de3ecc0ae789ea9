"""To which modules the records of a program belong, and what those of two programs are called side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from autodiff.program import Program, Record, common_scope
from autodiff.program_calls import named

Output = tuple[Record, int]


def scopes_of(program: Program) -> list[str]:
    """Return the path of the module that each record belongs to; empty where it belongs to none.

    An update runs outside every module. It belongs to the module whose parameters it changes, in the model that reads
    them; where it only prepares a change, to that of the next one, unless it is of a call of several operations, such
    as `clip_grad_norm_`. Where it changes parameters of several models, it belongs to none.
    """
    leaves = _leaves_overwritten(program)
    owners = _owners(program, leaves)
    scopes = []
    following = ""
    for record, made in zip(reversed(program.records), reversed(named(program)), strict=True):
        scope = record.scope
        if not scope:
            changed: list[Any] = [leaves.get(value) if type(value) is tuple else value for value in record.operands]
            found = [owners[id(leaf)] for leaf in changed if id(leaf) in owners and leaf.needs_grad]
            if record.phase != "update":
                following = ""
            elif found:
                following = common_scope(found)
            scope = following if found or made is None or made.alone else ""
        scopes.append(scope)
    return scopes[::-1]


def owners_of(program: Program) -> dict[int, str]:
    """Return the path of the module that each leaf with a name belongs to, by its id: in the model that reads it."""
    return _owners(program, _leaves_overwritten(program))


def _owners(program: Program, leaves: Mapping[Output, Any]) -> dict[int, str]:
    owners: dict[int, str] = {}
    for record in program:
        for value in record.operands if record.scope else ():
            leaf = leaves.get(value) if type(value) is tuple else value
            if leaf is None or not leaf.name:
                continue
            path = leaf.name.rpartition(".")[0]
            if path and f".{record.scope}".endswith(f".{path}"):
                owners[id(leaf)] = record.scope
            else:  # a module reads what is another's: of a parameter that two of them share, one has the name
                model = record.scope.partition(".")[0]
                owners.setdefault(id(leaf), f"{model}.{path}" if path else model)
    return owners


def _leaves_overwritten(program: Program) -> dict[Output, Any]:
    """Return for each value that stands where a leaf did, such as a parameter after an update, that leaf."""
    leaves: dict[Output, Any] = {}
    for record, written in program.written.items():
        for index, before in enumerate(written):
            leaf = leaves.get(before) if type(before) is tuple else before
            if leaf is not None:
                leaves[record, index] = leaf
    return leaves


def module_calls_of(program: Program) -> list[tuple[int | None, ...]]:
    """Return numbers for the calls of the modules in each record's scope, outermost first; None where it is not known.

    A recorder knows. On a tape the calls of a module have texts of their own for their path, which are known again in a
    module that calls no others. In a comparison nothing is known.
    """
    known = program.columns.get("module_calls")
    if known is not None or "change" in program.columns:
        return known or [()] * len(program)
    outer = {path for scope in {record.scope for record in program} for path in around(scope)[:-1]}
    return [() if not record.scope or record.scope in outer else
            (*(None,) * record.scope.count("."), id(record.scope)) for record in program]


def classes_of(program: Program) -> dict[str, str]:
    """Return the class names of modules, by their paths."""
    classes: dict[str, str] = {}
    for record, names in zip(program, program.columns.get("classes", ())):
        for path, name in zip(around(record.scope), names):
            classes.setdefault(path, name)
    return classes


def beside(scopes: Iterable[str], others: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return what the modules of a program are called beside those of another one, which keep their names.

    Args:
        scopes: of the records of the program.
        others: its scope, and that in the other program, of each record that both have.

    Returns:
        For each path of a module the one in the other program that more than half of its records are in; never the
        same for two. A module that the other program does not have keeps its label; where that belongs to another one
        now, it has "before" behind it.

    >>> beside(["net.0", "net.1", "net.2"], [("net.0", "net.0"), ("net.2", "net.1")])["net.1"]
    'net.1 before'
    """
    scopes = list(scopes)
    records = Counter(path for scope in scopes for path in around(scope))
    votes: Counter[tuple[str, str]] = Counter()
    for (own, other), count in Counter(others).items():
        if own.count(".") == other.count("."):
            for pair in zip(around(own), around(other), strict=True):
                votes[pair] += count
    names: dict[str, str] = {}
    taken: set[str] = set()
    for (path, name), count in sorted(votes.items(), key=lambda vote: (-vote[1], vote[0][0] != vote[0][1])):
        if 2 * count > records[path] and path not in names and name not in taken:
            names[path] = name
            taken.add(name)
    for path in [path for scope in dict.fromkeys(scopes) for path in around(scope)]:
        if path not in names:
            outer, _, label = path.rpartition(".")
            name = f"{names[outer]}.{label}" if outer else label
            names[path] = f"{name} before" if name in taken else name
            taken.add(names[path])
    return names


def around(scope: str) -> list[str]:
    """Return the paths of the modules around a place, outermost first.

    >>> around("net.layers.0")
    ['net', 'net.layers', 'net.layers.0']
    """
    labels = scope.split(".") if scope else []
    return [".".join(labels[: i + 1]) for i in range(len(labels))]
