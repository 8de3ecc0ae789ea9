"""Numbers and statuses as a reader sees them."""

from __future__ import annotations

import math
from typing import Any

TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
RATES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
SIZES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "bytes"))


def digits(number: float) -> str:
    """Return a number with three digits, without an exponent."""
    if number == 0 or not math.isfinite(number):
        return f"{number:.0f}"
    number = float(f"{number:.2e}")  # 99.97 has no decimal: it is 100
    return f"{number:.{max(0, 2 - math.floor(math.log10(abs(number))))}f}"


def scaled(number: float, units: tuple[tuple[float, str], ...]) -> str:
    """Return a number in the largest unit of which it has at least one."""
    number = float(f"{number:.2e}")
    size, unit = next((entry for entry in units if abs(number) >= entry[0]), units[-1])
    return f"{digits(number / size)} {unit}"


def seconds(number: float) -> str:
    """Return a time."""
    return scaled(number, TIMES)


def size(number: float) -> str:
    """Return a number of bytes, in powers of 1000."""
    return scaled(number, SIZES)


def capacity(number: int) -> str:
    """Return the size of a memory, in powers of 1024."""
    unit, name = next((entry for entry in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")) if number >= entry[0]),
                      (1, "bytes"))
    return f"{number / unit:.3g} {name}"


def value(row: dict[str, Any], result: dict[str, Any]) -> str:
    """Return what was measured: the time of a call or of one of its operations, its peak memory, or its bits."""
    found = result["value"]
    if row["measure"] == "bits":
        return "equal"
    if found is None:
        return "unknown"
    return size(found) if row["measure"] == "bytes" else seconds(found / row["count"])


def ratio(number: float) -> str:
    """Return a ratio: two decimals, or three digits from 10 on."""
    return f"{number:.2f}" if number < 10 else digits(number)


def interval(result: dict[str, Any], dash: str = " to ") -> str:
    """Return the interval of a ratio; nothing where low and high are the ratio itself, as for memory."""
    low, high = result["low"], result["high"]
    if low is None or high is None or low == high:
        return ""
    return f"{ratio(low)}{dash}{ratio(high)}"


def status(result: dict[str, Any]) -> str:
    """Return a status in words; with the first line of the reason, if it is the contender's own."""
    message = (result["message"] or "").strip()
    if result["status"] in ("wrong", "failed") and message:
        return f"{result['status']}: {message.splitlines()[0]}"
    return str(result["status"])


def threads(count: int) -> str:
    """Return "1 thread", "2 threads"."""
    return f"{count} thread{'s' if count > 1 else ''}"


def rate(row: dict[str, Any]) -> str:
    """Return the rate that autodiff reaches: FLOP/s where these bound it, bytes a second elsewhere."""
    found, cost = ours(row), row["cost"]
    if not found or not cost:
        return ""
    bound = row["limit"]["bound"] if row["limit"] else "flops"
    if bound == "flops":
        return scaled(cost["flops"] / found, RATES) + "FLOP/s"
    return scaled(cost["bytes"] / found, RATES) + "B/s"


def share(row: dict[str, Any]) -> str:
    """Return the share of its limit that autodiff reaches, and what sets that limit."""
    found = ours(row)
    if not found or not row["limit"]:
        return ""
    reached = row["limit"]["seconds"] / found
    return f"{reached:.{0 if reached >= 0.1 else 1}%} of {row['limit']['bound']}"


def ours(row: dict[str, Any]) -> float | None:
    """Return the seconds of one call of autodiff, if it was timed."""
    result = row["results"].get("autodiff")
    return result["value"] if result and result["status"] == "ok" and row["measure"] == "seconds" else None
