"""Suite `graph`: how long it takes to trace a function and to draw a computation, by the number of nodes.

autodiff records while it computes; `torch.fx` and `jax.make_jaxpr` call the function with symbols, and compute nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal

import numpy as np

from benchmarks.case import Case
from benchmarks.differentiation import Array
from benchmarks.suites.scaling import chain

Built = tuple[Callable[[], Any], Callable[[], dict[str, Any]]]

# Operations in a chain; the first three sizes of three series belong to a quick run.
TRACED = (10, 30, 100, 300, 1000, 3000)
WRITTEN = (10, 100, 1000, 3000, 10_000)
LAID_OUT = (10, 30, 100, 300, 1000)
LAYERS = (1, 2, 4, 8, 16)  # of the training step that is drawn


def cases() -> Iterator[Case]:
    """Yield tracing, writing DOT text and laying it out as SVG, each over the size of the graph."""
    traces = {"autodiff": autodiff_trace, "torch": torch_trace, "jax": jax_trace}
    for place, count in enumerate(TRACED):
        tracers = {contender: partial(build, count=count) for contender, build in traces.items()}
        yield Case(f"graph/trace/{count}", tracers, quick=place < 3, sweep=("trace", count))
    for output, counts in (("dot", WRITTEN), ("svg", LAID_OUT)):
        for what, sizes in (("chain", counts), ("step", LAYERS)):
            short = (output, what) in {("dot", "chain"), ("svg", "step")}
            for place, size in enumerate(sizes):
                builds = {"autodiff": partial(drawing, what=what, size=size, output=output)}
                series = f"{output}/{what}"
                yield Case(f"graph/{series}/{size}", builds, quick=short and place < 3, sweep=(series, size))


def start() -> Array:
    """Return where the chain begins."""
    return np.random.default_rng(0).standard_normal(8, np.float32)


def autodiff_trace(autodiff: Any, count: int) -> Built:
    """Build the recording of a chain."""
    from autodiff.recording import record

    x = autodiff.tensor(start())

    def run() -> Any:
        return record(partial(chain, autodiff, count=count), x)

    def answers() -> dict[str, Any]:
        return {"operations": len(run().records), "output": chain(autodiff, x, count)}

    return run, answers


def torch_trace(torch: Any, count: int) -> Built:
    """Build the symbolic tracing of a chain by `torch.fx`."""
    import torch.fx as fx

    def run() -> Any:
        return fx.symbolic_trace(lambda x: chain(torch, x, count))

    def answers() -> dict[str, Any]:
        traced = run()
        called = [node for node in traced.graph.nodes if node.op.startswith("call")]
        return {"operations": len(called), "output": traced(torch.tensor(start()))}

    return run, answers


def jax_trace(jax: Any, count: int) -> Built:
    """Build the tracing of a chain by JAX."""
    from jax.extend.core import jaxpr_as_fun

    x = jax.device_put(start())

    def run() -> Any:
        # A new function each time: JAX remembers what it traced.
        return jax.make_jaxpr(lambda x: chain(jax.numpy, x, count))(x)

    def answers() -> dict[str, Any]:
        traced = run()
        return {"operations": len(traced.jaxpr.eqns), "output": jaxpr_as_fun(traced)(x)[0]}

    return run, answers


def drawing(autodiff: Any, what: Literal["chain", "step"], size: int, output: Literal["dot", "svg"]) -> Built:
    """Build the drawing of a recorded chain, or of a recorded training step of an MLP with that many layers."""
    from autodiff.recording import record
    from autodiff.viz import draw

    if what == "chain":
        program = record(chain, autodiff, autodiff.tensor(start()), size)
    else:
        program = record(training_step(autodiff, size))

    def run() -> Any:
        picture = draw(program)
        return picture.source if output == "dot" else picture.pipe("svg")

    return run, lambda: {"operations": len(program.records)}


def training_step(autodiff: Any, layers: int) -> Callable[[], Any]:
    """Return a training step of an MLP: forward, backward and update."""
    nn = autodiff.nn
    model = nn.Sequential(*(nn.Sequential(nn.Linear(8, 8), nn.Tanh()) for _ in range(layers)))
    optimizer = autodiff.optim.Adam(model.parameters())
    x = autodiff.tensor(start())

    def step() -> Any:
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()
        return loss

    return step
