"""Kernels that are written as source files: one for each scalar formula, in the cache folder.

Numba caches a function on disk only when it stands in a file, and only when its closure holds no compiled function. So
the text below is filled in and written out; a person can read the result in `<cache folder>/generated/`.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
import tempfile
from types import ModuleType
from typing import Any

from autodiff_kernels import cache

ELEMENTWISE = '''\
"""The element-wise kernel of `{module}.{name}`, written by `autodiff_kernels.generate`."""

from numba import njit

from autodiff_kernels.memory import apply, forward, load, pointer, stack, store
from {module} import {name} as formula
{imports}from autodiff_kernels.walk import (
    CHUNK, NOTHING, gather, offset, scatter, share_of_elements, side_by_side, steps, tile_here, tile_limits,
)


@njit(cache=True, nogil=True, error_model="numpy")
def {name}(out, {inputs}, walk, part, parts):
    """out = {name}({inputs}): {summary}

    `out` and the inputs are 1-D arrays that carry the address of an operand's first element, `walk` says where the
    others are (`elementwise.plan`).
    """
    dims, shape, strides = walk[0], pointer(walk, 2), pointer(walk, 2 + walk[0])
    inner, copy = shape[dims - 1], stack(out, CHUNK)
    step, row_step = steps(dims, strides)
{operands}
{numbers}    begin, end = share_of_elements(walk[1], part, parts)
    row, column = begin // inner, begin % inner
    longest, most = tile_limits(dims, shape, {all_steps_are_one}){shorter}
    while begin < end:
        rows, width = tile_here(dims, shape, row, column, end - begin, longest, most)
        place = pointer(out, offset(dims, shape, strides, row) + column * step)
{gathers}
        target = place if side_by_side(step, row_step, rows, width) else copy
{compute}
        scatter(copy, place, step, row_step, rows, width)
        begin += rows * width
        column += width
        if column == inner:
            row, column = row + rows, 0
'''

OPERAND = """\
    strides{k} = pointer(walk, 2 + {operand} * dims)
    step{k}, row_step{k} = steps(dims, strides{k})
    copy{k}, held{k} = stack(x{k}, CHUNK), NOTHING
"""

GATHER = """\
        at{k} = offset(dims, shape, strides{k}, row) + column * step{k}
        source{k}, held{k} = gather(pointer(x{k}, at{k}), at{k}, step{k}, row_step{k}, rows, width, copy{k}, held{k})
"""

# Arrays without gaps and numbers: one loop, without tiles and copies.
NUMBERS = """\
    if dims == 1 and step == 1 and {side_by_side} and {all_numbers}:
        begin, end = share_of_elements(walk[1], part, parts)
        apply(formula, end - begin, (pointer(out, begin),), ({sources},), ({numbers},))
        return
"""

COMPUTE = """\
        apply(formula, rows * width, (target,), ({sources}), ())
"""

# A tile with an operand for which the formula does not hold goes through the one that always does.
COMPUTE_PARTIAL = """\
        beyond = int32(0)
        for i in range(rows * width):
            beyond += int32(not holds({elements}))
        if beyond == 0:
            apply(formula, rows * width, (target,), ({sources}), ())
        else:
            for i in range(rows * width):
                store(forward(target, i), anywhere({elements}))
"""

# Tiles stay short, so that few elements pay for one, and are read twice from the first-level cache.
SHORTER = """
    longest = min(longest, 4 * CHUNK)"""

IMPORTS_PARTIAL = """\
from numpy import int32
from {module} import {holds} as holds
from {module} import {anywhere} as anywhere
"""


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

    def listed(text: str, ks: range = ks, separator: str = ", ") -> str:
        return separator.join(text.format(k=k) for k in ks)

    if holds is not None and arrays < len(ks):
        raise ValueError(f"{name}: a formula that does not hold for all operands cannot have operands that are numbers")
    compute, shorter, imports = COMPUTE, "", ""
    if holds is not None:
        where, always = holds.py_func, anywhere.py_func
        compute, shorter = COMPUTE_PARTIAL, SHORTER
        imports = IMPORTS_PARTIAL.format(module=where.__module__, holds=where.__name__, anywhere=always.__name__)
    numbers = ""
    if arrays < len(ks):
        numbers = NUMBERS.format(
            side_by_side=listed("step{k} == 1", ks[:arrays], " and "),
            all_numbers=listed("step{k} == 0", ks[arrays:], " and "),
            sources=listed("pointer(x{k}, begin)", ks[:arrays]),
            numbers=listed("x{k}[0]", ks[arrays:]),
        )
    source = ELEMENTWISE.format(
        name=name,
        module=function.__module__,
        inputs=listed("x{k}"),
        summary=inspect.getdoc(function),
        operands="".join(OPERAND.format(k=k, operand=k + 2) for k in ks).rstrip(),
        imports=imports,
        numbers=numbers,
        shorter=shorter,
        all_steps_are_one="step == 1 and " + listed("step{k} == 1", separator=" and "),
        gathers="".join(GATHER.format(k=k) for k in ks).rstrip(),
        compute=compute.format(
            sources=listed("source{k}") + ("," if len(ks) == 1 else ""),
            elements=listed("load(forward(source{k}, i))"),
        ).rstrip(),
    )
    return getattr(module(f"elementwise_{name}", source), name)


def module(name: str, source: str) -> ModuleType:
    """Import the module `name` with this source from the cache folder, as `autodiff_kernels.generated.<name>`."""
    path = cache.folder() / "generated" / f"{name}.py"
    if not path.exists() or path.read_text() != source:
        path.parent.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".tmp", delete=False) as file:
            file.write(source)
        os.replace(file.name, path)
    qualified = f"autodiff_kernels.generated.{name}"
    spec = importlib.util.spec_from_file_location(qualified, path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[qualified] = loaded
    with cache.importing():
        spec.loader.exec_module(loaded)
    return loaded
