"""Where operations are shown: each in the group of its module, as long as the picture stays free of circles."""

from __future__ import annotations

from collections.abc import Sequence

from autodiff.program import Record
from autodiff.viz.graph import Group, Node

Place = tuple[int, ...]  # indexes among the members of the groups around it, outermost first


class Seats:
    """Finds the groups that a record may join: nothing that it is made from stands behind them.

    In each lane a member then depends on members before it alone, so each may be shown as a single node.
    """

    def __init__(self) -> None:
        self._latest: dict[tuple[Group, str, int | None], Node | Group] = {}  # of each call, and of any
        self._numbered: set[Node | Group] = set()  # of which the call is known
        self._index: dict[Node | Group, int] = {}
        self._lanes: dict[Record, Group] = {}
        self._reach: dict[Record, dict[Group, Place]] = {}  # in each lane the last place of what it is made from

    def found(
        self, record: Record, lane: Group, labels: Sequence[str], calls: Sequence[int | None]
    ) -> list[Node | Group]:
        """Return what stands for the modules of a record, outermost first, up to the first that has to be made.

        Args:
            record: each once, after those that it is made from.
            lane: its phase.
            labels: of the modules that are shown around it, and of the function that has made it.
            calls: for each of them a number for the call of it, where it is known: other calls are shown apart.
        """
        floor = self._reached(record, lane).get(lane, ())
        found: list[Node | Group] = []
        around = lane
        for level, label in enumerate(labels):
            member = self._of(around, label, calls[level])
            if member is None:
                break
            if level < len(floor):
                if self._index[member] < floor[level]:
                    break
                if self._index[member] > floor[level]:
                    floor = ()
            found.append(member)
            if isinstance(member, Group):
                around = member
        return found

    def add(self, member: Node | Group, label: str = "", call: int | None = None) -> None:
        """Note that a node or group was put behind the others in its group.

        Args:
            member: the node or group.
            label: of the module that it shows.
            call: a number for the call of it, where that is known.
        """
        assert member.parent is not None
        self._index[member] = len(member.parent.members) - 1
        if label:
            self._latest[member.parent, label, None] = member
            if call is not None:
                self._latest[member.parent, label, call] = member
                self._numbered.add(member)

    def _of(self, around: Group, label: str, call: int | None) -> Node | Group | None:
        """Return the latest member that shows this call, or one of which the call was not known until now."""
        member = self._latest.get((around, label, call))
        if member is None:
            member = self._latest.get((around, label, None))
            if member in self._numbered:
                return None
            if member is not None and call is not None:
                self._latest[around, label, call] = member
                self._numbered.add(member)
        return member

    def take(self, record: Record, lane: Group, member: Node | Group) -> None:
        """Note what shows a record."""
        place = []
        around: Node | Group = member
        while around is not lane:
            place.append(self._index[around])
            assert around.parent is not None
            around = around.parent
        self._lanes[record] = lane
        self._reach[record][lane] = tuple(place[::-1])

    def _reached(self, record: Record, lane: Group) -> dict[Group, Place]:
        """Return the last place in each lane of what a record is made from."""
        reach: dict[Group, Place] = {}
        for operand in record.operands:
            source = operand[0] if type(operand) is tuple else None
            if source not in self._reach:
                continue
            for other, place in self._reach[source].items():
                if other is lane and self._lanes[source] is not lane:
                    place = (place[0] + 1,)  # a way through another lane leads to a module of its own
                if place > reach.get(other, ()):
                    reach[other] = place
        self._reach[record] = reach
        return reach
