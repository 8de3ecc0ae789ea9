"""Modules of one operation: drawn as that operation, with the name of the module on it."""

from __future__ import annotations

from autodiff.viz.graph import Group, Node


def inline(root: Group) -> None:
    """Replace every module that consists of one operation by that operation, with the module's name on it.

    Calls of one module are drawn alike: if one of them holds more, all stay modules. A module that calls a function
    of its name once, such as a `Dropout`, is one group.
    """
    order = [root]
    for group in order:
        order += [member for member in group.members if isinstance(member, Group)]
    for group in reversed(order):
        own = [member for member in group.members if isinstance(member, Group) and member.is_call
               and member.title.replace("_", "") in group.module.lower()]  # fmt: skip
        if len(own) == 1:
            at = group.members.index(own[0])
            group.members[at : at + 1] = own[0].members
            for inner in own[0].members:
                inner.parent = group
                if isinstance(inner, Group):
                    inner.depth -= 1
        large = {member.title for member in group.members if isinstance(member, Group) and len(member.members) > 1}
        for place, member in enumerate(group.members):
            if isinstance(member, Group) and (member.depth > 2 or member.is_call) and len(member.members) == 1:
                only = member.members[0]
                if isinstance(only, Node) and member.title not in large:
                    only.parent = group
                    only.place = f"{member.title}.{only.place}" if only.place else member.title
                    only.module = only.module or member.module
                    group.members[place] = only
