"""Figures of a benchmark, each with its limit."""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any


def percentile(figures: Sequence[float], share: float) -> float:
    """Percentile by nearest rank: the smallest figure that `share` of all figures do not exceed."""
    return sorted(figures)[max(0, math.ceil(share * len(figures)) - 1)]


def clock(action: Callable[[], Any]) -> float:
    started = time.monotonic()
    action()
    return time.monotonic() - started


def step(what: str) -> None:
    print(f"-- {what}", flush=True)


def show(what: str, figures: Sequence[float], limit: str = "") -> None:
    p50, p95 = statistics.median(figures), percentile(figures, 0.95)
    print(
        f"{what:44}p50 {p50:6.2f}   p95 {p95:6.2f}   max {max(figures):6.2f}   "
        f"(n = {len(figures)}){bound(limit)}",
        flush=True,
    )


def show_range(what: str, figures: Sequence[float], limit: str = "") -> None:
    """Median, minimum and maximum."""
    low, middle, high = min(figures), statistics.median(figures), max(figures)
    print(
        f"{what:32}{middle:8.2f}   ({low:.2f} to {high:.2f}, n = {len(figures)}){bound(limit)}",
        flush=True,
    )


def show_ratio(what: str, above: Sequence[float], below: Sequence[float], limit: str = "") -> None:
    """Ratio of two medians."""
    ratio = statistics.median(above) / statistics.median(below)
    print(f"{'  ' + what:32}{ratio:8.2f}{bound(limit)}", flush=True)


def show_one(what: str, figure: float, limit: str = "") -> None:
    print(f"{what:44}{figure:10.2f}{bound(limit)}", flush=True)


def bound(limit: str) -> str:
    """The end of a line with a figure."""
    return f"   limit {limit}" if limit else ""
