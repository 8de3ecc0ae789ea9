"""The numbers in a model, layer by layer: weights, gradients, activations. `viz.plots.distributions` draws them."""

from __future__ import annotations

from typing import Any

from autodiff.landscape.around import kept
from autodiff.nn.module import Module
from autodiff.recording import tensors_in
from autodiff.spec import Array

Layers = dict[str, Array]


def weights(model: Module) -> Layers:
    """Return copies of a model's parameters as vectors, by name.

    >>> import autodiff as ad
    >>> from autodiff.landscape import weights
    >>> {name: values.shape for name, values in weights(ad.nn.Linear(2, 3)).items()}
    {'weight': (6,), 'bias': (3,)}
    """
    return {name: x.array.flatten() for name, x in model.named_parameters()}


def gradients(model: Module) -> Layers:
    """Return copies of the gradients of a model's parameters as vectors, by name; of those that have one.

    >>> import autodiff as ad
    >>> from autodiff.landscape import gradients
    >>> model = ad.nn.Linear(2, 3)
    >>> model(ad.ones(1, 2)).sum().backward()
    >>> gradients(model)["bias"].tolist()
    [1.0, 1.0, 1.0]
    """
    return {name: x.grad.array.flatten() for name, x in model.named_parameters() if x.grad is not None}


def activations(model: Module, *inputs: Any, **keywords: Any) -> Layers:
    """Return what the layers of a model put out for some inputs, as vectors, by the layers' names.

    Layers are modules without modules in them. One that is called several times gets a number behind its name. The
    model's running statistics and the random numbers are afterwards what they were.

    Args:
        model: called once, without gradients.
        inputs, keywords: its arguments.

    >>> import autodiff as ad
    >>> from autodiff.landscape import activations
    >>> model = ad.nn.Sequential(ad.nn.Linear(2, 3), ad.nn.ReLU())
    >>> {name: values.shape for name, values in activations(model, ad.ones(4, 2)).items()}
    {'0': (12,), '1': (12,)}
    """
    found: Layers = {}
    handles = []

    def note(name: str, output: Any) -> None:
        for x in tensors_in(output):
            key, times = name, 1
            while key in found:
                times += 1
                key = f"{name} ({times})"
            found[key] = x.array.flatten()

    try:
        for name, module in model.named_modules():
            if not list(module.children()):
                label = name or type(module).__name__
                handles.append(module.register_forward_hook(lambda _, __, output, label=label: note(label, output)))
        with kept(model):
            model(*inputs, **keywords)
    finally:
        for handle in handles:
            handle.remove()
    return found
