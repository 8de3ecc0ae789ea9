"""Every module of `nn`: it runs, its state makes a round trip, its parameters learn, and it agrees with PyTorch's.

The table holds calls for every class that `nn` exports; a class without one fails the gate.
"""

from __future__ import annotations

import importlib.util
import inspect
import re
from typing import Any, NamedTuple

import numpy as np
import pytest

import autodiff as ad
from autodiff import nn

HAS_TORCH = importlib.util.find_spec("torch") is not None


class Call(NamedTuple):
    """A module and what it is called on. Arguments may hold other calls: modules given to modules."""

    name: str
    args: tuple[Any, ...]
    keywords: dict[str, Any]
    inputs: tuple[Any, ...]
    options: dict[str, Any]


CALLS: list[Call] = []
_rng = np.random.default_rng(0)


def numbers(*shape: int, low: float = -2.0, high: float = 2.0) -> Any:
    """Return irregular float32 numbers, away from the points where activations have a corner."""
    return (_rng.uniform(low, high, shape) + 1e-3).astype(np.float32)


def classes(*shape: int, count: int = 3) -> Any:
    return _rng.integers(0, count, shape)


def signs(*shape: int) -> Any:
    return np.where(_rng.uniform(size=shape) < 0.5, -1, 1).astype(np.float32)


def module(name: str, *args: Any, **keywords: Any) -> Call:
    return Call(name, args, keywords, (), {})


def case(call: Call, *inputs: Any, **options: Any) -> None:
    CALLS.append(call._replace(inputs=inputs, options=options))


x = numbers(4, 3)
case(module("Identity", 5, any=True), x)
case(module("Linear", 3, 2), x)
case(module("Linear", 3, 2, bias=False), numbers(2, 4, 3))
case(module("Bilinear", 3, 2, 4), x, numbers(4, 2))
for name in ("ReLU", "SELU", "SiLU", "Mish", "Hardswish", "Hardsigmoid", "Hardtanh", "ReLU6", "LeakyReLU", "ELU",
             "CELU"):
    case(module(name), numbers(4, 5, low=-7, high=7))
    case(module(name, inplace=True), numbers(4, 5, low=-7, high=7))
for name in ("GELU", "Sigmoid", "Tanh", "LogSigmoid", "Softsign", "Tanhshrink", "Softplus", "Hardshrink", "Softshrink"):
    case(module(name), numbers(4, 5))
case(module("GELU", "tanh"), x)
case(module("Hardtanh", -0.5, 1.5), x)
case(module("LeakyReLU", 0.3), x)
case(module("ELU", 0.5), x)
case(module("CELU", 0.5), x)
case(module("Softplus", 2.0, 1.0), x)
case(module("Hardshrink", 0.9), x)
case(module("Threshold", 0.5, 3.0), x)
case(module("PReLU"), x)
case(module("PReLU", 3, init=0.1), numbers(2, 3, 4))
case(module("GLU", 1), numbers(3, 4))
for name in ("Softmax", "Softmin", "LogSoftmax"):
    case(module(name, dim=1), x)
case(module("Softmax2d"), numbers(2, 3, 4, 2))

case(module("MultiheadAttention", 4, 2), numbers(5, 2, 4), numbers(3, 2, 4), numbers(3, 2, 4))
case(module("MultiheadAttention", 4, 2, bias=False, add_zero_attn=True, batch_first=True), *[numbers(2, 5, 4)] * 3)
case(module("MultiheadAttention", 4, 1, add_bias_kv=True, kdim=3, vdim=2), numbers(5, 2, 4), numbers(3, 2, 3),
     numbers(3, 2, 2))
case(module("MultiheadAttention", 4, 2), numbers(5, 4), numbers(3, 4), numbers(3, 4), need_weights=False,
     attn_mask=np.triu(np.ones((5, 3), bool), 1))
case(module("MultiheadAttention", 4, 2, batch_first=True), *[numbers(2, 3, 4)] * 3, average_attn_weights=False,
     key_padding_mask=np.array([[False, False, True], [False, True, True]]),
     attn_mask=np.triu(np.ones((3, 3), bool), 1))

image, sequence = numbers(2, 4, 6, 5), numbers(2, 4, 7)
case(module("Conv1d", 4, 6, 3), sequence)
case(module("Conv1d", 4, 6, 3, stride=2, padding=1, dilation=2, groups=2, bias=False), sequence)
case(module("Conv2d", 4, 6, 3), image)
case(module("Conv2d", 4, 6, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2), image)
case(module("Conv2d", 4, 2, 3, padding="same"), image)
for mode in ("reflect", "replicate", "circular"):
    case(module("Conv2d", 4, 2, (3, 2), padding=(1, 2), padding_mode=mode), image)
    case(module("Conv1d", 4, 2, 4, padding="same", padding_mode=mode), sequence)
case(module("ConvTranspose1d", 4, 6, 3, stride=2, padding=1, output_padding=1, groups=2), sequence)
case(module("ConvTranspose2d", 4, 3, (3, 2), stride=2, padding=1, bias=False), image)
case(module("ConvTranspose2d", 4, 3, 3, stride=2, padding=1), image, output_size=[12, 10])
volume = numbers(2, 4, 3, 5, 4)
case(module("Conv3d", 4, 6, 3, padding=1), volume)
case(module("Conv3d", 4, 6, (2, 3, 1), stride=(1, 2, 1), padding=(1, 0, 0), dilation=(1, 2, 1), groups=2), volume)
case(module("Conv3d", 4, 2, (3, 2, 3), padding="same", bias=False), volume)
for mode in ("reflect", "replicate", "circular"):
    case(module("Conv3d", 4, 2, 2, padding=1, padding_mode=mode), volume)
case(module("ConvTranspose3d", 4, 3, (3, 2, 2), stride=2, padding=1, bias=False), volume)
case(module("ConvTranspose3d", 4, 6, 3, stride=2, padding=1, groups=2), volume, output_size=[6, 10, 7])
case(module("AvgPool3d", 2, divisor_override=3), volume)
for name, data in (("1d", sequence), ("2d", image), ("3d", volume)):
    case(module(f"MaxPool{name}", 2), data)
    case(module(f"MaxPool{name}", 3, stride=2, padding=1, return_indices=True), data)
    case(module(f"AvgPool{name}", 2), data)
    case(module(f"AvgPool{name}", 3, stride=2, padding=1, ceil_mode=True, count_include_pad=False), data)
    case(module(f"AdaptiveAvgPool{name}", 3), data)
    case(module(f"AdaptiveMaxPool{name}", 2), data)
    case(module(f"BatchNorm{name}", 4), data)
    case(module(f"BatchNorm{name}", 4, eps=1e-3, momentum=None), data)
    case(module(f"BatchNorm{name}", 4, affine=False, track_running_stats=False), data)
    case(module(f"InstanceNorm{name}", 4), data)
    case(module(f"InstanceNorm{name}", 4, affine=True, track_running_stats=True), data)
case(module("AvgPool2d", (2, 3), divisor_override=4), image)
case(module("AdaptiveAvgPool2d", (None, 2)), image)
case(module("BatchNorm1d", 3), x)
case(module("LayerNorm", 5), image)
case(module("LayerNorm", [6, 5], eps=1e-3, bias=False), image)
case(module("LayerNorm", 5, elementwise_affine=False), image)
case(module("RMSNorm", 5), image)
case(module("GroupNorm", 2, 4), image)
case(module("GroupNorm", 1, 4, affine=False), sequence)
case(module("LocalResponseNorm", 3, alpha=0.1), image)
for name, data in (("Dropout", x), ("Dropout1d", sequence), ("Dropout2d", image), ("Dropout3d", volume),
                   ("AlphaDropout", x)):
    case(module(name, 0.4), data, evaluate=True)
case(module("Embedding", 7, 3), classes(2, 4, count=7))
case(module("Embedding", 7, 3, padding_idx=-1), np.array([6, 1, 6]))

steps = numbers(5, 2, 3)
for name, states in (("LSTM", 2), ("GRU", 1), ("RNN", 1)):
    case(module(name, 3, 4), steps)
    state = tuple(numbers(4, 5, 4) for _ in range(states))
    case(module(name, 3, 4, num_layers=2, bidirectional=True, batch_first=True),
         steps.transpose(1, 0, 2)[[0, 1, 0, 1, 1]],
         state if states == 2 else state[0])
    case(module(name, 3, 4, bias=False, dropout=0.5, num_layers=2), steps[:, 0], evaluate=True)
    case(module(f"{name}Cell", 3, 4), x)
    state = tuple(numbers(4, 4) for _ in range(states))
    case(module(f"{name}Cell", 3, 4, bias=False), x, state if states == 2 else state[0])
case(module("RNN", 3, 4, nonlinearity="relu"), steps)
case(module("RNNCell", 3, 4, nonlinearity="relu"), x)

later = np.triu(np.ones((5, 5), bool), 1)
source, target = numbers(7, 2, 4), numbers(5, 2, 4)
for options in ({}, {"norm_first": True, "activation": "gelu", "batch_first": True},
                {"bias": False, "layer_norm_eps": 1e-3}):
    case(module("TransformerEncoderLayer", 4, 2, 6, 0.0, **options), target)
    case(module("TransformerDecoderLayer", 4, 2, 6, 0.0, **options), source, source)
case(module("TransformerEncoderLayer", 4, 2, 6), target, src_mask=later, is_causal=True, evaluate=True)
case(module("TransformerDecoderLayer", 4, 2, 6, 0.0), target, source, tgt_mask=later,
     memory_key_padding_mask=np.arange(14).reshape(2, 7) % 3 == 0)
case(module("TransformerEncoder", module("TransformerEncoderLayer", 4, 2, 6, 0.0), 2, module("LayerNorm", 4),
            enable_nested_tensor=False), target, mask=later)
case(module("TransformerDecoder", module("TransformerDecoderLayer", 4, 2, 6, 0.0), 2), target, source, tgt_mask=later)
case(module("Transformer", 4, 2, 1, 2, 6, 0.0), source, target, tgt_mask=later)
case(module("Transformer", 4, 1, 1, 1, 6, 0.0, batch_first=True, norm_first=True, bias=False), source[:5], target)

for name in ("ReflectionPad", "ReplicationPad", "CircularPad", "ZeroPad"):
    case(module(f"{name}1d", (1, 2)), sequence)
    case(module(f"{name}2d", 2), image)
    case(module(f"{name}2d", (1, 2, 0, 1)), image)
case(module("ConstantPad1d", 1, 3.5), sequence)
case(module("ConstantPad2d", (1, 0, 0, 2), -1.0), image)
case(module("ConstantPad3d", (1, 0, 0, 2, 1, 1), 2.5), volume)
case(module("ZeroPad3d", 1), volume)
for name in ("ReflectionPad3d", "ReplicationPad3d", "CircularPad3d"):
    case(module(name, (1, 2, 0, 1, 2, 0)), volume)
case(module("Upsample", scale_factor=2), image)
case(module("Upsample", size=(9, 7), mode="bilinear", align_corners=True), image)
case(module("UpsamplingNearest2d", scale_factor=2), image)
case(module("UpsamplingBilinear2d", size=[7, 7]), image)
case(module("PixelShuffle", 2), image)
case(module("PixelUnshuffle", 2), numbers(2, 1, 4, 6))
case(module("Unfold", (2, 3), padding=1, stride=2), image)
case(module("Flatten"), image)
case(module("Flatten", 2, 3), image)
case(module("Unflatten", 1, (2, -1)), image)
case(module("CosineSimilarity"), x, numbers(4, 3))
case(module("PairwiseDistance", keepdim=True), x, numbers(4, 3))

y, probabilities = numbers(4, 3), numbers(4, 3, low=0.1, high=0.9)
for name in ("MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss"):
    for reduction in ("mean", "sum", "none"):
        case(module(name, reduction=reduction), x, y)
case(module("MSELoss", size_average=False), x, y)
case(module("SmoothL1Loss", beta=0.5), x, y)
case(module("HuberLoss", delta=0.5), x, y)
case(module("CrossEntropyLoss"), x, classes(4))
case(module("CrossEntropyLoss", weight=probabilities[0], label_smoothing=0.1, reduction="sum"), x, classes(4))
case(module("CrossEntropyLoss"), x, probabilities / probabilities.sum(1, keepdims=True))
case(module("NLLLoss", ignore_index=1), x, np.array([0, 1, 2, 1]))
case(module("NLLLoss", weight=probabilities[0]), x, classes(4))
case(module("BCELoss"), probabilities, probabilities[::-1])
case(module("BCELoss", weight=probabilities[0]), probabilities, probabilities[::-1])
case(module("BCEWithLogitsLoss", pos_weight=probabilities[0]), x, probabilities)
case(module("KLDivLoss", reduction="batchmean"), x, probabilities)
case(module("KLDivLoss", reduction="sum", log_target=True), x, y)
case(module("PoissonNLLLoss"), x, np.abs(y))
case(module("PoissonNLLLoss", log_input=False, full=True), np.abs(x), 2 * np.abs(y))
case(module("GaussianNLLLoss", full=True), x, y, probabilities)
case(module("SoftMarginLoss"), x, signs(4, 3), fixed=1)
case(module("MultiLabelSoftMarginLoss"), x, (signs(4, 3) + 1) / 2)
case(module("MultiLabelMarginLoss"), x, np.array([[2, 0, -1], [1, -1, 0], [-1, 0, 1], [0, 2, 1]]))
case(module("MultiMarginLoss", p=2, margin=0.5), x, classes(4))
case(module("MultiMarginLoss", weight=probabilities[0]), x, classes(4))
case(module("HingeEmbeddingLoss", margin=0.7), x, signs(4, 3))
case(module("CosineEmbeddingLoss", margin=0.1), x, y, signs(4))
case(module("MarginRankingLoss", margin=0.2), x, y, signs(4, 3))
case(module("TripletMarginLoss", swap=True), x, y, numbers(4, 3))

case(module("TripletMarginWithDistanceLoss", swap=True), x, y, numbers(4, 3))
case(module("Fold", (4, 5), 2), numbers(2, 12, 12))
case(module("Fold", 4, 2, stride=2), numbers(8, 4))
case(module("ChannelShuffle", 3), numbers(2, 6, 2, 2))
case(module("RReLU", 0.2, 0.2), x)
case(module("LPPool1d", 2, 3), np.abs(numbers(2, 3, 9)))
case(module("LPPool2d", 3, (2, 3), stride=1), np.abs(numbers(2, 3, 5, 6)))
case(module("LPPool3d", 2, 2), np.abs(numbers(1, 3, 2, 5, 6)))
case(module("MaxUnpool1d", 2), numbers(2, 3, 4), np.zeros((2, 3, 4), np.int64) + [1, 3, 4, 6])
case(module("MaxUnpool2d", (2, 1), padding=(1, 0)), numbers(2, 2, 3),
     np.zeros((2, 2, 3), np.int64) + [[0, 1, 5], [2, 3, 4]])
case(module("MaxUnpool3d", 2, stride=1), numbers(3, 1, 1, 2), np.zeros((3, 1, 1, 2), np.int64) + [4, 7])
for mode in ("sum", "mean", "max"):
    case(module("EmbeddingBag", 3, 2, mode=mode), classes(6), np.array([0, 2, 2]))
    case(module("EmbeddingBag", 3, 2, mode=mode, padding_idx=1), np.array([[1, 0], [2, 1]]))

case(module("Sequential", module("Linear", 3, 5), module("Tanh"), module("Linear", 5, 1)), x)

# Exported by nn, and not called by itself: containers have tests of their own, bases have none to call, and the
# gradient of CTCLoss is PyTorch's only behind LogSoftmax.
NOT_CALLED = {"Module", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict", "RNNBase", "RNNCellBase",
              "CTCLoss"}
IDS = [f"{call.name}-{i}" for i, call in enumerate(CALLS)]


def built(call: Call, library: Any, tensor: Any) -> Any:
    """Return the module of a call, made by `library`."""
    def resolve(value: Any) -> Any:
        if isinstance(value, Call):
            return built(value, library, tensor)
        return tensor(value) if isinstance(value, np.ndarray) else value

    args = [resolve(value) for value in call.args]
    return getattr(library, call.name)(*args, **{key: resolve(value) for key, value in call.keywords.items()})


def run(model: Any, call: Call, tensor: Any) -> tuple[list[Any], list[Any]]:
    """Call the module; return its float inputs, which require gradients, and its tensors of results.

    Options that are not the module's: `evaluate` calls it in evaluation mode, `fixed` is the position of an input that
    can have no gradient.
    """
    leaves: list[Any] = []
    own = dict(call.options)
    evaluate, fixed = own.pop("evaluate", False), own.pop("fixed", None)

    def resolve(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(resolve(item) for item in value)
        if not isinstance(value, np.ndarray):
            return value
        found = tensor(value.copy())
        if value.dtype.kind == "f":
            leaves.append(found.requires_grad_())
            if getattr(model, "inplace", False):
                found = found * 1
        return found

    # The same array twice is the same tensor twice, as in self-attention.
    made: dict[int, Any] = {}
    inputs = []
    for position, value in enumerate(call.inputs):
        if id(value) not in made:
            made[id(value)] = tensor(value) if position == fixed else resolve(value)
        inputs.append(made[id(value)])
    options = {key: resolve(value) for key, value in own.items()}
    model.train(not evaluate)
    results: list[Any] = []

    def collect(value: Any) -> None:
        if isinstance(value, tuple | list):
            for item in value:
                collect(item)
        elif value is not None:
            results.append(value)

    collect(model(*inputs, **options))
    return leaves, results


def backward(results: list[Any], tensor: Any) -> None:
    """Start from weights that differ for every element."""
    total: Any = 0
    for result in results:
        if result.requires_grad:
            size = int(np.prod(tuple(result.shape)))
            weights = np.cos(np.arange(size)).astype(np.float32).reshape(tuple(result.shape))
            total = total + (result * tensor(weights)).sum()
    total.backward()


def given_parameters(model: Any) -> dict[str, Any]:
    """Return numbers for the state of a module: other than those it begins with."""
    rng = np.random.default_rng(1)
    state: dict[str, Any] = {}
    learned = {name for name, _ in model.named_parameters()}
    for name, value in model.state_dict().items():
        array = value.numpy()
        if name in learned or "running" in name:
            low, high = (0.5, 1.5) if "running_var" in name else (-0.7, 0.7)
            array = rng.uniform(low, high, array.shape)
        state[name] = array.astype(value.numpy().dtype)
    return state


def test_every_exported_module_has_a_call() -> None:
    exported = {name for name in nn.__all__ if inspect.isclass(getattr(nn, name)) and issubclass(getattr(nn, name),
                                                                                                 nn.Module)}
    missing = exported - {call.name for call in CALLS} - NOT_CALLED
    assert not missing, f"modules that no test calls: {sorted(missing)}"
    assert not NOT_CALLED - exported


@pytest.mark.parametrize("call", CALLS, ids=IDS)
def test_module(call: Call) -> None:
    """It runs, all parameters get gradients, and its state makes another instance equal to it."""
    model = built(call, nn, ad.tensor)
    model.load_state_dict({name: ad.tensor(value) for name, value in given_parameters(model).items()})
    before = {name: value.clone() for name, value in model.state_dict().items()}
    _, results = run(model, call, ad.tensor)
    assert results
    if any(result.requires_grad for result in results):
        backward(results, ad.tensor)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, f"{name} got no gradient"
        assert parameter.grad.shape == parameter.shape
        assert np.isfinite(parameter.grad.numpy()).all(), f"the gradient of {name} is not finite"
    other = built(call, nn, ad.tensor)
    other.load_state_dict(before)
    _, again = run(other, call, ad.tensor)
    for result, second in zip(results, again, strict=True):
        np.testing.assert_array_equal(result.detach().numpy(), second.detach().numpy())
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), other.state_dict()[name].numpy(), err_msg=name)
    assert call.name in repr(model)


@pytest.mark.skipif(not HAS_TORCH, reason="PyTorch is not installed")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("call", CALLS, ids=IDS)
def test_module_agrees_with_pytorch(call: Call) -> None:
    """Names, shapes and order of the state, its dtype, the results and all gradients; and how it prints."""
    import torch

    def tensor(value: Any) -> Any:
        return torch.from_numpy(np.ascontiguousarray(value))

    theirs = built(call, torch.nn, tensor)
    ours = built(call, nn, ad.tensor)
    described = [(name, tuple(value.shape), value.numpy().dtype.name) for name, value in theirs.state_dict().items()]
    assert [(name, value.shape, value.dtype.name) for name, value in ours.state_dict().items()] == described
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    if call.name not in ("Hardswish", "Hardsigmoid"):  # PyTorch's do not print inplace=True
        unversioned = re.compile(r", bias=\w+")  # which norms print it depends on PyTorch's version
        assert unversioned.sub("", repr(ours)) == unversioned.sub("", repr(theirs))

    state = given_parameters(ours)
    ours.load_state_dict({name: ad.tensor(value) for name, value in state.items()})
    theirs.load_state_dict({name: tensor(value) for name, value in state.items()})
    our_leaves, our_results = run(ours, call, ad.tensor)
    their_leaves, their_results = run(theirs, call, tensor)

    def close(mine: Any, other: Any, what: str) -> None:
        np.testing.assert_allclose(mine.detach().numpy(), other.detach().numpy(), rtol=2e-4, atol=2e-5, err_msg=what)

    assert len(our_results) == len(their_results)
    for mine, other in zip(our_results, their_results, strict=True):
        assert mine.dtype.name == other.detach().numpy().dtype.name
        close(mine, other, "result")
    if any(result.requires_grad for result in their_results):
        backward(our_results, ad.tensor)
        backward(their_results, tensor)
    for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        close(mine.grad, other.grad, f"gradient of {name}")
    for mine, other in zip(our_leaves, their_leaves, strict=True):
        assert (mine.grad is None) == (other.grad is None)
        if mine.grad is not None:
            close(mine.grad, other.grad, "gradient of an input")
    for name, value in ours.state_dict().items():
        close(value, theirs.state_dict()[name], name)


@pytest.mark.skipif(not HAS_TORCH, reason="PyTorch is not installed")
@pytest.mark.parametrize("name", sorted(set(nn.__all__) - {"functional", "init", "modules", "parameter", "utils"}))
def test_constructors_take_pytorchs_arguments(name: str) -> None:
    """Positional arguments have the same names, order and defaults."""
    import torch

    def positional(cls: Any) -> list[tuple[str, Any]]:
        kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD,)
        left_out = ("self", "min_value", "max_value")  # PyTorch's former names of Hardtanh's limits
        parameters = [p for p in inspect.signature(cls.__init__).parameters.values()
                      if p.kind in kinds and p.name not in left_out]
        return [(p.name, p.default.__name__ if callable(p.default) and p.default is not p.empty else p.default)
                for p in parameters]

    theirs, ours = positional(getattr(torch.nn, name)), positional(getattr(nn, name))
    assert ours[: len(theirs)] == theirs or (not ours or not theirs)


@pytest.mark.skipif(not HAS_TORCH, reason="compares with PyTorch")
def test_ctc_loss_behind_log_softmax_agrees_with_pytorch() -> None:
    import torch

    logits, targets = numbers(12, 3, 5), np.array([[1, 2, 2, 4], [3, 1, 0, 0], [4, 4, 1, 0]])
    times, lengths = np.array([12, 9, 10]), np.array([4, 2, 3])
    results = []
    for library, make in ((ad, ad.tensor), (torch, torch.tensor)):
        x = make(logits, requires_grad=True)
        loss = library.nn.CTCLoss()(library.nn.LogSoftmax(2)(x), make(targets), make(times), make(lengths))
        loss.backward()
        results.append((loss.item(), x.grad.numpy()))
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-5)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("padding", ["border", "reflection"])
def test_places_on_the_border_have_no_gradient(padding: str) -> None:
    theta = ad.eye(2, 3)[None].requires_grad_()
    grid = ad.nn.functional.affine_grid(theta, (1, 1, 3, 3), align_corners=True)
    grid.retain_grad()
    image = ad.arange(9.0).square().reshape(1, 1, 3, 3)
    ad.nn.functional.grid_sample(image, grid, padding_mode=padding, align_corners=True).sum().backward()
    slopes = grid.grad.numpy()[0]
    assert np.all(slopes[:, [0, 2], 0] == 0)
    assert np.all(slopes[[0, 2], :, 1] == 0)
    assert np.all(slopes[:, 1, 0] != 0)
