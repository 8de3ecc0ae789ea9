"""From a `Program` to the graph of its picture.

Every record is one node, every operand one edge, so ``x * x`` has two; only numbers stand on the operation that reads
them. Where an operation alone reads many leaves, as an optimizer's step does, those of a kind are one box, and its edge
stands for all of them. A call of a module is a group, and so is that of a function that has made several records; shown
as one node, it holds what it alone reads. Records that
stand apart in the program (statistics that are written late, values that are computed again) join the group of their
module where nothing that they are made from stands behind it: so a group may be shown as a single node, and the picture
stays free of cycles, however often a module is called.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import reduce
from typing import Any

from autodiff.ops.followed import wiring
from autodiff.program import Program, Record
from autodiff.program_calls import Named, named
from autodiff.program_memory import is_parameter
from autodiff.program_scopes import classes_of, module_calls_of
from autodiff.program_text import settings_of
from autodiff.spec import Spec
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
    beside,
    combined,
    common_group,
    labels_of,
    nodes_in,
    outside_of,
)
from autodiff.viz.inlining import inline
from autodiff.viz.leaves import defaults_in, models_of, names_of_leaves
from autodiff.viz.measurements import Measurements
from autodiff.viz.places import Folding, Lines, blocks_of, function_of, paths_of
from autodiff.viz.seats import Seats
from autodiff.viz.texts import (
    SIGNS,
    TOOLTIPS_SHOWN,
    full,
    text_of_all,
    text_of_changes,
    text_of_count,
    text_of_layout,
    text_of_number,
    text_of_operations,
    text_of_parts,
    text_of_spec,
)

_SPECS_SHOWN = 4
_LEAVES_SHOWN = 8
_READERS_SHOWN = 12


def graph_of(
    program: Program, *, depth: int | None = None, changes: bool = False, constants: bool = False,
    unfold: bool = False, block: int = 0, names: Mapping[int, str] | None = None,
    variables: Mapping[int, str] | None = None,
    operands: Mapping[tuple[Record, int], Any] | None = None,
    results: Sequence[tuple[Any, str]] | None = None, gradients: Sequence[tuple[Any, str]] = (),
) -> Graph:
    """Lay out a program as nodes, edges and groups, in time linear in its edges.

    Args:
        program: records in order.
        depth: modules nested deeper are shown as one node each: 0 shows the outermost modules as nodes, 1 their
            children, and so on; None shows every operation.
        changes: of a comparison: modules in which nothing has changed are shown as one node each, all others open.
        constants: show numbers (tensors without dimensions that need no gradient), and what stands for a weight or bias
            that was not given, as nodes of their own.
        unfold: show the parts of fused operations, instead of one node that lists them.
        block: show so many records in a row as one node, instead of modules.
        names: names of leaf tensors by ``id``: those named here are inputs.
        variables: names by ``id`` of leaf tensors that have no name of their own.
        operands: leaves that records have read at a position, where they do not know it themselves.
        results: edges ``(record, output index)`` and leaves with the names to show for them; by default the program's
            outputs, and the arguments that the function has returned as they are.
        gradients: further results, which a module that is shown as one node only counts.
    """
    paths = blocks_of(program, block) if block else paths_of(program)
    changed = program.columns.get("change") if changes else None
    builder = _Builder(Folding(paths, 0 if block else depth, changed), constants, unfold, names or {}, variables or {})
    builder.place(program, paths, bool(block))
    builder.name_leaves(program, operands or {})
    removed = program.columns.get("before", ((),) * len(program))
    known = operands or {}
    for record, before in zip(program, removed, strict=True):
        for position, operand in enumerate(record.operands):
            builder.connect(record, position, known.get((record, position)) if operand is None else operand)
        for operand in before:
            builder.disconnect(record, operand)
        for value, spec in zip(program.written.get(record, ()), record.outputs):
            if type(value) is tuple and value not in record.operands:
                builder.overwrite(record, value, spec)
    if results is None:
        arguments = {id(tensor) for _, tensor in program.inputs}
        values = [x for x in program.returned if type(x) is tuple or id(x) in arguments] or program.outputs
        results = [(value, f"output {i}" if len(values) > 1 else "output") for i, value in enumerate(values)]
    for value, name in results:
        if type(value) is tuple:
            builder.finish(value, name)
        else:
            builder.pass_on(value, name)
    for edge, name in gradients:
        builder.finish(edge, name, gradient=True)
    graph = builder.graph()
    for node in graph.nodes if block else ():
        if node.records > 1:
            node.details.insert(1, text_of_operations(node.operations))
    Measurements(program).fill(graph, builder.owner, builder.drawn)
    graph.overhead = program.overhead
    return graph


class _Builder:
    """Builds a graph in one pass over the records and one over their operands."""

    def __init__(
        self, folding: Folding, constants: bool, unfold: bool, names: Mapping[int, str], variables: Mapping[int, str]
    ) -> None:
        self.folding = folding
        self.constants = constants
        self.unfold = unfold
        self.names = names
        self.variables = dict(variables)
        self.defaults: dict[tuple[Record, int], str] = {}
        self.models: dict[int, str] = {}
        self.lines = Lines()
        self.lanes: dict[str, Group] = {}
        self.step = 1
        self.updated: Record | None = None  # the last one of an update
        self.readers: dict[tuple[Record, int], list[Node]] = {}
        self.makers: dict[tuple[Record, int], Node] = {}
        self.drawn: dict[int, list[tuple[Node, Any]]] = {}
        self.root = Group("root", "", "", None, 0)
        self.groups = 0
        self.nodes: list[Node] = []
        self.edges: list[Edge] = []
        self.owner: dict[Record, Node] = {}
        self.recomputed: set[Record] = set()
        self.removed: set[Record] = set()
        self.changes: dict[Node, Counter[str]] = {}
        self.leaves: dict[tuple[int, Group], _Leaf] = {}  # by id and lane
        self.states: set[int] = set()
        self.crowds: dict[tuple[Node, str], list[_Leaf]] = {}
        self.reads: Counter[Node] = Counter()
        self.gradients: Counter[Node] = Counter()
        self.merged: dict[tuple[Node, Node, str], Edge] = {}
        self.carried: set[tuple[Node, Node, str, Record, int]] = set()
        self.leaving: set[tuple[Record, int]] = set()

    # ---- Nodes and groups --------------------------------------------------------------------------------------------

    def place(self, program: Program, paths: list[list[str]], in_blocks: bool) -> None:
        """Make the nodes of all records, in the groups that their paths say: modules, or blocks of equal length."""
        self.states = {id(leaf) for record, written in program.written.items() if record.phase == "update"
                       for leaf in written if leaf is not None and type(leaf) is not tuple and not leaf.needs_grad}
        nothing: Sequence[Any] = ((),) * len(program)
        parts = program.columns.get("parts", nothing)
        recomputed = program.columns.get("recomputed", nothing)
        changes = program.columns.get("change", ("",) * len(program))
        self.removed = {record for record, change in zip(program, changes, strict=True) if change == "removed"}
        classes = classes_of(program)
        made = named(program)
        entered: Sequence[tuple[int | None, ...]] = nothing if in_blocks else module_calls_of(program)
        seats = Seats()
        for index, (record, path) in enumerate(zip(program, paths, strict=True)):
            if "update" in self.lanes and path[0] == "forward" and not (recomputed[index] or self._is_late(record)):
                self.lanes.clear()  # another step begins
                self.step += 1
            lane = self._lane(path[0])
            if path[0] == "update":
                self.updated = record
            shown, folded = self.folding.shown(path)
            calls = _calls_around(path, entered[index], made[index])
            seen = seats.found(record, lane, shown[1:], calls)
            member: Node | Group = seen[-1] if seen else lane
            for level in range(len(seen) + 1, len(shown)):
                assert isinstance(member, Group)
                closed = folded and level == len(shown) - 1
                member = self._module(f"m{index}", shown[1 : level + 1], member, classes, closed)
                seats.add(member, shown[level], calls[level - 1])
            again = recomputed[index]
            if again and all(again):
                self.recomputed.add(record)
            if isinstance(member, Node):
                self._add_to_module(member, record)
            else:
                if self.unfold and parts[index]:
                    member = self._unfold(index, record, parts[index], member, again)
                else:
                    name = _name_for_user(record, made[index], again)
                    member = self.owner[record] = self._operation(f"r{index}", name, record, member, parts[index],
                                                                  again)
                seats.add(member)
            seats.take(record, lane, member)
            self._note_change(self.owner[record], changes[index])
        self.nodes = nodes_in(self.root)

    def name_leaves(self, program: Program, known: Collection[tuple[Record, int]]) -> None:
        """Give names to leaves that the library has made, and find those that stand for what was not given."""
        self.defaults = defaults_in(program, self.names.keys() | self.variables.keys(), known)
        self.variables = {**names_of_leaves(program, self._name_of), **self.variables}
        self.models = models_of(program)

    def _lane(self, phase: str) -> Group:
        """Return the group of a phase. Phases take turns within a step (in a replay, to write buffers late)."""
        if phase not in self.lanes:
            self.lanes[phase] = self._new_group(phase, self.root, phase)
            self.lanes[phase].step = self.step
        return self.lanes[phase]

    def _is_late(self, record: Record) -> bool:
        """Return whether a record of a forward pass behind an update belongs to the same step: it sums up losses."""
        last = self.updated
        if last is None or record.code is not last.code or record.offset <= last.offset:
            return False
        sources = [operand[0] for operand in record.operands if type(operand) is tuple and operand[0] in self.owner]
        lanes = [outside_of(self.owner[source].parent) for source in sources]
        return self.lanes.get("forward") in lanes and all(lane.phase == "forward" for lane in lanes)

    def _module(
        self, id: str, labels: Sequence[str], parent: Group, classes: Mapping[str, str], closed: bool
    ) -> Node | Group:
        """Return a new group for a call of a module or function, or a node where it is shown as one."""
        function = function_of(labels[-1])
        path = ".".join(labels[:-1] if function else labels)
        module = "" if function else classes.get(path, "")
        if not closed:
            group = self._new_group(function or labels[-1], parent, parent.phase)
            group.module, group.is_call = module, bool(function)
            return group
        node = self._new_node(id, MODULE, function or labels[-1], parent)
        node.module = module
        node.tooltip = [f"call of {function}"] * bool(function) + [f"module {path} {module}".rstrip()] * bool(path)
        node.order = int(id[1:])
        return node

    def _new_group(self, title: str, parent: Group, phase: str) -> Group:
        group = Group(f"cluster_{self.groups}", title, phase, parent, parent.depth + 1)
        self.groups += 1
        parent.members.append(group)
        return group

    def _new_node(self, id: str, kind: str, title: str, parent: Group, phase: str = "") -> Node:
        node = Node(id, kind, title, phase or parent.phase, parent)
        self.nodes.append(node)
        parent.members.append(node)
        return node

    def _note_change(self, node: Node, change: str) -> None:
        """Note what a comparison says of a record at its node and the groups around it."""
        node.change = combined(node.change, change)
        if change not in SIGNS:
            return
        self.changes.setdefault(node, Counter())[change] += 1
        group: Group | None = node.parent
        while group is not None:
            group.changes[change] += 1
            group = group.parent

    def _unfold(
        self, index: int, record: Record, parts: Sequence[Record], group: Group, again: Sequence[str]
    ) -> Group:
        """Show the parts of a fused operation, in a group of their own."""
        inside = self._new_group(record.name, group, group.phase)
        nodes = [self._operation(f"r{index}_{k}", part.name, part, inside, (), again[k : k + 1])
                 for k, part in enumerate(parts)]  # fmt: skip
        for node in nodes:
            node.order, node.records = index, 0
        self.owner[record] = nodes[0]
        nodes[0].records = 1
        first = len(record.operands)
        reads, results = wiring(first, len(record.outputs), record.params)
        for head, operands in zip(nodes, reads, strict=True):
            for operand in operands:
                if operand < first:
                    self.readers.setdefault((record, operand), []).append(head)
                else:
                    tail = nodes[operand - first]
                    self.edges.append(Edge(tail, head, 1, False, full(tail.specs[0])))
        for output, step in enumerate(results):
            self.makers[record, output] = nodes[step]
        return inside

    def _operation(
        self, id: str, name: str, record: Record, group: Group, parts: Sequence[Record], again: Sequence[str]
    ) -> Node:  # fmt: skip
        node = self._new_node(id, OPERATION, name, group)
        node.records = 1
        node.operations = [record.name]
        node.specs = list(record.outputs)
        node.record = record
        node.order = int(id[1:].partition("_")[0])
        if parts:
            names = [part.name for part in parts]
            node.details.append(f"then {text_of_parts(names[1:])}" if name == names[0] else text_of_parts(names))
        elif name.rstrip("_") != record.name:
            node.details.append(record.name)
        layout = text_of_layout(record)
        if layout:
            node.details.append(f"to {layout}")
        if again and all(again):
            node.recomputed = True
            node.details.append("recomputed")
        elif any(again):
            repeated = [part.name for part, first in zip(parts, again, strict=True) if first]
            node.details.append(f"recomputes {text_of_parts(repeated)}")
        read, made = (text_of_all(specs) for specs in (record.inputs, record.outputs))
        node.tooltip = [f"{record.name}({read}) → {made}"]
        if layout:
            node.tooltip.append(f"the same numbers in another order in memory: {layout}, as what reads them wants")
        settings = settings_of(record)
        if settings:
            node.tooltip.append(", ".join(settings))
        if record.scope:
            node.tooltip.append(f"module {record.scope}")
        for part in parts:
            node.tooltip.append(f"{part.name}  {part.scope}".rstrip())
        line = self.lines.of(record)
        if line.text:
            node.tooltip.append(line.text)
        node.file, node.line, node.source = line[1:]
        return node

    def _add_to_module(self, node: Node, record: Record) -> None:
        self.owner[record] = node
        node.records += 1
        node.operations.append(record.name)
        if node.records == 1:
            line = self.lines.of(record)
            node.tooltip.append(line.text)
            node.file, node.line, node.source = line[1:]

    # ---- Edges -------------------------------------------------------------------------------------------------------

    def connect(self, record: Record, position: int, operand: Any) -> None:
        """Draw what a record reads at one position."""
        default = "" if self.constants else self.defaults.get((record, position), "")
        for head in self.readers.get((record, position), (self.owner[record],)):
            if default:
                head.details += [f"with {default}"] * (head.kind == OPERATION)
                continue
            self._connect(record, head, record.inputs[position], operand)

    def overwrite(self, record: Record, value: tuple[Record, int], spec: Spec) -> None:
        """Draw that a record overwrites what another one has made, without reading it."""
        head, tail = self.owner[record], self._maker(value)
        if tail is not None:
            self._edge(tail, record, head, value, spec)

    def disconnect(self, record: Record, operand: Any) -> None:
        """Draw what a record has read before the change that is shown, and reads no longer."""
        head = self.owner[record]
        tail = self._maker(operand) if type(operand) is tuple else None
        if tail is not None and tail is not head:
            self.edges.append(Edge(tail, head, 1, False, "read before", change="before"))

    def _maker(self, value: tuple[Record, int]) -> Node | None:
        return self.makers.get(value) or self.owner.get(value[0])

    def _connect(self, reader: Record, head: Node, spec: Spec, operand: Any) -> None:
        if type(operand) is tuple and operand[0] in self.owner:
            tail = self._maker(operand)
            assert tail is not None
            self._edge(tail, reader, head, operand, spec)
            return
        leaf = None if operand is None or type(operand) is tuple else operand
        if leaf is not None and not self._is_number(leaf):
            key = id(leaf), outside_of(head.parent)
            found = self.leaves.get(key)
            if found is None:
                found = self.leaves[key] = _Leaf(leaf, f"l{len(self.leaves)}")
            self.reads[head] += 1
            found.reads.append((head, spec))
            return
        if spec.shape or self.constants:
            self._constant(head, spec, leaf)
        elif leaf is not None and head.kind == OPERATION:
            head.details.append(f"with {text_of_number(leaf.array.item())}")

    def _is_number(self, leaf: Any) -> bool:
        known = id(leaf) in self.names or id(leaf) in self.states
        return not (leaf.spec.shape or leaf.needs_grad or leaf.name or leaf.array is None or known)

    def _constant(self, head: Node, spec: Spec, leaf: Any) -> None:
        """Draw a value of which nothing is known but its spec, and perhaps its number."""
        if head.kind == MODULE:
            return
        title = text_of_number(leaf.array.item()) if leaf is not None else ""
        node = self._new_node(f"c{len(self.nodes)}", CONSTANT, title or text_of_spec(spec), beside(head.parent))
        node.order = head.order
        self.edges.append(Edge(node, head, 1, False, full(spec)))

    def _edge(self, tail: Node, reader: Record, head: Node, value: tuple[Record, int], spec: Spec) -> None:
        if tail is head:
            return
        if tail.phase == head.phase and value[0] not in self.recomputed:
            self.leaving.add(value)
        saved = tail.phase == "forward" and value[0] not in self.recomputed and (
            head.phase == "backward" or reader in self.recomputed)
        if MODULE not in (tail.kind, head.kind):
            self.edges.append(Edge(tail, head, 1, saved, full(spec), output=value[1]))
            return
        change = "removed" if reader in self.removed else ""
        carried = (tail, head, change, *value)
        if carried in self.carried:
            return
        self.carried.add(carried)
        edge = self.merged.get((tail, head, change))
        if edge is None:
            edge = self.merged[tail, head, change] = Edge(tail, head, 0, saved, "", change)
            self.edges.append(edge)
        edge.values += 1
        if edge.values <= TOOLTIPS_SHOWN:
            edge.tooltip += ("\n" if edge.tooltip else "") + full(spec)

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
        group = beside(tail.parent) if gradient else outside_of(tail.parent)
        spec = record.outputs[index]
        node = self._new_node(f"o{len(self.nodes)}", OUTPUT, name, group, tail.phase)
        node.specs, node.order = [spec], tail.order
        self.edges.append(Edge(tail, node, 1, False, full(spec)))

    def pass_on(self, leaf: Any, name: str) -> None:
        """Draw a result that no operation has made: a leaf that is returned as it came."""
        lane = self.lanes.get("forward") or self._lane("forward")
        node = self._new_node(f"o{len(self.nodes)}", OUTPUT, name, lane)
        node.specs = [leaf.spec]
        key = id(leaf), lane
        if key not in self.leaves:
            self.leaves[key] = _Leaf(leaf, f"l{len(self.leaves)}")
        self.leaves[key].reads.append((node, leaf.spec))

    # ---- Leaves ------------------------------------------------------------------------------------------------------

    def graph(self) -> Graph:
        """Draw the leaves where they are read, complete the modules' texts, and return the graph."""
        for leaf in self.leaves.values():
            self._place_leaf(leaf)
        for (head, kind), crowd in self.crowds.items():
            self._draw_crowd(head, kind, crowd)
        for record, node in self.owner.items():
            if node.kind == MODULE:
                node.specs += [spec for i, spec in enumerate(record.outputs) if (record, i) in self.leaving]
        for lane in self.root.members:
            assert isinstance(lane, Group)
            lane.title, lane.step = (f"{lane.phase} {lane.step}", lane.step) if self.step > 1 else (lane.phase, 0)
        inside: Counter[Node] = Counter(self.owner[record] for record in self.recomputed)
        for edge in self.edges:
            if edge.head.change == "removed":
                edge.change = "removed"
            edge.later = outside_of(edge.tail.parent).step != outside_of(edge.head.parent).step
        for node in self.nodes:
            if node.kind == MODULE:
                self._describe(node, inside[node])
            for kind in dict.fromkeys(kind for kind, _ in node.held) if node.kind == MODULE else ():
                sizes = [size for (held, _), size in node.held.items() if held == kind]
                node.details.append(f"{text_of_count(len(sizes), kind)}, {sum(sizes):,} elements")
            if node in self.gradients:
                node.details.append(text_of_count(self.gradients[node], "gradient"))
            if node.specs and node.title == text_of_spec(node.specs[0]):
                continue  # a leaf without a name
            if len(node.specs) > _SPECS_SHOWN:
                node.details.append(text_of_count(len(node.specs), "output"))
            else:
                node.details += [text_of_spec(spec) for spec in node.specs]
        inline(self.root)
        return Graph(self.root, self.nodes, self.edges)

    def _describe(self, node: Node, recomputed: int) -> None:
        """Write down what a module is that is shown as one node."""
        node.details += [node.module] if node.module not in ("", node.title) else []
        node.details.append(node.operations[0] if node.records == 1 else f"{node.records:,} operations")
        if recomputed:
            node.recomputed = recomputed == node.records
            node.details.append("recomputed" if node.recomputed else f"{recomputed:,} recomputed")
        if node in self.changes and node.records > 1:
            node.details.append(text_of_changes(self.changes[node]))

    def _kind_of(self, tensor: Any) -> str:
        if id(tensor) in self.names:
            return INPUT
        if is_parameter(tensor):
            return PARAMETER
        if tensor.needs_grad:
            return LEAF
        return STATE if id(tensor) in self.states else BUFFER if tensor.name else CONSTANT

    def _name_of(self, tensor: Any) -> str:
        return self.names.get(id(tensor)) or tensor.name or self.variables.get(id(tensor), "")

    def _place_leaf(self, leaf: _Leaf) -> None:
        """Draw a leaf, or note where it is held, or with which others it is drawn as one box."""
        kind, heads = self._kind_of(leaf.tensor), list(dict.fromkeys(head for head, _ in leaf.reads))
        head = heads[0]
        one_module = head.kind == MODULE and len({(head.kind, head.parent, head.title) for head in heads}) == 1
        if one_module and kind != INPUT:  # it stands in the module, however often that is called
            for call in heads if kind in (PARAMETER, LEAF, STATE) and head.phase != "backward" else ():
                call.held[kind, id(leaf.tensor)] = leaf.tensor.spec.size
        elif not one_module and len(heads) == 1 and self.reads[head] > _LEAVES_SHOWN:
            self.crowds.setdefault((head, kind), []).append(leaf)
        else:
            self._draw_leaf(leaf, kind, heads)

    def _draw_crowd(self, head: Node, kind: str, leaves: list[_Leaf]) -> None:
        """Draw leaves of a kind that one operation alone reads as one box, with an edge that says how many it reads."""
        if len(leaves) == 1:
            self._draw_leaf(leaves[0], kind, [head])
            return
        parent = outside_of(head.parent) if kind == INPUT else beside(head.parent)
        node = self._new_node(leaves[0].id, kind, text_of_count(len(leaves), kind), parent, head.phase)
        node.held = {(kind, id(leaf.tensor)): leaf.tensor.spec.size for leaf in leaves}
        node.details.append(f"{sum(node.held.values()):,} elements")
        texts = [f"{self._name_of(leaf.tensor)} {full(leaf.tensor.spec)}".strip() for leaf in leaves[:TOOLTIPS_SHOWN]]
        node.tooltip = texts + ["..."] * (len(leaves) > len(texts))
        node.order = head.order
        self.edges.append(Edge(node, head, sum(len(leaf.reads) for leaf in leaves), False, node.title))

    def _draw_leaf(self, leaf: _Leaf, kind: str, heads: list[Node]) -> None:
        tensor, name = leaf.tensor, self._name_of(leaf.tensor)
        first = heads[0]
        if len(heads) <= _READERS_SHOWN:
            parent = reduce(common_group, [head.parent for head in heads])
            parent = outside_of(parent) if kind == INPUT else beside(parent)
            nodes = dict.fromkeys(heads, self._leaf_node(leaf.id, kind, name, tensor, first, parent))
        else:  # edges from one place to many far ones would be all that there is to see
            nodes = {head: self._leaf_node(f"{leaf.id}_{k}", kind, name, tensor, head, beside(head.parent))
                     for k, head in enumerate(heads)}  # fmt: skip
        drawn: set[Node] = set()
        for head, spec in leaf.reads:
            if head.kind != MODULE or head not in drawn:
                drawn.add(head)
                self.edges.append(Edge(nodes[head], head, 1, False, full(spec)))

    def _leaf_node(
        self, id_: str, kind: str, name: str, tensor: Any, reader: Node, parent: Group
    ) -> Node:
        """Return a new node of a leaf."""
        labels = labels_of(parent)
        if id(tensor) in self.models:
            name = f"{self.models[id(tensor)]}.{name}"
        else:
            labels = labels[1:]
        title = name.removeprefix(".".join(labels) + ".") or text_of_spec(tensor.spec)
        node = self._new_node(id_, kind, title, parent, reader.phase)
        node.tooltip = [f"{kind} {name}".strip(), full(tensor.spec)]
        node.specs, node.order = [tensor.spec], reader.order
        if kind == PARAMETER and reader.phase != "backward":
            node.held = {(kind, id(tensor)): tensor.spec.size}
        self.drawn.setdefault(id(tensor), []).append((node, tensor))
        return node


class _Leaf:
    """A leaf tensor in one lane, the name of its node, and who reads it there."""

    def __init__(self, tensor: Any, id: str) -> None:
        self.tensor = tensor
        self.id = id
        self.reads: list[tuple[Node, Spec]] = []


def _calls_around(path: Sequence[str], modules: Sequence[int | None], made: Named | None) -> list[int | None]:
    """Return for each label of a path, but for the phase, a number for the call that it stands for, if it is known."""
    calls = [*modules, *(None,) * (len(path) - 1 - len(modules))]
    if made is not None and function_of(path[-1]):
        calls[-1] = id(made.call)
    return calls


def _name_for_user(record: Record, made: Named | None, again: Sequence[str]) -> str:
    """Return the name of an operation: that of the function that the user has called, where it is that alone.

    Of an operation that is followed by others in one kernel it is that of the first.
    """
    if record.name == "followed":
        return str(record.params["first"][0])
    calls = record.phase == "forward" or (again and all(again))
    return made.call.name if made is not None and made.alone and calls else record.name
