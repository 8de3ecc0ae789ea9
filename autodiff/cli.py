"""The command `autodiff`.

``autodiff demo`` trains a small net on handwritten digits; ``autodiff graph model.py:build`` draws a computation;
``autodiff cache info`` tells about the compiled kernels on disk.
Whatever needs Numba is imported by the command that needs it.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
from collections.abc import Sequence
from pathlib import Path

from autodiff import cli_graph
from autodiff.cli_graph import UsageError, positive
from autodiff.errors import AutodiffError

DISTRIBUTION = "autodiff-tape"


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
        if isinstance(error, AutodiffError) and error.line and error.line.code is sys._getframe(1).f_code:
            error.move_to(None)  # whoever calls the command has not written what failed
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
                    "Where no file is asked for, the DOT text goes to standard output.",
        epilog="Inputs are random numbers from a normal distribution (zeros for integers). "
               "Folders of files are made as needed. "
               "Example: autodiff graph model.py:build --input 1x3x32x32 --backward --depth 1 --svg model.svg")
    cli_graph.add_arguments(graph)
    graph.set_defaults(run=cli_graph.run)

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
