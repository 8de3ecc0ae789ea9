"""What is computed with NumPy on the host: results whose shape depends on values, and tables of positions.

Searching and counting are no arithmetic on dense memory, and their results carry no gradient themselves.
"""

from __future__ import annotations

from typing import Any

from autodiff.program import Memory, tensor_class
from autodiff.spec import Array, spec_of
from autodiff.thread_mode import MODE


def from_array(array: Array) -> Any:
    """Return a tensor on `array`, without copying, that requires no gradient."""
    tensor = tensor_class[0].__new__(tensor_class[0])
    tensor.array = array
    tensor.spec = spec_of(array)
    tensor.memory = Memory()
    if MODE.recorder is not None:
        MODE.recorder.born(tensor)
    return tensor


def values(x: Any) -> Array:
    """Return the numbers of a tensor, for a result that depends on them: nothing can be recorded about it."""
    if MODE.recorder is not None:
        MODE.recorder.asked("this operation", x, "keep the shape: use where(), multiply by the mask, or give the size "
                            "(minlength, num_classes); or do it outside")
    array: Array = x.array
    return array
