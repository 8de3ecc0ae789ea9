"""Programs that are too large to be read: as deep as fits, equal blocks once, or in blocks of equal length."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_page import data_of
from test_pictures import Tower

import autodiff as ad
from autodiff import nn
from autodiff.program import Program
from autodiff.viz import draw
from autodiff.viz.drawing import MOST_BOXES
from autodiff.viz.graph import Graph
from autodiff.viz.summary import boxes_in


class Block(nn.Module):
    def __init__(self, operations: int) -> None:
        super().__init__()
        self.operations = operations

    def forward(self, x: Any) -> Any:
        for _ in range(self.operations // 4):
            x = (x.tanh() + x).exp() * x
        return x


def without_pattern(count: int) -> Program:
    """Return a program without modules in which no piece comes twice in a row (Thue, 1912), so nothing is rolled up."""
    word, rules = "a", {"a": "abc", "b": "ac", "c": "b"}
    while len(word) < count:
        word = "".join(map(rules.__getitem__, word))
    steps = {"a": ad.tanh, "b": ad.exp, "c": ad.relu}

    def compute(x: Any) -> Any:
        for letter in word[:count]:
            x = steps[letter](x)
        return x

    return ad.record(compute, ad.ones(1))


def records(graph: Graph) -> int:
    return sum(node.records for node in graph.nodes)


def test_a_loop_is_shown_as_what_it_is() -> None:
    def compute(x: Any) -> Any:
        for _ in range(30_000):
            x = x + x
        return x

    program = ad.record(compute, ad.ones(1))
    picture = draw(program)
    assert [node.title for node in picture.graph.nodes] == ["add", "output", "x"]
    assert 'label="add × 30,000"' in picture.source
    assert records(picture.graph) == len(program)
    assert picture.graph.remarks == ["30,000 operations: equal blocks in a row are shown once, with their number"]
    as_one_node = draw(program, depth=0)
    assert as_one_node.source == picture.source
    assert as_one_node.depth is None


@pytest.mark.parametrize("training", [False, True])
def test_many_equal_blocks_show_one_of_them(training: bool) -> None:
    def step(model: Any, x: Any) -> Any:
        loss = model(x).sum()
        if training:
            loss.backward()
        return loss

    program = ad.record(step, nn.Sequential(*[Block(20) for _ in range(500)]), ad.ones(2, requires_grad=True))
    graph = draw(program).graph
    assert "Block × 500" in draw(program).source
    assert records(graph) == len(program) >= 10_000
    assert 4 <= boxes_in(graph) <= MOST_BOXES


def test_what_is_not_equal_is_shown_to_a_depth_that_can_be_read() -> None:
    program = ad.record(nn.Sequential(*[Block(40 + 4 * i) for i in range(60)]), ad.ones(2))
    assert len(program) > 9000
    picture = draw(program)
    assert picture.graph.remarks == [f"{len(program):,} operations: shown to depth 1"]
    assert boxes_in(picture.graph) == 60
    assert records(picture.graph) == len(program)
    assert len(draw(program, depth=9).graph.nodes) > 9000  # who asks gets more
    assert boxes_in(draw(program, depth=0).graph) == 1


def test_runs_in_modules_that_differ() -> None:
    program = ad.record(Tower(60, 20), ad.ones(2, 2))
    assert len(program) > 2000
    graph = draw(program).graph
    assert 5 < boxes_in(graph) <= MOST_BOXES
    assert graph.remarks == [f"{len(program):,} operations: equal blocks in a row are shown once, with their number"]


def test_without_modules_and_equal_blocks_it_is_cut() -> None:
    program = without_pattern(5000)
    picture = draw(program)
    assert picture.graph.remarks == ["5,000 operations: shown in blocks of 250"]
    boxes = [node for node in picture.graph.nodes if node.kind == "module"]
    assert len(boxes) == 20
    assert records(picture.graph) == len(program)
    assert any("tanh" in text for text in boxes[0].details)


def test_the_still_picture_of_a_page_is_small_and_coloured(tmp_path: Path) -> None:
    program = without_pattern(400)
    program.columns["seconds"] = [1e-6] * 400
    picture = draw(program, overlay="seconds")
    assert len(picture.graph.nodes) > 400
    still = "".join(picture.folded())
    assert still.count("<B>operations ") == 20
    assert "bold: the slowest path, 400 µs" in still
    assert 'penwidth="3"' in still
    text = Path(picture.write_page(tmp_path / "graph.html")).read_text(encoding="utf-8")
    assert text.count('class="node"') < 150
    assert sum(node["kind"] == "operation" for node in data_of(text)["nodes"]) == 400
