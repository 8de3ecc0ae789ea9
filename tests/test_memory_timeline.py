"""The memory along a program: who holds what, what was measured, what checkpointing changes, and its pictures."""

from __future__ import annotations

import gc
import json
import re
import shutil
import subprocess
import sys
import tracemalloc
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import nn, optim
from autodiff.errors import DTypeError, GradientError, MissingExtraError, ValueRangeError
from autodiff.program import Program
from autodiff.program_checkpoint import checkpointed
from autodiff.program_memory import KINDS
from autodiff.utils.checkpoint import checkpoint
from autodiff.viz import Timeline, draw, timeline
from autodiff.viz.memory_figure import figure_of
from autodiff.viz.memory_svg import COLOURS, fitting, shapes_of, text_of_size

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Work arrays grow with the number of threads."""
    before = ad.get_num_threads()
    ad.set_num_threads(1)
    yield
    ad.set_num_threads(before)


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x: Any) -> Any:
        return x + self.down(nn.functional.gelu(self.up(self.norm(x))))


class Net(nn.Module):
    def __init__(self, width: int = 32, blocks: int = 4, under_checkpoint: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(width) for _ in range(blocks)])
        self.head = nn.Linear(width, 4)
        self.under_checkpoint = under_checkpoint

    def forward(self, x: Any) -> Any:
        for number, block in enumerate(self.blocks):
            x = checkpoint(block, x) if number in self.under_checkpoint else block(x)
        return self.head(x)


def convolutions() -> Any:
    return nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 64, 4))


def training(model: Any, x: Any) -> tuple[Callable[[], None], int]:
    """Return a training step of a model, and the bytes that are there before it."""
    optimizer = optim.Adam(model.parameters())

    def step() -> None:
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()

    step()  # makes the optimizer's state
    optimizer.zero_grad()
    states = [value for state in optimizer.state.values() for value in state.values() if isinstance(value, ad.Tensor)]
    there = [*model.parameters(), *model.buffers(), *states, x]
    return step, sum(tensor.numpy().nbytes for tensor in map(ad.Tensor.detach, there))


def measured(step: Callable[[], None], there: int) -> int:
    """Return the most bytes during a step, by Python's own account."""
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        step()
        return tracemalloc.get_traced_memory()[1] - before + there
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("build", [
    lambda: (Net(), ad.randn(2048, 32)),
    lambda: (convolutions(), ad.randn(128, 1, 16, 16)),
    lambda: (nn.Sequential(nn.Linear(64, 256), nn.Tanh(), nn.Linear(256, 8)), ad.randn(1024, 64)),
], ids=["blocks", "convolutions", "perceptron"])
def test_the_peak_is_what_a_step_takes(build: Any) -> None:
    ad.manual_seed(0)
    step, there = training(*build())
    peak = measured(step, there)
    assert ad.record(step).memory().peak == pytest.approx(peak, rel=0.01)


@pytest.mark.parametrize("modules", [(0,), (1, 3), (0, 1, 2, 3)])
def test_checkpointing_changes_the_peak_as_predicted(modules: tuple[int, ...]) -> None:
    ad.manual_seed(0)
    x = ad.randn(2048, 32)
    step, there = training(Net(under_checkpoint=modules), x)
    peak = measured(step, there)
    plain, _ = training(Net(), x)
    program = ad.record(plain)
    again = checkpointed(program, [f"Net.blocks.{number}" for number in modules])
    again.verify()
    assert again.memory().peak == pytest.approx(peak, rel=0.04)
    assert again.memory().peak < program.memory().peak
    assert len(again) == len(program) + 5 * len(modules)
    assert checkpointed(program, []).structural_hash() == program.structural_hash()


def holdings(program: Program) -> dict[str, str]:
    return {holding.name: holding.kind for holding in program.memory().holdings}


def test_kinds() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Tanh())
    step, _ = training(model, ad.ones(4, 2))
    program = ad.record(step)
    found = holdings(program)
    assert found["0.weight"] == found["1.bias"] == "parameter"
    assert found["1.running_mean"] == "buffer"
    kinds: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    for holding in program.memory().holdings:
        kinds[holding.kind].append(holding)
    assert [holding.spec.shape for holding in kinds["input"]] == [(4, 2)]
    assert len(kinds["gradient"]) == 4
    assert len(kinds["optimizer state"]) == 8
    assert any(holding.record.name == "tanh" for holding in kinds["saved for backward"])
    end = len(program) - 1
    assert all(holding.last == end for holding in kinds["gradient"])
    assert all((holding.first, holding.last) == (0, end) for holding in kinds["optimizer state"] + kinds["parameter"])
    assert all(holding.first == holding.last for holding in kinds["work array"])
    assert {holding.module for holding in kinds["parameter"]} == {"Sequential.0", "Sequential.1"}
    assert sorted((holding.name, holding.module, holding.spec.shape) for holding in kinds["optimizer state"]) == sorted(
        [(f"{slot} of {name}", f"Sequential.{name[0]}", tuple(p.shape))
         for name, p in model.named_parameters() for slot in ("exp_avg", "exp_avg_sq")])


def test_an_argument_is_an_input_with_a_gradient_too() -> None:
    x, w = ad.ones(4, requires_grad=True), nn.Parameter(ad.ones(4))

    def run(x: Any) -> Any:
        return (x * w).exp()

    for program in (ad.record(run, x), draw(run, x).program, draw(run, x, backward=True).program):
        found = [(holding.kind, holding.module) for holding in program.memory().holdings if holding.record is None]
        assert found == [("input", ""), ("parameter", "")]


def test_gradients_live_on_without_an_update() -> None:
    w = ad.ones(4, requires_grad=True)
    use = ad.record(lambda: (w.exp() * 2).exp().sum().backward()).memory()
    (gradient,) = [holding for holding in use.holdings if holding.kind == "gradient"]
    assert gradient.size == 16
    assert gradient.last == len(use.live) - 1


@pytest.mark.parametrize("model", [Net(8, 2), convolutions()], ids=["blocks", "convolutions"])
def test_holdings_add_up(model: Any) -> None:
    x = ad.ones(8, 8) if isinstance(model, Net) else ad.ones(2, 1, 16, 16)
    program = ad.record(training(model, x)[0])
    use = program.memory()
    for place, bytes_ in enumerate(use.live):
        alive = use.at(place)
        assert sum(holding.size for holding in alive) == bytes_
        assert [holding.size for holding in alive] == sorted((holding.size for holding in alive), reverse=True)
    memory = timeline(program)
    assert sum(holder.size for holder in memory.holders()) == use.peak == max(use.live)
    assert memory.peak == use.live.index(use.peak)
    # The bands lie on each other without gaps, and reach as high as the bytes.
    total = np.zeros(len(memory.columns))
    for shape in shapes_of(memory.bands, len(memory.columns)):
        part = slice(shape.band.first, shape.band.first + len(shape.band.sizes))
        np.testing.assert_array_equal(shape.low, total[part])
        total[part] = shape.high
    np.testing.assert_array_equal(total, np.array(use.live)[memory.columns])


def test_a_long_program_has_few_columns_and_bands() -> None:
    def long(x: Any) -> Any:
        for number in range(1500):
            x = ad.cat([x, x]).exp() if number == 700 else x.exp()
        return x

    memory = timeline(ad.record(long, ad.ones(100)))
    assert len(memory.columns) == 1000
    assert memory.peak in memory.columns
    assert memory.program.records[memory.peak].name == "exp"
    many = timeline(ad.record(lambda x: ad.stack([x + i for i in range(500)]), ad.ones(10)))
    assert len(many.bands) < 10
    assert any(band.title == "500 small ones" for band in many.bands)
    assert len(many.svg()) < 50_000


def test_candidates_and_budgets() -> None:
    step, _ = training(Net(), ad.ones(512, 32))
    memory = timeline(ad.record(step))
    best = memory.checkpointing()[0]
    assert best.modules == tuple(f"Net.blocks.{number}" for number in range(4))
    assert [effect.peak for effect in memory.checkpointing()] == sorted(e.peak for e in memory.checkpointing())
    assert len(memory.checkpointing(2)) == 2
    assert memory.within(memory.use.peak) == ((), memory.use.peak, 0)
    found = memory.within(memory.use.peak * 8 // 10)
    assert found is not None
    assert found.peak <= memory.use.peak * 8 // 10
    assert set(found.modules) < set(best.modules)  # not all are needed
    assert found.flops < best.flops
    assert memory.within(1000) is None
    assert timeline(ad.record(lambda x: x.exp(), ad.ones(2))).checkpointing() == []


def hostile() -> Program:
    """Return a program with names that would do harm in a page if they were not escaped."""
    model = nn.Sequential(nn.Linear(64, 64))
    model.add_module("</script><script>alert(1)</script>", nn.Linear(64, 64))
    parameter = next(model.parameters())
    parameter.name = "<b>\u2028\"'&$title"
    return ad.record(lambda: model(ad.ones(64, 64)).exp().sum().backward())


def test_svg() -> None:
    for memory in (timeline(hostile()), timeline(ad.record(lambda x: x.exp(), ad.ones(0))),
                   timeline(ad.record(training(convolutions(), ad.ones(4, 1, 16, 16))[0]))):
        text = memory.svg()
        tree = ElementTree.fromstring(text)
        assert tree.attrib["viewBox"] == "0 0 960 420"
        assert tree.attrib["width"] == "100%"
        drawn = [element for element in tree.iter() if element.get("class") == "band"]
        assert len(drawn) == len(memory.bands)
        assert {element.get("fill") for element in drawn} <= set(COLOURS.values())
        assert text == memory.svg() == memory._repr_svg_()
    assert set(COLOURS) == set(KINDS)


def test_names_that_no_file_can_hold(tmp_path: Path) -> None:
    model = nn.Sequential()
    for name in ("bell\x07", "half\ud800", "two\nlines"):
        model.add_module(name, nn.Linear(64, 64))
    memory = timeline(ad.record(lambda: model(ad.ones(64, 64)).sum().backward()))
    picture = Path(memory.render(tmp_path / "memory.svg")).read_text(encoding="utf-8")
    text = "".join(ElementTree.fromstring(picture).itertext())
    page = Path(memory.render(tmp_path / "memory.html")).read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])  # type: ignore[index]
    modules = {band["module"] for band in data["bands"]}
    for spelt in ("bell\\x07", "half\\ud800", "two\\nlines"):
        assert f"Sequential.{spelt}" in text
        assert f"Sequential.{spelt}" in modules
    assert memory.html("\ud800").encode()


def test_html_stands_alone_and_escapes() -> None:
    memory = timeline(hostile())
    page = memory.html("<Title> & $summary")
    assert "&lt;Title&gt; &amp; $summary" in page
    assert "<script>alert" not in page
    assert "<b>" not in page
    assert page.count("<script") == page.count("</script>") == 2
    assert not re.search(r"(src|href)=|@import|url\(", page)
    assert "Content-Security-Policy" in page
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])  # type: ignore[index]
    assert len(data["records"]) == len(memory.columns)
    assert len(data["bands"]) == len(memory.bands)
    assert any("alert(1)" in band["module"] for band in data["bands"])
    assert "What checkpointing" in timeline(ad.record(training(Net(8, 2), ad.ones(8, 8))[0])).html()


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_the_page_in_a_browser(tmp_path: Path) -> None:
    """Keys and clicks are made by a script behind the page's own, which then writes down what is shown."""
    memory = timeline(ad.record(training(Net(8, 2), ad.ones(8, 8))[0]))
    halves = [2**10 + 128 * k for k in range(24)] + [100 * 2**10 + 512 * k for k in range(4)] + [2**20 - 1, 2**30]
    script = f"<script>const halves = {halves}.map(bytes);" + """
      const seen = [place.textContent];
      const press = (key) => picture.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
      for (const key of ["Home", "ArrowRight", "End", "p", "ArrowDown"]) { press(key); seen.push(place.textContent); }
      seen.push(document.querySelectorAll("#alive tr.chosen").length, document.querySelectorAll(".band.chosen").length);
      paths[0].dispatchEvent(new MouseEvent("click", { bubbles: true, clientX: 300, clientY: 200 }));
      seen.push(chosen, halves);
      const answer = document.createElement("pre");
      answer.id = "answer";
      answer.textContent = JSON.stringify(seen);
      document.body.append(answer);
    </script></body>"""
    (tmp_path / "page.html").write_text(memory.html().replace("</body>", script), encoding="utf-8")
    shown = subprocess.run(
        [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", (tmp_path / "page.html").as_uri()],
        check=True, capture_output=True, text=True, timeout=120,
    ).stdout
    first, home, right, end, peak, down, rows, bands, chosen, texts = json.loads(
        re.search(r'id="answer">(.*?)</pre>', shown)[1])  # type: ignore[index]
    assert first == peak == down
    assert first.startswith(f"Record {memory.peak}, ")
    assert home.startswith("Record 0, layer_norm in Net.blocks.0.norm (forward): ")
    assert right.startswith("Record 1, ")
    assert end.startswith(f"Record {len(memory.program) - 1}, ")
    assert (rows, bands, chosen) == (1, 1, 0)
    assert texts == list(map(text_of_size, halves))


@pytest.mark.parametrize(("letters", "text"), [
    (60, "Net.blocks.0.conv1: conv2d 8×16 float32 (%1)"),
    (30, "Net.blocks.0.conv1: conv2d 8×…"),
    (25, "…blocks.0.conv1: conv2d…"),
    (20, "…0.conv1: conv2d 8×…"),
    (14, "…0.conv1"),
    (8, "…0.conv1"),
])
def test_labels_keep_what_tells_modules_apart(letters: int, text: str) -> None:
    assert fitting("Net.blocks.0.conv1", "conv2d 8×16 float32 (%1)", letters) == text
    assert len(text) <= letters
    assert fitting("", "12 small ones", 8) == "12 smal…"
    assert fitting("Sequential.a_very_long_name", "relu", 8) == "…ng_name"


def test_png_and_pdf(tmp_path: Path) -> None:
    Image = pytest.importorskip("PIL.Image", reason="the extra plots brings matplotlib, and that Pillow")
    pytest.importorskip("matplotlib", reason="the extra plots brings it")
    model = nn.Sequential()
    model.add_module("$x^2$", nn.Linear(64, 64))  # no formula
    memory = timeline(ad.record(lambda: model(ad.ones(64, 64)).sum().backward()))
    with Image.open(memory.render(outfile=tmp_path / "new" / "memory.PNG")) as picture:
        assert (picture.format, picture.size) == ("PNG", (1920, 840))
        seen = {colour for _, colour in picture.convert("RGB").getcolors(1_000_000)}
    kinds = {band.kind for band in memory.bands}
    assert {tuple(bytes.fromhex(COLOURS[kind][1:])) for kind in kinds} <= seen
    assert Path(memory.render(tmp_path / "memory.pdf")).read_bytes().startswith(b"%PDF")
    drawn, (ax,) = ElementTree.fromstring(memory.svg()), figure_of(memory.svg()).axes
    assert len(ax.patches) == len([part for part in drawn if part.tag.endswith(("path", "rect"))])
    assert [text.get_text() for text in ax.texts] == [part.text for part in drawn if part.tag.endswith("text")]


def test_png_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    memory = timeline(ad.record(lambda x: x.exp(), ad.ones(2)))
    with pytest.raises(MissingExtraError, match=r"\[timeline\].*matplotlib.*autodiff-tape\[plots\]"):
        memory.render(tmp_path / "memory.png")


def test_render(tmp_path: Path) -> None:
    memory = timeline(ad.record(lambda x: x.exp(), ad.ones(2)))
    assert isinstance(memory, Timeline)
    assert memory.render(tmp_path / "new" / "memory.svg") == str(tmp_path / "new" / "memory.svg")
    assert (tmp_path / "new" / "memory.svg").read_text(encoding="utf-8") == memory.svg()
    memory.render(str(tmp_path / "memory.html"))
    assert (tmp_path / "memory.html").read_text(encoding="utf-8") == memory.html()
    with pytest.raises(ValueRangeError, match=r"no format.*\.svg, \.html, \.png or \.pdf.*got \.gif"):
        memory.render("memory.gif")
    with pytest.raises(ValueRangeError, match="no records"):
        timeline(Program([]))
    with pytest.raises(DTypeError, match=r"Linear was not given the inputs .* input; .*timeline\(Linear, input\)"):
        timeline(nn.Linear(2, 2))
    with pytest.raises(DTypeError, match=r"Program alone; got 2 more; .*pass the function: timeline\(function, "):
        timeline(memory.program, 1, 2)
    with pytest.raises(DTypeError, match=r"\[timeline\] nothing here has records; expected a tensor, a Program, or"):
        timeline(3)


def test_a_function_is_called_once() -> None:
    calls: list[int] = []

    def run(x: Any) -> Any:
        calls.append(0)
        return x.exp().tanh()

    x = ad.ones(256)
    assert timeline(run, x).use.live == timeline(ad.record(run, x)).use.live
    assert len(calls) == 2
    compiled = ad.compile(run)
    with pytest.raises(GradientError, match=r"\[timeline\] this compiled function has not been recorded"):
        timeline(compiled)
    for _ in range(2):
        compiled(x)
    assert timeline(compiled).program is not None
    assert len(timeline(compiled, x).program) == 1


def test_a_program_from_text_has_a_picture_too() -> None:
    program = ad.record(training(nn.Sequential(nn.Linear(64, 64), nn.Tanh()), ad.ones(64, 64))[0])
    read = timeline(Program.parse(str(program)))
    assert read.use.live == Program(program.records, program.outputs, program.written).memory().live
    assert all(theirs <= mine for theirs, mine in zip(read.use.live, program.memory().live, strict=True))
    assert read.svg().count('class="band"') == len(read.bands)
