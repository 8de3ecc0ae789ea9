"""`Module` and the containers: names, state, modes, hooks, labels, copies."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import nn
from autodiff.errors import DTypeError
from autodiff.nn.module import StateError


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Sequential(nn.ReLU(), nn.Linear(4, 4))])
        self.scale = nn.Parameter(ad.ones(1))
        self.register_buffer("steps", ad.zeros(1))
        self.register_buffer("scratch", ad.zeros(2), persistent=False)

    def forward(self, x: Any) -> Any:
        x = self.first(x)
        for layer in self.layers:
            x = layer(x)
        return x * self.scale


def scopes(tensor: Any) -> list[str]:
    """Return the module paths of all records that lead to a tensor."""
    from autodiff.eager import tape_of

    return [record.scope for record in tape_of(tensor)]


def test_names_of_parameters_buffers_and_modules() -> None:
    net = Net()
    assert [name for name, _ in net.named_parameters()] == [
        "scale", "first.weight", "first.bias", "layers.0.weight", "layers.0.bias", "layers.1.1.weight",
        "layers.1.1.bias"]
    assert [name for name, _ in net.named_buffers()] == ["steps", "scratch"]
    assert [name for name, _ in net.named_modules()] == ["", "first", "layers", "layers.0", "layers.1", "layers.1.0",
                                                         "layers.1.1"]
    assert [name for name, _ in net.named_children()] == ["first", "layers"]
    assert "scratch" not in net.state_dict()
    assert net.get_submodule("layers.1.1") is net.layers[1][1]
    assert net.get_parameter("first.bias") is net.first.bias
    assert net.get_buffer("steps") is net.steps
    assert set(net.state_dict(prefix="net.")) == {f"net.{name}" for name in net.state_dict()}


def test_records_carry_the_path_of_their_module() -> None:
    net = Net()
    found = scopes(net(ad.ones(2, 3)))
    assert found == ["Net.first", "Net.layers.0", "Net.layers.1.0", "Net.layers.1.1", "Net"]
    assert net.layers[1][1].weight.name == "layers.1.1.weight"


def test_slices_leave_the_labels_of_their_modules_alone() -> None:
    net = Net()
    head = net.layers[:1]
    assert isinstance(head, nn.ModuleList)
    assert head[0] is net.layers[0]
    assert scopes(net(ad.ones(2, 3)))[1] == "Net.layers.0"


def test_a_shared_parameter_is_listed_once() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
    assert "1.weight" in net.state_dict()
    assert len(list(nn.Sequential(net[0], net[0]).parameters())) == 2


def test_assignment_keeps_the_tables() -> None:
    net = Net()
    with pytest.raises(TypeError, match="parameter 'scale' can only become a Parameter or None"):
        net.scale = ad.zeros(1)
    net.scale = None
    assert "scale" not in net.state_dict()
    net.first = nn.Identity()
    assert "first.weight" not in net.state_dict()
    net.steps = ad.ones(1)
    assert net.state_dict()["steps"].item() == 1
    del net.layers
    assert [name for name, _ in net.named_modules()] == ["", "first"]
    with pytest.raises(AttributeError, match=r"super\(\).__init__\(\)"):
        type("Early", (nn.Module,), {"__init__": lambda self: setattr(self, "layer", nn.Linear(1, 1))})()


def test_state_is_loaded_as_a_whole_or_not_at_all() -> None:
    net, other = Net(), Net()
    state = net.state_dict()
    assert other.load_state_dict(state) == ([], [])
    for name, value in other.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), state[name].numpy())
    before = other.first.weight.clone()
    bad = {**{name: value + 1 for name, value in state.items()}, "scale": ad.zeros(2), "extra": ad.zeros(1)}
    del bad["steps"]
    with pytest.raises(StateError,
                       match=r"scale: expected \(1,\), got \(2,\).*missing names \(steps\).*unexpected.*extra"):
        other.load_state_dict(bad)
    np.testing.assert_array_equal(other.first.weight.detach().numpy(), before.detach().numpy())
    assert other.load_state_dict({"extra": ad.zeros(1)}, strict=False).unexpected_keys == ["extra"]
    assert other.load_state_dict({name: value.numpy() for name, value in state.items()}).missing_keys == []


def test_modes_gradients_and_dtypes() -> None:
    net = Net()
    assert net.training
    assert not any(module.training for module in net.eval().modules())
    net.train()
    net(ad.ones(2, 3)).sum().backward()
    assert net.first.weight.grad is not None
    net.zero_grad(set_to_none=False)
    assert not net.first.weight.grad.numpy().any()
    net.zero_grad()
    assert net.first.weight.grad is None
    net.requires_grad_(False)
    assert not net(ad.ones(2, 3)).requires_grad
    assert net.double() is net
    assert {value.dtype.name for value in net.state_dict().values()} == {"float64"}
    assert net(ad.ones(2, 3, dtype=ad.float64)).dtype == np.float64
    assert net.to("cpu").to(ad.device("cpu"), dtype=ad.float32).first.weight.dtype == np.float32
    for argument in ("cuda", ad.int64):
        with pytest.raises(TypeError):
            net.to(argument)


def test_copies_and_pickles_are_independent() -> None:
    net = Net()
    x = ad.ones(2, 3)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(other(x).detach().numpy(), net(x).detach().numpy())
        assert other.first.weight is dict(other.named_parameters())["first.weight"]
        with ad.no_grad():
            other.first.weight.zero_()
        assert net.first.weight.detach().numpy().any()
        assert other.first.weight.requires_grad
        assert other._parameters["scale"] is other.scale


def test_apply_visits_children_first() -> None:
    seen: list[str] = []
    Net().apply(lambda module: seen.append(type(module).__name__))
    assert seen == ["Linear", "Linear", "ReLU", "Linear", "Sequential", "ModuleList", "Net"]


def test_forward_hooks() -> None:
    layer = nn.Linear(2, 2)
    seen: list[Any] = []
    before = layer.register_forward_pre_hook(lambda module, args: (args[0] * 2,))
    after = layer.register_forward_hook(lambda module, args, output: seen.append(args[0].tolist()) or output + 1)
    x = ad.ones(1, 2)
    plain = layer.forward(x * 2) + 1
    np.testing.assert_array_equal(layer(x).detach().numpy(), plain.detach().numpy())
    assert seen == [[[2.0, 2.0]]]
    before.remove()
    after.remove()
    after.remove()
    np.testing.assert_array_equal(layer(x).detach().numpy(), layer.forward(x).detach().numpy())


def test_backward_hooks() -> None:
    layer = nn.Linear(2, 1, bias=False)
    seen: list[Any] = []

    def hook(module: Any, grad_input: Any, grad_output: Any) -> Any:
        seen.append((module, grad_input, grad_output))
        return (grad_input[0] * 10,) if grad_input[0] is not None else None

    handle = layer.register_full_backward_hook(hook)
    x = ad.ones(1, 2, requires_grad=True)
    layer(x).sum().backward()
    (module, grad_input, grad_output), = seen
    assert module is layer
    np.testing.assert_array_equal(grad_output[0].numpy(), [[1.0]])
    np.testing.assert_array_equal(grad_input[0].numpy(), layer.weight.detach().numpy())
    np.testing.assert_array_equal(x.grad.numpy(), 10 * layer.weight.detach().numpy())
    layer(ad.ones(1, 2)).sum().backward()  # no input requires a gradient
    assert seen[1][1] == (None,)
    handle.remove()
    layer(x).sum().backward()
    assert len(seen) == 2
    with ad.no_grad():
        layer(x)


def _negate(g: Any) -> Any:
    return -g


def _double(module: Any, args: Any, result: Any) -> Any:
    return result * 2


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["copy", "pickle"])
def test_handles_are_copied_with_their_module(copied: Any) -> None:
    model, x = nn.Sequential(nn.Linear(3, 1)), ad.ones(1, 3)
    model.handles = [model[0].weight.register_hook(_negate), model[0].register_forward_hook(_double),
                     model.register_forward_hook(_double)]
    other = copied(model)
    before = model(x).item()
    assert other(x).item() == before
    for handle in other.handles:
        handle.remove()
    assert other(x).item() == before / 4
    assert model(x).item() == before
    model(x).backward()
    assert model[0].weight.grad.tolist() == [[-4, -4, -4]]
    for handle in model.handles:
        handle.remove()
        handle.remove()
    assert model(x).item() == before / 4


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_handle_that_is_copied_alone(copied: Any) -> None:
    layer = nn.Linear(3, 1)
    handle = layer.register_forward_hook(_double)
    copied(layer.weight.register_hook(_negate)).remove()
    assert layer.weight.hooks == [_negate]
    copied(handle).remove()
    del layer
    handle.remove()
    copied(handle).remove()


def test_a_module_that_keeps_its_handle_is_freed_at_once() -> None:
    layer = nn.Linear(3, 1)
    layer.handles = [layer.register_forward_hook(_double), layer.weight.register_hook(_negate)]
    gone = weakref.ref(layer)
    gc.disable()
    try:
        del layer
        assert gone() is None
    finally:
        gc.enable()


def test_module_without_forward() -> None:
    with pytest.raises(NotImplementedError, match="has no forward"):
        nn.Module()(ad.ones(1))


def test_sequential() -> None:
    net = nn.Sequential(OrderedDict(first=nn.Linear(2, 3), act=nn.ReLU(), last=nn.Linear(3, 1)))
    assert list(net.state_dict()) == ["first.weight", "first.bias", "last.weight", "last.bias"]
    assert net.first is net[0]
    assert net[-1] is net.last
    assert list(net[1:].state_dict()) == ["last.weight", "last.bias"]
    with pytest.raises(IndexError, match="the index is out of range; expected -3 to 2; got 3"):
        net[3]
    numbered = nn.Sequential(nn.Linear(2, 2)).append(nn.Tanh()).extend([nn.Linear(2, 1)])
    numbered.insert(1, nn.Dropout(0.0))
    assert [type(module).__name__ for module in numbered] == ["Linear", "Dropout", "Tanh", "Linear"]
    del numbered[1]
    assert list(numbered.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    numbered[1] = nn.ReLU()
    assert isinstance(numbered[1], nn.ReLU)
    assert isinstance(numbered.pop(), nn.Linear)
    assert len(numbered) == 2
    assert len(numbered + nn.Sequential(nn.ReLU())) == 3
    numbered += [nn.Identity()]
    assert len(numbered) == 3
    assert numbered[0] in numbered
    assert numbered(ad.ones(1, 2)).shape == (1, 2)
    assert nn.Sequential()(ad.ones(2)).tolist() == [1, 1]


def test_module_list() -> None:
    layers = nn.ModuleList(nn.Linear(1, 1) for _ in range(2))
    layers += [nn.ReLU()]
    layers.insert(0, nn.Tanh())
    assert [type(layer).__name__ for layer in layers] == ["Tanh", "Linear", "Linear", "ReLU"]
    assert list(layers.state_dict()) == ["1.weight", "1.bias", "2.weight", "2.bias"]
    assert repr(layers[1:3]) == "ModuleList(\n  (0-1): 2 x Linear(in_features=1, out_features=1, bias=True)\n)"
    assert repr(nn.ModuleList()) == "ModuleList()"
    with pytest.raises(NotImplementedError):
        layers(ad.ones(1))


def test_module_dict() -> None:
    choices = nn.ModuleDict({"a": nn.Linear(1, 1), "keys": nn.ReLU()})
    assert list(choices) == ["a", "keys"]
    assert list(choices.keys()) == ["a", "keys"]
    assert "a" in choices
    assert list(choices.state_dict()) == ["a.weight", "a.bias"]
    choices.update({"b": nn.Tanh()})
    assert [type(module).__name__ for _, module in choices.items()] == ["Linear", "ReLU", "Tanh"]
    assert isinstance(choices.pop("a"), nn.Linear)
    assert len(choices) == 2
    assert isinstance(choices["keys"], nn.ReLU)

    class Chosen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.choices = nn.ModuleDict({"left": nn.Linear(1, 1)})

        def forward(self, x: Any) -> Any:
            return self.choices["left"](x)

    assert scopes(Chosen()(ad.ones(1, 1))) == ["Chosen.choices.left"]
    choices.clear()
    assert len(choices) == 0


def test_parameter_containers() -> None:
    class Factors(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.values = nn.ParameterList([ad.ones(2), nn.Parameter(ad.zeros(3))])
            self.named = nn.ParameterDict({"left": ad.ones(1)})

    factors = Factors()
    assert [name for name, _ in factors.named_parameters()] == ["values.0", "values.1", "named.left"]
    factors.values.append(ad.ones(1))
    factors.values[0] = nn.Parameter(ad.ones(5))
    factors.named["right"] = ad.ones(4)
    assert [parameter.shape for parameter in factors.parameters()] == [(5,), (3,), (1,), (1,), (4,)]
    assert len(factors.values[1:]) == 2
    assert list(factors.named) == ["left", "right"]
    assert factors.named.pop("left").shape == (1,)
    assert "Parameter of float32[5]" in repr(factors)
    with pytest.raises(TypeError, match="only parameters and tensors"):
        factors.values.append(3)


def test_constructors_say_what_is_wrong() -> None:
    for make, message in (
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "in_channels is no multiple of groups=2; got 3"),
        (lambda: nn.Conv2d(2, 2, 3, padding="some"), "neither numbers nor 'same' nor 'valid'"),
        (lambda: nn.Conv2d(2, 2, 3, stride=2, padding="same"), "needs a stride of 1"),
        (lambda: nn.Conv2d(2, 2, (3, 3, 3)), r"kernel_size has the wrong number of entries; expected an integer, or 2"),
        (lambda: nn.Dropout(1.5), "outside 0 to 1; got 1.5"),
        (lambda: nn.Embedding(3, 2, padding_idx=3), "outside the table of 3"),
        (lambda: nn.Embedding(3, 2, max_norm=1.0), "not supported"),
        (lambda: nn.GroupNorm(2, 3), "no multiple of num_groups=2"),
        (lambda: nn.MultiheadAttention(4, 3), "no multiple of num_heads=3"),
        (lambda: nn.LSTM(2, 3, proj_size=1), "not supported"),
        (lambda: nn.RNN(2, 3, nonlinearity="sin"), "neither 'tanh' nor 'relu'; got sin"),
        (lambda: nn.TransformerEncoderLayer(4, 2, activation="sin"), "the activation does not exist"),
        (lambda: nn.BatchNorm2d(3)(ad.ones(2, 3)), r"expected \(N, C, H, W\); got \(2, 3\)"),
        (lambda: nn.InstanceNorm1d(3)(ad.ones(2, 4, 5)),
         "the number of channels is not num_features; expected 3 in dimension 1; got 4"),
        (lambda: nn.ConvTranspose2d(1, 1, 3)(ad.ones(1, 1, 4, 4), output_size=(9, 9)), r"from \(6, 6\) to \(6, 6\)"),
        (lambda: nn.LSTM(2, 3)(ad.ones(4, 1, 2), ad.ones(1, 1, 3)), r"the first state is no pair; expected \(h, c\)"),
    ):
        with pytest.raises((ValueError, TypeError), match=message) as caught:
            make()
        assert "test_nn_module.py" in str(caught.value)


def test_embedding_from_pretrained() -> None:
    table = ad.tensor([[1.0, 2.0], [3.0, 4.0]])
    layer = nn.Embedding.from_pretrained(table)
    assert not layer.weight.requires_grad
    assert layer(ad.tensor([1])).tolist() == [[3, 4]]
    assert nn.Embedding.from_pretrained(table, freeze=False).weight.requires_grad


def test_batch_norm_follows_the_batches() -> None:
    layer = nn.BatchNorm1d(2, momentum=None)
    batches = [ad.tensor(np.random.default_rng(i).standard_normal((5, 2)).astype(np.float32)) for i in range(3)]
    for batch in batches:
        layer(batch)
    mean = np.mean([batch.numpy().mean(0) for batch in batches], 0)
    np.testing.assert_allclose(layer.running_mean.numpy(), mean, rtol=1e-5)
    assert layer.num_batches_tracked.item() == 3
    layer.eval()
    before = layer.running_mean.clone()
    layer(batches[0])
    np.testing.assert_array_equal(layer.running_mean.numpy(), before.numpy())
    layer.reset_running_stats()
    assert layer.num_batches_tracked.item() == 0


def test_dropout_drops_while_training_only() -> None:
    ad.manual_seed(0)
    layer = nn.Dropout(0.5)
    x = ad.ones(1000)
    dropped = layer(x).numpy()
    assert set(np.unique(dropped)) == {0.0, 2.0}
    assert 400 < (dropped == 0).sum() < 600
    assert layer.eval()(x) is x


def test_import_paths_of_pytorch() -> None:
    from autodiff.nn.modules.activation import MultiheadAttention
    from autodiff.nn.modules.linear import Linear, NonDynamicallyQuantizableLinear
    from autodiff.nn.modules.rnn import LSTM
    from autodiff.nn.parameter import Parameter
    from autodiff.nn.utils.clip_grad import clip_grad_norm_
    from autodiff.nn.utils.rnn import pad_sequence

    assert Linear is nn.Linear
    assert issubclass(NonDynamicallyQuantizableLinear, Linear)
    assert LSTM is nn.LSTM
    assert MultiheadAttention is nn.MultiheadAttention
    assert Parameter is nn.Parameter
    assert clip_grad_norm_ is nn.utils.clip_grad_norm_
    assert pad_sequence is nn.utils.rnn.pad_sequence
    assert nn.modules.sparse.Embedding is nn.Embedding


@pytest.mark.parametrize("layer", [nn.Linear(3, 2), nn.BatchNorm1d(3), nn.Conv1d(3, 2, 1), nn.LayerNorm(3)])
@pytest.mark.parametrize("data", [np.ones((2, 3), np.float32), [1.0, 2.0, 3.0], None])
def test_what_is_no_tensor_is_named(layer: Any, data: Any) -> None:
    with pytest.raises(DTypeError, match=f"{type(data).__name__}; wrap it with autodiff.tensor(.|\n)*test_nn_module"):
        layer(data)


def test_a_missing_attribute_of_the_users_own_is_left_alone() -> None:
    class Own(nn.Module):
        def forward(self, x: Any) -> Any:
            return self.spec

    with pytest.raises(AttributeError, match="'Own' object has no attribute 'spec'"):
        Own()(ad.ones(1))


@pytest.mark.parametrize("wrong", [3, nn.ReLU, [nn.ReLU()], ad.relu])
def test_containers_take_modules(wrong: Any) -> None:
    with pytest.raises(DTypeError, match="the sub-module '0' is not a module"):
        nn.Sequential(wrong)
    with pytest.raises(DTypeError, match="the sub-module '0' is not a module"):
        nn.ModuleList([wrong])
    with pytest.raises(DTypeError, match="the sub-module 'a' is not a module"):
        nn.ModuleDict({"a": wrong})


def test_an_error_names_the_innermost_module_that_was_running() -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.ReLU(), nn.Linear(3, 4))

        def forward(self, x: Any) -> Any:
            return self.body(x)

    with pytest.raises(ad.errors.ShapeError, match=r"\n  at .*\n  in module Outer\.body\.1 \(Linear\)$") as found:
        Outer()(ad.ones(2, 2))
    assert found.value.module == "Outer.body.1 (Linear)"
    with pytest.raises(ad.errors.ShapeError, match=r"\n  in module Linear$"):
        nn.Linear(3, 4)(ad.ones(2, 2))
    with pytest.raises(ad.errors.ShapeError) as outside:
        ad.linear(ad.ones(2, 2), ad.ones(4, 3))
    assert "in module" not in str(outside.value)


def test_replayed_errors_name_the_module_too() -> None:
    model = nn.Sequential(nn.Embedding(3, 2))
    replayed = ad.compile(model)
    for _ in range(3):
        replayed(ad.tensor([0, 2]))
    for run in (model, replayed):
        with pytest.raises(ad.errors.PositionError, match=r"in module Sequential\.0"):
            run(ad.tensor([0, 3]))
