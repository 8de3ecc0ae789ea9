"""The command `autodiff`: what it writes, and what it says when it cannot."""

from __future__ import annotations

import base64
import gzip
import json
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from autodiff.cli import main
from autodiff.cli_graph import Input, parse_input

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "kernels")])}

MODEL = '''
import autodiff as ad
from autodiff.nn.module import Module, Parameter

class Layer(Module):
    def __init__(self):
        super().__init__()
        self.weight = Parameter(ad.ones(2, 4))
        self.bias = Parameter(ad.zeros(2))
    def forward(self, x):
        return ad.linear(x, self.weight, self.bias)

class Net(Module):
    def __init__(self):
        super().__init__()
        self.layer = Layer()
    def forward(self, x, scale):
        return ad.tanh(self.layer(x)) * scale

def build(): return Net()
def product(x, y): return (x * y).sum()
class Sized(Net):
    def __init__(self, size): super().__init__()

def total(): return ad.ones(3).sum()
def broken(): return missing_name
def crashes(x): raise KeyError("lost")
def counts(tokens): return tokens + 1
def squared(x): return x.square().sum()
def plain(x): return x.exp().sum()
def curved(x): return x.exp().tanh().sum()
def forgetful(): Net()
def five(): return 5
def five_of(x): return 5
class Five(Net):
    def forward(self, x): return 5
def misfit(): return ad.nn.Sequential(ad.nn.Linear(3, 4), ad.nn.Sequential(ad.nn.Linear(5, 4)))
def looped(x):
    for _ in range(10): x = x.exp().tanh()
    return x
net = Net()
def build_net(): return net
class Bare(Module):
    def forward(self, x): return x.exp()
bare = Bare()
number = 3
'''


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "example_model", raising=False)
    file = tmp_path / "example_model.py"
    file.write_text(MODEL)
    return file


def succeed(*arguments: Any) -> None:
    assert main([str(argument) for argument in arguments]) == 0


def fail(capsys: pytest.CaptureFixture[str], *arguments: Any) -> str:
    """Run a command that must fail with exit code 2, and return what it says."""
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as end:  # argparse
        code = int(str(end.code))
    assert code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    return said.err


@pytest.mark.parametrize("arguments", [["--help"], ["graph", "--help"], ["demo", "--help"], ["--version"]])
def test_help_loads_no_numba(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom autodiff.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit as end:\n    assert end.code == 0\n"
        "assert not {'numba', 'llvmlite', 'graphviz', 'pygraphviz'} & set(sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=ENVIRONMENT)
    assert answer.returncode == 0, answer.stderr
    assert "autodiff" in answer.stdout


def test_python_m() -> None:
    command = [sys.executable, "-m", "autodiff", "--help"]
    answer = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("usage: autodiff ")


@pytest.mark.parametrize(
    ("text", "shape", "dtype"),
    [
        ("1x3x32x32", (1, 3, 32, 32), "float32"),
        ("8x64:int64", (8, 64), "int64"),
        (":float64", (), "float64"),
        ("5", (5,), "float32"),
    ],
)
def test_inputs(text: str, shape: tuple[int, ...], dtype: str) -> None:
    assert parse_input(text) == Input(shape, dtype)


def test_graph_of_a_model_that_a_function_builds(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    succeed("graph", f"{model}:build", "--input", "3x4", "--input", "2")
    source = capsys.readouterr().out
    assert source.startswith("digraph {")
    for text in ("<B>x</B>", "<B>scale</B>", "<B>linear</B>", "<B>weight</B>", "<B>Net</B>"):
        assert text in source


@pytest.mark.parametrize("name", ["net", "Net"])
def test_graph_of_a_module_and_of_its_class(name: str, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    succeed("graph", f"{model}:{name}", "--input", "3x4", "--input", "2", "--depth", "1")
    assert "2 parameters, 10 elements" in capsys.readouterr().out


def test_graph_of_functions(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    succeed("graph", f"{model}:product", "--input", "3x4", "--input", "4", "--backward")
    assert "<B>gradient of y</B>" in capsys.readouterr().out
    succeed("graph", f"{model}:total")
    assert "<B>sum</B>" in capsys.readouterr().out
    succeed("graph", f"{model}:counts", "--input", "8x2:int64")
    assert "8×2 int64" in capsys.readouterr().out


def test_graph_of_a_module_by_its_import_name(model: Path, capsys: pytest.CaptureFixture[str],
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model.parent)
    succeed("graph", "example_model:total")
    assert "<B>sum</B>" in capsys.readouterr().out


def test_graph_of_a_training_step(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs = ("--input", "3x4", "--input", "2")
    succeed("graph", f"{model}:build", *inputs, "--optimizer", "Adam", "--loss", "mean")
    source = capsys.readouterr().out
    for text in ('label="update"', "<B>adam</B>", "<B>mean</B>", "<B>scale</B>"):
        assert text in source
    succeed("graph", f"{model}:build", *inputs, "--loss", "squared")
    source = capsys.readouterr().out
    assert "<B>gradient of layer.weight</B>" in source
    assert "<B>square</B>" in source


def test_graph_with_measurements(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs = ("--input", "3x4", "--input", "2")
    succeed("graph", f"{model}:build", *inputs, "--backward", "--profile")
    source = capsys.readouterr().out
    assert "bold: the slowest path" in source
    assert " µs · " in source
    succeed("graph", f"{model}:build", *inputs, "--overlay", "flops")
    assert "FLOP" in capsys.readouterr().out


def test_graph_of_a_difference(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    succeed("graph", "--diff", f"{model}:plain", f"{model}:curved", "--input", "3")
    source = capsys.readouterr().out
    assert "<B>+ tanh</B>" in source
    assert "<B>exp</B>" in source


def test_a_module_is_drawn_like_the_function_that_builds_it(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs = ["--input", "3x4", "--input", "2", "--backward"]
    succeed("graph", f"{model}:net", *inputs)
    alone = capsys.readouterr().out
    assert "gradient of layer.weight" in alone
    assert "gradient of x" not in alone
    succeed("graph", "--diff", f"{model}:net", f"{model}:build_net", *inputs)
    assert "no difference" in capsys.readouterr().out
    succeed("graph", f"{model}:bare", "--input", "3", "--backward")  # without parameters the input is all there is
    assert "gradient of x" in capsys.readouterr().out


def test_a_difference_in_a_file_is_summed_up(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "difference.dot"
    for second, said in (("curved", "1 added, 1 changed"), ("plain", "no difference")):
        succeed("graph", "--diff", f"{model}:plain", f"{model}:{second}", "--input", "3", "--dot", file)
        assert capsys.readouterr().out.splitlines() == [f"wrote {file}", said]


def test_errors_name_lines_of_the_user_alone(model: Path) -> None:
    command = [sys.executable, "-m", "autodiff", "graph", f"{model}:total", "--overlay", "heat"]
    answer = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1
    assert "frozen" not in answer.stderr


def test_a_difference_of_files_with_neighbours_of_one_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder, act in (("a", "relu"), ("b", "tanh")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "neighbour.py").write_text(f"from autodiff import {act} as act\n")
        (tmp_path / folder / "json.py").write_text("from neighbour import act\ndef f(x):\n    return act(x).sum()\n")
    before = list(sys.path)
    succeed("graph", "--diff", f"{tmp_path}/a/json.py:f", f"{tmp_path}/b/json.py:f", "--input", "3")
    source = capsys.readouterr().out
    assert "relu" in source
    assert "tanh" in source
    assert "loads" in dir(sys.modules["json"])
    sys.path[:] = before
    del sys.modules["neighbour"]


def test_graph_with_its_memory(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "memory.svg"
    succeed("graph", f"{model}:build", "--input", "3x4", "--input", "2", "--optimizer", "adam", "--memory", file)
    assert capsys.readouterr().out == f"wrote {file}\n"
    assert "<svg" in file.read_text()


def data_of_page(page: Path) -> dict[str, Any]:
    packed = page.read_text().split('id="data">')[1].split("<")[0]
    data: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(packed)))
    return data


def test_a_profile_opens_coloured(model: Path, tmp_path: Path) -> None:
    page = tmp_path / "graph.html"
    succeed("graph", f"{model}:plain", "--input", "3", "--profile", "--html", page)
    assert data_of_page(page)["overlay"] == "seconds"


def test_a_page_is_folded_and_rolled_up_as_asked_for(model: Path, tmp_path: Path) -> None:
    page = tmp_path / "graph.html"
    succeed("graph", f"{model}:looped", "--input", "3", "--html", page)
    assert sum(node["kind"] == "operation" for node in data_of_page(page)["nodes"]) == 20
    succeed("graph", f"{model}:looped", "--input", "3", "--roll", "--depth", "1", "--html", page)
    data = data_of_page(page)
    assert sum(node["kind"] == "operation" for node in data["nodes"]) == 2
    assert data["depth"] == 1


def test_graph_as_a_page(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "graph.html"
    succeed("graph", f"{model}:plain", "--input", "3", "--html", page)
    assert capsys.readouterr().out == f"wrote {page}\n"
    assert page.read_text().startswith("<!doctype html>")


def test_graph_files(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pygraphviz")
    files = {ending: tmp_path / "out" / f"graph.{ending}" for ending in ("svg", "png", "pdf", "dot")}
    options = [part for ending, file in files.items() for part in (f"--{ending}", file)]
    succeed("graph", f"{model}:build", "--input", "3x4", "--input", "2", "--backward", *options)
    assert capsys.readouterr().out.splitlines() == [f"wrote {file}" for file in files.values()]
    starts = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF", "dot": b"digraph {"}
    assert all(files[ending].read_bytes().startswith(start) for ending, start in starts.items())


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "the following arguments are required: command"),
        (["paint"], "invalid choice: 'paint'"),
        (["graph", "{model}"], "expected module.py:function, got"),
        (["graph", "missing.py:build"], "there is no file 'missing.py'"),
        (["graph", "no_such_package:build"], "ModuleNotFoundError: No module named 'no_such_package'"),
        (["graph", "{model}:bild"], "has no 'bild'; it has Layer, Net, build, product, Sized, total, broken"),
        (["graph", "{model}:number"], "is no function and no module but int"),
        (["graph", "{model}:broken"], "NameError: name 'missing_name' is not defined (example_model.py:26)"),
        (["graph", "{model}:crashes", "--input", "2"], "KeyError: 'lost' (example_model.py:27)"),
        (["graph", "{model}:Sized"], "needs size: write a function without arguments that builds it"),
        (["graph", "{model}:build"], "takes x, scale: write --input SHAPE once for each argument; got 0"),
        (["graph", "{model}:product", "--input", "3"], "takes x, y: write --input SHAPE once for each argument; got 1"),
        (["graph", "{model}:product", "--input", "3", "--input", "4"], "[mul] the shapes do not broadcast"),
        (["graph", "{model}:product", "--input", "3y4"], "such as 1x3x32x32 or 8x64:int64; got '3y4'"),
        (["graph", "{model}:product", "--input", "3:complex"], "got '3:complex'"),
        (["graph", "{model}:build", "--depth", "-1"], "expected a whole number of at least 0, got '-1'"),
        (["graph", "{model}:counts", "--input", "3:int64", "--backward"], "this tensor requires no gradient"),
        (["graph"], "expected module.py:function, or --diff and two of them"),
        (["graph", "{model}:total", "--svg", "graph.txt"], "expected a file that ends in .svg, got 'graph.txt'"),
        (["graph", "{model}:total", "--memory", "memory.png"], "expected a file that ends in .svg or .html, got"),
        (["graph", "{model}:net", "--diff", "{model}:net", "{model}:net"], "expected module.py:function, or --diff"),
        (["graph", "--diff", "{model}:total", "{model}:total", "--profile"], "a comparison shows no measurements"),
        (["graph", "--diff", "{model}:total", "{model}:total", "--memory", "memory.svg"], "leave --memory away"),
        (["graph", "{model}:product", "--input", "3", "--input", "3", "--optimizer", "sgd"], "there are no parameters"),
        (["graph", "{model}:net", "--input", "3x4", "--input", "2", "--optimizer", "adm"], "no optimizer 'adm'"),
        (["graph", "{model}:net", "--input", "3x4", "--input", "2", "--loss", "mse"], "there is no loss 'mse'"),
        (["graph", "{model}:total", "--overlay", "heat"], "there is no such overlay; expected seconds, flops"),
        (["graph", "{model}:plain", "--input", "3", "--overlay", "gradient"],
         "no gradient was computed: add --backward, --loss NAME or --optimizer NAME"),
        (["graph", "{model}:net", "--input", "3x4", "--input", "2", "--loss", "mse_loss"],
         "the loss 'mse_loss' takes input, target, and it gets the result alone: write a function of one argument"),
        (["graph", "{model}:forgetful"], "forgetful runs no operation and returned None, so there is "
         "nothing to draw: expected a function that returns a module"),
        (["graph", "{model}:total", "--input", "3"], "total takes no arguments and returned a Tensor, so nothing takes "
         "the inputs: expected a function that returns a module, or takes tensors; to draw what it computes by itself, "
         "leave --input away"),
        (["graph", "{model}:misfit", "--input", "2x3"], "in module Sequential.1.0 (Linear)"),
        (["graph", "{model}:five"], "five runs no operation and returned an int, so there is nothing to draw"),
        (["graph", "{model}:five", "--input", "3"], "five takes no arguments and returned an int, so nothing takes "
         "the inputs: expected a function that returns a module, or takes tensors\n"),
        (["graph", "{model}:five_of", "--input", "3"], "five_of runs no operation and returned an int"),
        (["graph", "{model}:five_of", "--input", "3", "--backward"], "a gradient: a tensor, or a function or module "
         "with its inputs; got five_of, which returned 5"),
        (["graph", "{model}:Five", "--input", "3", "--optimizer", "sgd"], "the result is an int; expected a tensor"),
        (["demo", "--epochs", "0"], "expected a whole number of at least 1, got '0'"),
    ],
)
def test_errors(arguments: list[str], text: str, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert text in fail(capsys, *[argument.replace("{model}", str(model)) for argument in arguments])


def test_a_file_that_cannot_be_written(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    said = fail(capsys, "graph", f"{model}:total", "--dot", tmp_path / "file" / "graph.dot")
    assert "file" in said


def test_demo_passes_its_options_on(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[dict[str, Any]] = []
    demo = types.ModuleType("autodiff.demo")
    demo.main = lambda **options: calls.append(options)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "autodiff.demo", demo)
    monkeypatch.setattr(sys.modules["autodiff"], "demo", demo, raising=False)
    succeed("demo")
    succeed("demo", "--out", "here", "--epochs", "2", "--seed", "7")
    assert calls == [{"out": Path("out/demo"), "seed": 0}, {"out": Path("here"), "seed": 7, "epochs": 2}]
