"""Operations on images, in the two layouts that autodiff can get them in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from benchmarks.case import Case
from benchmarks.differentiation import Inputs, builds, forward_backward


def both_layouts(
    name: str, function: Callable[..., Any], jax: Callable[..., Any], inputs: Inputs, quick: bool, wrt: Any = None
) -> Iterator[Case]:
    """Yield forward and backward from images as users have them, and as a convolution leaves them.

    In the second, ``.../channels-last``, autodiff gets its images channels-last, too, and converts nothing.
    """
    found = builds("forward+backward", function, inputs, wrt=wrt, jax=jax, images=True)
    yield Case(name, found, quick=quick)
    own = partial(forward_backward, function=function, inputs=inputs, wrt=wrt, channels_last=True)
    yield Case(f"{name}/channels-last", found | {"autodiff": own}, quick=quick)
