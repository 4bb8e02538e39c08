"""Which of two is faster: their time in interleaved rounds, as a ratio with its quartiles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median, quantiles

from minilib.study.speed import rounds_of


def middle(ratios: Sequence[float]) -> str:
    """The median of interleaved rounds, with its quartiles."""
    low, median_, high = quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else [*ratios] * 3
    return f"ratio {median_:.3f}, median of {len(ratios)} interleaved rounds, quartiles {low:.3f} to {high:.3f}"


def compare_speed(
    a: Callable[[], object], b: Callable[[], object], rounds: int, warmup: int = 3, calls: int = 1
) -> str:
    """Says how a's time compares with b's; `calls` repeats very short functions within a round."""

    def repeated(function: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            for _ in range(calls):
                function()

        return run

    taken = rounds_of({"a": repeated(a), "b": repeated(b)}, rounds, warmup)
    milliseconds = {name: 1e3 / calls * median(each[name] for each in taken) for name in ("a", "b")}
    wall = f"wall clock {milliseconds['a']:.2f} and {milliseconds['b']:.2f} ms"
    return f"{middle([each['a'] / each['b'] for each in taken])}; {wall}"
