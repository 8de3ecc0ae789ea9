"""Equal blocks in a row, shown once: a network of 48 layers is one layer and a number, so are 64 steps in time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterator, Sequence
from itertools import groupby, takewhile

from autodiff.viz.graph import (
    BUFFER,
    CONSTANT,
    INPUT,
    LEAF,
    MODULE,
    OPERATION,
    OUTPUT,
    PARAMETER,
    STATE,
    Edge,
    Graph,
    Group,
    Node,
    common_group,
    groups_in,
    nodes_in,
)

# What the first of several training steps reads where the others read what the one before has made, and what perhaps
# only the last one returns.
_OF_ONE_STEP = (CONSTANT, PARAMETER, LEAF, STATE, BUFFER, OUTPUT)
_SUMS = ("seconds", "flops", "bytes", "saved_bytes")
_LONGEST = 64  # members of a block that is no module
_LEAST = 4  # times that operations have to go on with what the ones before have made
_SIDE_BY_SIDE = 8  # times that operations have to stand beside each other
_NAMED = 3

_Member = Node | Group
_Wire = tuple[int, int, int, int, bool]  # how many members back it begins, at which node of it; where it ends


def roll(graph: Graph) -> int:
    """Show each run of equal blocks as its first one, with their number; in time linear in nodes and edges.

    Blocks are equal that hold the same operations with the same shapes, connected in the same way. A block is a module,
    or some neighbours that come again: a step of a loop that calls modules or goes on with what the one before has
    made, or many operations side by side. What is measured of all of them is added up. An edge inside of a block stands
    for that edge of each. All others are led to the first block and counted; those from a block to the next become
    edges that go around, one for each run where runs stand in runs. Training steps, with all their phases, are blocks.

    Returns:
        How many runs were found.
    """
    _gather_inputs(graph)
    _seat_leaves(graph)
    known = _Known(graph)
    rolled = _Rolled()
    graph.root.members[:] = _steps_once(graph, rolled)
    for parent in groups_in(graph.root):
        if parent is graph.root:
            continue
        kept: list[_Member] = []
        for blocks in known.runs(_joined(parent)):
            kept += rolled.merge(parent, blocks) if len(blocks) > 1 else blocks[0]
        parent.members[:] = [*kept, *(member for member in parent.members if _is_constant(member))]
    if rolled.titles:
        read = {edge.tail for edge in graph.edges if edge.head not in rolled.first}
        left = {node for node in nodes_in(graph.root) if not _is_constant(node) or node in read}
        for group in groups_in(graph.root):
            group.members[:] = [member for member in group.members if isinstance(member, Group) or member in left]
        graph.edges[:] = rolled.lead([edge for edge in graph.edges if edge.tail in left or edge.tail in rolled.first])
        graph.nodes[:] = [node for node in graph.nodes if node in left]
    return len(rolled.titles)


def _steps_once(graph: Graph, rolled: _Rolled) -> list[_Member]:
    """Let the first of equal training steps in a row stand for all of them; return what is shown of all steps.

    Several steps may take turns, such as those of two models that are trained against each other.
    """
    lanes = [member for member in graph.root.members if isinstance(member, Group)]
    steps = [list(step) for _, step in groupby(lanes, key=lambda lane: lane.step)]
    if len(steps) == 1:
        return list(lanes)
    known = _Known(graph, steps=True)
    kept: list[_Member] = []
    first = 0
    while first < len(steps):
        turns, count = _turns(known, steps[first:])
        rounds = [steps[i : i + turns] for i in range(first, first + turns * count, turns)]
        kept += rolled.merge_steps(rounds) if count > 1 else steps[first]
        first += turns * count
    return kept


def _turns(known: _Known, steps: Sequence[list[Group]]) -> tuple[int, int]:
    """Return how many steps in a row come again, and how often, from the first on; fewest first."""
    lanes = [lane for step in steps for lane in step]
    for turns in range(1, min(_LONGEST, len(steps) // 2) + 1):
        length, count = sum(map(len, steps[:turns])), 1
        while known.equal(lanes, 0, count * length, length) and lanes[count * length] is steps[count * turns][0]:
            count += 1
        if count > 1:
            return turns, count
    return 1, 1


def _gather_inputs(graph: Graph) -> None:
    """Draw an input once, outside of all blocks, also where it was drawn for each that reads it."""
    first: dict[str, Node] = {}
    copies: dict[Node, Node] = {}
    for node in graph.nodes:
        if node.kind == INPUT:
            own = first.setdefault(node.id.partition("_")[0], node)
            if own is not node:
                copies[node] = own
    for group in groups_in(graph.root):
        group.members[:] = [member for member in group.members if member not in copies]
    for node in dict.fromkeys(copies.values()):
        node.parent.members.remove(node)
        while node.parent.depth > 1 and node.parent.parent is not None:
            node.parent = node.parent.parent
        node.parent.members.append(node)
    graph.nodes[:] = [node for node in graph.nodes if node not in copies]
    for edge in graph.edges:
        edge.tail = copies.get(edge.tail, edge.tail)


def _seat_leaves(graph: Graph) -> None:
    """Put each leaf that is drawn for one operation before it: so the steps of a loop hold their leaves."""
    readers: dict[Node, set[Node]] = {}
    for edge in graph.edges:
        readers.setdefault(edge.tail, set()).add(edge.head)
    for group in groups_in(graph.root):
        before: dict[_Member, list[_Member]] = {}
        others: list[_Member] = []
        for member in group.members:
            heads = () if _runs(member) or isinstance(member, Group) else readers.get(member, ())
            (head,) = heads if len(heads) == 1 else (None,)
            if head is not None and head.parent is group:
                before.setdefault(head, []).append(member)
            else:
                others.append(member)
        group.members[:] = [x for member in others for x in (*before.get(member, ()), member)]


def _runs(member: _Member) -> bool:
    return isinstance(member, Node) and member.kind in (OPERATION, MODULE)


def _is_constant(member: _Member) -> bool:
    """Return whether this is a value without a name: the first step of a loop may read one instead of a result."""
    return isinstance(member, Node) and member.kind == CONSTANT


def _is_left_out(member: _Member, steps: bool) -> bool:
    """Return whether something does not count in a comparison: of blocks, or of training `steps`."""
    return isinstance(member, Node) and member.kind in (_OF_ONE_STEP if steps else (CONSTANT,))


def _joined(group: Group, steps: bool = False) -> list[_Member]:
    """Return the members of a group that count in a comparison."""
    return [member for member in group.members if not _is_left_out(member, steps)]


def _is_block(member: _Member) -> bool:
    return member.depth > 1 if isinstance(member, Group) else member.kind == MODULE


class _Known:
    """What is known of a graph before anything is rolled up: which members are equal, and how they are joined.

    Attributes:
        shapes: a number for each node and group, the same for equal ones. The name of a block itself does not count.
        wires: for each member the edges that come to it from other members of its group.
        steps: whether training steps are to be compared, without the leaves that only the first of them reads.
    """

    def __init__(self, graph: Graph, steps: bool = False) -> None:
        self.steps = steps
        joined = (node for node in nodes_in(graph.root) if not _is_left_out(node, steps))
        # Those of a group are neighbours.
        self.numbers: dict[_Member, int] = {node: number for number, node in enumerate(joined)}
        self.start = dict(self.numbers)
        self.shapes: dict[_Member, int] = {}
        self.wires: dict[_Member, list[_Wire]] = {}
        order = list(groups_in(graph.root))
        for group in reversed(order):
            self.start[group] = min(map(self.start.__getitem__, _joined(group, steps)), default=0)
        self._note_wires(graph, order)
        self._note_shapes(graph, order)

    def _note_wires(self, graph: Graph, groups: Sequence[Group]) -> None:
        place = {member: i for group in groups for i, member in enumerate(_joined(group, self.steps))}
        for edge in graph.edges:
            if _is_left_out(edge.tail, self.steps) or _is_left_out(edge.head, self.steps):
                continue
            around = common_group(edge.tail.parent, edge.head.parent)
            tail, head = _member_of(around, edge.tail), _member_of(around, edge.head)
            self.wires.setdefault(head, []).append((
                place[head] - place[tail], self.numbers[edge.tail] - self.start[tail],
                self.numbers[edge.head] - self.start[head], edge.values, edge.saved))  # fmt: skip
        for wires in self.wires.values():
            wires.sort()

    def _note_shapes(self, graph: Graph, groups: Sequence[Group]) -> None:
        known: dict[Hashable, int] = {}
        incoming: Counter[Node] = Counter()
        for edge in graph.edges:
            incoming[edge.head] += edge.values
        for node in graph.nodes:
            key: Hashable = (node.kind, tuple(node.operations), node.change, node.recomputed)
            if node.kind == MODULE and self.steps:  # only the first holds parameters, only the last may be read outside
                key = (key, node.title, node.module)
            elif node.kind == MODULE:  # not all steps of a loop are read alike: the first is given what others make
                key = (key, node.module, tuple(node.held.values()), tuple(sorted({repr(spec) for spec in node.specs})))
            else:
                # A gradient is called after its parameter, with the modules around it.
                nameless = node.kind == OUTPUT or (node.kind == INPUT and self.steps)  # each step has its own batch
                title, name = "" if nameless else node.title, node.module or node.place
                key = (key, title, name, tuple(map(repr, node.specs)), tuple(node.details), incoming[node])
            self.shapes[node] = known.setdefault(key, len(known))
        for group in reversed(groups):
            members = tuple((self.shapes[m], "" if isinstance(m, Node) else m.title, tuple(self.wires.get(m, ())))
                            for m in _joined(group, self.steps))  # fmt: skip
            key = (group.phase, members)
            self.shapes[group] = known.setdefault(key, len(known))

    def runs(self, members: Sequence[_Member]) -> Iterator[list[list[_Member]]]:
        """Yield the members of a group in order: runs of equal blocks, and single members as runs of one."""
        shapes = [self.shapes[member] for member in members]
        start = free = 0  # from `free` on no member stands in a run yet
        while start < len(members):
            length, count = next(self._repeats(members, shapes, start), (1, 1))
            last = start + length * (count - 1)
            if count > 1 and any(longer > length for longer, _ in self._repeats(members, shapes, last)):
                count -= 1  # the last is the begin of a step that does more than the first did: it adds gradients up
                if count < self._least(members, start, length):
                    yield from ([[member]] for member in members[start:last])
                    start = last
                    continue
            late = self._late(members, shapes, start, length, free)
            if late:
                yield from ([[member]] for member in members[start : start + late])
                start += late
                continue
            end = start + length * count
            yield [list(members[i : i + length]) for i in range(start, end, length)]
            start = end
            free = end if count > 1 else free

    def _late(self, members: Sequence[_Member], shapes: list[int], start: int, length: int, free: int) -> int:
        """Return how many members later a run should begin, so that each of its blocks is a whole step.

        What stands before it may look like the end of a block: a first step reads leaves where others read results.
        """
        block = members[start : start + length]
        before = takewhile(lambda pair: pair[0].title == pair[1].title, zip(members[free:start][::-1], block[::-1]))
        begun = len(list(before))
        if not 0 < begun < length:
            return 0
        late = length - begun
        return late if any(other == length for other, _ in self._repeats(members, shapes, start + late)) else 0

    def _repeats(self, members: Sequence[_Member], shapes: list[int], start: int) -> Iterator[tuple[int, int]]:
        """Yield the length and number of equal blocks that begin at a member, short ones first."""
        for length in range(1, min(_LONGEST, (len(members) - start) // 2) + 1):
            middle = start + length
            if shapes[start] != shapes[middle] or shapes[start:middle] != shapes[middle : middle + length]:
                continue
            block = members[start:middle]
            if not any(_is_block(member) or _runs(member) for member in block):
                continue
            count = 1
            while self.equal(members, start, start + count * length, length):
                count += 1
            if count >= self._least(members, start, length):
                yield length, count

    def _least(self, members: Sequence[_Member], start: int, length: int) -> int:
        """Return how many blocks there have to be, at least two, to be shown once."""
        if any(map(_is_block, members[start : start + length])):
            return 2
        return _LEAST if self._goes_on(members, start + length, length) else _SIDE_BY_SIDE

    def equal(self, members: Sequence[_Member], first: int, second: int, length: int) -> bool:
        """Return whether the members from the second place on are like those from the first on."""
        if second + length > len(members):
            return False
        for i, (one, other) in enumerate(zip(members[first : first + length], members[second : second + length])):
            if self.shapes[one] != self.shapes[other]:
                return False
            inside = ([wire for wire in self.wires.get(x, ()) if i - length < wire[0] <= i] for x in (one, other))
            if next(inside) != next(inside):
                return False
        return True

    def _goes_on(self, members: Sequence[_Member], start: int, length: int) -> bool:
        """Return whether a block reads what the one before it has made."""
        return any(i < wire[0] <= i + length for i, member in enumerate(members[start : start + length])
                   for wire in self.wires.get(member, ()))  # fmt: skip


def _member_of(group: Group, node: Node) -> _Member:
    """Return the member of a group that a node is, or is in."""
    member: _Member = node
    while member.parent is not group:
        assert member.parent is not None
        member = member.parent
    return member


class _Rolled:
    """Which node stands for which, and where each stands: in which copy of which blocks."""

    def __init__(self) -> None:
        self.first: dict[Node, Node] = {}
        self.levels: dict[Node, list[tuple[int, int]]] = {}  # run and copy; outer ones first
        self.titles: list[str] = []  # of the runs

    def merge(self, parent: Group, blocks: Sequence[list[_Member]]) -> list[_Member]:
        """Let the first of equal blocks stand for all of them; return what is shown of them."""
        shown, count = blocks[0], len(blocks)
        title = f"{_name_of(blocks)} × {count:,}"
        self._note(blocks, title, (CONSTANT,))
        if len(shown) > 1 or not _is_block(shown[0]):
            return [_wrapped(parent, shown, f"cluster_x{len(self.titles) - 1}", title, count)]
        (block,) = shown
        block.title = title
        if isinstance(block, Group):
            block.copies = count
        else:
            block.details = [text for text in block.details if text != block.module]  # it is in the title
        return shown

    def merge_steps(self, rounds: Sequence[Sequence[list[Group]]]) -> list[Group]:
        """Let the first of equal rounds of training steps stand for all of them; return its phases."""
        blocks = [[lane for step in steps for lane in step] for steps in rounds]
        results = [[[node for node in nodes_in(lane) if node.kind == OUTPUT] for lane in block] for block in blocks]
        alike = len({tuple(map(len, block)) for block in results}) == 1
        self._note(blocks, f"training step × {len(rounds):,}", _OF_ONE_STEP[:-1] if alike else _OF_ONE_STEP)
        for i, lane in enumerate(blocks[0]):
            lane.copies = len(rounds)
            if len(rounds[0]) > 1:  # this one of those that take turns
                lane.title = f"{lane.phase} {lane.step}"
            else:
                lane.title = lane.phase if lane.step == 1 else f"{lane.phase} {lane.step}–{blocks[-1][i].step:,}"
            lane.title += f" × {lane.copies:,}"
            for node in [] if alike else [node for block in results[1:] for node in block[i]]:
                node.parent = lane
                lane.members.append(node)
            for node in nodes_in(lane):
                if node.kind in (INPUT, OUTPUT) and node.others and node.others[-1].title != node.title:
                    node.title = f"{node.title} … {node.others[-1].title}"
        return blocks[0]

    def _note(self, blocks: Sequence[Sequence[_Member]], title: str, left_out: Collection[str]) -> None:
        """Note that each node of the first of equal blocks stands for those of the others, but for some kinds."""
        nodes = [[node for member in block for node in nodes_in(member) if node.kind not in left_out]
                 for block in blocks]
        for copy, others in enumerate(nodes):
            for own, other in zip(nodes[0], others, strict=True):
                self.levels.setdefault(other, []).append((len(self.titles), copy))
                if copy:
                    self.first[other] = own
                    own.others.append(other)
                    _add_measures(own, other)
        self.titles.append(title)

    def shown(self, node: Node) -> Node:
        """Return the node that stands for this one."""
        while node in self.first:
            node = self.first[node]
        return node

    def places(self, node: Node) -> list[tuple[int, int]]:
        """Return the runs that a node is in, outer ones first, and the copy in each."""
        found = list(self.levels.get(node, ()))
        while node in self.first:
            node = self.first[node]
            found += self.levels[node][len(found) :]
        return found

    def lead(self, edges: list[Edge]) -> list[Edge]:
        """Return the edges between the nodes that are shown."""
        led: list[Edge] = []
        merged: dict[tuple[Node, Node, bool, str, int | None], Edge] = {}
        for edge in edges:
            tail, head = self.places(edge.tail), self.places(edge.head)
            common = list(takewhile(lambda pair: pair[0][0] == pair[1][0], zip(tail, head)))
            inside = list(takewhile(lambda pair: pair[0] == pair[1], common))
            if any(place[1] for place, _ in inside):
                continue  # the first block has the same edge
            # The number of the run where the edge leads from a block to the next.
            run = common[len(inside)][0][0] if len(inside) < len(common) else None
            if run is None and len(tail) == len(head) == len(inside):
                led.append(edge)
                continue
            key = (self.shown(edge.tail), self.shown(edge.head), edge.saved, edge.change, run)
            known = merged.get(key)
            if known is None:
                known = Edge(*key[:2], 0, edge.saved, edge.tooltip, edge.change, later=edge.later,
                             carries=set())
                if run is not None:
                    known.again = len(inside) + 1
                    known.tooltip += f"\nfrom one to the next: {self.titles[run]}"
                merged[key] = known
                led.append(known)
            assert known.carries is not None
            known.values += edge.values
            known.carries.add((edge.tail.id, edge.output, tuple(copy for _, copy in head)))
        return led


def _name_of(blocks: Sequence[list[_Member]]) -> str:
    """Return what blocks are called: after the modules in them, or else after what they begin and end with."""
    first = blocks[0]
    if len(first) == 1:
        ends = (first[0].title, blocks[-1][0].title)
        return first[0].module or " … ".join(dict.fromkeys(ends))
    modules = [member.module or member.title for member in first if _is_block(member)]
    modules += [member.module or member.place for member in first if isinstance(member, Node) and member.place]
    if modules:
        return " · ".join(list(dict.fromkeys(modules))[:_NAMED])
    boxes = [member.title for member in first if _runs(member)]
    return " … ".join(dict.fromkeys((boxes[0], boxes[-1])))


def _wrapped(parent: Group, members: list[_Member], id: str, title: str, copies: int) -> Group:
    """Return a new group in another one, with some of its members."""
    group = Group(id, title, parent.phase, parent, parent.depth + 1, members, copies=copies)
    for member in members:
        member.parent = group
    inner = [member for member in members if isinstance(member, Group)]
    for member in inner:
        member.depth += 1
        inner += [other for other in member.members if isinstance(other, Group)]
    return group


def _add_measures(node: Node, other: Node) -> None:
    node.records += other.records
    node.held |= other.held
    mine, others = (x.measures.get("seconds", 0.0) for x in (node, other))
    if "roofline" in node.measures and mine + others:
        share = mine * node.measures["roofline"] + others * other.measures.get("roofline", 0.0)
        node.measures["roofline"] = share / (mine + others)
    for name in _SUMS:
        if name in other.measures:
            node.measures[name] = node.measures.get(name, 0.0) + other.measures[name]
