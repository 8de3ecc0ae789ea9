"""Kernels that are written as source: one for each scalar formula, or chain of them.

A function made by another one would hold compiled functions in its closure, whose names say nothing of what they are.
So the text below is filled in, and its name says what it is; a person can read it in `<cache folder>/generated/`.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import sys
from collections.abc import Iterable
from types import ModuleType
from typing import Any, NamedTuple

from autodiff_kernels import cache

KERNEL = '''\
"""{title}, written by `autodiff_kernels.generate`."""

from numba import njit
{imports}
from autodiff_kernels.memory import {memory}
from autodiff_kernels.walk import {limit}, begin, here, next_tile

{definition}
@njit(cache=True, nogil=True, error_model="numpy")
def {name}({outputs}, {inputs}, walk, part, parts):
    """{summary}

    The outputs and inputs are 1-D arrays that carry the address of an operand's first element, `walk` says where the
    others are (`elementwise.plan`).
    """
{shortcut}    outs, ins, numbers = ({firsts}), ({arrays}), ({numbers})
    tiles = begin(outs, ins, walk, part, parts, {limit})
    count = next_tile(tiles)
    while count > 0:
{compute}        count = next_tile(tiles)
'''

# Arrays without gaps and numbers, which have no tile of their own: one loop.
SHORTCUT = """\
    if {simple}:
        begins, ends = share_of_elements(walk[1], part, parts)
        apply(formula, ends - begins, (pointer(out0, begins),), ({arrays}), ({numbers}))
        return
"""

COMPUTE = """\
        apply(formula, count, here(tiles, outs, 0), here(tiles, ins, {outputs}), numbers)
"""

# A tile with an operand for which the formula does not hold goes through the one that always does.
COMPUTE_PARTIAL = """\
        (target,), ({sources}) = here(tiles, outs, 0), here(tiles, ins, 1)
        beyond = int32(0)
        for i in range(count):
            beyond += int32(not holds({elements}))
        if beyond == 0:
            apply(formula, count, (target,), ({sources}), numbers)
        else:
            for i in range(count):
                store(forward(target, i), anywhere({elements}))
"""

DEFINITION = '''
@njit(error_model="numpy", forceinline=True)
def formula({parameters}):
{steps}
    return {results}

'''


class Step(NamedTuple):
    """A step of a chain of element-wise operations.

    Attributes:
        formula: the scalar formula.
        operands: what it is applied to: the chain's inputs are numbered first, then the results of its steps.
        dtype: of the result, one of Numba's names: every step is rounded.
    """

    formula: Any
    operands: tuple[int, ...]
    dtype: str


def elementwise(name: str, formula: Any, holds: Any = None, anywhere: Any = None) -> Any:
    """Return the element-wise kernel of a scalar formula; its source is written when it is not there.

    Args:
        name: of the kernel.
        formula: the scalar formula.
        holds, anywhere: for a formula that does not hold for all operands, where it does and the one that always does.
    """
    function = formula.py_func
    annotations = [parameter.annotation for parameter in inspect.signature(function).parameters.values()]
    ks = range(len(annotations))
    arrays = len(annotations) - annotations.count("Number")  # these come first
    imports, memory, limit = [_import(formula, "formula")], ["apply", "pointer"], "LIMIT"
    shortcut, compute = "", COMPUTE.format(outputs=1)
    if arrays < len(ks):
        imports.append("from autodiff_kernels.parts import share_of_elements")
        steps = [1] * (arrays + 1) + [0] * (len(ks) - arrays)
        shortcut = SHORTCUT.format(
            simple=" and ".join(["walk[0] == 1", *(f"walk[{3 + k}] == {step}" for k, step in enumerate(steps))]),
            arrays=_tuple("pointer(x{k}, begins)", ks[:arrays]),
            numbers=_tuple("x{k}[0]", ks[arrays:]),
        )
    if holds is not None:
        if shortcut:
            raise ValueError(f"{name}: a formula that does not hold for all operands cannot have operands that are "
                             "numbers")
        imports += ["from numpy import int32", _import(holds, "holds"), _import(anywhere, "anywhere")]
        memory, limit = ["apply", "forward", "load", "pointer", "store"], "SHORT"
        compute = COMPUTE_PARTIAL.format(
            sources=_tuple("source{k}", ks), elements=_list("load(forward(source{k}, i))", ks)
        )
    source = KERNEL.format(
        title=f"The element-wise kernel of `{function.__module__}.{function.__name__}`",
        name=name,
        summary=f"out0 = {name}({_list('x{k}', ks)}): {inspect.getdoc(function)}",
        imports="\n".join(imports),
        memory=", ".join(memory),
        limit=limit,
        definition="",
        outputs="out0",
        inputs=_list("x{k}", ks),
        shortcut=shortcut,
        firsts="pointer(out0, 0),",
        arrays=_tuple("pointer(x{k}, 0)", ks),
        numbers="",
        compute=compute,
    )
    return getattr(module(f"elementwise_{name}", source), name)


@functools.cache
def fused(steps: tuple[Step, ...], results: tuple[int, ...], arity: int, numbers: frozenset[int]) -> Any:
    """Return the kernel of a chain of element-wise operations; its source is written when it is not there.

    Args:
        steps: of the chain.
        results: which of them have outputs, in the order of the outputs.
        arity: how many inputs there are.
        numbers: those that are numbers: the walk does not know them.
    """
    arrays, numbered = [k for k in range(arity) if k not in numbers], sorted(numbers)
    names = [*(f"x{k}" for k in range(arity)), *(f"s{i}" for i in range(len(steps)))]
    text = [
        f"    s{i} = cast({_call(step.formula)}({', '.join(names[k] for k in step.operands)}), {step.dtype})"
        for i, step in enumerate(steps)
    ]
    dtypes, modules = {step.dtype for step in steps}, {_call(step.formula).split(".")[0] for step in steps}
    definition = DEFINITION.format(
        parameters=_list("x{k}", [*arrays, *numbered]), steps="\n".join(text), results=_list("s{k}", results)
    )
    name = "fused_" + hashlib.blake2b(repr((definition, results, arity, numbered)).encode(), digest_size=8).hexdigest()
    outputs = range(len(results))
    source = KERNEL.format(
        title="The kernel of a chain of element-wise operations",
        name=name,
        summary=f"{_list('out{k}', outputs)} = formula({_list('x{k}', [*arrays, *numbered])}): all steps in one pass.",
        imports=f"from numba.types import {', '.join(sorted(dtypes))}\n\n"
                f"from autodiff_kernels import {', '.join(sorted(modules))}",
        memory="apply, cast, pointer",
        limit="LIMIT",
        definition=definition,
        outputs=_list("out{k}", outputs),
        inputs=_list("x{k}", range(arity)),
        shortcut="",
        firsts=_tuple("pointer(out{k}, 0)", outputs),
        arrays=_tuple("pointer(x{k}, 0)", arrays),
        numbers=_tuple("x{k}[0]", numbered),
        compute=COMPUTE.format(outputs=len(results)),
    )
    return getattr(module(name, source), name)


def _list(text: str, ks: Iterable[int]) -> str:
    return ", ".join(text.format(k=k) for k in ks)


def _tuple(text: str, ks: Iterable[int]) -> str:
    """Return the inside of a tuple."""
    return "".join(text.format(k=k) + ", " for k in ks).rstrip()


def _call(formula: Any) -> str:
    """Return how a generated source calls a scalar formula: `module.name`."""
    function = formula.py_func
    return f"{function.__module__.rpartition('.')[2]}.{function.__name__}"


def _import(formula: Any, name: str) -> str:
    function = formula.py_func
    return f"from {function.__module__} import {function.__name__} as {name}"


def module(name: str, source: str) -> ModuleType:
    """Return the module `autodiff_kernels.generated.<name>` with this source, which is kept to be read."""
    file = f"generated/{name}.py"
    if cache.read(file) is None:
        cache.write(file, source.encode())
    loaded = ModuleType(f"autodiff_kernels.generated.{name}")
    sys.modules[loaded.__name__] = loaded
    with cache.importing():
        exec(compile(source, str(cache.folder() / file), "exec"), vars(loaded))
    return loaded
