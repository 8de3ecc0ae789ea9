"""Pictures of what a change has changed: what is open, what is marked, and what is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from steps import classifier_step
from test_page import data_of, text_of

import autodiff as ad
from autodiff import nn
from autodiff.viz import draw
from autodiff.viz.graph import MODULE, Group, text_of_changes
from autodiff.viz.picture import Picture


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
    assert 'label="head · 2 added, 1 changed"' in difference().source


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


def test_the_page_of_anything_else_needs_no_legend() -> None:
    assert data_of(text_of(draw(net(True), ad.ones(2, 4)).expanded()))["legend"] == []


@pytest.mark.parametrize("overlay", ["", "flops"])
def test_a_page_opens_with_the_overlay_of_its_picture(overlay: str, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    draw(net(True), ad.ones(2, 4), overlay=overlay or None).write_page(file)
    assert data_of(file.read_text(encoding="utf-8"))["overlay"] == overlay
