"""In-place forms of operations that write at indices or along a dimension, and of those computed on the host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autodiff.bind import TensorT
from autodiff.ops.diagonals import tril, triu
from autodiff.ops.error_functions import erfinv
from autodiff.ops.in_place import called, through
from autodiff.ops.indexing import index_put, masked_scatter
from autodiff.ops.picking import index_add, index_copy, index_fill
from autodiff.ops.scan import cumsum
from autodiff.ops.scatter_reductions import index_reduce, scatter_reduce
from autodiff.ops.scattering import scatter, scatter_add

__all__ = ["cumsum_", "erfinv_", "index_add_", "index_copy_", "index_fill_", "index_put_", "index_reduce_",
           "masked_scatter_", "scatter_", "scatter_add_", "scatter_reduce_", "tril_", "triu_"]


def form(function: Callable[..., TensorT], example: str) -> Callable[..., TensorT]:
    """Return the in-place form of a function; `example` is the call and, on the next line, what it returns."""

    def change(input: Any, *arguments: Any, **options: Any) -> Any:
        return through(function, input, *arguments, **options)

    name = function.__name__
    call, result = example.split("\n")
    change.__doc__ = f"""Write ``{name}(input, ...)`` into `input`, and return it; the arguments are those of `{name}`.

    Raises:
        InPlaceError: for a leaf that requires a gradient, while gradients are recorded.

    >>> import autodiff as ad
    >>> {call}
    {result}
    """
    return called(change, name + "_")


scatter_ = form(scatter, "ad.zeros(3).scatter_(0, ad.tensor([2]), 1.0)\ntensor([0., 0., 1.])")
scatter_add_ = form(scatter_add, "ad.zeros(3).scatter_add_(0, ad.tensor([2, 2]), ad.ones(2))\ntensor([0., 0., 2.])")
index_add_ = form(index_add, "ad.zeros(3).index_add_(0, ad.tensor([2, 2]), ad.ones(2))\ntensor([0., 0., 2.])")
index_copy_ = form(index_copy, "ad.zeros(3).index_copy_(0, ad.tensor([1]), ad.ones(1))\ntensor([0., 1., 0.])")
index_fill_ = form(index_fill, "ad.zeros(3).index_fill_(0, ad.tensor([1]), 5)\ntensor([0., 5., 0.])")
index_put_ = form(index_put, "ad.zeros(3).index_put_((ad.tensor([0]),), ad.ones(1))\ntensor([1., 0., 0.])")
masked_scatter_ = form(masked_scatter,
                       "ad.zeros(2).masked_scatter_(ad.tensor([False, True]), ad.ones(1))\ntensor([0., 1.])")
scatter_reduce_ = form(scatter_reduce, "ad.zeros(2).scatter_reduce_(0, ad.tensor([1, 1]), ad.tensor([2.0, 4.0]), "
                       "'mean', include_self=False)\ntensor([0., 3.])")
index_reduce_ = form(index_reduce,
                     "ad.zeros(2).index_reduce_(0, ad.tensor([1]), ad.ones(1), 'amax')\ntensor([0., 1.])")
erfinv_ = form(erfinv, "ad.zeros(2).erfinv_()\ntensor([0., 0.])")
cumsum_ = form(cumsum, "ad.ones(3).cumsum_(0)\ntensor([1., 2., 3.])")
tril_ = form(tril, "ad.ones(1, 2).tril_()\ntensor([[1., 0.]])")
triu_ = form(triu, "ad.ones(2, 1).triu_().T\ntensor([[1., 0.]])")
