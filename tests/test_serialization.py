"""`save` and `load`."""

from __future__ import annotations

import io
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import nn
from autodiff.errors import DTypeError
from autodiff.serialization import FileError, load, save

safetensors_numpy = pytest.importorskip("safetensors.numpy")


def round_trip(value: Any) -> Any:
    file = io.BytesIO()
    save(value, file)
    return load(io.BytesIO(file.getvalue()))


def test_structure_comes_back() -> None:
    value = {
        "epoch": 3, "loss": 0.1, "big": 2**70, "inf": [math.inf, -math.inf], "flags": (True, None, "text", ""),
        "empty": {}, "none": [], 0: {1: {"step": 4}}, (1, "a"): 2.5, None: -0.0, True: (),
    }
    back = round_trip(value)
    assert back == value
    assert [type(key) for key in back] == [type(key) for key in value]
    assert type(back["flags"]) is tuple
    assert math.copysign(1, back[None]) == -1
    assert math.isnan(round_trip(math.nan))
    assert round_trip(np.float32(0.1)) == float(np.float32(0.1))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "int16", "int8", "uint8", "bool"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3, 4)])
def test_dtypes_and_shapes(dtype: str, shape: tuple[int, ...]) -> None:
    array = (np.arange(math.prod(shape)) % 5).reshape(shape).astype(dtype)
    tensor, back = round_trip([ad.tensor(array), array])
    assert (tensor.dtype, tensor.shape) == (array.dtype, shape)
    np.testing.assert_array_equal(tensor.numpy(), array)
    assert isinstance(back, np.ndarray)
    np.testing.assert_array_equal(back, array)
    tensor.zero_()  # what is loaded can be changed


def test_strided_arrays_are_made_contiguous_first() -> None:
    """The library's NumPy writer copies memory without looking at the strides."""
    weight = ad.arange(12.0).reshape(3, 4)
    image = ad.arange(120.0).reshape(2, 3, 4, 5)
    values = {
        "transposed": weight.t(), "stepped": weight[:, ::2], "expanded": ad.tensor([[1.0], [2.0]]).expand(2, 3),
        "channels_last": image.to(memory_format=ad.channels_last), "permuted": image.permute(3, 1, 0, 2),
        "reversed": weight.numpy()[::-1], "foreign": np.arange(4, dtype=">f4"),
    }
    back = round_trip(values)
    for name, value in values.items():
        want = value if isinstance(value, np.ndarray) else value.numpy()
        got = back[name] if isinstance(value, np.ndarray) else back[name].numpy()
        np.testing.assert_array_equal(got, want, err_msg=name)


def test_gradient_flags_and_shared_memory() -> None:
    x = ad.ones(3, requires_grad=True)
    back = round_trip({"a": x, "b": x.detach(), "c": x * 2, "d": ad.ones(3), "half": x.detach()[:2]})
    assert [back[name].requires_grad for name in "abcd"] == [True, False, True, False]
    back["b"].fill_(7.0)
    assert back["a"].tolist() == [7, 7, 7]
    assert back["d"].tolist() == [1, 1, 1]
    assert back["half"].tolist() == [1, 1]


def test_a_state_dict_is_a_plain_safetensors_file(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    save(model.state_dict(), tmp_path / "model.safetensors")
    arrays = safetensors_numpy.load_file(tmp_path / "model.safetensors")
    assert set(arrays) == set(model.state_dict())
    np.testing.assert_array_equal(arrays["0.weight"], model[0].weight.detach().numpy())
    other = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    other.load_state_dict(load(tmp_path / "model.safetensors", map_location=ad.device("cpu"), weights_only=True))
    for name, value in model.state_dict().items():
        assert ad.equal(value, other.state_dict()[name])


def test_names_that_collide() -> None:
    value = {"a": {"b": ad.zeros(1)}, "a.b": ad.ones(1), "__metadata__": ad.ones(2), "": ad.ones(3), 1: ad.ones(4),
             "1": ad.ones(5)}
    back = round_trip(value)
    assert back["a"]["b"].item() == 0
    assert back["a.b"].item() == 1
    assert [back[key].shape for key in ("__metadata__", "", 1, "1")] == [(2,), (3,), (4,), (5,)]


def test_optimizer_state_with_integer_keys(tmp_path: Path) -> None:
    def train(model: nn.Module, optimizer: Any, steps: int) -> None:
        for i in range(steps):
            optimizer.zero_grad()
            (model(ad.full((2, 3), 0.1 * i)) ** 2).sum().backward()
            optimizer.step()

    ad.manual_seed(0)
    model = nn.Linear(3, 2)
    optimizer = ad.optim.Adam(model.parameters(), lr=0.1, betas=(0.8, 0.99))
    train(model, optimizer, 3)
    save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}, tmp_path / "last.safetensors")
    train(model, optimizer, 3)
    found = load(tmp_path / "last.safetensors")
    other = nn.Linear(3, 2)
    again = ad.optim.Adam(other.parameters())
    other.load_state_dict(found["model"])
    again.load_state_dict(found["optimizer"])
    assert again.param_groups[0]["betas"] == (0.8, 0.99)
    train(other, again, 3)
    assert ad.equal(model.weight.detach(), other.weight.detach())


@pytest.mark.parametrize(("value", "pattern"), [
    (nn.Linear(1, 1), r"at the top .* got Linear; save its state_dict\(\).*the model"),
    ({"o": [ad.optim.SGD([ad.zeros(1, requires_grad=True)], lr=1.0)]},
     r"\['o'\]\['0'\] .* got SGD; save its state_dict\(\)"),
    ({"f": len}, r"\['f'\] .* got builtin_function"),
    ({"z": 1j}, "got complex"),
    ({frozenset(): 1}, "a key of the dictionary at the top .* got frozenset"),
    ([np.zeros(2, "complex64")], "dtype .* got complex64"),
])
def test_anything_else_is_an_error_that_says_what_to_do(value: Any, pattern: str, tmp_path: Path) -> None:
    with pytest.raises(DTypeError, match=pattern):
        save(value, tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state"
    save({"x": 1}, path)
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()

    def fail(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        save({"x": 2}, path)
    monkeypatch.undo()
    assert load(path) == {"x": 1}
    assert list(tmp_path.iterdir()) == [path]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_files_of_others(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    safetensors_numpy.save_file({"w": np.ones((2, 2), np.float32)}, path)
    assert load(path)["w"].tolist() == [[1, 1], [1, 1]]
    safetensors_numpy.save_file({"w": np.ones(2, np.float16)}, path)
    with pytest.raises(DTypeError, match=r"'w' .* got F16; convert it to float32"):
        load(path)
    path.write_bytes(b"PK\x03\x04 and so on")
    with pytest.raises(FileError, match=r"PyTorch's save .* safetensors\.torch\.save_file"):
        load(path)
    path.write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(FileError, match="pickle"):
        load(path)
    save({"x": ad.ones(100)}, path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(FileError, match="damaged"):
        load(path)
    path.write_bytes(b"")
    with pytest.raises(FileError):
        load(path)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing")
    save({}, path)
    with pytest.raises(DTypeError, match="CPU"):
        load(path, map_location="cuda")


@pytest.mark.parametrize("first", [0x02, 0x03, 0x04, 0x05])
def test_a_header_that_begins_like_a_pickle(first: int) -> None:
    # The file begins with the length of its header, which may happen to be 0x..80.
    for length in range(2000):
        file = io.BytesIO()
        save({"x" * length: ad.ones(1)}, file)
        if file.getvalue()[:2] == bytes([0x80, first]):
            assert load(io.BytesIO(file.getvalue()))["x" * length].tolist() == [1]
            return
    raise AssertionError("no header has this length")


def test_a_pickle_of_pytorch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"w": torch.ones(2)}, tmp_path / "model.pt")
    with pytest.raises(FileError, match="PyTorch's save"):
        load(tmp_path / "model.pt")
