"""Figures of a benchmark, each beside its limit. Percentiles are by the nearest rank."""

import math
import statistics
from collections.abc import Sequence


def percentile(figures: Sequence[float], share: float) -> float:
    """The smallest figure that at least this share of all figures does not exceed."""
    return sorted(figures)[max(0, math.ceil(share * len(figures)) - 1)]


def step(what: str) -> None:
    print(f"-- {what}", flush=True)


def show(what: str, figures: Sequence[float], limit: str = "") -> None:
    p50, p95 = statistics.median(figures), percentile(figures, 0.95)
    print(
        f"{what:44}p50 {p50:6.2f}   p95 {p95:6.2f}   max {max(figures):6.2f}   "
        f"(n = {len(figures)}){bound(limit)}",
        flush=True,
    )


def show_one(what: str, figure: float, limit: str = "") -> None:
    print(f"{what:44}{figure:10.2f}{bound(limit)}", flush=True)


def bound(limit: str) -> str:
    """The end of a line with a figure."""
    return f"   limit {limit}" if limit else ""
