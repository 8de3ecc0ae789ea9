"""Whether operations lose by their threads: each family of kernels where it begins to use two of them.

    python -m benchmarks.thread_counts [--rounds 21] [pattern ...]

For each row, whose size is chosen so that the library just uses two threads, it prints how long that size, half and
double of it take on one thread and on two, in turns, and the ratio of the two: above 1, two threads are faster. At half
the size two threads are forced, to show what the threshold leaves. At the threshold and beyond it the ratio should be
0.95 or more, on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import fnmatch
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import autodiff as ad
from autodiff import primitive, threads
from autodiff.utils.benchmark.timer import duration

SECONDS = 0.01  # of a turn
F = ad.nn.functional


def over(*shape: int | None, count: int = 1, grad: bool = False) -> Callable[[int], list[Any]]:
    """Return what makes `count` tensors of a shape whose size None is replaced by the row's."""
    return lambda n: [ad.randn(*(n if size is None else size for size in shape), requires_grad=grad)
                      for _ in range(count)]


def gradient(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that computes a result and the gradients of its operands; the cotangent is the result."""

    def run(*operands: Any) -> Any:
        result = function(*operands)
        return ad.autograd.grad(result, operands, result.detach())

    return run


def images(kernel: tuple[int, ...]) -> Callable[[int], list[Any]]:
    """Return what makes as many images of 16x16 as the row's size, and a convolution's weight."""
    return lambda n: [ad.randn(n, kernel[1] if kernel[1] > 1 else kernel[0], 16, 16, requires_grad=True),
                      ad.randn(*kernel, requires_grad=True)]


def convolution(x: Any, weight: Any) -> Any:
    return F.conv2d(x, weight, padding=weight.shape[-1] // 2, groups=x.shape[1] // weight.shape[1])


def step(name: str) -> tuple[Callable[..., Any], Callable[[int], list[Any]]]:
    """Return the step of an optimizer over one parameter of the row's size."""

    def make(n: int) -> list[Any]:
        parameter = ad.nn.Parameter(ad.randn(n))
        parameter.grad = ad.randn(n)
        return [getattr(ad.optim, name)([parameter], lr=1e-3)]

    return (lambda optimizer: optimizer.step()), make


ROWS: dict[str, tuple[Callable[..., Any], Callable[[int], list[Any]]]] = {
    "matmul/square": (ad.matmul, lambda n: over(n, n, count=2)(n)),
    "matmul/rows": (ad.matmul, lambda n: [ad.randn(n, 64), ad.randn(64, 64)]),
    "matmul/batch": (ad.matmul, over(None, 16, 16, count=2)),
    "matmul/column": (ad.matmul, lambda n: [ad.randn(n, 512), ad.randn(512, 1)]),
    "elementwise/add": (ad.add, over(None, count=2)),
    "elementwise/exp": (ad.exp, over(None)),
    "elementwise/tanh/gradient": (gradient(ad.tanh), over(None, grad=True)),
    "elementwise/transposed": (lambda x, y: x + y.t(), lambda n: over(n, n, count=2)(n)),
    "softmax/rows": (lambda x: F.softmax(x, 1), over(None, 128)),
    "softmax/rows/gradient": (gradient(lambda x: F.softmax(x, 1)), over(None, 128, grad=True)),
    "softmax/planes": (lambda x: F.softmax(x, 1), over(None, 16, 8, 8)),
    "cross_entropy": (lambda x: F.cross_entropy(x, ad.zeros(x.shape[0], dtype=ad.int64)), over(None, 128)),
    "reduction/sum": (ad.sum, over(None)),
    "reduction/sum/rows": (lambda x: x.sum(1), over(None, 64)),
    "reduction/sum/columns": (lambda x: x.sum(0), over(None, 64)),
    "reduction/amax": (ad.amax, over(None)),
    "reduction/var": (lambda x: x.var(1), over(None, 64)),
    "argmax": (lambda x: x.argmax(1), over(None, 128)),
    "cumsum": (lambda x: x.cumsum(1), over(None, 128)),
    "sort": (lambda x: x.sort(1)[0], over(None, 128)),
    "layer_norm": (gradient(lambda x: F.layer_norm(x, (64,))), over(None, 64, grad=True)),
    "batch_norm": (gradient(lambda x: F.batch_norm(x, None, None, training=True)), over(None, 16, 8, 8, grad=True)),
    "group_norm": (gradient(lambda x: F.group_norm(x, 4)), over(None, 16, 8, 8, grad=True)),
    "convolution/3x3": (convolution, images((16, 16, 3, 3))),
    "convolution/3x3/gradient": (gradient(convolution), images((16, 16, 3, 3))),
    "convolution/winograd/gradient": (gradient(convolution), images((64, 64, 3, 3))),
    "convolution/depthwise/gradient": (gradient(convolution), images((32, 1, 3, 3))),
    "convolution/1x1/gradient": (gradient(convolution), images((32, 32, 1, 1))),
    "pooling/max": (gradient(lambda x: F.max_pool2d(x, 2)), over(None, 16, 8, 8, grad=True)),
    "pooling/average": (gradient(lambda x: F.avg_pool2d(x, 2)), over(None, 16, 8, 8, grad=True)),
    "embedding": (lambda weight: F.embedding(ad.arange(weight.shape[0]), weight), over(None, 64)),
    "attention": (gradient(F.scaled_dot_product_attention), over(None, 4, 32, 16, count=3, grad=True)),
    "random/normal": (lambda x: ad.randn(*x.shape), over(None)),
    "optimizer/SGD": step("SGD"),
    "optimizer/Adam": step("Adam"),
}


def widest(function: Callable[..., Any], operands: list[Any]) -> int:
    """Return the most threads that an operation of a call would use."""
    records = ad.record(function, *operands).records
    return max((threads.threads_for(record.cost, primitive.largest(record.outputs)).number for record in records
                if not record.primitive.view and not record.primitive.host), default=1)


def threshold(function: Callable[..., Any], make: Callable[[int], list[Any]]) -> int:
    """Return the smallest size at which an operation of a call uses two threads."""
    low, high = 1, 2
    while widest(function, make(high)) < 2:
        low, high = high, 2 * high
    while high - low > max(1, low // 16):
        middle = (low + high) // 2
        low, high = (low, middle) if widest(function, make(middle)) >= 2 else (middle, high)
    return high


def turns(function: Callable[..., Any], operands: list[Any], rounds: int) -> tuple[list[float], list[float]]:
    """Return seconds of a call on one thread and on two, round by round."""
    times: tuple[list[float], list[float]] = ([], [])
    for i in range(rounds):
        for number in (1, 2) if i % 2 else (2, 1):
            threads.set_num_threads(number)
            for _ in range(3):  # plans are made anew
                function(*operands)
            calls, start = 0, time.perf_counter()
            while (now := time.perf_counter()) < start + SECONDS:
                function(*operands)
                calls += 1
            times[number - 1].append((now - start) / calls)
    return times


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.thread_counts", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("patterns", nargs="*", default=["*"], help="of the rows' names (default: all)")
    parser.add_argument("--rounds", type=int, default=21, help="turns on one thread and on two (default: 21)")
    arguments = parser.parse_args()
    part = threads.PART
    print("| | size | one thread | half | at the threshold | double |\n|---|---:|---:|---:|---:|---:|")
    for name, (function, make) in ROWS.items():
        if not any(fnmatch.fnmatch(name, pattern) for pattern in arguments.patterns):
            continue
        threads.set_num_threads(2)
        size = threshold(function, make)
        cells, alone = [], 0.0
        for n in (max(size // 2, 1), size, 2 * size):
            threads.PART = part if n >= size else 1
            one, two = turns(function, make(n), arguments.rounds)
            cells.append(f"{median(a / b for a, b in zip(one, two, strict=True)):.2f}")
            alone = median(one) if n == size else alone
        threads.PART = part
        print(f"| {name} | {size} | {duration(alone)} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
