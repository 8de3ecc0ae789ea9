"""What training programs need besides layers and optimizers: `data`, `checkpoint`, and `benchmark` to time them.

`benchmark` is imported by its own name, ``import autodiff.utils.benchmark``: programs that train do not wait for it.
"""

from autodiff.utils import checkpoint, data

__all__ = ["checkpoint", "data"]
