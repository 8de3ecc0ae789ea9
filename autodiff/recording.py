"""`record`: run a function and return everything that ran, as a `Program`.

`eager.tape_of` gives the records that lead to a tensor and carry a gradient. A recorded function gives all of them, in
order: forward, backward, optimizer updates, and what needs no gradient.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from autodiff.eager import Tensor
from autodiff.errors import DTypeError
from autodiff.program import Program
from autodiff.program_recorder import Recorder
from autodiff.thread_mode import MODE


def record(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Program:
    """Call ``fn(*args, **kwargs)`` once, for real, and return the program of every operation that ran in this thread.

    Args:
        fn: a function, a module, a whole training step: backward passes and optimizer steps are recorded too, in the
            phases ``"backward"`` and ``"update"``.
        args, kwargs: its arguments.

    Returns:
        The program. Its `outputs` are the tensors that `fn` returned, however nested, as far as operations made them,
        its `inputs` those among the arguments. It prints as text and is read from text, compared, hashed, priced and
        drawn: see `autodiff.program.Program`.

    Raises:
        DTypeError: if `fn` cannot be called with these arguments.
        Whatever `fn` raises.

    The call has its usual effects: gradients are accumulated, parameters updated, running statistics moved on. The
    program keeps the arrays alive that were saved for a backward pass that has not run.

    >>> import autodiff as ad
    >>> print(ad.record(lambda x: x * x, ad.tensor([1.0, 2.0])))
    leaf0: float32[2]
    forward:
      %0: float32[2] = mul(leaf0, leaf0)  # ...
    return %0
    """
    check_call("record", fn, args, kwargs)
    return record_with(Recorder(), fn, *args, **kwargs)


def check_call(
    operation: str, fn: Any, args: Any, kwargs: Mapping[str, Any], options: Sequence[str] = ()
) -> None:
    """Raise if a function or module cannot be called with these arguments.

    Args:
        operation: that wants to call it.
        fn: the function or module.
        args, kwargs: its arguments.
        options: keyword arguments that the operation does not hand on.

    Raises:
        DTypeError: says what it takes.
    """
    if not callable(fn):
        raise DTypeError(operation, "this cannot be called", expected="a function, a module or a compiled function",
                         got=type(fn).__name__, fix=f"{operation}(function, *inputs) calls it with these inputs")
    try:
        signature = inspect.signature(getattr(fn, "forward", fn))
    except (TypeError, ValueError):  # built-in functions may not say what they take
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        name, given = title_of(fn), f"{len(args)} input{'s' * (len(args) != 1)}"
        unknown = [key for key in kwargs if key not in signature.parameters]
        if unknown and not any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
            own = f"; {operation} itself takes {', '.join(options)}" if options else ""
            raise DTypeError(operation, f"{name} takes no argument {unknown[0]!r}", got=", ".join(unknown),
                             expected=", ".join(signature.parameters) or "none",
                             fix=f"give it those arguments, by their names{own}") from None
        wanted = [p.name for p in signature.parameters.values() if p.default is p.empty]
        raise DTypeError(operation, f"{name} was not given the inputs that it takes",
                         expected=", ".join(wanted) or "none", got=" and ".join([given, *kwargs]),
                         fix=f"{operation}({', '.join([name, *wanted])}) calls it with them") from None


def record_with(recorder: Recorder, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Program:
    """Do what `record` does with this recorder."""
    outer = MODE.recorder
    MODE.recorder = recorder
    try:
        result = fn(*args, **kwargs)
    finally:
        MODE.recorder = outer
    returned = [recorder.operand(tensor) for tensor in tensors_in(result)]
    outputs = [operand for operand in returned if type(operand) is tuple]
    inputs = argument_names(fn, args, kwargs)
    program = Program(recorder.records, outputs, recorder.written, recorder.columns(), inputs)
    program.title, program.returned = title_of(fn), tuple(returned)
    return program


def title_of(fn: Callable[..., Any]) -> str:
    """Return what a function or module is called: its name, or that of its class.

    >>> import autodiff as ad
    >>> title_of(ad.nn.Linear(1, 1)), title_of(ad.ones)
    ('Linear', 'ones')
    """
    return str(getattr(fn, "__name__", type(fn).__name__))


def argument_names(fn: Callable[..., Any], args: Any, kwargs: Mapping[str, Any]) -> list[tuple[str, Tensor]]:
    """Return the tensors among the arguments of a call, with the names of the parameters they are passed for.

    >>> import autodiff as ad
    >>> [name for name, _ in argument_names(lambda x, pair: None, (ad.ones(1), [ad.ones(1), ad.ones(1)]), {})]
    ['x', 'pair[0]', 'pair[1]']
    """
    try:
        bound = inspect.signature(getattr(fn, "forward", fn)).bind(*args, **kwargs).arguments
    except (TypeError, ValueError):  # built-in functions may have no signature; a wrong call raises when it runs
        bound = {"input": args if len(args) > 1 else args[0] if args else (), **kwargs}
    return [pair for name, value in bound.items() for pair in named(name, value)]


def named(name: str, value: Any) -> list[tuple[str, Tensor]]:
    """Return the tensors in a value with their names: its own, or that with a number behind it.

    >>> import autodiff as ad
    >>> [name for name, _ in named("pair", (ad.ones(1), ad.ones(1)))]
    ['pair[0]', 'pair[1]']
    """
    if isinstance(value, Tensor):
        return [(name, value)]
    return [(f"{name}[{i}]", x) for i, x in enumerate(tensors_in(value))]


def rebuilt(value: Any, made: Iterator[Any], kind: Any = Tensor) -> Any:
    """Return nested tuples, lists and dictionaries like `value`, with what comes next in place of each `kind`."""
    if isinstance(value, kind):
        return next(made)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*[rebuilt(x, made, kind) for x in value])
    if isinstance(value, tuple | list):
        return type(value)([rebuilt(x, made, kind) for x in value])
    if isinstance(value, Mapping):
        return type(value)({key: rebuilt(x, made, kind) for key, x in value.items()})  # type: ignore[call-arg]
    return value


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested tuples, lists and dictionaries, from left to right."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, Tensor):
            yield item
        elif isinstance(item, tuple | list):
            stack.extend(reversed(item))
        elif isinstance(item, Mapping):
            stack.extend(reversed(list(item.values())))
