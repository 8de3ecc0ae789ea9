"""Recurrent layers and cells: weights, in PyTorch's layout, for `lstm`, `gru`, `rnn_tanh` and `rnn_relu`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

from autodiff import ops
from autodiff.arguments import number
from autodiff.creation import zeros
from autodiff.eager import Tensor
from autodiff.errors import DTypeError
from autodiff.nn import init
from autodiff.nn.module import Module
from autodiff.nn.modules.common import counts, require
from autodiff.nn.parameter import Parameter, uninitialised
from autodiff.nn.utils.rnn import PackedSequence

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "LSTM": ops.lstm, "GRU": ops.gru, "RNN_TANH": ops.rnn_tanh, "RNN_RELU": ops.rnn_relu,
}


class RNNBase(Module):
    """What the recurrent layers have in common: their weights, and the states they begin with.

    Args:
        mode: ``"LSTM"``, ``"GRU"``, ``"RNN_TANH"`` or ``"RNN_RELU"``.
        input_size: number of features F of a step.
        hidden_size: number of features H of the state.
        num_layers: number of layers; each reads the outputs of the one before.
        bias: add biases.
        batch_first: input and output are (batch, time, features).
        dropout: probability of dropping an element between layers while training.
        bidirectional: run every layer in both directions, and join their outputs.
        proj_size: 0; projections are not supported.
        device: the CPU; accepted for PyTorch's sake.
        dtype: of the parameters; float32 by default.
    """

    _gates: ClassVar[dict[str, int]] = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}

    def __init__(
        self, mode: str, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0,
        device: Any = None, dtype: Any = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        counts(name, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        require(name, hidden_size > 0, "hidden_size must be positive", hidden_size)
        require(name, num_layers > 0, "num_layers must be positive", num_layers)
        require(name, 0 <= number(name, "dropout", dropout) <= 1, "the probability of dropping is outside 0 to 1",
                dropout)
        require(name, proj_size == 0, "projections are not supported", proj_size)
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        rows, directions = self._gates[mode] * hidden_size, 2 if bidirectional else 1
        for layer in range(num_layers):
            features = input_size if layer == 0 else directions * hidden_size
            for suffix in ("", "_reverse")[:directions]:
                shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, features), "weight_hh": (rows, hidden_size)}
                if bias:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                for kind, shape in shapes.items():
                    self.register_parameter(f"{kind}_l{layer}{suffix}",
                                            uninitialised(*shape, dtype=dtype, device=device))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew: uniform on ±1 / sqrt(H)."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def flatten_parameters(self) -> None:
        """Do nothing: parameters need not lie together in memory here."""

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters, one list for each layer and direction."""
        weights: list[Any] = list(self._parameters.values())
        count = 4 if self.bias else 2
        return [weights[at:at + count] for at in range(0, len(weights), count)]

    def _states(self) -> int:
        return 2 if self.mode == "LSTM" else 1

    def _first_state(self, x: Tensor, batch: tuple[int, ...]) -> Tensor:
        layers = self.num_layers * (2 if self.bidirectional else 1)
        return zeros(layers, *batch, self.hidden_size, dtype=x.dtype)

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """Return the outputs of the last layer, and the last states of all layers: (h, c) for an LSTM."""
        packed = input if isinstance(input, PackedSequence) else None
        x: Tensor = input.data if packed else input
        if packed:
            batch: tuple[int, ...] = (int(packed.batch_sizes[0]),)
        else:
            batch = (x.shape[0 if self.batch_first else 1],) if x.ndim == 3 else ()
        states: tuple[Tensor, ...] = (self._first_state(x, batch),) * self._states() if hx is None else self._given(hx)
        if packed and packed.sorted_indices is not None and hx is not None:
            states = tuple([ops.index_select(state, 1, packed.sorted_indices) for state in states])
        sizes = tuple(packed.batch_sizes.tolist()) if packed else None
        out, *last = _FUNCTIONS[self.mode](
            x, states if len(states) == 2 else states[0], list(self._parameters.values()), self.bias, self.num_layers,
            self.dropout, self.training, self.bidirectional, self.batch_first and not packed, sizes,
        )
        if packed:
            out = PackedSequence(out, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)
            if packed.unsorted_indices is not None:
                last = [ops.index_select(state, 1, packed.unsorted_indices) for state in last]
        return out, tuple(last) if len(last) == 2 else last[0]

    def _given(self, hx: Any) -> tuple[Tensor, ...]:
        """Return the caller's first states as a tuple.

        Raises:
            DTypeError: if an LSTM does not get two.
        """
        if self._states() == 1:
            return (hx,)
        if not isinstance(hx, tuple | list) or len(hx) != 2:
            raise DTypeError("LSTM", "the first state is no pair", expected="(h, c)", got=type(hx).__name__)
        return tuple(hx)

    def extra_repr(self) -> str:
        parts = [f"{self.input_size}, {self.hidden_size}"]
        parts += [f"num_layers={self.num_layers}"] if self.num_layers != 1 else []
        parts += [f"bias={self.bias}"] if not self.bias else []
        parts += [f"batch_first={self.batch_first}"] if self.batch_first else []
        parts += [f"dropout={self.dropout}"] if self.dropout else []
        parts += [f"bidirectional={self.bidirectional}"] if self.bidirectional else []
        return ", ".join(parts)


class RNN(RNNBase):
    """Layers of Elman's network: ``h' = tanh(w_ih x + b_ih + w_hh h + b_hh)``.

    Args:
        input_size: number of features F of a step.
        hidden_size: number of features H of the state.
        num_layers: number of layers; each reads the outputs of the one before.
        nonlinearity: ``"tanh"`` or ``"relu"``.
        bias: add biases.
        batch_first: input and output are (batch, time, features).
        dropout: probability of dropping an element between layers while training.
        bidirectional: run every layer in both directions, and join their outputs.
        device: the CPU; accepted for PyTorch's sake.
        dtype: of the parameters; float32 by default.

    Attributes:
        weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, ...: see `rnn_tanh`; uniform on ±1 / sqrt(H) at first.

    Calling it with (T, N, F) or (T, F), or a `PackedSequence`, and optionally first states gives the outputs of the
    last layer and the last states of all layers.

    Raises:
        ValueRangeError: for an unknown nonlinearity or sizes that are not positive.

    >>> import autodiff as ad
    >>> output, h = ad.nn.RNN(2, 3)(ad.ones(4, 1, 2))
    >>> output.shape, h.shape
    ((4, 1, 3), (1, 1, 3))
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh", bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, device: Any = None,
        dtype: Any = None,
    ) -> None:
        require("RNN", nonlinearity in ("tanh", "relu"), "the nonlinearity is neither 'tanh' nor 'relu'", nonlinearity)
        super().__init__(f"RNN_{nonlinearity.upper()}", input_size, hidden_size, num_layers, bias, batch_first, dropout,
                         bidirectional, 0, device, dtype)
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """Layers of long short-term memory: a step is `lstm_cell`.

    Args:
        input_size: number of features F of a step.
        hidden_size: number of features H of the state.
        num_layers: number of layers; each reads the outputs of the one before.
        bias: add biases.
        batch_first: input and output are (batch, time, features).
        dropout: probability of dropping an element between layers while training.
        bidirectional: run every layer in both directions, and join their outputs.
        proj_size: 0; projections are not supported.
        device: the CPU; accepted for PyTorch's sake.
        dtype: of the parameters; float32 by default.

    Attributes:
        weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, ...: see `lstm`; uniform on ±1 / sqrt(H) at first.

    Calling it with (T, N, F) or (T, F), or a `PackedSequence`, and optionally first states (h, c) gives the outputs of
    the last layer and the last states (h, c) of all layers.

    Raises:
        ValueRangeError: for sizes that are not positive, or a projection.

    >>> import autodiff as ad
    >>> output, (h, c) = ad.nn.LSTM(2, 3, num_layers=2)(ad.ones(4, 1, 2))
    >>> output.shape, h.shape
    ((4, 1, 3), (2, 1, 3))
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0, device: Any = None, dtype: Any = None,
    ) -> None:
        super().__init__("LSTM", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
                         proj_size, device, dtype)


class GRU(RNNBase):
    """Layers of gated recurrent units: a step is `gru_cell`.

    Args:
        input_size: number of features F of a step.
        hidden_size: number of features H of the state.
        num_layers: number of layers; each reads the outputs of the one before.
        bias: add biases.
        batch_first: input and output are (batch, time, features).
        dropout: probability of dropping an element between layers while training.
        bidirectional: run every layer in both directions, and join their outputs.
        device: the CPU; accepted for PyTorch's sake.
        dtype: of the parameters; float32 by default.

    Attributes:
        weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, ...: see `gru`; uniform on ±1 / sqrt(H) at first.

    Calling it with (T, N, F) or (T, F), or a `PackedSequence`, and optionally first states gives the outputs of the
    last layer and the last states of all layers.

    Raises:
        ValueRangeError: for sizes that are not positive.

    >>> import autodiff as ad
    >>> output, h = ad.nn.GRU(2, 3, bidirectional=True)(ad.ones(4, 1, 2))
    >>> output.shape, h.shape
    ((4, 1, 6), (2, 1, 3))
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, device: Any = None, dtype: Any = None,
    ) -> None:
        super().__init__("GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0,
                         device, dtype)


# ---- Cells -----------------------------------------------------------------------------------------------------------


class RNNCellBase(Module):
    """What the cells have in common: weights of one step.

    Args:
        input_size: number of features F of a step.
        hidden_size: number of features H of the state.
        bias: add biases.
        num_chunks: number of gates.
        device: the CPU; accepted for PyTorch's sake.
        dtype: of the parameters; float32 by default.
    """

    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool, num_chunks: int, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = num_chunks * hidden_size
        self.weight_ih = uninitialised(rows, input_size, dtype=dtype, device=device)
        self.weight_hh = uninitialised(rows, hidden_size, dtype=dtype, device=device)
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, uninitialised(rows, dtype=dtype, device=device) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew: uniform on ±1 / sqrt(H)."""
        bound = 1 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def _first_state(self, input: Tensor) -> Tensor:
        return zeros(*input.shape[:-1], self.hidden_size, dtype=input.dtype)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(RNNCellBase):
    """One step of `RNN`: `rnn_tanh_cell` or `rnn_relu_cell` with learned weights.

    Args:
        input_size: number of features F of a step.
        hidden_size: number of features H of the state.
        bias: add biases.
        nonlinearity: ``"tanh"`` or ``"relu"``.
        device: the CPU; accepted for PyTorch's sake.
        dtype: of the parameters; float32 by default.

    Attributes:
        weight_ih: (H, F).
        weight_hh: (H, H).
        bias_ih, bias_hh: (H,).

    Raises:
        ValueRangeError: for an unknown nonlinearity.

    >>> import autodiff as ad
    >>> ad.nn.RNNCell(2, 3)(ad.ones(1, 2)).shape
    (1, 3)
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh", device: Any = None,
        dtype: Any = None,
    ) -> None:
        require("RNNCell", nonlinearity in ("tanh", "relu"), "the nonlinearity is neither 'tanh' nor 'relu'",
                nonlinearity)
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        cell = ops.rnn_tanh_cell if self.nonlinearity == "tanh" else ops.rnn_relu_cell
        state = self._first_state(input) if hx is None else hx
        return cell(input, state, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}")


class LSTMCell(RNNCellBase):
    """One step of `LSTM`: `lstm_cell` with learned weights; takes and returns the state as (h, c).

    Args:
        input_size: number of features F of a step.
        hidden_size: number of features H of the state.
        bias: add biases.
        device: the CPU; accepted for PyTorch's sake.
        dtype: of the parameters; float32 by default.

    Attributes:
        weight_ih: (4 H, F).
        weight_hh: (4 H, H).
        bias_ih, bias_hh: (4 H,).

    >>> import autodiff as ad
    >>> h, c = ad.nn.LSTMCell(2, 3)(ad.ones(1, 2))
    >>> h.shape
    (1, 3)
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None,
                 dtype: Any = None) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        if hx is None:
            state = self._first_state(input)
            hx = (state, state)
        return ops.lstm_cell(input, hx, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)


class GRUCell(RNNCellBase):
    """One step of `GRU`: `gru_cell` with learned weights.

    Args:
        input_size: number of features F of a step.
        hidden_size: number of features H of the state.
        bias: add biases.
        device: the CPU; accepted for PyTorch's sake.
        dtype: of the parameters; float32 by default.

    Attributes:
        weight_ih: (3 H, F).
        weight_hh: (3 H, H).
        bias_ih, bias_hh: (3 H,).

    >>> import autodiff as ad
    >>> ad.nn.GRUCell(2, 3)(ad.ones(1, 2)).shape
    (1, 3)
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None,
                 dtype: Any = None) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        state = self._first_state(input) if hx is None else hx
        return ops.gru_cell(input, state, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
