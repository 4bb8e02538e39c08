"""Which of two is faster: their time in interleaved rounds, as a ratio with its quartiles."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median, quantiles

from minilib.study.speed import rounds_of


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
    ratios = [each["a"] / each["b"] for each in taken]
    low, middle, high = quantiles(ratios, n=4, method="inclusive") if rounds > 1 else ratios * 3
    milliseconds = {name: 1e3 / calls * median(each[name] for each in taken) for name in ("a", "b")}
    return (
        f"a takes {middle:.3f} of b's time (median of {rounds} interleaved rounds, quartiles {low:.3f} to {high:.3f}; "
        f"wall clock {milliseconds['a']:.2f} and {milliseconds['b']:.2f} ms)"
    )
