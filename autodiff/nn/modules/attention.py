"""Attention with several heads and learned projections."""

from __future__ import annotations

from typing import Any

from autodiff.eager import Tensor
from autodiff.nn import functional as F
from autodiff.nn import init
from autodiff.nn.module import Module
from autodiff.nn.modules.common import require
from autodiff.nn.modules.linear import NonDynamicallyQuantizableLinear
from autodiff.nn.parameter import Parameter, uninitialised


class MultiheadAttention(Module):
    """`functional.multi_head_attention_forward` with learned projections.

    Args:
        embed_dim: features E of query and output.
        num_heads: H, a divisor of E.
        dropout: probability of dropping an attention weight while training.
        bias: add biases to the projections.
        add_bias_kv: learn one more key and value that stand at the end of every sequence.
        add_zero_attn: add one more key and value of zeros.
        kdim: features of the keys; E by default.
        vdim: features of the values; E by default.
        batch_first: inputs and output are (N, L, E) instead of (L, N, E).
        device: the CPU; accepted for PyTorch's sake.
        dtype: of the parameters; float32 by default.

    Attributes:
        in_proj_weight: (3 E, E), Glorot's uniform at first; None when keys or values have other features, and then
            q_proj_weight (E, E), k_proj_weight (E, kdim), v_proj_weight (E, vdim).
        in_proj_bias: (3 E,), 0 at first; None without.
        out_proj: a `Linear` from E to E.
        bias_k, bias_v: (1, 1, E), or None.

    Raises:
        ValueRangeError: if the heads do not divide the features.

    Source: Vaswani et al., "Attention is all you need", 2017, section 3.2.2.

    >>> import autodiff as ad
    >>> x = ad.ones(5, 1, 4)
    >>> output, weights = ad.nn.MultiheadAttention(4, 2)(x, x, x)
    >>> output.shape, weights.shape
    ((5, 1, 4), (1, 5, 5))
    """

    in_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None
    bias_k: Parameter | None
    bias_v: Parameter | None

    def __init__(
        self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True, add_bias_kv: bool = False,
        add_zero_attn: bool = False, kdim: int | None = None, vdim: int | None = None, batch_first: bool = False,
        device: Any = None, dtype: Any = None,
    ) -> None:
        super().__init__()
        require("MultiheadAttention", embed_dim > 0 and num_heads > 0, "embed_dim and num_heads must be positive",
                (embed_dim, num_heads))
        require("MultiheadAttention", embed_dim % num_heads == 0, f"embed_dim is no multiple of num_heads={num_heads}",
                embed_dim)
        self.embed_dim = embed_dim
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.num_heads = num_heads
        self.head_dim = embed_dim // num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.add_zero_attn = add_zero_attn
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim

        def parameter(name: str, wanted: bool, *shape: int) -> None:
            made = uninitialised(*shape, dtype=dtype, device=device) if wanted else None
            self.register_parameter(name, made)

        for letter, features in (("q", embed_dim), ("k", self.kdim), ("v", self.vdim)):
            parameter(f"{letter}_proj_weight", not self._qkv_same_embed_dim, embed_dim, features)
        parameter("in_proj_weight", self._qkv_same_embed_dim, 3 * embed_dim, embed_dim)
        parameter("in_proj_bias", bias, 3 * embed_dim)
        self.out_proj = NonDynamicallyQuantizableLinear(embed_dim, embed_dim, bias=bias, device=device, dtype=dtype)
        parameter("bias_k", add_bias_kv, 1, 1, embed_dim)
        parameter("bias_v", add_bias_kv, 1, 1, embed_dim)
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)
        for extra in (self.bias_k, self.bias_v):
            if extra is not None:
                init.xavier_normal_(extra)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, key_padding_mask: Tensor | None = None,
        need_weights: bool = True, attn_mask: Tensor | None = None, average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the output and, if wanted, the weights; arguments as for `functional.multi_head_attention_forward`."""
        return F.multi_head_attention_forward(
            query, key, value, self.embed_dim, self.num_heads, self.in_proj_weight, self.in_proj_bias, self.bias_k,
            self.bias_v,
            self.add_zero_attn, self.dropout, self.out_proj.weight, self.out_proj.bias, training=self.training,
            key_padding_mask=key_padding_mask, need_weights=need_weights, attn_mask=attn_mask,
            use_separate_proj_weight=not self._qkv_same_embed_dim, q_proj_weight=self.q_proj_weight,
            k_proj_weight=self.k_proj_weight, v_proj_weight=self.v_proj_weight,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal, batch_first=self.batch_first,
        )
