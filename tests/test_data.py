"""Datasets, samplers, the loader, and the bundled data sets."""

from __future__ import annotations

import importlib
from collections import namedtuple
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import datasets
from autodiff.errors import DTypeError, MissingExtraError, PositionError, ShapeError, ValueRangeError
from autodiff.utils.data import (
    BatchSampler,
    ChainDataset,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    StackDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    random_split,
)


class Squares(Dataset[Any]):
    def __getitem__(self, index: int) -> Any:
        if index >= 10:
            raise IndexError
        return {"x": np.float32([index, -index]), "y": index**2, "name": f"n{index}"}

    def __len__(self) -> int:
        return 10


class Stream(IterableDataset[Any]):
    def __init__(self, count: int) -> None:
        self.count = count

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.count))


def points(n: int = 10) -> TensorDataset:
    return TensorDataset(ad.arange(2 * n).reshape(n, 2), ad.arange(n))


def order_of(loader: DataLoader) -> list[int]:
    return [i for _, y in loader for i in y.tolist()]


def test_tensor_dataset() -> None:
    data = points()
    x, y = data[3]
    assert (len(data), x.tolist(), y.item()) == (10, [6, 7], 3)
    assert data[2:4][1].tolist() == [2, 3]
    with pytest.raises(ShapeError, match="same size in dimension 0"):
        TensorDataset(ad.ones(2), ad.ones(3))
    with pytest.raises(ShapeError):
        TensorDataset()
    with pytest.raises(DTypeError, match="as_tensor"):
        TensorDataset(np.ones(2))  # type: ignore[arg-type]


def test_containers_of_datasets() -> None:
    joined = points(3) + points(4)
    assert isinstance(joined, ConcatDataset)
    assert len(joined) == 7
    assert [joined[i][1].item() for i in (0, 2, 3, 6, -1)] == [0, 2, 0, 3, 3]
    with pytest.raises(PositionError):
        joined[7]
    with pytest.raises(ValueRangeError):
        ConcatDataset([])
    with pytest.raises(DTypeError):
        ConcatDataset([Stream(2)])
    assert list(Stream(2) + Stream(3)) == [0, 1, 0, 1, 2]
    assert list(ChainDataset([Stream(1), Stream(1)])) == [0, 0]
    assert StackDataset(points(2), Subset(points(4), [3, 1]))[0][1][1].item() == 3
    with pytest.raises(ShapeError):
        StackDataset(points(2), points(3))


@pytest.mark.parametrize(("lengths", "sizes"), [
    ([7, 3], [7, 3]), ([0.5, 0.5], [5, 5]), ([0.75, 0.25], [8, 2]), ([10, 0], [10, 0]),
])
def test_random_split(lengths: list[float], sizes: list[int]) -> None:
    parts = random_split(points(), lengths, generator=ad.Generator().manual_seed(1))
    assert [len(part) for part in parts] == sizes
    assert sorted(y.item() for part in parts for _, y in part) == list(range(10))
    again = random_split(points(), lengths, generator=ad.Generator().manual_seed(1))
    assert [part.indices for part in parts] == [part.indices for part in again]


@pytest.mark.parametrize("lengths", [[5, 6], [0.5, 0.6], [12, -2]])
def test_random_split_refuses_lengths_that_do_not_add_up(lengths: list[float]) -> None:
    with pytest.raises(ValueRangeError):
        random_split(points(), lengths)


def test_samplers() -> None:
    ad.manual_seed(0)
    assert list(SequentialSampler(points())) == list(range(10))
    assert sorted(RandomSampler(points())) == list(range(10))
    assert len(list(RandomSampler(points(), num_samples=13))) == 13
    drawn = list(RandomSampler(points(), replacement=True, num_samples=200))
    assert len(drawn) == 200
    assert set(drawn) == set(range(10))
    assert list(RandomSampler([])) == []
    assert sorted(SubsetRandomSampler([4, 2])) == [2, 4]
    weighted = list(WeightedRandomSampler([0.0, 3.0, 1.0], 4000))
    assert set(weighted) == {1, 2}
    assert 0.7 < weighted.count(1) / 4000 < 0.8
    assert list(BatchSampler(range(5), 2, True)) == [[0, 1], [2, 3]]
    assert (len(BatchSampler(range(5), 2, True)), len(BatchSampler(range(5), 2, False))) == (2, 3)
    for wrong in (0, -1, 2.0, True):
        with pytest.raises(ValueRangeError):
            BatchSampler(range(5), wrong, False)  # type: ignore[arg-type]
    with pytest.raises(ValueRangeError):
        RandomSampler(points(), num_samples=0)


def test_shuffling_differs_by_epoch_and_repeats_by_seed() -> None:
    ad.manual_seed(3)
    loader = DataLoader(points(50), batch_size=8, shuffle=True)
    first, second = order_of(loader), order_of(loader)
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    assert first != list(range(50))
    ad.manual_seed(3)
    assert [order_of(loader), order_of(loader)] == [first, second]

    before = ad.random.default_generator.state()
    mine = [order_of(DataLoader(points(50), 8, True, generator=ad.Generator().manual_seed(5))) for _ in range(2)]
    assert mine[0] == mine[1]
    assert ad.random.default_generator.state() == before


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("dataset", [points(), Subset(points(20), range(5, 15)), points(4) + points(6)])
def test_a_batch_is_the_collated_samples(dataset: Any, drop_last: bool) -> None:
    loader = DataLoader(dataset, batch_size=4, drop_last=drop_last)
    batches = list(loader)
    assert len(batches) == len(loader) == (2 if drop_last else 3)
    for number, batch in enumerate(batches):
        want = default_collate([dataset[i] for i in range(4 * number, min(4 * number + 4, 10))])
        assert type(batch) is type(want) is list
        for got, expected in zip(batch, want, strict=True):
            assert got.dtype == expected.dtype
            assert ad.equal(got, expected)


def test_a_subclass_decides_what_a_sample_is() -> None:
    class Negative(TensorDataset):
        def __getitem__(self, index: Any) -> Any:
            return -self.tensors[1][index]

    assert next(iter(DataLoader(Negative(*points(3).tensors), batch_size=3))).tolist() == [0, -1, -2]
    assert next(iter(DataLoader(Subset(Negative(*points(3).tensors), [2]), batch_size=3))).tolist() == [-2]


def test_loader_forms() -> None:
    batch = next(iter(DataLoader(Squares(), batch_size=3)))
    assert batch["x"].tolist() == [[0, 0], [1, -1], [2, -2]]
    assert (batch["x"].dtype, batch["y"].dtype) == (ad.float32, ad.int64)
    assert batch["name"] == ["n0", "n1", "n2"]
    assert [s["y"] for s in DataLoader(Squares(), batch_size=None)] == [i**2 for i in range(10)]
    assert list(DataLoader([1, 2, 3], batch_size=2, collate_fn=sum)) == [3, 3]
    assert [b.tolist() for b in DataLoader([5, 6, 7], batch_sampler=[[2], [0, 1]])] == [[7], [5, 6]]
    assert [b.tolist() for b in DataLoader([5, 6, 7], 2, sampler=[2, 1])] == [[7, 6]]
    stream = DataLoader(Stream(5), batch_size=2)
    assert [b.tolist() for b in stream] == [[0, 1], [2, 3], [4]]
    assert [b.tolist() for b in DataLoader(Stream(5), batch_size=2, drop_last=True)] == [[0, 1], [2, 3]]
    assert list(DataLoader(Stream(2), batch_size=None)) == [0, 1]
    with pytest.raises(TypeError):
        len(stream)


@pytest.mark.parametrize("wrong", [
    {"shuffle": True, "sampler": [0]}, {"batch_sampler": [[0]], "batch_size": 2},
    {"batch_size": None, "drop_last": True}, {"num_workers": -1}, {"batch_size": 0},
])
def test_loader_refuses_arguments_that_exclude_each_other(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueRangeError):
        DataLoader(points(), **wrong)
    with pytest.raises(ValueRangeError):
        DataLoader(Stream(3), shuffle=True)


def test_workers_give_one_warning_and_the_same_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DataLoader, "_warned", False)
    with pytest.warns(UserWarning, match="main process"):
        loader = DataLoader(points(), batch_size=4, num_workers=2)
    assert order_of(loader) == list(range(10))
    DataLoader(points(), num_workers=4, pin_memory=True, persistent_workers=True)


def test_collate() -> None:
    Pair = namedtuple("Pair", "a b")
    joined = default_collate([Pair(1, [2.0, True]), Pair(3, [4.0, False])])
    assert isinstance(joined, Pair)
    assert joined.a.tolist() == [1, 3]
    assert [(c.tolist(), c.dtype.name) for c in joined.b] == [([2.0, 4.0], "float64"), ([True, False], "bool")]
    assert default_collate([np.int32(1), np.int32(2)]).dtype == ad.int32
    assert default_collate([b"a", b"b"]) == [b"a", b"b"]
    with pytest.raises(ShapeError, match="collate_fn"):
        default_collate([[1, 2], [1]])
    with pytest.raises(DTypeError, match="collate_fn"):
        default_collate([object()])


def test_the_same_as_pytorch() -> None:
    torch = pytest.importorskip("torch")
    ours = [(np.float32([i, 2]), i, i / 2, {"k": [i, -i]}, "s") for i in range(5)]
    theirs = list(torch.utils.data.DataLoader(ours, batch_size=2))
    for a, b in zip(DataLoader(ours, batch_size=2), theirs, strict=True):
        assert type(a) is type(b)
        assert type(a[3]["k"]) is type(b[3]["k"])
        assert list(a[4]) == list(b[4])
        for x, y in [*zip(a[:3], b[:3], strict=True), *zip(a[3]["k"], b[3]["k"], strict=True)]:
            assert x.tolist() == y.tolist()
            assert x.dtype.name == str(y.dtype).removeprefix("torch.")


def test_digits() -> None:
    pytest.importorskip("sklearn")
    train, test = datasets.digits()
    images, labels = train.tensors
    assert (images.shape, labels.shape, len(test)) == ((1438, 1, 8, 8), (1438,), 359)
    assert (images.dtype, labels.dtype) == (ad.float32, ad.int64)
    assert (images.min().item(), images.max().item()) == (0, 1)
    assert sorted(set(test.tensors[1].tolist())) == list(range(10))
    again = datasets.digits().test.tensors[0]
    assert ad.equal(again, test.tensors[0])
    assert not ad.equal(datasets.digits(seed=1).test.tensors[0], test.tensors[0])
    standard = datasets.digits(standardise=True).train.tensors[0]
    assert abs(standard.mean().item()) < 1e-5
    assert standard.std().item() == pytest.approx(1, abs=1e-3)
    with pytest.raises(ValueRangeError):
        datasets.digits(test_fraction=1.0)


def test_digits_say_which_extra_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sklearn.datasets", None)
    with pytest.raises(MissingExtraError, match=r"autodiff-tape\[data\]"):
        datasets.digits()


@pytest.mark.parametrize("name", ["spirals", "two_moons", "blobs"])
def test_synthetic_sets(name: str) -> None:
    make = getattr(importlib.import_module("autodiff.datasets"), name)
    before = ad.random.default_generator.state()
    x, y = make(90)
    assert (x.shape, y.shape, x.dtype, y.dtype) == ((90, 2), (90,), ad.float32, ad.int64)
    assert ad.equal(x, make(90)[0])
    assert not ad.equal(x, make(90, seed=1)[0])
    assert ad.random.default_generator.state() == before
    counts = [y.tolist().count(c) for c in range(int(y.max().item()) + 1)]
    assert len(set(counts)) == 1
    with pytest.raises(ValueRangeError):
        make(0)


def test_two_moons_lie_on_half_circles() -> None:
    x, y = datasets.two_moons(60, noise=0)
    upper, lower = x.numpy()[y.numpy() == 0], x.numpy()[y.numpy() == 1]
    np.testing.assert_allclose(np.hypot(*upper.T), 1, atol=1e-6)
    np.testing.assert_allclose(np.hypot(*(lower - [1, 0.5]).T), 1, atol=1e-6)
    assert (upper[:, 1] >= 0).all()
    assert (lower[:, 1] <= 0.5).all()
