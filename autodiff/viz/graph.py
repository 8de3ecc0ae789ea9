"""From a `Program` to the nodes, edges and nested groups of its picture. Nothing here knows how they are drawn.

Every record is one node, every operand one edge, so ``x * x`` has two. A module call is a group: an unbroken run of
records under one module path. Runs of an ordered program cannot depend on each other in a circle, so a group may be
shown as a single node and the picture stays free of cycles, however often a module is called.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from autodiff.program import Program, Record, tensor_class
from autodiff.program_reading import Leaf
from autodiff.program_text import settings_of
from autodiff.spec import Array, Spec
from autodiff.viz.measurements import Measurements
from autodiff.viz.places import blocks_of, classes_of, lines_around, paths_of, text_of_line

OPERATION, MODULE, PARAMETER, BUFFER, INPUT, CONSTANT, OUTPUT = (
    "operation", "module", "parameter", "buffer", "input", "constant", "output")
_SPECS_SHOWN = 4
_LEAVES_SHOWN = 8
_PARTS_SHOWN = 4
_TOOLTIPS_SHOWN = 12
_READERS_SHOWN = 12


@dataclass(eq=False, slots=True)
class Node:
    """A box of the picture.

    Attributes:
        id: unique within the graph and the same on every run.
        kind: ``"operation"``, ``"module"``, ``"parameter"``, ``"buffer"``, ``"input"``, ``"constant"`` or ``"output"``.
        title: name of the operation, module or tensor.
        phase: ``"forward"``, ``"backward"`` or ``"update"``.
        parent: group it stands in.
        details: further lines of text.
        tooltip: lines of text shown on demand.
        place: labels of the modules around it that are not drawn as groups.
        module: class name of the module that it shows, where it is known.
        records: how many operations it stands for.
        operations: their names.
        specs: of its outputs.
        held: parameters that are not drawn because they stand in it: ``id`` and number of elements.
        order: number of the (first) record in the program; of a leaf that of the first record that reads it.
        record: the record that it shows; None for anything but an operation.
        file, line, source: the user's line that ran it: file without folder, number, and the lines around it.
        measures: of all its records together: ``"seconds"``, ``"flops"``, ``"bytes"``, ``"saved_bytes"`` and
            ``"roofline"`` (a share), as far as they are known.
        values: for each of `specs` the statistics of its numbers; see `autodiff.program_columns`.
        gradients: for each of `specs` the statistics of the gradient with respect to it; None where it is not known.
        gradient_order: number of the record after which `gradients` are complete, where the program has one; or -1.
        change: in a comparison ``"same"``, ``"added"``, ``"removed"`` or ``"changed"``; otherwise empty.
        look: DOT attributes that an overlay has given it.
    """

    id: str
    kind: str
    title: str
    phase: str
    parent: Group
    details: list[str] = field(default_factory=list)
    tooltip: list[str] = field(default_factory=list)
    place: str = ""
    module: str = ""
    records: int = 0
    operations: list[str] = field(default_factory=list)
    specs: list[Spec] = field(default_factory=list)
    held: dict[int, int] = field(default_factory=dict)
    order: int = 0
    record: Record | None = None
    file: str = ""
    line: int = 0
    source: list[tuple[int, str]] = field(default_factory=list)
    measures: dict[str, float] = field(default_factory=dict)
    values: list[dict[str, float]] = field(default_factory=list)
    gradients: list[dict[str, float] | None] = field(default_factory=list)
    gradient_order: int = -1
    change: str = ""
    look: dict[str, str] = field(default_factory=dict)

    def jacobian(self, input: int = 0, output: int = 0) -> Array:
        """Return the derivative of this operation's output with respect to its input, at the values that it ran with.

        Args:
            input, output: which of them.

        Returns:
            An array of the output's shape followed by the input's.

        Raises:
            GradientError: if this is no operation, no gradient flows there, or what it has saved has been freed.
            ValueRangeError: if it would have more than a million elements.

        >>> import autodiff as ad
        >>> from autodiff.viz import draw
        >>> x = ad.tensor([1.0, 2.0], requires_grad=True)
        >>> draw(x * x).graph.nodes[0].jacobian()
        array([[1., 0.],
               [0., 2.]], dtype=float32)
        """
        from autodiff.viz.jacobian import jacobian

        return jacobian(self.record, input, output)


@dataclass(eq=False, slots=True)
class Group:
    """Nodes and smaller groups that belong together: a phase of the program, or one call of a module.

    Attributes:
        id: unique within the graph and the same on every run.
        title: label of the module, or the phase.
        phase: ``"forward"``, ``"backward"`` or ``"update"``; empty for the whole picture.
        parent: the group around it; None for the whole picture.
        depth: number of groups around it.
        members: in program order.
        module: class name of the module, where it is known.
        copies: how many equal ones it stands for.
    """

    id: str
    title: str
    phase: str
    parent: Group | None
    depth: int
    members: list[Node | Group] = field(default_factory=list)
    module: str = ""
    copies: int = 1


@dataclass(eq=False, slots=True)
class Edge:
    """A value on its way from one node to another.

    Attributes:
        tail, head: where it is made and where it is read.
        values: how many values it stands for: more than one only at a module shown as one node, or a rolled-up one.
        saved: whether a backward pass reads what the forward pass made.
        tooltip: what is carried.
        change: in a comparison ``"removed"`` for what is read no longer; otherwise empty.
        again: whether it leads from one of several equal blocks to the next.
        slow: whether it lies on the slowest path.
    """

    tail: Node
    head: Node
    values: int
    saved: bool
    tooltip: str
    change: str = ""
    again: bool = False
    slow: bool = False


@dataclass(slots=True)
class Graph:
    """The picture of a program: all nodes and edges, and the tree of groups the nodes stand in.

    Attributes:
        root: the whole picture; its members are the phases, in the order they ran.
        nodes: in program order.
        edges: in program order.
        remarks: what a reader should know, a line each.
        scale: what the colours of an overlay mean: colour and text, from low to high.
    """

    root: Group
    nodes: list[Node]
    edges: list[Edge]
    remarks: list[str] = field(default_factory=list)
    scale: list[tuple[str, str]] = field(default_factory=list)


def graph_of(
    program: Program, *, depth: int | None = None, constants: bool = False, unfold: bool = False,
    block: int = 0, names: Mapping[int, str] | None = None, results: Sequence[tuple[Any, str]] | None = None,
    gradients: Sequence[tuple[Any, str]] = (),
) -> Graph:
    """Lay out a program as nodes, edges and groups, in time linear in its edges.

    Args:
        program: records in order.
        depth: modules nested deeper are shown as one node each: 0 shows the outermost modules as nodes, 1 their
            children, and so on; None shows every operation.
        constants: show numbers (tensors without dimensions that need no gradient) as nodes of their own.
        unfold: show the parts of fused operations, instead of one node that lists them.
        block: show so many records in a row as one node, instead of modules.
        names: names of leaf tensors by ``id``: those named here are inputs.
        results: edges ``(record, output index)`` with the names to show for them; by default the program's outputs.
        gradients: further results, which a module that is shown as one node only counts.
    """
    builder = _Builder(0 if block else depth, constants, unfold, names or {})
    builder.place(program, blocks_of(program, block) if block else paths_of(program))
    removed = program.columns.get("before", ((),) * len(program))
    for record, before in zip(program, removed, strict=True):
        for position, operand in enumerate(record.operands):
            builder.connect(record, position, operand)
        for operand in before:
            builder.disconnect(record, operand)
    if results is None:
        plural = len(program.outputs) > 1
        results = [(edge, f"output {i}" if plural else "output") for i, edge in enumerate(program.outputs)]
    for edge, name in results:
        builder.finish(edge, name)
    for edge, name in gradients:
        builder.finish(edge, name, gradient=True)
    graph = builder.graph()
    Measurements(program).fill(graph, builder.owner, builder.leaving, builder.drawn)
    return graph


@lru_cache(4096)
def text_of_spec(spec: Spec) -> str:
    """Return shape and dtype as people write them.

    >>> from autodiff.spec import Spec
    >>> text_of_spec(Spec.of((32, 16, 8))), text_of_spec(Spec.of((), "int64"))
    ('32×16×8 float32', 'scalar int64')
    """
    return ("×".join(map(str, spec.shape)) or "scalar") + f" {spec.dtype.name}"


_full = lru_cache(4096)(repr)  # of a spec: shape, dtype and layout


class _Builder:
    """Builds a graph in one pass over the records and one over their operands."""

    def __init__(self, depth: int | None, constants: bool, unfold: bool, names: Mapping[int, str]) -> None:
        self.depth = depth
        self.constants = constants
        self.unfold = unfold
        self.names = names
        self.lanes: dict[str, Group] = {}
        self.readers: dict[tuple[Record, int], list[Node]] = {}
        self.makers: dict[tuple[Record, int], Node] = {}
        self.drawn: dict[int, list[tuple[Node, Any]]] = {}
        self.root = Group("root", "", "", None, 0)
        self.groups = 0
        self.nodes: list[Node] = []
        self.edges: list[Edge] = []
        self.owner: dict[Record, Node] = {}
        self.leaves: dict[tuple[int, str], _Leaf] = {}
        self.reads: Counter[Node] = Counter()
        self.gradients: Counter[Node] = Counter()
        self.merged: dict[tuple[Node, Node], Edge] = {}
        self.carried: set[tuple[Node, Node, Record, int]] = set()
        self.leaving: set[tuple[Record, int]] = set()

    # ---- Nodes and groups --------------------------------------------------------------------------------------------

    def place(self, program: Program, paths: list[list[str]]) -> None:
        """Make the nodes of all records, in the groups that their paths say."""
        open_path: list[str] = []
        open_groups = [self.root]
        collapsed: Node | None = None
        classes = classes_of(program)
        parts = program.columns.get("parts", ((),) * len(program))
        changes = program.columns.get("change", ("",) * len(program))
        for index, (record, path) in enumerate(zip(program, paths, strict=True)):
            inside = self.depth is not None and len(path) > self.depth + 1
            if inside:
                assert self.depth is not None
                path = path[:self.depth + 2]
            if path == open_path and collapsed is not None:
                self._add_to_module(collapsed, record)
                continue
            groups = path[:-1] if inside else path
            common = 0
            for old, new in zip(open_path[:len(open_groups) - 1], groups):
                if old != new:
                    break
                common += 1
            del open_groups[common + 1:]
            for title in groups[common:]:
                outer = open_groups[-1]
                made = self._lane(title) if outer is self.root else self._new_group(title, record.phase, outer)
                open_groups.append(made)
                open_groups[-1].module = classes.get(".".join(groups[1 : len(open_groups) - 1]), "")
            open_path = path
            if inside:
                collapsed = self._new_node(f"m{index}", MODULE, path[-1], record.phase, open_groups[-1])
                collapsed.module = classes.get(".".join(path[1:]), "")
                collapsed.tooltip = [f"module {'.'.join(path[1:])} {collapsed.module}".rstrip()]
                collapsed.order = index
                self._add_to_module(collapsed, record)
            else:
                collapsed = None
                if self.unfold and parts[index]:
                    self._unfold(index, record, parts[index], open_groups[-1])
                else:
                    self.owner[record] = self._operation(f"r{index}", record, open_groups[-1], parts[index])
            self.owner[record].change = combined(self.owner[record].change, changes[index])

    def _lane(self, phase: str) -> Group:
        """Return the group of a phase. Phases take turns within a step (in a replay, to write buffers late)."""
        if "update" in self.lanes and phase != "update":
            self.lanes.clear()  # another step begins
        if phase not in self.lanes:
            self.lanes[phase] = self._new_group(phase, phase, self.root)
        return self.lanes[phase]

    def _new_group(self, title: str, phase: str, parent: Group) -> Group:
        group = Group(f"cluster_{self.groups}", title, phase, parent, parent.depth + 1)
        self.groups += 1
        parent.members.append(group)
        return group

    def _new_node(self, id: str, kind: str, title: str, phase: str, parent: Group) -> Node:
        node = Node(id, kind, title, phase, parent)
        self.nodes.append(node)
        parent.members.append(node)
        return node

    def _unfold(self, index: int, record: Record, parts: Sequence[Record], group: Group) -> None:
        """Show the parts of a fused operation, in a group of their own."""
        inside = self._new_group("fused", record.phase, group)
        nodes = [self._operation(f"r{index}_{k}", part, inside) for k, part in enumerate(parts)]
        for node in nodes:
            node.order, node.records = index, 0
        self.owner[record] = nodes[0]
        nodes[0].records = 1
        first = len(record.operands)
        for head, (_, _, operands) in zip(nodes, record.params["steps"], strict=True):
            for operand in operands:
                if operand < first:
                    self.readers.setdefault((record, operand), []).append(head)
                else:
                    tail = nodes[operand - first]
                    self.edges.append(Edge(tail, head, 1, False, _full(tail.specs[0])))
        for output, step in enumerate(record.params["results"]):
            self.makers[record, output] = nodes[step]

    def _operation(self, id: str, record: Record, group: Group, parts: Sequence[Record] = ()) -> Node:
        node = self._new_node(id, OPERATION, record.name, record.phase, group)
        node.records = 1
        node.operations = [record.name]
        node.specs = list(record.outputs)
        node.record = record
        node.order = int(id[1:].partition("_")[0])
        if parts:
            node.details.append(_listed([part.name for part in parts]))
        read, made = (", ".join(map(_full, specs)) for specs in (record.inputs, record.outputs))
        node.tooltip = [f"{record.name}({read}) → {made}"]
        settings = settings_of(record)
        if settings:
            node.tooltip.append(", ".join(settings))
        if record.scope:
            node.tooltip.append(f"module {record.scope}")
        for part in parts:
            node.tooltip.append(f"{part.name}  {part.scope}".rstrip())
        line = text_of_line(record)
        if line:
            node.tooltip.append(line)
        node.file, node.line, node.source = lines_around(record.line)
        return node

    def _add_to_module(self, node: Node, record: Record) -> None:
        self.owner[record] = node
        node.records += 1
        node.operations.append(record.name)
        if node.records == 1:
            node.tooltip.append(text_of_line(record))
            node.details = [record.name]
            node.file, node.line, node.source = lines_around(record.line)
        else:
            node.details = [f"{node.records} operations"]

    # ---- Edges -------------------------------------------------------------------------------------------------------

    def connect(self, record: Record, position: int, operand: Any) -> None:
        """Draw what a record reads at one position."""
        for head in self.readers.get((record, position), (self.owner[record],)):
            self._connect(head, record.inputs[position], operand)

    def disconnect(self, record: Record, operand: Any) -> None:
        """Draw what a record has read before the change that is shown, and reads no longer."""
        head = self.owner[record]
        tail = self._maker(operand) if type(operand) is tuple else None
        if tail is not None and tail is not head:
            self.edges.append(Edge(tail, head, 1, False, "read before", change="removed"))

    def _maker(self, value: tuple[Record, int]) -> Node | None:
        return self.makers.get(value) or self.owner.get(value[0])

    def _connect(self, head: Node, spec: Spec, operand: Any) -> None:
        if type(operand) is tuple and operand[0] in self.owner:
            tail = self._maker(operand)
            assert tail is not None
            self._edge(tail, head, operand, spec)
            return
        leaf = None if operand is None or type(operand) is tuple else operand
        if leaf is not None and not self._is_number(leaf):
            found = self.leaves.get((id(leaf), head.phase))
            if found is None:
                found = self.leaves[id(leaf), head.phase] = _Leaf(leaf)
            self.reads[head] += 1
            found.reads.append((head, spec))
            return
        if spec.shape or self.constants:
            self._constant(head, spec, leaf)
        elif leaf is not None and head.kind == OPERATION:
            head.details.append(f"with {leaf.array.item():.6g}")

    def _is_number(self, leaf: Any) -> bool:
        return not (leaf.spec.shape or leaf.needs_grad or leaf.name or leaf.array is None or id(leaf) in self.names)

    def _constant(self, head: Node, spec: Spec, leaf: Any) -> None:
        """Draw a value of which nothing is known but its spec, and perhaps its number."""
        if head.kind == MODULE:
            return
        title = f"{leaf.array.item():.6g}" if leaf is not None else ""
        node = self._new_node(f"c{len(self.nodes)}", CONSTANT, title or text_of_spec(spec), head.phase, head.parent)
        node.order = head.order
        self.edges.append(Edge(node, head, 1, False, _full(spec)))

    def _edge(self, tail: Node, head: Node, value: tuple[Record, int], spec: Spec) -> None:
        if tail is head:
            return
        if tail.phase == head.phase:
            self.leaving.add(value)
        saved = tail.phase == "forward" and head.phase == "backward"
        if MODULE not in (tail.kind, head.kind):
            self.edges.append(Edge(tail, head, 1, saved, _full(spec)))
            return
        carried = (tail, head, *value)
        if carried in self.carried:
            return
        self.carried.add(carried)
        edge = self.merged.get((tail, head))
        if edge is None:
            edge = self.merged[tail, head] = Edge(tail, head, 0, saved, "")
            self.edges.append(edge)
        edge.values += 1
        if edge.values <= _TOOLTIPS_SHOWN:
            edge.tooltip += ("\n" if edge.tooltip else "") + _full(spec)

    def finish(self, value: tuple[Record, int], name: str, gradient: bool = False) -> None:
        """Draw a result of the program: a gradient beside the operation that made it, others outside of all modules."""
        record, index = value
        tail = self._maker(value)
        if tail is None:
            return
        if gradient and tail.kind == MODULE:
            self.gradients[tail] += 1
            return
        self.leaving.add(value)
        group = tail.parent
        while not gradient and group.depth > 1 and group.parent is not None:
            group = group.parent
        spec = record.outputs[index]
        node = self._new_node(f"o{len(self.nodes)}", OUTPUT, name, tail.phase, group)
        node.specs, node.order = [spec], tail.order
        self.edges.append(Edge(tail, node, 1, False, _full(spec)))

    # ---- Leaves ------------------------------------------------------------------------------------------------------

    def graph(self) -> Graph:
        """Draw the leaves where they are read, complete the modules' texts, and return the graph."""
        for number, leaf in enumerate(self.leaves.values()):
            self._place_leaf(number, leaf)
        for record, node in self.owner.items():
            if node.kind == MODULE:
                node.specs += [spec for i, spec in enumerate(record.outputs) if (record, i) in self.leaving]
        for node in self.nodes:
            if node.held:
                node.details.append(f"{_count(len(node.held), 'parameter')}, {sum(node.held.values()):,} elements")
            if node in self.gradients:
                node.details.append(_count(self.gradients[node], "gradient"))
            if node.specs and node.title == text_of_spec(node.specs[0]):
                continue  # a leaf without a name
            if len(node.specs) > _SPECS_SHOWN:
                node.details.append(_count(len(node.specs), "output"))
            else:
                node.details += [text_of_spec(spec) for spec in node.specs]
        _inline(self.root)
        return Graph(self.root, self.nodes, self.edges)

    def _place_leaf(self, number: int, leaf: _Leaf) -> None:
        tensor = leaf.tensor
        name = self.names.get(id(tensor)) or tensor.name
        if id(tensor) in self.names:
            kind = INPUT
        elif tensor.needs_grad or type(tensor) not in (tensor_class[0], Leaf):
            kind = PARAMETER
        else:
            kind = BUFFER if tensor.name else CONSTANT
        heads = list(dict.fromkeys(head for head, _ in leaf.reads))
        first = heads[0]
        if kind != INPUT and len(heads) == 1 and (first.kind == MODULE or self.reads[first] > _LEAVES_SHOWN):
            if kind == PARAMETER and first.phase != "backward":
                first.held[id(tensor)] = tensor.spec.size
            return
        if len(heads) <= _READERS_SHOWN:
            nodes = dict.fromkeys(heads, self._leaf_node(f"l{number}", kind, name, tensor, heads))
        else:  # edges from one place to many far ones would be all that there is to see
            nodes = {head: self._leaf_node(f"l{number}_{k}", kind, name, tensor, [head])
                     for k, head in enumerate(heads)}  # fmt: skip
        drawn: set[Node] = set()
        for head, spec in leaf.reads:
            if head.kind != MODULE or head not in drawn:
                drawn.add(head)
                self.edges.append(Edge(nodes[head], head, 1, False, _full(spec)))

    def _leaf_node(self, id_: str, kind: str, name: str | None, tensor: Any, heads: Sequence[Node]) -> Node:
        """Return a new node of a leaf, in the innermost group around those that read it."""
        parent = heads[0].parent
        for head in heads:
            parent = common_group(parent, head.parent)
        inside = ".".join(_labels(parent)[1:]) + "."
        title = (name or ("parameter" if kind == PARAMETER else "")).removeprefix(inside)
        node = self._new_node(id_, kind, title or text_of_spec(tensor.spec), heads[0].phase, parent)
        node.tooltip = [f"{kind} {name or ''}".strip(), _full(tensor.spec)]
        node.specs, node.order = [tensor.spec], heads[0].order
        self.drawn.setdefault(id(tensor), []).append((node, tensor))
        return node


class _Leaf:
    """A leaf tensor in one phase, and who reads it there."""

    def __init__(self, tensor: Any) -> None:
        self.tensor = tensor
        self.reads: list[tuple[Node, Spec]] = []


def combined(first: str, second: str) -> str:
    """Return the change of a module that holds records with these changes."""
    return second if first in ("", second) else "changed"


def _listed(names: Sequence[str]) -> str:
    """Return the names of the parts of an operation, as many as fit on a line."""
    shown = " · ".join(names[:_PARTS_SHOWN])
    return shown + (f" · {len(names) - _PARTS_SHOWN} more" if len(names) > _PARTS_SHOWN else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def common_group(first: Group, second: Group) -> Group:
    """Return the innermost group around both."""
    while first is not second:
        if first.depth < second.depth:
            first, second = second, first
        assert first.parent is not None
        first = first.parent
    return first


def _labels(group: Group) -> list[str]:
    """Return the labels of the modules around a node in this group, outermost first."""
    labels = []
    while group.parent is not None and group.depth > 1:
        labels.append(group.title)
        group = group.parent
    return labels[::-1]


def _inline(root: Group) -> None:
    """Replace every module that consists of one operation by that operation, with the module's name on it."""
    order = [root]
    for group in order:
        order += [member for member in group.members if isinstance(member, Group)]
    for group in reversed(order):
        for place, member in enumerate(group.members):
            if isinstance(member, Group) and member.depth > 2 and len(member.members) == 1:
                only = member.members[0]
                if isinstance(only, Node):
                    only.parent = group
                    only.place = f"{member.title}.{only.place}" if only.place else member.title
                    group.members[place] = only
