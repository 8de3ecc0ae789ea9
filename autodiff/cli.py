"""The command `autodiff`.

``autodiff demo`` trains a small net on handwritten digits; ``autodiff graph model.py:build`` draws a computation;
``autodiff cache info`` tells about the compiled kernels on disk.
Whatever needs Numba is imported by the command that needs it.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

import numpy as np

from autodiff.errors import AutodiffError

Result = TypeVar("Result")

DISTRIBUTION = "autodiff-tape"
INPUT_DTYPES = ("float32", "float64", "int64", "int32", "int16", "int8", "uint8", "bool")


class UsageError(Exception):
    """The command line asks for something that cannot be done; the message says what to write instead."""


class Input(NamedTuple):
    """Shape and dtype of an example input."""

    shape: tuple[int, ...]
    dtype: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, or 2 after an error message.

    Args:
        arguments: what stands behind ``autodiff`` on the command line; ``sys.argv[1:]`` by default.
    """
    parser = make_parser()
    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except (UsageError, AutodiffError, OSError) as error:
        print(f"autodiff {options.command}: error: {error}", file=sys.stderr)
        return 2
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="autodiff", description="Reverse-mode automatic differentiation on NumPy and Numba.")
    parser.add_argument("--version", action="version", version=f"autodiff {version()}")
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)

    demo = commands.add_parser(
        "demo", help="train a small net on handwritten digits",
        description="Train a small residual convolutional net on handwritten digits; write weights, curve and graphs.")
    demo.add_argument("--out", type=Path, default=Path("out/demo"), metavar="DIR",
                      help="folder for the results (%(default)s)")
    demo.add_argument("--epochs", type=positive, metavar="N", help="passes over the training set")
    demo.add_argument("--seed", type=int, default=0, metavar="N",
                      help="the same seed gives the same bits (%(default)s)")
    demo.set_defaults(run=run_demo)

    graph = commands.add_parser(
        "graph", help="draw the graph of a model or a function",
        description="Draw the graph of a computation. "
                    "Without --svg, --png, --pdf or --dot the DOT text goes to standard output.",
        epilog="Inputs are random numbers from a normal distribution (zeros for integers). "
               "Example: autodiff graph model.py:build --input 1x3x32x32 --backward --depth 1 --svg model.svg")
    graph.add_argument("target", metavar="module.py:function",
                       help="a function that returns a module, a function of tensors, or a module; "
                            "package.module:name works too")
    graph.add_argument("--input", dest="inputs", action="append", type=parse_input, default=[], metavar="SHAPE",
                       help="an example input such as 1x3x32x32 or 8x64:int64; once for every argument")
    graph.add_argument("--backward", action="store_true", help="draw the backward pass from the (summed) result too")
    graph.add_argument("--depth", type=natural, metavar="N", help="show modules nested deeper than N as one node each")
    for format in ("svg", "png", "pdf", "dot"):
        graph.add_argument(f"--{format}", type=Path, metavar="FILE", help=f"write the graph as {format.upper()}")
    graph.set_defaults(run=run_graph)

    cache = commands.add_parser(
        "cache", help="compiled kernels on disk: info, clear, warm",
        description="Compiled kernels are kept on disk, in one folder for each version of the kernels.")
    actions = cache.add_subparsers(dest="action", metavar="action", required=True)
    actions.add_parser("info", help="list the folders").set_defaults(run=run_cache)
    actions.add_parser("clear", help="remove all that no process uses").set_defaults(run=run_cache)
    warm = actions.add_parser("warm", help="compile the kernels of all operations now",
                              description="Compile the kernels of all operations now, so that no program waits for it.")
    warm.add_argument("--processes", type=positive, metavar="N",
                      help="how many; by default as many as operations use threads")
    warm.set_defaults(run=run_cache)
    return parser


def version() -> str:
    """Return the version of the installed distribution."""
    try:
        return importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return "(not installed: running from a source folder)"


def natural(text: str) -> int:
    """Return a whole number of at least 0 from the command line."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 0, got {text!r}")
    return int(text)


def positive(text: str) -> int:
    """Return a whole number of at least 1 from the command line."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)


def parse_input(text: str) -> Input:
    """Return the input that a text such as ``"8x64:int64"`` describes; float32 where no dtype stands.

    Raises:
        argparse.ArgumentTypeError: if it describes none.

    >>> parse_input("1x3x32x32")
    Input(shape=(1, 3, 32, 32), dtype='float32')
    """
    sizes, colon, dtype = text.partition(":")
    shape = sizes.split("x") if sizes else []
    if not all(size.isdecimal() for size in shape) or (colon and dtype not in INPUT_DTYPES):
        raise argparse.ArgumentTypeError(
            f"expected sizes joined by x, and perhaps a dtype ({', '.join(INPUT_DTYPES)}), "
            f"such as 1x3x32x32 or 8x64:int64; got {text!r}")
    return Input(tuple(int(size) for size in shape), dtype or "float32")


def run_demo(options: argparse.Namespace) -> None:
    """Run ``autodiff demo``."""
    from autodiff import demo

    given = {"out": options.out, "seed": options.seed} | ({} if options.epochs is None else {"epochs": options.epochs})
    demo.main(**given)


def run_cache(options: argparse.Namespace) -> None:
    """Run ``autodiff cache info``, ``clear`` or ``warm``."""
    from autodiff import compiled

    if options.action == "warm":
        compiled.warm(options.processes)
    else:
        getattr(compiled, options.action)()


# ---- autodiff graph --------------------------------------------------------------------------------------------------


def run_graph(options: argparse.Namespace) -> None:
    """Run ``autodiff graph``."""
    from autodiff.viz import draw

    target = load_target(options.target)
    function = build(target, options.target)
    check_inputs(function, options.inputs, options.target)
    # A model has parameters to differentiate with respect to; a function has only its arguments.
    wanted = options.backward and function is target
    inputs = [make_input(given, number, wanted) for number, given in enumerate(options.inputs)]
    picture = attempt(f"{options.target} failed", draw, function, *inputs, backward=options.backward,
                      depth=options.depth)
    files = [options.svg, options.png, options.pdf, options.dot]
    for format, file in zip(("svg", "png", "pdf", "dot"), files):
        if file is not None:
            picture.render(outfile=file, format=format)
            print(f"wrote {file}")
    if not any(files):
        print(picture.source, end="")


def load_target(text: str) -> Callable[..., Any]:
    """Import what ``module.py:name`` or ``package.module:name`` names.

    Raises:
        UsageError: if there is no such file, module or name, or importing it fails.
    """
    place, colon, name = text.rpartition(":")
    if not colon or not place or not name:
        raise UsageError(f"expected module.py:function, got {text!r}")
    path = Path(place)
    if path.suffix == ".py":
        if not path.is_file():
            raise UsageError(f"there is no file {place!r}")
        module = attempt(f"{place} cannot be imported", import_file, path)
    else:
        sys.path.insert(0, os.getcwd())
        module = attempt(f"{place} cannot be imported", importlib.import_module, place)
    target = getattr(module, name, None)
    if target is None:
        names = [other for other, value in vars(module).items() if callable(value) and not other.startswith("_")
                 and getattr(value, "__module__", None) == module.__name__]
        raise UsageError(f"{place} has no {name!r}" + (f"; it has {', '.join(names)}" if names else ""))
    if not callable(target):
        raise UsageError(f"{text} is no function and no module but {type(target).__name__}")
    found: Callable[..., Any] = target
    return found


def import_file(path: Path) -> ModuleType:
    """Import a Python file as a script would be run: its folder is where it finds its neighbours."""
    sys.path.insert(0, str(path.resolve().parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def attempt(what: str, function: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
    """Call a function that runs the user's code; say in one line what went wrong and where.

    Raises:
        UsageError: if the user's code raises. Errors of this library name the user's line already.
    """
    try:
        return function(*args, **kwargs)
    except AutodiffError:
        raise
    except Exception as error:
        raise UsageError(f"{what}: {summary(error)}") from error


def summary(error: Exception) -> str:
    """Return the class, text and last line of an exception."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"


def build(target: Callable[..., Any], text: str) -> Callable[..., Any]:
    """Return the module that `target` builds, or `target` itself when it is a module or a function of tensors.

    Raises:
        UsageError: if building fails, or `target` is a class that needs arguments.
    """
    from autodiff.nn.module import Module

    if isinstance(target, Module):
        return target
    required = required_arguments(target)
    if required:
        if isinstance(target, type):
            raise UsageError(f"{text} needs {', '.join(required)}: write a function without arguments that builds it")
        return target
    built = attempt(f"{text} failed", target)
    return built if isinstance(built, Module) else target


def signature(function: Callable[..., Any]) -> inspect.Signature:
    """Return what a function, the `forward` of a module, or the constructor of a class takes.

    Raises:
        ValueError: for a built-in function that does not say.
    """
    return inspect.signature(function if isinstance(function, type) else getattr(function, "forward", function))


def required_arguments(function: Callable[..., Any]) -> list[str]:
    """Return the names of the positional arguments that must be given."""
    try:
        parameters = signature(function).parameters.values()
    except ValueError:
        return []
    return [p.name for p in parameters
            if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def check_inputs(function: Callable[..., Any], inputs: Sequence[Input], text: str) -> None:
    """Compare the inputs with what the function takes.

    Raises:
        UsageError: if there are too few or too many.
    """
    try:
        signature(function).bind(*inputs)
    except TypeError:
        names = required_arguments(function)
        raise UsageError(f"{text} takes {', '.join(names) or 'no arguments'}: "
                         f"write --input SHAPE once for each argument; got {len(inputs)}") from None
    except ValueError:
        pass  # the call itself will tell


def make_input(given: Input, number: int, requires_grad: bool) -> Any:
    """Return an example input: normal random numbers, zeros for integers and bools; the same on every run."""
    import autodiff as ad

    if not given.dtype.startswith("float"):
        return ad.from_numpy(np.zeros(given.shape, given.dtype))
    values = np.random.default_rng(number).standard_normal(given.shape).astype(given.dtype)
    return ad.from_numpy(np.asarray(values)).requires_grad_(requires_grad)
