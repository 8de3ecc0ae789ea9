"""What training programs need besides layers and optimizers: `utils.data` and `utils.checkpoint`."""

from autodiff.utils import checkpoint, data

__all__ = ["checkpoint", "data"]
