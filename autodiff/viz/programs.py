"""The program of anything that has records: what `draw` and `timeline` take."""

from __future__ import annotations

from collections.abc import Callable
from types import NoneType
from typing import Any

from autodiff.eager import Tensor, tape_of
from autodiff.errors import DTypeError, GradientError
from autodiff.measuring import measure
from autodiff.program import Program
from autodiff.recording import check_call, record, tensors_in


def check_inputs(operation: str, inputs: tuple[Any, ...], *things: Any) -> None:
    """Raise if inputs are given where nothing is called with them.

    Args:
        operation: whose arguments these are, for errors.
        inputs: that are given.
        things: what has records, or is called to get them.

    Raises:
        DTypeError: if all of these have run already.
    """
    if inputs and all(isinstance(x, Program | Tensor | tuple | list | NoneType) for x in things):
        raise DTypeError(operation, "nothing here is called with inputs, for it has run already",
                         expected=f"{type(things[0]).__name__} alone", got=f"{len(inputs)} more",
                         fix=f"leave the inputs away, or pass the function: {operation}(function, *inputs)")


def program_of(
    operation: str, x: Any, inputs: tuple[Any, ...], run: Callable[..., Program] = record, where: str = "here"
) -> Program:
    """Return the program of a tensor, a program, a compiled function, or of a call of a function or module.

    Args:
        operation: whose argument it is, for errors.
        x: what has records.
        inputs: what to call it with, if it is called.
        run: calls a function and returns its program.
        where: what to call `x` in an error.

    Raises:
        GradientError: if a tensor has no history, or a compiled function has not been recorded.
        DTypeError: if it has no records, or was not given the inputs that it takes.
    """
    if isinstance(x, Program):
        return x
    if isinstance(x, Tensor | tuple | list):
        program = tape_of(*tensors_in(x))
        if not len(program):
            raise GradientError(operation, "no recorded operation leads to this tensor",
                                fix=f"pass the function that computes it: {operation}(function, *inputs)")
        return program
    if not callable(x):
        raise DTypeError(operation, f"nothing {where} has records", got=type(x).__name__,
                         expected="a tensor, a Program, or a function or module with its inputs")
    replayed = getattr(x, "programs", None) if not inputs else None
    if isinstance(replayed, list):
        if not replayed:
            raise GradientError(operation, "this compiled function has not been recorded yet",
                                fix=f"call it twice before, or write {operation}(function, *inputs)")
        found: Program = replayed[0]
        return found
    check_call(operation, x, inputs, {})
    return measure(x, *inputs) if hasattr(type(x), "measured") else run(x, *inputs)
