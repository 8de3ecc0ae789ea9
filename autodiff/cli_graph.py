"""The command ``autodiff graph``: from a name on the command line to a picture in a file."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

import numpy as np

from autodiff.errors import AutodiffError, ValueRangeError

Result = TypeVar("Result")

INPUT_DTYPES = ("float32", "float64", "int64", "int32", "int16", "int8", "uint8", "bool")
PICTURES = ("svg", "png", "pdf", "dot")
RATE = 1e-3  # of an optimizer that has no rate of its own


class UsageError(Exception):
    """The command line asks for something that cannot be done; the message says what to write instead."""


class Input(NamedTuple):
    """Shape and dtype of an example input."""

    shape: tuple[int, ...]
    dtype: str


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


def file_ending_in(*endings: str) -> Callable[[str], Path]:
    """Return a function that takes the name of a file from the command line, with one of these endings."""

    def file(text: str) -> Path:
        if Path(text).suffix.lower() not in endings:
            raise argparse.ArgumentTypeError(f"expected a file that ends in {' or '.join(endings)}, got {text!r}")
        return Path(text)

    return file


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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``autodiff graph`` to its parser."""
    target = "module.py:function"
    parser.add_argument("target", nargs="?", metavar=target,
                        help="a function that returns a module, a function of tensors, or a module; "
                             "package.module:name works too")
    parser.add_argument("--diff", nargs=2, metavar=("A", "B"),
                        help="show what B does otherwise than A, instead of one target")
    parser.add_argument("--input", dest="inputs", action="append", type=parse_input, default=[], metavar="SHAPE",
                        help="an example input such as 1x3x32x32 or 8x64:int64; once for every argument")
    parser.add_argument("--backward", action="store_true", help="draw the backward pass from the loss, too")
    parser.add_argument("--loss", metavar="NAME",
                        help="a function of the result, of the target's file or of autodiff (mean); "
                             "by default its sum. Draws the backward pass")
    parser.add_argument("--optimizer", metavar="NAME",
                        help="draw a whole training step with this optimizer, such as adam")
    parser.add_argument("--profile", action="store_true",
                        help="run it some times and colour by the seconds of each operation")
    parser.add_argument("--overlay", metavar="NAME",
                        help="colour by seconds, flops, bytes, saved_bytes, roofline, gradient, gradient_largest, "
                             "gradient_zeros, gradient_nans, values, largest, zeros, nans or dead")
    parser.add_argument("--depth", type=natural, metavar="N", help="show modules nested deeper than N as one node each")
    parser.add_argument("--roll", action="store_true", help="show equal blocks in a row once")
    for format in PICTURES:
        parser.add_argument(f"--{format}", type=file_ending_in(f".{format}"), metavar="FILE",
                            help=f"write the graph as {format.upper()}")
    parser.add_argument("--html", type=file_ending_in(".html"), metavar="FILE", help="write an interactive page")
    parser.add_argument("--memory", type=file_ending_in(".svg", ".html"), metavar="FILE",
                        help="write what is alive when, as a picture (.svg) or an interactive page (.html)")


def run(options: argparse.Namespace) -> None:
    """Run ``autodiff graph``.

    Raises:
        UsageError: if the options do not fit together, or the target cannot be drawn.
    """
    from autodiff.viz import draw, timeline

    overlay = options.overlay or ("seconds" if options.profile else None)
    if (options.target is None) == (options.diff is None):
        raise UsageError("expected module.py:function, or --diff and two of them")
    if options.diff and overlay:
        raise UsageError("a comparison shows no measurements: leave --profile and --overlay away")
    if options.diff and options.memory is not None:
        raise UsageError("a comparison is of two runs, and each has a memory of its own: "
                         f"leave --memory away, or --diff and write {options.diff[-1]} alone")
    names = options.diff or [options.target]
    against = None
    if options.diff:
        with forgotten():  # the neighbours of the one may have the names of those of the other
            first = Drawing(names[0], options)
            against = attempt(f"{names[0]} failed", draw, first.function, *first.inputs,
                              backward=first.backward).program
    made = Drawing(names[-1], options)
    try:
        picture = attempt(f"{names[-1]} failed", draw, made.function, *made.inputs, backward=made.backward,
                          against=against, overlay=overlay, depth=options.depth, roll=options.roll,
                          title=" → ".join(names) if options.diff else None)  # fmt: skip
    except ValueRangeError as error:
        if (overlay or "").startswith("gradient") and "was not measured" in str(error):
            raise UsageError("no gradient was computed: add --backward, --loss NAME or --optimizer NAME") from error
        raise
    if not picture.graph.nodes:
        returned = kind_of(made.function(*made.inputs))  # where nothing runs, once more does no harm
        raise UsageError(f"{names[-1]} runs no operation and returned {returned}, so there is nothing to draw: "
                         "expected a function that returns a module, or computes with tensors")
    files = [(format, getattr(options, format)) for format in PICTURES]
    for format, file in files:
        if file is not None:
            picture.render(outfile=file, format=format)
            print(f"wrote {file}")
    if options.html is not None:
        print(f"wrote {picture.write_page(options.html)}")
    if options.memory is not None:
        print(f"wrote {timeline(picture.program).render(options.memory)}")
    if not any((options.html, options.memory, *(file for _, file in files))):
        print(picture.source, end="")
    elif options.diff:
        print(picture.graph.remarks[0])


class Drawing:
    """What is to be drawn of a target.

    Args:
        name: of the target, such as ``"model.py:build"``.
        options: of the command line.

    Attributes:
        function: what to call.
        inputs: its arguments.
        backward: whether the backward pass of what it returns is wanted, too.
    """

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        target = load_target(name)
        model = build(target, name, bool(options.inputs))
        check_inputs(model, options.inputs, name)
        self.backward = bool(options.backward or options.loss) and not options.optimizer
        # A model has parameters to differentiate with respect to; a function has only its arguments.
        wanted = self.backward and not any(parameter.requires_grad for parameter in parameters_of(model))
        self.inputs = [make_input(given, number, wanted) for number, given in enumerate(options.inputs)]
        loss = find_loss(options.loss, name) if options.loss else None
        if options.optimizer:
            self.function: Callable[..., Any] = training_step(model, loss or total, options.optimizer, name)
        elif loss is not None:
            self.function = like(model, lambda *inputs: loss(model(*inputs)))
        else:
            self.function = model


def parameters_of(model: Callable[..., Any]) -> Iterator[Any]:
    """Return the parameters of a module; of a function it has none."""
    from autodiff.nn.module import Module

    return model.parameters() if isinstance(model, Module) else iter(())


def like(model: Callable[..., Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a function the name and the arguments of a model."""
    named: Any = partial(function)
    named.__name__ = getattr(model, "__name__", type(model).__name__)
    with contextlib.suppress(ValueError):
        named.__signature__ = signature(model)
    return named  # type: ignore[no-any-return]


def total(result: Any) -> Any:
    """Return the sum of all numbers of a result through which gradients flow; of all where there are none.

    Raises:
        UsageError: if there is no tensor in it.
    """
    from autodiff.recording import tensors_in

    found = list(tensors_in(result))
    if not found:
        raise UsageError(f"there is no loss to propagate back from: the result is {kind_of(result)}; "
                         "expected a tensor, or a tuple, list or dictionary of tensors")
    parts = [x.sum() for x in found if x.requires_grad] or [x.sum() for x in found]
    loss = parts[0]
    for part in parts[1:]:
        loss = loss + part
    return loss


def training_step(model: Any, loss: Callable[..., Any], optimizer: str, name: str) -> Callable[..., Any]:
    """Return a function that does a whole step of training.

    Raises:
        UsageError: if there is no such optimizer, or nothing to train.
    """
    from autodiff import optim
    from autodiff.nn.module import Module

    if not isinstance(model, Module):
        raise UsageError(f"{name} is no module: there are no parameters for --optimizer to update")
    classes = {key.lower(): value for key, value in vars(optim).items()
               if isinstance(value, type) and issubclass(value, optim.Optimizer) and value is not optim.Optimizer}
    if optimizer.lower() not in classes:
        raise UsageError(f"there is no optimizer {optimizer!r}; there are {', '.join(sorted(classes))}")
    kind = classes[optimizer.lower()]
    settings: dict[str, Any] = {} if "lr" not in required_arguments(kind) else {"lr": RATE}
    update = kind(model.parameters(), **settings)

    def step(*inputs: Any) -> Any:
        update.zero_grad()
        value = loss(model(*inputs))
        value.backward()
        update.step()
        return value

    return like(model, step)


def find_loss(name: str, target: str) -> Callable[..., Any]:
    """Return the loss of this name: of the target's file, or of autodiff.

    Raises:
        UsageError: if neither has such a function, or it takes more than the result.
    """
    import autodiff as ad
    from autodiff.nn import functional

    place = target.rpartition(":")[0]
    own = sys.modules.get(module_name(Path(place)) if place.endswith(".py") else place)
    for module in (own, ad, functional):
        found = getattr(module, name, None)
        if callable(found):
            required = required_arguments(found)
            if len(required) > 1:
                raise UsageError(f"the loss {name!r} takes {', '.join(required)}, and it gets the result alone: write "
                                 f"a function of one argument into {place}, and pass its name")
            return found  # type: ignore[no-any-return]
    raise UsageError(f"there is no loss {name!r}, neither in {place} nor in autodiff")


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


@contextlib.contextmanager
def forgotten() -> Iterator[None]:
    """Forget afterwards what was imported from folders that a target has added to the path."""
    modules, path = set(sys.modules), list(sys.path)
    yield
    added = tuple(os.path.join(folder, "") for folder in sys.path if folder not in path)
    for name in set(sys.modules) - modules:
        if added and (getattr(sys.modules[name], "__file__", None) or "").startswith(added):
            del sys.modules[name]
    sys.path[:] = path


def module_name(path: Path) -> str:
    """Return the name under which a file is imported: no other module's, also where the file is called json.py."""
    return f"target {path.stem}"


def import_file(path: Path) -> ModuleType:
    """Import a Python file as a script would be run: its folder is where it finds its neighbours."""
    sys.path.insert(0, str(path.resolve().parent))
    name = module_name(path)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def attempt(what: str, function: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
    """Call a function that runs the user's code; say in one line what went wrong and where.

    Raises:
        UsageError: if the user's code raises. Errors of this library name the user's line already.
    """
    try:
        return function(*args, **kwargs)
    except (AutodiffError, UsageError):
        raise
    except Exception as error:
        raise UsageError(f"{what}: {summary(error)}") from error


def summary(error: Exception) -> str:
    """Return the class, text and last line of an exception."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"


def build(target: Callable[..., Any], text: str, has_inputs: bool) -> Callable[..., Any]:
    """Return the module that `target` builds, or `target` itself when it is a module or a function of tensors.

    Raises:
        UsageError: if building fails, `target` is a class that needs arguments, or there is nothing that takes the
            inputs.
    """
    from autodiff.nn.module import Module
    from autodiff.recording import tensors_in

    if isinstance(target, Module):
        return target
    required = required_arguments(target)
    if required:
        if isinstance(target, type):
            raise UsageError(f"{text} needs {', '.join(required)}: write a function without arguments that builds it")
        return target
    built = attempt(f"{text} failed", target)
    if isinstance(built, Module):
        return built
    if has_inputs and accepts_nothing(target):
        computes = built is None or next(tensors_in(built), None) is not None
        raise UsageError(f"{text} takes no arguments and returned {kind_of(built)}, so nothing takes the inputs: "
                         "expected a function that returns a module, or takes tensors"
                         + ("; to draw what it computes by itself, leave --input away" if computes else ""))
    return target


def accepts_nothing(function: Callable[..., Any]) -> bool:
    """Return whether a function has no parameters at all."""
    try:
        return not signature(function).parameters
    except ValueError:
        return False


def kind_of(value: Any) -> str:
    """Return what something is, in words.

    >>> kind_of(5), kind_of([]), kind_of(None)
    ('an int', 'a list', 'None')
    """
    name = type(value).__name__
    return "None" if value is None else f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


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
        names = ", ".join(signature(function).parameters) or "nothing"
        raise UsageError(f"{text} takes {names}: "
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
