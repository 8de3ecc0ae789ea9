"""Leaves that the user's program has not made: what they are called, and which are written on what reads them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator
from typing import Any

from autodiff.primitive import Primitive
from autodiff.program import Program, Record
from autodiff.program_scopes import owners_of
from autodiff.spec import Array

# What these operations are given for a weight or a bias that the function was called without.
_OPTIONAL = ("batch_norm", "batch_norm_given", "group_norm", "layer_norm", "rms_norm", "cross_entropy",
             "soft_cross_entropy", "nll_loss")
_WITHOUT_EFFECT = {"weight": 1, "bias": 0}
Place = tuple[Record, int]  # an input of a record, by its position


def names_of_leaves(program: Program, name_of: Callable[[Any], str]) -> dict[int, str]:
    """Return names, by ``id``, of leaves that have none: keys of random draws, and gradients that were there before.

    Args:
        program: what is drawn.
        name_of: returns the name of any leaf, empty where it has none.

    >>> import autodiff as ad
    >>> program = ad.record(ad.nn.Dropout(0.5), ad.ones(2))
    >>> list(names_of_leaves(program, lambda leaf: "").values())
    ['random key']
    """
    found: dict[int, str] = {}
    targets = {(record, index): target for record, pairs in zip(program, program.columns.get("gradient_of", ()))
               for index, target in pairs if type(target) is not tuple}  # fmt: skip
    for record in program:
        if record.name.startswith("random_") and _is_leaf(record.operands[0]):
            found[id(record.operands[0])] = "random key"
        elif record.name == "add" and record.phase == "backward":  # to what `.grad` held
            before, gradient = record.operands
            target = targets.get(gradient) if type(gradient) is tuple else None
            if target is not None and _is_leaf(before):
                found[id(before)] = f"grad of {name_of(target)}".removesuffix(" of ")
    return found


def models_of(program: Program) -> dict[int, str]:
    """Return the model that each leaf with a name belongs to, by ``id``, where the program has several.

    Names of leaves are unique within a model alone.

    >>> import autodiff as ad
    >>> one, other = ad.nn.Linear(2, 2), ad.nn.Linear(2, 2)
    >>> sorted(models_of(ad.record(lambda x: one(other(x)), ad.ones(1, 2))).values())
    ['Linear', 'Linear', 'Linear_2', 'Linear_2']
    """
    models = {leaf: path.partition(".")[0] for leaf, path in owners_of(program).items()}
    return models if len(set(models.values())) > 1 else {}


def defaults_in(program: Program, named: Collection[int] = (), known: Collection[Place] = ()) -> dict[Place, str]:
    """Return at which inputs records read a weight or bias that was not given, and as what: all ones, or all zeros.

    Args:
        program: what is drawn.
        named: ``id`` of leaves that have a name, although they do not know it.
        known: inputs of which is known what they are.

    >>> import autodiff as ad
    >>> program = ad.record(ad.nn.functional.cross_entropy, ad.ones(2, 3), ad.tensor([0, 2]))
    >>> [(record.name, position, text) for (record, position), text in defaults_in(program).items()]
    [('cross_entropy', 2, 'weight 1')]
    """
    def array_of(place: Place) -> Array | None:
        """Return what is read: of a tape, what was saved."""
        record, position = place
        leaf = record.operands[position]
        if leaf is not None:
            is_unknown = _is_leaf(leaf) and not (leaf.needs_grad or leaf.name or id(leaf) in named)
            return leaf.array if is_unknown else None
        saved = dict(zip(record.keep.inputs, () if record.dropped else record.saved or ()))
        return saved[position][0] if position in saved and place not in known else None

    places = list(_places(program))
    defaults = {
        id(array): f"{name} {_WITHOUT_EFFECT[name]}" for name, place in places
        if place[0].name in _OPTIONAL and name in _WITHOUT_EFFECT
        if (array := array_of(place)) is not None and bool((array == _WITHOUT_EFFECT[name]).all())
    }
    # Their gradients read the same again.
    return {place: defaults[id(array_of(place))] for _, place in places
            if defaults and id(array_of(place)) in defaults}  # fmt: skip


def _is_leaf(operand: Any) -> bool:
    return operand is not None and type(operand) is not tuple


def _places(program: Program) -> Iterator[tuple[str, Place]]:
    """Yield the inputs of all records, with what the rule of shapes of each operation calls them, where it does."""
    names: dict[Primitive, list[str]] = {}
    for record in program:
        if record.primitive not in names:
            infer = getattr(record.primitive, "infer", None)  # an operation that only a text names has none
            names[record.primitive] = [] if infer is None else list(inspect.signature(infer).parameters)
        known = names[record.primitive]
        for position in range(len(record.operands)):
            yield known[position] if position < len(known) else "", (record, position)
