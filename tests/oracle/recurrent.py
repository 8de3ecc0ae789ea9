"""Recurrent cells and layers, in PyTorch's gate order and with its list of weights.

`params` holds for each layer, and in it for each direction: w_ih (gates hidden, features), w_hh (gates hidden, hidden)
and, with has_biases, b_ih and b_hh. Layers run without dropout. Sequences are (time, batch, features).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .arrays import Array, array, ieee
from .elementwise import sigmoid
from .products import linear


@ieee
def lstm_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> tuple[Array, Array]:
    """Gates in the order input, forget, cell, output: Hochreiter and Schmidhuber 1997, Gers et al. 2000."""
    h, c = array(hx[0]), array(hx[1])
    gates = linear(input, w_ih, b_ih) + linear(h, w_hh, b_hh)
    i, f, g, o = np.split(gates, 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


@ieee
def gru_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Array:
    """Gates in the order reset, update, new: Cho et al. 2014, with the reset applied after the product with w_hh."""
    h = array(hx)
    from_input = np.split(linear(input, w_ih, b_ih), 3, axis=-1)
    from_hidden = np.split(linear(h, w_hh, b_hh), 3, axis=-1)
    r = sigmoid(from_input[0] + from_hidden[0])
    z = sigmoid(from_input[1] + from_hidden[1])
    n = np.tanh(from_input[2] + r * from_hidden[2])
    return (1 - z) * n + z * h


@ieee
def rnn_tanh_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Array:
    return np.tanh(linear(input, w_ih, b_ih) + linear(hx, w_hh, b_hh))


@ieee
def rnn_relu_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Array:
    return np.maximum(linear(input, w_ih, b_ih) + linear(hx, w_hh, b_hh), 0)


def _layers(
    step: Callable[..., tuple[Array, ...]],
    input: Any,
    states: tuple[Array, ...],
    params: Any,
    has_biases: bool,
    num_layers: int,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Array, list[Array]]:
    """Run `step(x, states, *weights)` over time for each layer and direction; states are (layers directions, N, H)."""
    x = array(input)
    batched = x.ndim == 3
    if not batched:
        x, states = x[:, None], tuple(s[:, None] for s in states)
    elif batch_first:
        x = np.swapaxes(x, 0, 1)
    directions, count = (2 if bidirectional else 1), (4 if has_biases else 2)
    last: list[list[Array]] = [[] for _ in states]
    for layer in range(num_layers):
        outputs = []
        for direction in range(directions):
            which = layer * directions + direction
            weights = params[which * count : (which + 1) * count]
            state = tuple(s[which] for s in states)
            made = []
            for frame in x if direction == 0 else x[::-1]:
                state = step(frame, state, *weights)
                made.append(state[0])
            outputs.append(np.stack(made if direction == 0 else made[::-1]))
            for kept, s in zip(last, state, strict=True):
                kept.append(s)
        x = np.concatenate(outputs, axis=-1)
    finals = [np.stack(kept) for kept in last]
    if not batched:
        return x[:, 0], [s[:, 0] for s in finals]
    return (np.swapaxes(x, 0, 1) if batch_first else x), finals


def lstm(
    input: Any,
    hx: Any,
    params: Any,
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Array, Array, Array]:
    """Return the outputs of the last layer, and the last hidden and cell states of all layers."""
    states = (array(hx[0]), array(hx[1]))
    out, (h, c) = _layers(lstm_cell, input, states, params, has_biases, num_layers, bidirectional, batch_first)
    return out, h, c


def _one_state(
    cell: Callable[..., Array],
    input: Any,
    hx: Any,
    params: Any,
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Array, Array]:
    def step(x: Array, states: tuple[Array, ...], *weights: Any) -> tuple[Array, ...]:
        return (cell(x, states[0], *weights),)

    out, (h,) = _layers(step, input, (array(hx),), params, has_biases, num_layers, bidirectional, batch_first)
    return out, h


def gru(
    input: Any,
    hx: Any,
    params: Any,
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Array, Array]:
    """Return the outputs of the last layer and the last states of all layers."""
    return _one_state(gru_cell, input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first)


def rnn_tanh(
    input: Any,
    hx: Any,
    params: Any,
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Array, Array]:
    return _one_state(
        rnn_tanh_cell, input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first
    )


def rnn_relu(
    input: Any,
    hx: Any,
    params: Any,
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Array, Array]:
    return _one_state(
        rnn_relu_cell, input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first
    )
