"""Pictures of what a change has changed: what is open, what is marked, and what is said."""

from __future__ import annotations

from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import training_step
from steps import classifier_step
from test_page import data_of, text_of

import autodiff as ad
from autodiff import nn
from autodiff.viz import colors, draw
from autodiff.viz.dot import legend_of
from autodiff.viz.graph import MODULE, Group, nodes_in
from autodiff.viz.picture import Picture
from autodiff.viz.texts import text_of_changes


class Net(nn.Module):
    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*[nn.Sequential(nn.Linear(4, 4), nn.Tanh()) for _ in range(3)])
        self.head = head

    def forward(self, x: Any) -> Any:
        return self.head(self.body(x))


def net(changed: bool) -> Net:
    layers = [nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)] if changed else [nn.Linear(4, 2)]
    return Net(nn.Sequential(*layers))


def difference(**options: Any) -> Picture:
    return draw(net(True), ad.ones(2, 4), against=net(False), **options)


def groups_in(group: Group) -> dict[str, Group]:
    found = [group]
    for outer in found:
        found += [member for member in outer.members if isinstance(member, Group)]
    return {inner.title: inner for inner in found}


def test_what_differs_is_open_and_what_does_not_is_folded() -> None:
    graph = difference().graph
    assert graph.remarks[0] == "2 added, 1 changed"
    folded = {node.title: node for node in graph.nodes if node.kind == MODULE}
    assert list(folded) == ["body"]
    assert (folded["body"].change, folded["body"].details[0]) == ("same", "Sequential")
    changes = [(node.title, node.change) for node in graph.nodes if node.record]
    assert sorted(change for _, change in changes) == ["added", "added", "changed"]
    groups = groups_in(graph.root)
    assert text_of_changes(groups["head"].changes) == text_of_changes(groups["Net"].changes) == "2 added, 1 changed"
    assert 'label="head (Sequential) · 2 added, 1 changed"' in difference().source


def test_a_folded_module_says_how_much_of_it_has_changed() -> None:
    graph = difference(depth=1).graph
    head = next(node for node in graph.nodes if node.title == "head")
    assert head.change == "changed"
    assert "2 added, 1 changed" in head.details
    assert "<B>± head</B>" in difference(depth=1).source
    assert next(node for node in graph.nodes if node.title == "body").change == "same"


def test_no_difference() -> None:
    graph = draw(net(True), ad.ones(2, 4), against=net(True)).graph
    assert graph.remarks == ["no difference"]
    assert [node.title for node in graph.nodes if node.kind == MODULE] == ["Net"]

    def both(x: Any) -> Any:
        return x.exp(), x.tanh()

    other = draw(lambda x: both(x)[::-1], ad.ones(2), against=both)
    assert other.graph.remarks == ["other results of the same operations"]


def step_of(layers: int, head: nn.Module) -> Any:
    """Return a compiled training step of a net with equal layers."""
    model = nn.Sequential(nn.Linear(4, 8), *[nn.Sequential(nn.Linear(8, 8), nn.Tanh()) for _ in range(layers)], head)
    optimizer = ad.optim.SGD(model.parameters(), lr=0.1)

    step = ad.compile(classifier_step(model, optimizer))
    for _ in range(2):
        step(ad.ones(3, 4), ad.tensor([0, 1, 1]))
    return step


def folded(graph: Any, phase: str) -> list[str]:
    return [node.title for node in graph.nodes if node.kind == MODULE and node.phase == phase]


def test_two_compilations_of_the_same_do_not_differ() -> None:
    graph = draw(step_of(3, nn.Linear(8, 2)), against=step_of(3, nn.Linear(8, 2))).graph
    assert graph.remarks == ["no difference"]
    assert folded(graph, "forward") == folded(graph, "backward") == ["Sequential"]


def test_one_of_many_equal_layers_more() -> None:
    """The backward pass meets the layers in reverse; the new one is the same as in the forward pass."""
    graph = draw(step_of(5, nn.Linear(8, 2)), against=step_of(4, nn.Linear(8, 2))).graph
    assert folded(graph, "forward") == ["0", "1", "2", "3", "4"]  # the head reads another layer
    assert folded(graph, "backward") == ["0", "3", "2", "1", "0"]  # the first is of 4, the last the first layer
    added = {phase: [node.record.scope for node in graph.nodes if node.record and node.change == "added"
                     and node.phase == phase] for phase in ("forward", "backward")}  # fmt: skip
    assert added == {"forward": ["Sequential.5.0", "Sequential.5.1"], "backward": ["Sequential.5.1", "Sequential.5.0"]}


def test_a_large_difference_shows_the_change_alone() -> None:
    def compute(extra: bool) -> Any:
        layers = nn.Sequential(*[nn.Sequential(*[nn.Tanh() for _ in range(60)]) for _ in range(40)])
        return nn.Sequential(layers, nn.Sequential(nn.Sigmoid(), *[nn.ReLU()] * extra))

    picture = draw(compute(True), ad.ones(3), against=compute(False))
    assert len(picture.program) > 2000
    assert len(picture.graph.nodes) < 10
    assert picture.graph.remarks == ["1 added"]


def test_the_page_of_a_difference() -> None:
    data = data_of(text_of(difference().expanded()))
    groups = {group["title"]: group for group in data["groups"]}
    assert "Sequential" in groups["body"]["statement"]
    assert (groups["head"]["changes"], groups["body"]["changes"]) == (3, 0)
    assert "2 added, 1 changed" in groups["head"]["statement"]
    assert "2 added, 1 changed" in groups["head"]["area"][0]
    assert [text for text, *_ in data["legend"]][:2] == ["same", "+ added"]
    assert data["remarks"] == ["2 added, 1 changed"]
    changes = sorted(node["change"] for node in data["nodes"] if node["kind"] == "operation")
    assert changes[-3:] == ["added", "added", "changed"]


def test_colours_of_a_difference_tell_changes_alone() -> None:
    """Parameters and states have none of their own there, and no picture has leaves in the colour of a change."""
    step = partial(training_step, layers(True))
    both = draw(step, ad.ones(3, 4), against=partial(training_step, layers(False))).graph
    looks = {text: (fill, line) for text, fill, line, *_ in legend_of(both)}
    assert list(looks) == ["same", "− removed", "± changed", "input, output", "parameter"]
    assert {look for text, look in looks.items() if text == "parameter"} == {("#ffffff", "#777777")}
    assert 'fillcolor="#fff3c4"' not in draw(step, ad.ones(3, 4), against=step).source
    alone = {text: (fill, line) for text, fill, line, *_ in legend_of(draw(step, ad.ones(3, 4)).graph)}
    assert not {alone["parameter"], alone["input, output"]} & {looks["same"], looks["− removed"], looks["± changed"]}


# What is left of linear red, green and blue where one kind of cones is missing: Machado, Oliveira and Fernandes, "A
# Physiologically-based Model for Simulation of Color Vision Deficiency" (IEEE TVCG 15, 2009), severity 1.
VISIONS = {
    "all cones": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def seen(color: str, vision: str) -> Any:
    """Return lightness and the two other coordinates of a colour in Oklab, as somebody sees it."""
    light = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(light <= 0.04045, light / 12.92, ((light + 0.055) / 1.055) ** 2.4)
    cones = np.array(colors._TO_CONES) @ np.clip(np.array(VISIONS[vision]) @ linear, 0, 1)
    return np.array(colors._FROM_CONES) @ np.cbrt(cones)


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("ground", ["light", "dark"])
def test_any_eye_tells_the_colours_of_changes_apart(vision: str, ground: str) -> None:
    def compute(*names: str) -> Any:
        return lambda x: [getattr(x, name)() for name in names][-1].sum()

    graph = draw(compute("exp", "tanh"), ad.ones(2), against=compute("sin", "exp")).graph
    swatches = [swatch for swatch in legend_of(graph) if swatch.text != "input, output"]
    assert [swatch.text for swatch in swatches] == ["same", "+ added", "− removed", "± changed"]
    for part in ("fill", "line"):
        looks = [getattr(swatch, part) for swatch in swatches]
        shown = [seen(colors.dark(look) if ground == "dark" else look, vision) for look in looks]
        assert min(np.linalg.norm(one - other) for one, other in combinations(shown, 2)) > 0.045, part


def test_the_legend_of_a_page_without_a_comparison() -> None:
    legend = data_of(text_of(draw(net(True), ad.ones(2, 4)).expanded()))["legend"]
    assert [text for text, *_ in legend] == ["forward", "input, output", "parameter"]


@pytest.mark.parametrize("overlay", ["", "flops"])
def test_a_page_opens_with_the_overlay_of_its_picture(overlay: str, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    draw(net(True), ad.ones(2, 4), overlay=overlay or None).write_page(file)
    assert data_of(file.read_text(encoding="utf-8"))["overlay"] == overlay


def layers(removed: bool) -> nn.Sequential:
    middle = [] if removed else [nn.Linear(8, 8), nn.Tanh()]
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), *middle, nn.Linear(8, 2))


def test_a_removed_module_stands_beside_the_one_that_has_its_name_now() -> None:
    def step(model: nn.Module) -> Any:
        return partial(training_step, model)

    graph = draw(step(layers(True)), ad.ones(3, 4), against=step(layers(False))).graph
    for lane in graph.root.members:
        assert isinstance(lane, Group)
        (model,) = [member for member in lane.members if isinstance(member, Group)]
        found = {getattr(member, "place", "") or member.title: member for member in model.members}
        assert {node.change for node in nodes_in(found["2 before"]) if node.change} == {"removed"}, lane.phase
        assert "removed" not in {node.change for node in nodes_in(found["2"])}, lane.phase
    tanh = next(node for node in graph.nodes if node.title == "tanh")
    assert (tanh.place, tanh.change) == ("3", "removed")


def test_a_module_of_another_class_has_both_names() -> None:
    first, second = (nn.Sequential(nn.Linear(4, 8), layer(), nn.Linear(8, 2)) for layer in (nn.Tanh, nn.ReLU))
    assert 'label="1 (Tanh → ReLU) · 1 added, 1 removed"' in draw(second, ad.ones(3, 4), against=first).source


@pytest.mark.parametrize("depth", [None, 1])
@pytest.mark.parametrize(("old", "new", "name"), [
    (nn.Tanh(), nn.ReLU(), "Tanh → ReLU"),
    (nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 4)), "Linear → Sequential"),
    (nn.ReLU(), nn.Sequential(nn.Tanh(), nn.ReLU()), "ReLU → Sequential"),
])  # fmt: skip
def test_a_module_that_keeps_some_operations_has_both_names(
    old: nn.Module, new: nn.Module, name: str, depth: int | None
) -> None:
    """Also where the operation that was in the old one is in the new one, and folded."""
    graph = draw(Net(new), ad.ones(3, 4), against=Net(old), depth=depth).graph
    boxes = {node.title: node.module for node in graph.nodes if node.kind == MODULE}
    assert {**boxes, **{title: group.module for title, group in groups_in(graph.root).items()}}["head"] == name


def test_a_module_with_other_layers_keeps_its_place() -> None:
    """What has no partner, but the same path, is the same module: the head before and after."""
    graph = draw(net(True), ad.ones(2, 4), against=net(False)).graph
    assert not any(" before" in title for title in groups_in(graph.root))


def test_what_is_read_no_longer_is_marked_in_one_way() -> None:
    picture = draw(layers(True), ad.ones(3, 4), against=layers(False))
    removed = [node for node in picture.graph.nodes if node.change == "removed"]
    assert len(removed) == 2
    before = [edge for edge in picture.graph.edges if edge.change]
    into_removed = [edge for edge in picture.graph.edges if edge.head in removed]
    assert into_removed == [edge for edge in before if edge.change == "removed"]
    (left,) = [edge for edge in before if edge.change == "before"]
    assert (left.tail.title, left.head.title) == ("tanh", "linear")
    assert picture.source.count("style=dotted penwidth=2") == len(before) == 5  # of linear three, of tanh one
    assert picture.source.count("</FONT> read no longer</TD>") == 1


@pytest.mark.parametrize("name", ["SGD", "Adam", "NAdam", "ASGD", "Adagrad"])
@pytest.mark.parametrize("compiled", [False, True])
def test_how_many_steps_were_done_is_no_difference(name: str, compiled: bool) -> None:
    optimizer = getattr(ad.optim, name)

    def program_after(steps: int, lr: float = 0.1) -> Any:
        ad.manual_seed(0)
        model = nn.Linear(2, 1)
        update = optimizer(model.parameters(), lr=lr)

        def step(x: Any) -> Any:
            update.zero_grad()
            loss = model(x).sum()
            loss.backward()
            update.step()
            return loss

        run = ad.compile(step) if compiled else step
        for _ in range(steps):
            run(ad.ones(3, 2))
        return run.programs[0] if compiled else ad.record(step, ad.ones(3, 2))

    program = program_after(3)
    assert program.structural_hash() == program_after(6).structural_hash()
    assert program.diff(program_after(6)) == ""
    assert draw(program_after(6), against=program).graph.remarks == ["no difference"]
    if name != "ASGD":  # its operation is given the rate of the step alone
        assert "lr=0.2" in program.diff(program_after(3, lr=0.2))
