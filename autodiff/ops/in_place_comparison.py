"""In-place forms of comparisons and logic: 1 where they hold and 0 elsewhere, in the dtype of the tensor."""

from __future__ import annotations

from autodiff.ops.comparison import eq, ge, gt, le, logical_and, logical_not, logical_or, logical_xor, lt, ne
from autodiff.ops.in_place_indexing import form

__all__ = ["eq_", "ge_", "greater_", "greater_equal_", "gt_", "le_", "less_", "less_equal_", "logical_and_",
           "logical_not_", "logical_or_", "logical_xor_", "lt_", "ne_", "not_equal_"]

eq_ = form(eq, "ad.tensor([1.0, 2.0]).eq_(2)\ntensor([0., 1.])")
ne_ = form(ne, "ad.tensor([1.0, 2.0]).ne_(2)\ntensor([1., 0.])")
lt_ = form(lt, "ad.tensor([1.0, 2.0]).lt_(2)\ntensor([1., 0.])")
le_ = form(le, "ad.tensor([1.0, 2.0]).le_(2)\ntensor([1., 1.])")
gt_ = form(gt, "ad.tensor([1.0, 2.0]).gt_(1)\ntensor([0., 1.])")
ge_ = form(ge, "ad.tensor([1.0, 2.0]).ge_(1)\ntensor([1., 1.])")
logical_and_ = form(logical_and, "ad.tensor([1.0, 2.0]).logical_and_(ad.tensor([0, 1]))\ntensor([0., 1.])")
logical_or_ = form(logical_or, "ad.tensor([0.0, 2.0]).logical_or_(ad.tensor([0, 1]))\ntensor([0., 1.])")
logical_xor_ = form(logical_xor, "ad.tensor([1.0, 2.0]).logical_xor_(ad.tensor([0, 1]))\ntensor([1., 0.])")
logical_not_ = form(logical_not, "ad.tensor([0.0, 2.0]).logical_not_()\ntensor([1., 0.])")

not_equal_, less_, less_equal_, greater_, greater_equal_ = ne_, lt_, le_, gt_, ge_
