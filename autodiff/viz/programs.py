"""The program of anything that has records: what `draw` and `timeline` take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import NoneType
from typing import Any

from autodiff.eager import Tensor, tape_of
from autodiff.errors import DTypeError, GradientError
from autodiff.measuring import measure
from autodiff.program import Program
from autodiff.recording import check_call, record, tensors_in
from autodiff.viz.texts import text_of_spec

TENSORS = (Tensor, tuple, list, dict)  # a tensor, or what may hold some


def check_inputs(
    operation: str, inputs: tuple[Any, ...], keywords: Mapping[str, Any], *things: Any, options: Sequence[str] = ()
) -> None:
    """Raise if inputs are given where nothing is called with them.

    Args:
        operation: whose arguments these are, for errors.
        inputs, keywords: that are given.
        things: what has records, or is called to get them.
        options: keyword arguments of the operation itself.

    Raises:
        DTypeError: if all of these have run already.
    """
    if not all(isinstance(x, (*TENSORS, Program, NoneType)) for x in things):
        return
    if keywords:
        raise DTypeError(operation, f"there is no option {next(iter(keywords))!r}", got=", ".join(keywords),
                         expected=", ".join(options) or "none",
                         fix="only to a function or module that is called do other keyword arguments go")  # fmt: skip
    if inputs:
        raise DTypeError(operation, "nothing here is called with inputs, for it has run already",
                         expected=f"{type(things[0]).__name__} alone", got=f"{len(inputs)} more",
                         fix=f"leave the inputs away, or pass the function: {operation}(function, *inputs)")


def program_of(
    operation: str, x: Any, inputs: tuple[Any, ...], keywords: Mapping[str, Any],
    run: Callable[..., Program] = record, where: str = "here", options: Sequence[str] = (),
) -> Program:  # fmt: skip
    """Return the program of a tensor, a program, a compiled function, or of a call of a function or module.

    Args:
        operation: whose argument it is, for errors.
        x: what has records.
        inputs, keywords: what to call it with, if it is called.
        run: calls a function and returns its program.
        where: what to call `x` in an error.
        options: keyword arguments of the operation itself, for errors.

    Raises:
        GradientError: if a tensor has no history, or a compiled function has not been recorded.
        DTypeError: if it has no records, or was not given the inputs that it takes.
    """
    if isinstance(x, Program):
        return x
    if isinstance(x, TENSORS):
        return _tape_of(operation, x)
    if not callable(x):
        raise DTypeError(operation, f"nothing {where} has records", got=type(x).__name__,
                         expected="a tensor, a Program, or a function or module with its inputs")
    replayed = None if inputs or keywords else getattr(x, "programs", None)
    if isinstance(replayed, list):
        if not replayed:
            raise GradientError(operation, "this compiled function has not been recorded yet",
                                fix=f"call it twice before, or write {operation}(function, *inputs)")
        found: Program = replayed[0]
        return found
    check_call(operation, x, inputs, keywords, options)
    return (measure if hasattr(type(x), "measured") else run)(x, *inputs, **keywords)


def _tape_of(operation: str, x: Any) -> Program:
    """Return the tape that leads to tensors."""
    tensors = list(tensors_in(x))
    if not tensors:
        kind = type(x).__name__
        items = iter(x.values() if isinstance(x, dict) else x)
        held = "an empty " + kind if not x else f"{kind} of {type(next(items)).__name__}"
        raise DTypeError(operation, f"there is no tensor in this {kind}", got=held,
                         expected="a tensor, or a tuple, list or dictionary of tensors",
                         fix=f"pass tensors, or a function or module with its inputs: {operation}(function, *inputs)")
    program = tape_of(*tensors)
    if not len(program):
        first = tensors[0]
        why = "it was made by no operation" if first.requires_grad else "what it is made from requires no gradient"
        if first.cut:
            why = f"{first.cut.reason} at {first.cut.line}"
        raise GradientError(operation, f"no recorded operation leads to this tensor: {why}",
                            expected="a tensor that operations have made from one that requires a gradient",
                            got=f"{text_of_spec(first.spec)}, requires_grad={first.requires_grad}",
                            fix="pass the function that computes it, of which all operations are recorded: "
                            f"{operation}(function, *inputs)")  # fmt: skip
    return program
