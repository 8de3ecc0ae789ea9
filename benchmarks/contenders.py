"""The libraries that take part, in the order of the report. The first is the one that the ratios are against."""

from __future__ import annotations

from autodiff.utils.benchmark import Contender

CONTENDERS = (
    Contender("autodiff"),
    Contender("autodiff eager", "autodiff"),  # where "autodiff" is the whole step compiled
    Contender("torch"),
    Contender("torch fused", "torch"),  # optimizers with one kernel over all parameters, which is not the default
    Contender("torch channels_last", "torch"),
    # A new process for each case: compiled code of other models counts against a limit, beyond which it runs eagerly.
    Contender("torch.compile", "torch", fresh=True),
    Contender("jax"),
    Contender("numpy"),
)
