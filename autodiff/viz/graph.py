"""What a picture consists of: nodes, edges and nested groups. Nothing here knows how they are drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from autodiff.program import Record
from autodiff.spec import Array, Spec
from autodiff.viz.texts import text_of_spec

OPERATION, MODULE, PARAMETER, LEAF, STATE, BUFFER, INPUT, CONSTANT, OUTPUT = (
    "operation", "module", "parameter", "leaf", "optimizer state", "buffer", "input", "constant", "output")


@dataclass(eq=False, slots=True)
class Node:
    """A box of the picture.

    Attributes:
        id: unique within the graph and the same on every run.
        kind: ``"operation"``, ``"module"`` (also a function of several operations that is shown as one node),
            ``"parameter"``, ``"leaf"`` (another tensor with `requires_grad`), ``"optimizer state"``, ``"buffer"``,
            ``"input"``, ``"constant"`` or ``"output"``.
        title: name of the operation, as the user's program calls it, of the module or tensor.
        phase: ``"forward"``, ``"backward"`` or ``"update"``.
        parent: group it stands in.
        details: further lines of text.
        tooltip: lines of text shown on demand.
        place: labels of the modules around it that are not drawn as groups.
        module: class name of the module that it shows, where it is known.
        records: how many operations it stands for.
        operations: their names.
        specs: of its outputs.
        held: leaves that stand in it or that it shows (but for parameters of the backward pass): kind and ``id`` of
            each, and number of elements.
        order: number of the (first) record in the program; of a leaf that of the first record that reads it.
        record: the record that it shows; None for anything but an operation.
        file, line, source: the user's line that ran it: file without folder, number, and the lines around it.
        on_path: which places its operations have on the slowest path of the program; empty where none is on it.
        measures: of all its records together: ``"seconds"``, ``"flops"``, ``"bytes"``, ``"saved_bytes"`` and
            ``"roofline"`` (a share), as far as they are known.
        values: for each of `specs` the statistics of its numbers; see `autodiff.program_columns`. Of a module that is
            shown as one node those of everything that its operations make.
        gradients: for each of `values` the statistics of the gradient with respect to it; None where it is not known.
        gradient_order: number of the record after which `gradients` are complete, where the program has one; or -1.
        change: in a comparison ``"same"``, ``"added"``, ``"removed"`` or ``"changed"``; otherwise empty.
        recomputed: whether it computes again what was computed before.
        look: DOT attributes that an overlay has given it.
        numbers: lines that an overlay has written on it.
        others: equal nodes that it stands for, where equal blocks are shown once.
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
    held: dict[tuple[str, int], int] = field(default_factory=dict)
    order: int = 0
    record: Record | None = None
    file: str = ""
    line: int = 0
    source: list[tuple[int, str]] = field(default_factory=list)
    on_path: list[int] = field(default_factory=list)
    measures: dict[str, float] = field(default_factory=dict)
    values: list[dict[str, float]] = field(default_factory=list)
    gradients: list[dict[str, float] | None] = field(default_factory=list)
    gradient_order: int = -1
    change: str = ""
    recomputed: bool = False
    look: dict[str, str] = field(default_factory=dict)
    numbers: list[str] = field(default_factory=list)
    others: list[Node] = field(default_factory=list)

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

    def __repr__(self) -> str:
        specs = ", ".join([text_of_spec(spec) for spec in self.specs[:1]] + ["..."] * (len(self.specs) > 1))
        return f"<{self.kind} {self.id} {self.title!r}{f' {specs}' if specs else ''}>"


@dataclass(eq=False, slots=True)
class Group:
    """Nodes and smaller groups that belong together: a phase of the program, or a call of a module or function.

    Attributes:
        id: unique within the graph and the same on every run.
        title: label of the module, name of the function, or the phase.
        phase: ``"forward"``, ``"backward"`` or ``"update"``; empty for the whole picture.
        parent: the group around it; None for the whole picture.
        depth: number of groups around it.
        members: in the order in which they depend on each other.
        module: class name of the module, where it is known.
        is_call: whether it is a call of a function that is made of several operations.
        copies: how many equal ones it stands for.
        step: of a phase the number of its training step, where the program has several; otherwise 0.
        changes: in a comparison how many of its operations are ``"added"``, ``"removed"`` or ``"changed"``.
    """

    id: str
    title: str
    phase: str
    parent: Group | None
    depth: int
    members: list[Node | Group] = field(default_factory=list)
    module: str = ""
    is_call: bool = False
    copies: int = 1
    step: int = 0
    changes: Counter[str] = field(default_factory=Counter)

    def __repr__(self) -> str:
        return f"<group {self.id} {self.title!r} of {len(self.members)}>"


@dataclass(eq=False, slots=True)
class Edge:
    """A value on its way from one node to another.

    Attributes:
        tail, head: where it is made and where it is read.
        values: how many values it stands for: more than one only at a module shown as one node, or a rolled-up one.
        saved: whether a backward pass reads what the forward pass made.
        tooltip: what is carried.
        change: in a comparison ``"removed"`` for what a removed operation has read, ``"before"`` for what another one
            has read and reads no longer; otherwise empty.
        again: where it leads from one of several equal blocks to the next: in how many runs of them, one in another,
            these stand, their own counted in; otherwise 0.
        later: whether it leads from one training step to a later one.
        slow: whether it lies on the slowest path.
        output: which of the tail's outputs it carries.
        carries: of a rolled-up edge what its values are: the id of the node that makes each, which of its outputs it
            is, and in which copies of the blocks around the head it is read; otherwise None.
    """

    tail: Node
    head: Node
    values: int
    saved: bool
    tooltip: str
    change: str = ""
    again: int = 0
    later: bool = False
    slow: bool = False
    output: int = 0
    carries: set[tuple[str, int, tuple[int, ...]]] | None = None

    def __repr__(self) -> str:
        return f"<edge {self.tail.id} -> {self.head.id}>"


@dataclass(slots=True)
class Graph:
    """The picture of a program: all nodes and edges, and the tree of groups the nodes stand in.

    Attributes:
        root: the whole picture; its members are the phases, in the order they ran.
        nodes: operations in the order in which they depend on each other, then leaves and results.
        edges: in program order.
        remarks: what a reader should know, a line each.
        caption: what the colours and bold lines of an overlay show, a line each.
        scale: what the colours of an overlay mean: colour and text, from low to high.
        overhead: seconds of a call that belong to no operation; None where that was not measured.
        slowest: seconds of the slowest path; None where none were measured.
    """

    root: Group
    nodes: list[Node]
    edges: list[Edge]
    remarks: list[str] = field(default_factory=list)
    caption: list[str] = field(default_factory=list)
    scale: list[tuple[str, str]] = field(default_factory=list)
    overhead: float | None = None
    slowest: float | None = None

    @property
    def is_comparison(self) -> bool:
        """Whether it shows in what two programs differ."""
        return any(node.change for node in self.nodes)

    def __repr__(self) -> str:
        return f"<graph of {len(self.nodes):,} nodes and {len(self.edges):,} edges>"


def combined(first: str, second: str) -> str:
    """Return the change of a module that holds records with these changes."""
    return second if first in ("", second) else "changed"


def common_group(first: Group, second: Group) -> Group:
    """Return the innermost group around both."""
    while first is not second:
        if first.depth < second.depth:
            first, second = second, first
        assert first.parent is not None
        first = first.parent
    return first


def outside_of(group: Group) -> Group:
    """Return the group of the phase that a group stands in: what comes from outside of all modules stands there."""
    while group.depth > 1 and group.parent is not None:
        group = group.parent
    return group


def beside(group: Group) -> Group:
    """Return the innermost group around one that is a module: what the call of a function reads stands beside it."""
    around: Group | None = group
    while around is not None:
        if around.is_call and around.parent is not None:
            group = around.parent
        around = around.parent
    return group


def labels_of(group: Group) -> list[str]:
    """Return the labels of the modules around a node in this group, outermost first."""
    labels = []
    while group.parent is not None and group.depth > 1:
        labels += [] if group.is_call else [group.title]
        group = group.parent
    return labels[::-1]


def groups_in(root: Group) -> Iterator[Group]:
    """Yield a group and all in it, outer ones before those in them; of members that change meanwhile the new ones."""
    stack = [root]
    while stack:
        group = stack.pop()
        yield group
        stack += [member for member in reversed(group.members) if isinstance(member, Group)]


def nodes_in(member: Node | Group) -> list[Node]:
    """Return the nodes of a group in the order of its members."""
    stack, found = [member], []
    while stack:
        item = stack.pop()
        if isinstance(item, Node):
            found.append(item)
        else:
            stack += reversed(item.members)
    return found
