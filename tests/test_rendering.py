"""DOT text and pictures: that names are escaped, and how text becomes a picture."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from drawn import NASTY, Block, Net, needs_layout

import autodiff as ad
from autodiff.errors import AutodiffError, MissingExtraError, ValueRangeError
from autodiff.utils.checkpoint import checkpoint
from autodiff.viz import draw
from autodiff.viz.dot import escape, quote
from autodiff.viz.rendering import scalable, write_atomically

ROOT = Path(__file__).resolve().parent.parent


@needs_layout
@pytest.mark.parametrize("name", NASTY)
def test_any_name_can_be_drawn(name: str) -> None:
    net = Block(2)
    net.second.__dict__["_label"] = name
    x = ad.ones(1, 2)
    picture = draw(net, x, names={name: x}, title=name)
    svg = picture.pipe("svg")
    texts = "".join(ElementTree.fromstring(svg).itertext())
    assert b"<script" not in svg
    shown = name.replace("\n", "\\n").replace("\t", "\\t").replace("\a", "\\x07").replace("\ud800", "\\ud800")
    assert shown in texts.replace("\xa0", " ")


def test_quoting() -> None:
    assert quote('a"\\N\nb&\r') == r'"a\"\\N\nb&amp;\\r"'
    assert escape("<a href='x'>&\n") == "&lt;a href=&#x27;x&#x27;&gt;&amp;\\n"


# ---- Pictures --------------------------------------------------------------------------------------------------------


@needs_layout
def test_svg_scales() -> None:
    svg = draw(Net(), ad.ones(2, 3)).pipe(format="svg", encoding="utf-8")
    root = ElementTree.fromstring(svg.encode())
    assert root.get("width") == "100%"
    assert root.get("height") is None
    assert root.get("viewBox")
    assert scalable(b"<svg/>") == b"<svg/>"


@needs_layout
@pytest.mark.parametrize(
    ("ending", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF"), ("dot", b"digraph {")]
)
def test_files(ending: str, start: bytes, tmp_path: Path) -> None:
    file = tmp_path / "new" / f"graph.{ending}"
    assert draw(Net(), ad.ones(2, 3), backward=True, depth=1).render(outfile=file) == str(file)
    assert file.read_bytes().startswith(start)
    assert os.listdir(file.parent) == [file.name]


@needs_layout
def test_render_as_graphviz_does(tmp_path: Path) -> None:
    picture = draw(lambda x: x * x, ad.ones(2))
    assert picture.render("graph", directory=tmp_path, format="svg") == str(tmp_path / "graph.svg")
    assert sorted(os.listdir(tmp_path)) == ["graph", "graph.svg"]
    picture.render("other", directory=tmp_path, format="png", cleanup=True)
    assert sorted(os.listdir(tmp_path)) == ["graph", "graph.svg", "other.png"]
    with pytest.raises(FileExistsError):
        picture.render("graph", directory=tmp_path, format="svg", raise_if_result_exists=True)


@needs_layout
def test_jupyter_shows_svg() -> None:
    (kind, text), = draw(lambda x: x * x, ad.ones(2))._repr_mimebundle_().items()
    assert kind == "image/svg+xml"
    assert 'width="100%"' in text


def test_it_is_a_digraph() -> None:
    graphviz = pytest.importorskip("graphviz")
    picture = draw(lambda x: x * x, ad.ones(2))
    assert isinstance(picture, graphviz.Digraph)
    picture.node("mine")
    assert "mine" in picture.source
    assert picture.copy().source == picture.source


def test_a_failing_renderer_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "graph.svg"
    write_atomically(file, b"old")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_atomically(file, b"new")
    assert file.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["graph.svg"]
    assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0o077 & 0o666 & ~_umask()


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def test_the_program_dot_is_used_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dot = tmp_path / "dot"
    dot.write_text('#!/bin/sh\ncat > /dev/null\nprintf \'<svg width="8pt" height="9pt">by dot %s\' "$*"\n')
    dot.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    svg = draw(lambda x: x * x, ad.ones(2)).pipe("svg", encoding="utf-8")
    assert svg == '<svg width="100%" style="max-width:8pt">by dot -Kdot -Tsvg'


def test_where_graphviz_fails_it_draws_straight_arrows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dot = tmp_path / "dot"
    dot.write_text("#!/bin/sh\ncat > $0.in\nif grep -q splines=line $0.in; then cat $0.in; "
                   "else echo 'Error: in routesplines' >&2; exit 1; fi\n")
    dot.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    picture = draw(lambda x: x * x, ad.ones(2))
    assert "splines=line" in picture.pipe("svg", encoding="utf-8")
    picture.body[0] = ""  # without the statement that this goes into
    with pytest.raises(AutodiffError, match=r"fails to lay this graph out \(Error: in routesplines\); fold .*newer"):
        picture.pipe("svg")


@pytest.mark.parametrize("script", ["exit 134", "echo 'dot: class2.c:148: Assertion failed.' >&2; kill -ABRT $$"])
def test_where_dot_fails_pygraphviz_is_asked(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pygraphviz")
    dot = tmp_path / "dot"
    dot.write_text(f"#!/bin/sh\ncat > /dev/null\n{script}\n")
    dot.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    picture = draw(lambda x: x * x, ad.ones(2))
    assert picture.pipe("png").startswith(b"\x89PNG")
    assert "<svg" in picture.pipe("svg", encoding="utf-8")
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    with pytest.raises(AutodiffError, match=r"fails to lay this graph out \(.*\); fold .*-tape\[draw\]"):
        picture.pipe("svg")


@needs_layout
@pytest.mark.parametrize("direction", ["TB", "LR"])
def test_a_checkpoint_around_statistics_can_be_drawn(direction: str) -> None:
    """Graphviz 2.43 fails at several arrows along one level between the same two boxes."""
    norm = ad.nn.BatchNorm1d(4)
    picture = draw(lambda x: checkpoint(norm, x), ad.ones(4, 4), backward=True, direction=direction)
    assert picture.pipe("svg").startswith(b"<?xml")


@needs_layout
@pytest.mark.parametrize("format", ["bmp", "sgv"])
def test_a_format_that_cannot_be_drawn(format: str, tmp_path: Path) -> None:
    with pytest.raises(ValueRangeError, match=f"does not draw this format.*expected 'svg', .*got '{format}'"):
        draw(lambda x: x * x, ad.ones(2)).render(outfile=tmp_path / f"graph.{format}")
    assert not list(tmp_path.iterdir())


@needs_layout
def test_graphviz_says_nothing_of_its_own(capfd: pytest.CaptureFixture[str]) -> None:
    from autodiff.viz.rendering import layout_with_pygraphviz

    assert layout_with_pygraphviz('digraph { a [shape=nothing_like_it] }', "svg")
    assert capfd.readouterr() == ("", "")


def test_without_any_renderer_the_error_names_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    picture = draw(lambda x: x * x, ad.ones(2))
    assert picture.source
    with pytest.raises(MissingExtraError, match=r"program `dot`.*install Graphviz .*autodiff-tape\[draw\]"):
        picture.pipe("svg")
    shown = picture._repr_mimebundle_()
    assert list(shown) == ["text/plain"]
    assert shown["text/plain"].startswith("<picture of 3 nodes and 3 edges>\n[draw] nothing is installed")
    assert "test_rendering.py" not in shown["text/plain"]


def test_import_loads_no_graphviz() -> None:
    code = "import sys, autodiff.viz; print({'graphviz', 'pygraphviz', 'numba'} & set(sys.modules))"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "kernels")])}
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert answer.stdout.strip() == "set()"
