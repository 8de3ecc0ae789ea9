"""To which modules the records of a program belong, and what those of two programs are called side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from autodiff.program import Program, common_scope
from autodiff.program_calls import named


def scopes_of(program: Program) -> list[str]:
    """Return the path of the module that each record belongs to; empty where it belongs to none.

    An update runs outside every module. It belongs to the module whose parameters it changes; where it only prepares a
    change, to that of the next one, unless it is of a call of several operations, such as `clip_grad_norm_`.
    """
    model = next((record.scope.split(".")[0] for record in program if record.scope), "")
    scopes = []
    following = ""
    for record, made in zip(reversed(program.records), reversed(named(program)), strict=True):
        scope = record.scope
        if not scope:
            owners = [f"{model}.{leaf.name}".rpartition(".")[0] for leaf in record.operands
                      if leaf is not None and type(leaf) is not tuple and leaf.needs_grad and leaf.name]
            if record.phase != "update":
                following = ""
            elif owners and model:
                following = common_scope(owners)
            scope = following if owners or made is None or made.alone else ""
        scopes.append(scope)
    return scopes[::-1]


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
