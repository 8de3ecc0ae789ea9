"""Modules of one operation: drawn as that operation, with the name of the module on it."""

from __future__ import annotations

from autodiff.viz.graph import Group, Node, groups_in


def inline(root: Group) -> None:
    """Replace every module that consists of one operation by that operation, with the module's name on it.

    Calls of one module are drawn alike, also in several training steps: if one of them holds more, all stay modules. A
    module that calls a function of its name once, such as a `Dropout`, is one group.
    """
    for group in reversed(list(groups_in(root))):
        _open_own_call(group)
    alike = {root: 0}  # a number for groups of equal names in groups that have the same number
    known: dict[tuple[int, str], int] = {}
    groups = list(groups_in(root))
    for group in groups[1:]:
        assert group.parent is not None
        name = group.phase if group.parent is root else group.title
        alike[group] = known.setdefault((alike[group.parent], name), len(known) + 1)
    large = {alike[group] for group in groups if len(group.members) > 1}
    for group in reversed(groups):
        for place, member in enumerate(group.members):
            if isinstance(member, Group) and (member.depth > 2 or member.is_call) and len(member.members) == 1:
                only = member.members[0]
                if isinstance(only, Node) and alike[member] not in large:
                    only.parent = group
                    only.place = f"{member.title}.{only.place}" if only.place else member.title
                    only.module = only.module or member.module
                    group.members[place] = only


def _open_own_call(group: Group) -> None:
    """Put what a call of a function of the module's own name has made into the module itself."""
    own = [member for member in group.members if isinstance(member, Group) and member.is_call
           and member.title.replace("_", "") in group.module.lower()]  # fmt: skip
    if len(own) == 1:
        at = group.members.index(own[0])
        group.members[at : at + 1] = own[0].members
        for inner in own[0].members:
            inner.parent = group
            if isinstance(inner, Group):
                inner.depth -= 1
