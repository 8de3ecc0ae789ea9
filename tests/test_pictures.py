"""What pictures do with a program besides showing it: fused parts, equal blocks, differences, jacobians."""

from __future__ import annotations

import random
import re
from collections import Counter
from typing import Any

import numpy as np
import pytest
from drawn import drawn_edges, drawn_nodes, titles

import autodiff as ad
from autodiff import nn
from autodiff.errors import GradientError, ValueRangeError
from autodiff.program import Program
from autodiff.program_diff import merged
from autodiff.viz import draw
from autodiff.viz.building import graph_of
from autodiff.viz.graph import Graph, Group, Node
from autodiff.viz.rolling import roll


class Layer(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.fc = nn.Linear(features, features)

    def forward(self, x: Any) -> Any:
        y = self.fc(x)
        return y * y.tanh()


class Block(nn.Module):
    def __init__(self, features: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*[Layer(features) for _ in range(layers)])

    def forward(self, x: Any, scale: Any) -> Any:
        return self.layers(x) if scale is None else x + self.layers(x * scale)


class Tower(nn.Module):
    def __init__(self, blocks: int, layers: int, shared: bool = True) -> None:
        super().__init__()
        self.stem = nn.Linear(2, 3)
        self.blocks = nn.ModuleList([Block(3, layers) for _ in range(blocks)])
        self.scale = nn.Parameter(ad.ones(3)) if shared else None

    def forward(self, x: Any) -> Any:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x, self.scale)
        return x


def step(model: Any, x: Any) -> Any:
    loss = model(x).sum()
    loss.backward()
    return loss


def tower_step(blocks: int, layers: int) -> Program:
    return ad.record(step, Tower(blocks, layers, shared=False), ad.ones(2, 2))


def groups_of(graph: Graph) -> list[Group]:
    found = [graph.root]
    for group in found:
        found += [member for member in group.members if isinstance(member, Group)]
    return found


# ---- Fused operations ------------------------------------------------------------------------------------------------

UNARY, BINARY = ("exp", "tanh", "sigmoid", "relu"), ("add", "mul", "sub")


def chain(seed: int) -> Any:
    """Return a compiled function of two tensors: element-wise operations at random, some of whose results are kept."""
    pick = random.Random(seed)
    plan = [(pick.choice(UNARY), pick.random()) if pick.random() < 0.5 else
            (pick.choice(BINARY), pick.random(), pick.random()) for _ in range(pick.randint(2, 9))]  # fmt: skip

    def run(x: Any, y: Any) -> Any:
        values = [x, y]
        for name, *places in plan:
            values.append(getattr(ad, name)(*[values[int(place * len(values))] for place in places]))
        return values[-1], values[-2].sum()

    function = ad.compile(run)
    x = ad.ones(20, 20)
    for _ in range(2):
        function(x, x * 0.5)
    return function


@pytest.mark.parametrize("seed", range(12))
def test_a_fused_operation_is_one_node_or_all_its_parts(seed: int) -> None:
    function = chain(seed)
    program = function.programs[0]
    folded, unfolded = draw(function), draw(function, unfold=True)
    number = {record: f"r{i}" for i, record in enumerate(program)}
    assert {name for name in drawn_nodes(folded.source) if name[0] == "r"} == set(number.values())
    expected: Counter[tuple[str, str]] = Counter()
    makers: dict[Any, str] = {}
    nodes: set[str] = set()
    for record, parts in zip(program, program.columns["parts"]):
        steps = record.params["steps"] if parts else (("", (), range(len(record.operands))),)
        names = [f"{number[record]}_{k}" if parts else number[record] for k in range(len(steps))]
        nodes.update(names)
        inputs = [makers.get(operand, "leaf") if type(operand) is tuple else "leaf" for operand in record.operands]
        for head, (_, _, operands) in zip(names, steps, strict=True):
            expected.update(((*inputs, *names)[k], head) for k in operands)
        results = record.params["results"] if parts else [0] * len(record.outputs)
        makers |= {(record, i): names[step] for i, step in enumerate(results)}
    assert {name for name in drawn_nodes(unfolded.source) if name[0] == "r"} == nodes
    found: Counter[tuple[str, str]] = Counter()
    for (tail, head), count in drawn_edges(unfolded.source).items():
        if head[0] == "r" and "with" not in tail:
            found[tail if tail[0] == "r" else "leaf", head] += count
    assert found == expected


def test_a_fused_operation_lists_its_parts() -> None:
    function = ad.compile(lambda x: (x.exp() * x.tanh() + x).sigmoid().relu().sum())
    for _ in range(2):
        function(ad.ones(20, 20))
    source = draw(function).source
    assert "<B>fused</B>" in source
    assert "exp · tanh · mul · add · 2 more" in source
    (tooltip,) = (tip for label, tip in drawn_nodes(source).values() if "fused" in label)
    assert "test_pictures.py" in tooltip
    unfolded = titles(draw(function, unfold=True).source)
    assert unfolded[:6] == ["exp", "tanh", "mul", "add", "sigmoid", "relu"]


def test_a_function_that_was_not_recorded_yet() -> None:
    with pytest.raises(GradientError, match="has not been recorded yet; call it twice before"):
        draw(ad.compile(lambda x: x))


def test_a_compiled_function_with_inputs_is_measured() -> None:
    function = ad.compile(lambda x: x.exp().sum())
    picture = draw(function, ad.ones(30, 30), overlay="seconds")
    assert "slowest path" in picture.source
    assert "<B>x</B>" in picture.source


def test_phases_that_take_turns_are_one_lane_each() -> None:
    model = nn.Sequential(nn.Linear(4, 300), nn.BatchNorm1d(300), nn.Linear(300, 3))
    optimizer = ad.optim.SGD(model.parameters(), lr=0.1)
    x, y = ad.randn(6, 4), ad.tensor([0, 1, 2, 0, 1, 2])

    def train() -> Any:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    compiled = ad.compile(train)
    for _ in range(2):
        compiled()
    replayed = compiled.programs[0]
    lanes = ["forward", "backward", "update"]
    assert [lane.title for lane in draw(replayed).graph.root.members] == lanes
    late = [i for i, record in enumerate(replayed) if record.phase == "forward"][-1]
    backward = next(i for i, record in enumerate(replayed) if record.phase == "backward")
    replayed.records.insert(backward + 1, replayed.records.pop(late))  # as where statistics are written late
    assert [lane.title for lane in graph_of(Program(replayed.records)).root.members] == lanes
    twice = ad.record(lambda: (train(), train()))
    assert [lane.title for lane in graph_of(twice).root.members if isinstance(lane, Group)] == [
        f"{lane} {step}" for step in (1, 2) for lane in lanes]


# ---- Rolled-up blocks ------------------------------------------------------------------------------------------------


def path_of(node: Node) -> list[str]:
    labels = [node.title] if node.kind == "module" else [node.place]
    group: Group | None = node.parent
    while group is not None:
        labels.insert(0, group.title)
        group = group.parent
    return labels


@pytest.mark.parametrize(("blocks", "layers"), [(2, 1), (3, 2), (5, 3), (1, 4), (1, 1)])
@pytest.mark.parametrize("depth", [None, 2])
@pytest.mark.parametrize("training", [False, True])
def test_rolled_up_edges_are_those_of_the_program(blocks: int, layers: int, depth: int | None, training: bool) -> None:
    program = tower_step(blocks, layers) if training else ad.record(Tower(blocks, layers), ad.ones(2, 2))
    full, rolled = graph_of(program, depth=depth), graph_of(program, depth=depth)
    roll(rolled)
    assert sum(node.records for node in rolled.nodes) == len(program)

    def copies(node: Node) -> list[int]:
        """Return the number of the block and of the layer that a node is in, in the order they run."""
        found = [int(label) for label in path_of(node) if label.isdigit()]
        return [n - 1 - i if node.phase == "backward" else i for i, n in zip(found, (blocks, layers))]

    def key(node: Node) -> Any:
        """Return what a node has in common with that of another block: its place, with all numbers left out."""
        inside = [m for m in node.parent.members if isinstance(m, Node) and m.kind == node.kind]
        index = 0 if node.kind == "module" else inside.index(node)
        return re.sub(r"\d+", "0", ".".join(path_of(node))), node.kind, index

    first = {key(node): node.id for node in full.nodes if not any(copies(node))}
    assert set(first.values()) == {node.id for node in rolled.nodes}
    expected: Counter[tuple[str, str]] = Counter()
    around: set[tuple[str, str]] = set()
    for edge in full.edges:
        tail, head = copies(edge.tail), copies(edge.head)
        if edge.tail.phase != edge.head.phase or not (tail and head):
            tail, head = [], []
        apart = next((i for i, (a, b) in enumerate(zip(tail, head)) if a != b), None)
        if any(tail[:apart] if apart is not None else [a for a, _ in zip(tail, head)]):
            continue  # the first block has the same
        pair = first[key(edge.tail)], first[key(edge.head)]
        expected[pair] += edge.values
        if apart is not None:
            around.add(pair)
    drawn: Counter[tuple[str, str]] = Counter()
    for edge in rolled.edges:
        drawn[edge.tail.id, edge.head.id] += edge.values
    assert drawn == expected
    assert {(edge.tail.id, edge.head.id) for edge in rolled.edges if edge.again} == around


def test_equal_blocks_are_shown_once_with_their_number() -> None:
    picture = draw(Tower(4, 3), ad.ones(2, 2), roll=True)
    assert [group.title for group in groups_of(picture.graph)][2:] == [
        "Tower", "stem", "blocks", "Block × 4", "layers", "Layer × 3", "fc"]
    assert 'label="Block × 4"' in picture.source
    assert len(picture.expanded().nodes) == len(picture.graph.nodes)  # the page shows them once, too
    draw_modules = draw(Tower(4, 3), ad.ones(2, 2), roll=True, depth=2)
    assert "<B>Block × 4</B>" in draw_modules.source


def test_blocks_that_differ_are_not_rolled_up() -> None:
    class Different(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 3), nn.Linear(3, 3, bias=False), Layer(3)])

        def forward(self, x: Any) -> Any:
            for layer in self.layers:
                x = layer(x) * 2
            return x

    graph = draw(Different(), ad.ones(2, 2), roll=True).graph
    assert all(group.copies == 1 for group in groups_of(graph))


def test_measurements_of_equal_blocks_are_added_up() -> None:
    program = tower_step(3, 2)
    program.columns["seconds"] = [float(i) for i in range(len(program))]
    graph = graph_of(program)
    roll(graph)
    assert sum(node.measures.get("seconds", 0) for node in graph.nodes) == sum(program.columns["seconds"])
    assert sum(node.measures.get("flops", 0) for node in graph.nodes) == program.cost().flops


# ---- Differences -----------------------------------------------------------------------------------------------------


def random_program(seed: int, change: int) -> Program:
    """Return a random program; another `change` leaves out, adds or replaces some operations."""
    pick, alter = random.Random(seed), random.Random(change)
    x = ad.ones(3)
    x.name = "x"

    def run() -> Any:
        values = [x]
        for _ in range(12):
            name = pick.choice((*UNARY, *BINARY))
            places = [pick.random() for _ in range(1 + (name in BINARY))]
            altered = change and alter.random() < 0.2
            if altered and alter.random() < 0.5:
                continue
            name = "sin" if altered and name in UNARY else name
            values.append(getattr(ad, name)(*[values[int(place * len(values))] for place in places]))
        return values[-1]

    return ad.record(run)


@pytest.mark.parametrize("seed", range(15))
def test_a_difference_holds_both_programs(seed: int) -> None:
    first, second = random_program(seed, 0), random_program(seed, seed + 1)
    both = merged(first, second)
    changes = Counter(both.columns["change"])
    assert changes["same"] + changes["changed"] + changes["removed"] == len(first)
    assert changes["same"] + changes["changed"] + changes["added"] == len(second)
    both.verify()
    if not first.diff(second):
        assert set(changes) == {"same"}
    # Without what was removed the picture is that of the second program.
    graph, plain = graph_of(both), graph_of(second)
    removed = {node for node in graph.nodes if node.change == "removed"}

    def wires(graph: Graph) -> Counter[Any]:
        kept = [e for e in graph.edges if not {e.tail, e.head} & removed and not e.change]
        return Counter((e.tail.record or e.tail.kind, e.head.record or e.head.kind) for e in kept)

    assert wires(graph) == wires(plain)
    # With it, and with what was read before, every operand of the first program is there, too.
    old = sum(len(record.operands) for record in first)
    gone = sum(bool(e.change) for e in graph.edges)
    assert all(e.change == "removed" for e in graph.edges if e.head in removed)
    assert gone <= old
    source = draw(second, against=first).source
    shown = Counter(re.sub(r"\w.*", "", title).strip() for title in titles(source))
    assert (shown["+"], shown["−"], shown["±"]) == (changes["added"], changes["removed"], changes["changed"])


def test_the_text_of_a_difference() -> None:
    x = ad.ones(2)
    source = draw(lambda x: x.exp().tanh().sum(), x, against=lambda x: x.exp().sum(), title="", legend=False).source
    assert re.sub(r' ?tooltip="(\\.|[^"\\])*"', "", source).splitlines()[5:] == [
        '\t\tr0 [label=<<B>exp</B><BR/> <FONT POINT-SIZE="8" COLOR="#333333">2 float32</FONT> > fillcolor="#f4f4f4" '
        'color="#aaaaaa"]',
        '\t\tr1 [label=<<B>+ tanh</B><BR/> <FONT POINT-SIZE="8" COLOR="#333333">2 float32</FONT> > fillcolor="#cfe6f5" '
        'color="#0072b2" penwidth="2.5"]',
        '\t\tr2 [label=<<B>± sum</B><BR/> <FONT POINT-SIZE="8" COLOR="#333333">scalar float32</FONT> > '
        'fillcolor="#d9c0ec" color="#4f2a75" penwidth="2.5"]',
        '\t\to3 [label=<<B>output</B><BR/> <FONT POINT-SIZE="8" COLOR="#333333">scalar float32</FONT> > shape="box" '
        'style="filled,bold" fillcolor="#ffffff" color="#222222"]',
        '\t\tl0 [label=<<B>x</B><BR/> <FONT POINT-SIZE="8" COLOR="#333333">2 float32</FONT> > shape="box" '
        'style="filled,bold" fillcolor="#ffffff" color="#222222"]',
        "\tr0 -> r1 [ weight=16]",
        "\tr1 -> r2 [ weight=16]",
        '\tr0 -> r2 [ style=dotted penwidth=2 color="#d55e00" constraint=false]',
        "\tr2 -> o3 [ weight=16]",
        "\tl0 -> r0 []",
        "}",
    ]


def test_before_and_after_a_pass() -> None:
    function = chain(3)
    stages = function.stages()
    picture = draw(stages["with_chains"], against=stages["recorded"])
    assert "<B>+ fused</B>" in picture.source
    assert "<B>− " in picture.source


# ---- Nodes -----------------------------------------------------------------------------------------------------------


def test_a_node_shows_the_lines_around_its_own() -> None:
    graph = draw(lambda x: x.exp(), ad.ones(2)).graph
    node = graph.nodes[0]
    assert node.file == "test_pictures.py"
    assert (node.line, "    graph = draw(lambda x: x.exp(), ad.ones(2)).graph") in node.source
    assert [number for number, _ in node.source] == list(range(node.line - 2, node.line + 3))
    assert [node.order for node in graph.nodes] == [0, 0, 0]


def test_local_jacobians_multiply_to_the_whole() -> None:
    weight = ad.tensor(np.linspace(-1, 1, 12).reshape(4, 3), dtype=ad.float64)
    x = ad.tensor(np.array([0.3, -0.2, 0.5]), dtype=ad.float64, requires_grad=True)

    def whole(x: Any) -> Any:
        return ad.softmax(ad.tanh(weight @ (x * x)), 0)

    graph = draw(whole(x)).graph
    by_name = {node.title: node for node in graph.nodes}
    path = [("softmax", 0), ("tanh", 0), ("matmul", 1)]
    product = np.eye(4)
    for name, position in path:
        local = by_name[name].jacobian(position)
        product = np.tensordot(product, local.reshape(-1, local.shape[-1] if local.ndim == 2 else 1), 1)
    product = product @ (by_name["mul"].jacobian(0) + by_name["mul"].jacobian(1))
    y = whole(x)
    rows = [ad.autograd.grad(y[i], x, retain_graph=True)[0].numpy() for i in range(4)]
    np.testing.assert_allclose(product, np.stack(rows), rtol=1e-12, atol=1e-15)


def test_local_jacobians_multiply_along_a_path_through_a_convolution() -> None:
    ad.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(60, 6)).to(ad.float64)
    x = ad.randn(2, 2, 4, 5, dtype=ad.float64, requires_grad=True)
    path = [node for node in draw(model, x).graph.nodes if node.record]
    assert [node.title for node in path if node.title != "copy"] == ["conv2d", "relu", "reshape", "linear"]
    product = np.eye(2 * 6)
    for node in reversed(path):
        local = node.jacobian()
        product = product @ local.reshape(node.specs[0].size, -1)
    whole = ad.autograd.functional.jacobian(model, x).numpy().reshape(12, -1)
    np.testing.assert_allclose(product, whole, rtol=1e-12, atol=1e-14)
    step = 1e-6
    for i in (0, 17, 79):  # a difference of the function itself, in a few directions
        moved = [x.detach().numpy().copy() for _ in range(2)]
        for sign, numbers in zip((1, -1), moved):
            numbers.reshape(-1)[i] += sign * step
        high, low = (model(ad.tensor(numbers)).detach().numpy().reshape(-1) for numbers in moved)
        np.testing.assert_allclose(product[:, i], (high - low) / (2 * step), rtol=1e-6, atol=1e-8)


def test_local_jacobian_of_an_operation_with_a_twin_only() -> None:
    program = ad.record(lambda x: ad.logsumexp(x, 0), ad.tensor([1.0, 2.0, 3.0], requires_grad=True))
    graph = draw(program).graph
    total = np.eye(1)
    for node in reversed([node for node in graph.nodes if node.record]):
        assert node.jacobian().shape == (*node.record.outputs[0].shape, *node.record.inputs[0].shape)
    assert total.shape == (1, 1)


@pytest.mark.parametrize(
    ("make", "arguments", "error", "text"),
    [
        (lambda x: x.exp(), (1,), ValueRangeError, "no such input or output; expected exp has 1 inputs"),
        (lambda x: x > 0, (0,), GradientError, "no gradient flows through gt.*; ask for an output of floating-point"),
        (lambda x: ad.ones(2) * x, (0,), GradientError, r"let the input require a gradient, or ask jacobian\(1\)"),
        (lambda x: ad.ones(2).exp(), (0,), GradientError, r"nothing that exp reads .*x.requires_grad_\(\)"),
        (lambda x: x.expand(2000, 2), (0,), None, ""),
        (lambda x: x.expand(300_000, 2), (0,), ValueRangeError, "it would be too large"),
    ],
)
def test_jacobian_errors(make: Any, arguments: Any, error: Any, text: str) -> None:
    node = draw(make, ad.ones(2, requires_grad=True)).graph.nodes[0]
    if error is None:
        assert node.jacobian(*arguments).shape == (2000, 2, 2)
        return
    with pytest.raises(error, match=text):
        node.jacobian(*arguments)


def test_the_jacobian_of_a_freed_operation() -> None:
    graph = draw(lambda x: x.exp().sum(), ad.ones(2, requires_grad=True), backward=True).graph
    with pytest.raises(GradientError, match="freed by a backward pass; draw the forward pass alone"):
        graph.nodes[0].jacobian()
    leaf = next(node for node in graph.nodes if node.kind == "input")
    with pytest.raises(GradientError, match="this node is no single operation"):
        leaf.jacobian()


# ---- Names -----------------------------------------------------------------------------------------------------------


def test_names_are_escaped() -> None:
    nasty = '<b>"x\\N'
    kind = type(nasty, (nn.Module,), {"forward": lambda self, x: (x * x).relu()})
    model = nn.Sequential(kind(), kind(), kind())
    source = draw(model, ad.ones(2, 2), roll=True).source
    assert '"<b>\\"x\\\\N × 3"' in source
    assert "<B><b>" not in draw(model, ad.ones(2, 2), roll=True, depth=1, overlay="values").source
