"""Figures of a benchmark, each with its limit. A benchmark that misses a limit fails: `status`."""

import math
import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

MISSED: list[str] = []


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
    """Percentiles. A limit such as `p50 2, p95 3`."""
    found = {f"p{share}": percentile(figures, share / 100) for share in (50, 95)}
    found["p50"] = statistics.median(figures)
    text = (
        f"{what:44}p50 {found['p50']:6.2f}   p95 {found['p95']:6.2f}   max {max(figures):6.2f}   "
        f"(n = {len(figures)})"
    )
    _print(text, found, limit)


def show_range(what: str, figures: Sequence[float], limit: str = "") -> None:
    """Median, minimum and maximum. The limit is that of the median."""
    low, middle, high = min(figures), statistics.median(figures), max(figures)
    text = f"{what:32}{middle:8.2f}   ({low:.2f} to {high:.2f}, n = {len(figures)})"
    _print(text, {"": middle}, limit)


def show_ratio(what: str, above: Sequence[float], below: Sequence[float], limit: str = "") -> None:
    """Ratio of two medians."""
    ratio = statistics.median(above) / statistics.median(below)
    _print(f"{'  ' + what:32}{ratio:8.2f}", {"": ratio}, limit)


def show_one(what: str, figure: float, limit: str = "") -> None:
    _print(f"{what:44}{figure:10.2f}", {"": figure}, limit)


def status() -> int:
    """Exit status of the benchmark; prints the figures that missed their limit."""
    for line in MISSED:
        print(f"limit missed: {line}", flush=True)
    return 1 if MISSED else 0


def _print(text: str, found: Mapping[str, float], limit: str) -> None:
    line = f"{text}   limit {limit}" if limit else text
    print(line, flush=True)
    if not all(_holds(found, part) for part in limit.split(", ") if part):
        MISSED.append(line)


def _holds(found: Mapping[str, float], limit: str) -> bool:
    """Whether a figure keeps a limit: `3`, `p95 3`, `2 at least` or `0.9 to 1.1`."""
    form = re.fullmatch(r"(?:(p\d+) )?([\d.]+)(?: (at least)|(?: to ([\d.]+)))?", limit)
    if form is None:
        raise ValueError(f"not a limit: {limit!r}")
    name, bound, at_least, highest = form.groups()
    figure = found[name or ""]
    if highest is not None:
        return float(bound) <= figure <= float(highest)
    return figure >= float(bound) if at_least else figure <= float(bound)
