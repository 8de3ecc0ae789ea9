"""Transformers: Vaswani et al., "Attention is all you need", 2017."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.creation import dtype_of, from_numpy
from autodiff.eager import Tensor
from autodiff.errors import ShapeError, ValueRangeError
from autodiff.nn import functional as F
from autodiff.nn import init
from autodiff.nn.module import Module
from autodiff.nn.modules.attention import MultiheadAttention
from autodiff.nn.modules.container import ModuleList
from autodiff.nn.modules.dropout import Dropout
from autodiff.nn.modules.linear import Linear
from autodiff.nn.modules.normalization import LayerNorm

Activation = Callable[[Tensor], Tensor]


def _activation(chosen: str | Activation) -> Activation:
    """Return the function of this name; a function as it is.

    Raises:
        ValueRangeError: for another name.
    """
    functions: dict[str, Activation] = {"relu": F.relu, "gelu": F.gelu}
    if isinstance(chosen, str):
        if chosen not in functions:
            raise ValueRangeError("TransformerLayer", "the activation does not exist",
                                  expected="'relu', 'gelu' or a function",
                                  got=repr(chosen))
        return functions[chosen]
    return chosen


class _Layer(Module):
    """What encoder and decoder layers have in common: the feed-forward block, and the place of the norms."""

    self_attn: MultiheadAttention
    multihead_attn: MultiheadAttention

    def __init__(
        self, d_model: int, nhead: int, dim_feedforward: int, dropout: float, activation: str | Activation,
        batch_first: bool, bias: bool, norm_first: bool, device: Any, dtype: Any, attentions: tuple[str, ...],
    ) -> None:
        super().__init__()
        for name in attentions:
            attention = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, device=device,
                                           dtype=dtype)
            self.add_module(name, attention)
        self.linear1 = Linear(d_model, dim_feedforward, bias=bias, device=device, dtype=dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias=bias, device=device, dtype=dtype)
        self.norm_first = norm_first
        self.activation = _activation(activation)

    def _feed_forward(self, x: Tensor) -> Any:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))

    def _residual(self, x: Tensor, norm: Module, drop: Module, block: Callable[[Tensor], Tensor]) -> Any:
        """Return ``norm(x + drop(block(x)))``, or ``x + drop(block(norm(x)))`` with the norm first."""
        if self.norm_first:
            return x + drop(block(norm(x)))
        return norm(x + drop(block(x)))

    @staticmethod
    def _attend(attention: Module, query: Tensor, source: Tensor | None, **masks: Any) -> Any:
        """Attend from the query to a source; to the query itself when None."""
        source = query if source is None else source
        return attention(query, source, source, need_weights=False, **masks)[0]


class TransformerEncoderLayer(_Layer):
    """Self-attention and a feed-forward block, each with a residual connection and layer norm.

    Args:
        d_model: features E.
        nhead: number of heads, a divisor of E.
        dim_feedforward: features between the two linear layers of the feed-forward block.
        dropout: probability of dropping, after attention, inside and after the feed-forward block.
        activation: ``"relu"``, ``"gelu"`` or a function.
        layer_norm_eps: added to the variance in the norms.
        batch_first: inputs and output are (N, L, E) instead of (L, N, E).
        norm_first: normalise before the blocks instead of after the additions.
        bias: add biases to all linear layers and norms.
        device: the CPU; accepted for PyTorch's sake.
        dtype: of the parameters; float32 by default.

    Raises:
        ValueRangeError: if the heads do not divide the features, or for an unknown activation.

    >>> import autodiff as ad
    >>> ad.nn.TransformerEncoderLayer(8, 2)(ad.ones(5, 1, 8)).shape
    (5, 1, 8)
    """

    def __init__(
        self, d_model: int, nhead: int, dim_feedforward: int = 2048, dropout: float = 0.1,
        activation: str | Activation = F.relu, layer_norm_eps: float = 1e-5, batch_first: bool = False,
        norm_first: bool = False, bias: bool = True, device: Any = None, dtype: Any = None,
    ) -> None:
        super().__init__(d_model, nhead, dim_feedforward, dropout, activation, batch_first, bias, norm_first, device,
                         dtype, ("self_attn",))
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)

    def forward(
        self, src: Tensor, src_mask: Tensor | None = None, src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Return the new features; masks as for `MultiheadAttention`: True hides."""
        def attend(x: Tensor) -> Any:
            return self._attend(self.self_attn, x, None, attn_mask=src_mask, key_padding_mask=src_key_padding_mask,
                                is_causal=is_causal)

        x = self._residual(src, self.norm1, self.dropout1, attend)
        return self._residual(x, self.norm2, self.dropout2, self._feed_forward)  # type: ignore[no-any-return]


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention to a memory, and a feed-forward block, each with a residual connection and layer norm.

    Args:
        d_model: features E.
        nhead: number of heads, a divisor of E.
        dim_feedforward: features between the two linear layers of the feed-forward block.
        dropout: probability of dropping, after both attentions, inside and after the feed-forward block.
        activation: ``"relu"``, ``"gelu"`` or a function.
        layer_norm_eps: added to the variance in the norms.
        batch_first: inputs and output are (N, L, E) instead of (L, N, E).
        norm_first: normalise before the blocks instead of after the additions.
        bias: add biases to all linear layers and norms.
        device: the CPU; accepted for PyTorch's sake.
        dtype: of the parameters; float32 by default.

    Raises:
        ValueRangeError: if the heads do not divide the features, or for an unknown activation.

    >>> import autodiff as ad
    >>> ad.nn.TransformerDecoderLayer(8, 2)(ad.ones(5, 1, 8), ad.ones(7, 1, 8)).shape
    (5, 1, 8)
    """

    def __init__(
        self, d_model: int, nhead: int, dim_feedforward: int = 2048, dropout: float = 0.1,
        activation: str | Activation = F.relu, layer_norm_eps: float = 1e-5, batch_first: bool = False,
        norm_first: bool = False, bias: bool = True, device: Any = None, dtype: Any = None,
    ) -> None:
        super().__init__(d_model, nhead, dim_feedforward, dropout, activation, batch_first, bias, norm_first, device,
                         dtype, ("self_attn", "multihead_attn"))
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype)
        self.norm3 = LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.dropout3 = Dropout(dropout)

    def forward(
        self, tgt: Tensor, memory: Tensor, tgt_mask: Tensor | None = None, memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None, memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False, memory_is_causal: bool = False,
    ) -> Tensor:
        """Return the new features of the target; masks as for `MultiheadAttention`: True hides."""
        def attend_to_self(x: Tensor) -> Any:
            return self._attend(self.self_attn, x, None, attn_mask=tgt_mask, key_padding_mask=tgt_key_padding_mask,
                                is_causal=tgt_is_causal)

        def attend_to_memory(x: Tensor) -> Any:
            return self._attend(self.multihead_attn, x, memory, attn_mask=memory_mask,
                                key_padding_mask=memory_key_padding_mask, is_causal=memory_is_causal)

        x = self._residual(tgt, self.norm1, self.dropout1, attend_to_self)
        x = self._residual(x, self.norm2, self.dropout2, attend_to_memory)
        return self._residual(x, self.norm3, self.dropout3, self._feed_forward)  # type: ignore[no-any-return]


def _copies(layer: Module, count: int) -> ModuleList:
    return ModuleList([copy.deepcopy(layer) for _ in range(count)])


class TransformerEncoder(Module):
    """A stack of copies of an encoder layer.

    Args:
        encoder_layer: the layer; all copies begin with its parameters.
        num_layers: number of copies.
        norm: applied to the result, or None.
        enable_nested_tensor: accepted for PyTorch's sake.
        mask_check: accepted for PyTorch's sake.

    >>> import autodiff as ad
    >>> layer = ad.nn.TransformerEncoderLayer(8, 2, 16)
    >>> ad.nn.TransformerEncoder(layer, 3)(ad.ones(5, 1, 8)).shape
    (5, 1, 8)
    """

    def __init__(
        self, encoder_layer: Module, num_layers: int, norm: Module | None = None, enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self.layers = _copies(encoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self, src: Tensor, mask: Tensor | None = None, src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        """Return the features after all layers; masks as for `MultiheadAttention`: True hides."""
        x: Any = src
        for layer in self.layers:
            x = layer(x, mask, src_key_padding_mask, bool(is_causal))
        return x if self.norm is None else self.norm(x)  # type: ignore[no-any-return]


class TransformerDecoder(Module):
    """A stack of copies of a decoder layer.

    Args:
        decoder_layer: the layer; all copies begin with its parameters.
        num_layers: number of copies.
        norm: applied to the result, or None.

    >>> import autodiff as ad
    >>> layer = ad.nn.TransformerDecoderLayer(8, 2, 16)
    >>> ad.nn.TransformerDecoder(layer, 3)(ad.ones(5, 1, 8), ad.ones(7, 1, 8)).shape
    (5, 1, 8)
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self.layers = _copies(decoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self, tgt: Tensor, memory: Tensor, tgt_mask: Tensor | None = None, memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None, memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None, memory_is_causal: bool = False,
    ) -> Tensor:
        """Return the features after all layers; masks as for `MultiheadAttention`: True hides."""
        x: Any = tgt
        for layer in self.layers:
            x = layer(x, memory, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask,
                      bool(tgt_is_causal),
                      memory_is_causal)
        return x if self.norm is None else self.norm(x)  # type: ignore[no-any-return]


class Transformer(Module):
    """An encoder and a decoder that attends to its result.

    Args:
        d_model: features E.
        nhead: number of heads, a divisor of E.
        num_encoder_layers: number of encoder layers.
        num_decoder_layers: number of decoder layers.
        dim_feedforward: features between the two linear layers of the feed-forward blocks.
        dropout: probability of dropping.
        activation: ``"relu"``, ``"gelu"`` or a function.
        custom_encoder: used instead of an own encoder.
        custom_decoder: used instead of an own decoder.
        layer_norm_eps: added to the variance in the norms.
        batch_first: inputs and output are (N, L, E) instead of (L, N, E).
        norm_first: normalise before the blocks instead of after the additions.
        bias: add biases to all linear layers and norms.
        device: the CPU; accepted for PyTorch's sake.
        dtype: of the parameters; float32 by default.

    Raises:
        ValueRangeError: if the heads do not divide the features, or for an unknown activation.

    >>> import autodiff as ad
    >>> net = ad.nn.Transformer(8, 2, 1, 1, 16)
    >>> net(ad.ones(7, 1, 8), ad.ones(5, 1, 8)).shape
    (5, 1, 8)
    """

    def __init__(
        self, d_model: int = 512, nhead: int = 8, num_encoder_layers: int = 6, num_decoder_layers: int = 6,
        dim_feedforward: int = 2048, dropout: float = 0.1, activation: str | Activation = F.relu,
        custom_encoder: Any = None, custom_decoder: Any = None, layer_norm_eps: float = 1e-5, batch_first: bool = False,
        norm_first: bool = False, bias: bool = True, device: Any = None, dtype: Any = None,
    ) -> None:
        super().__init__()
        layer: Any = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first,
                      bias, device, dtype)

        def norm() -> LayerNorm:
            return LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype)

        self.encoder = custom_encoder or TransformerEncoder(TransformerEncoderLayer(*layer), num_encoder_layers, norm())
        self.decoder = custom_decoder or TransformerDecoder(TransformerDecoderLayer(*layer), num_decoder_layers, norm())
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter)

    def forward(
        self, src: Tensor, tgt: Tensor, src_mask: Tensor | None = None, tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None, src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None, memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None, tgt_is_causal: bool | None = None, memory_is_causal: bool = False,
    ) -> Tensor:
        """Return the features of the target; masks as for `MultiheadAttention`: True hides.

        Raises:
            ShapeError: if source and target have different batches or other features than `d_model`.
        """
        batch = slice(0, 1) if self.batch_first else slice(1, 2)
        if src.ndim == 3 and src.shape[batch] != tgt.shape[batch]:
            raise ShapeError("Transformer", "source and target have different batches", expected=str(src.shape),
                             got=str(tgt.shape))
        if src.shape[-1] != self.d_model or tgt.shape[-1] != self.d_model:
            raise ShapeError("Transformer", "the features are not d_model", expected=f"(..., {self.d_model})",
                             got=f"{src.shape} and {tgt.shape}")
        memory = self.encoder(src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal)
        return self.decoder(  # type: ignore[no-any-return]
            tgt, memory, tgt_mask=tgt_mask, memory_mask=memory_mask, tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask, tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Tensor:
        """Return the mask (sz, sz) that hides the future: -infinity above the diagonal, 0 elsewhere.

        >>> import autodiff as ad
        >>> ad.nn.Transformer.generate_square_subsequent_mask(2)
        tensor([[0., -inf],
                [0., 0.]])
        """
        return from_numpy(np.triu(np.full((sz, sz), -math.inf, dtype_of(dtype)), 1))
