"""Sentences about DiST's results, made from what was measured: they cannot say what it does not bear out.

Axes: b clips, t frames, h and w patches, l layers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, geometric_mean

from torch import Tensor

from minilib.claims.intervals import EFFECT, Sample
from minilib.claims.said import Printed, Rows
from minilib.claims.words import in_words, number, several

EARLIER = {"/timing/": "/", "/hard_appearance/": "/appearance/", "/hard_noun/": "/noun/"}  # tasks that came first
CLEARLY = 1.5  # times as much as even light, before a map is said to look at something
COSTS = {"memory": "memory_gb", "step": "step_seconds", "latency": "throughput"}  # what is timed, and Table 3's column


def earlier(table: Printed) -> dict[str, tuple[str, float | None]]:
    """The same lines on the easier task that a claim stood on before it moved: such rows are shown and never judge."""
    found = {}
    for label, (metric, paper) in table.items():
        for now, before in EARLIER.items():
            metric = metric.replace(now, before, 1)
        found[label] = metric, paper
    return found


def gradients(sizes: Mapping[str, int], trains: Mapping[str, bool]) -> str:
    """How many of all parameters receive a gradient, and which parts receive none."""
    reached = sum(size for name, size in sizes.items() if trains[name])
    none = [name for name in sizes if not trains[name]]
    share = 100 * reached / sum(sizes.values())
    text = f"A gradient reaches {reached:,} of {sum(sizes.values()):,} parameters ({share:.0f} %)"
    return f"{text}; it reaches nothing in {' and '.join(none)}." if none else f"{text}, some in every part."


def mixes(noticed: Mapping[str, Tensor], gamma: int) -> str:
    """name -> bool (dense frames, sparse frames), who noticed what: whether a way up keeps each frame's news to its own
    `gamma` dense frames."""
    said = []
    for name, each in noticed.items():
        own = sum(int(each[t * gamma : (t + 1) * gamma, t].sum()) for t in range(each.shape[1]))
        foreign = int(each.sum()) - own
        said.append(f"{in_words(foreign) if foreign else 'none'} with {name}")
    return f"Cells in which a dense frame hears of another moment: {'; '.join(said)}."


def helped(ours: Mapping[int, tuple[float, int]], other: Mapping[int, tuple[float, int]], classes: Sequence[str]):
    """The pair in which one model is furthest ahead of another, accuracies within pairs by their first class, and a
    sentence about it and about the pair in which it is least so."""
    gains = {first: ours[first][0] - other[first][0] for first in ours if first in other}
    most, least = max(gains, key=gains.get), min(gains, key=gains.get)

    def pair(first: int) -> str:
        scores = f"{other[first][0]:.0f} to {ours[first][0]:.0f} %"
        return f"“{classes[first]}” and “{classes[first + 1]}” ({scores})"

    ahead = sum(gain > 0 for gain in gains.values())
    text = f"With the temporal encoder accuracy is higher in {in_words(ahead)} of {several(len(gains), 'pairs')}; it "
    return most, text + f"changes most for {pair(most)} and least, or for the worse, for {pair(least)}."


def on_what_moves(name: str, on: Tensor, area: Tensor) -> str:
    """Whether a map looks at what moves, shares (b,) of the same clips: clear of even light at 98 % *and* at least
    `CLEARLY` times as much. A difference can be beyond doubt and still too small to call it looking."""
    low, high = Sample.of((on - area).tolist()).interval(EFFECT)
    ratio = float(on.mean() / area.mean())
    text = f"{name}: {100 * on.mean():.1f} % of the map lies on what moves, which covers {100 * area.mean():.1f} % of "
    text += f"the frame ({ratio:.1f} times even light). "
    if low > 0 and ratio >= CLEARLY:
        return text + "It looks at what moves."
    if high < 0 and ratio <= 1 / CLEARLY:
        return text + "It avoids what moves."
    return text + "That is about what even light would give: it does not single out what moves."


def beyond_chance(what: str, table: Printed, rows: Rows, chance: float) -> str:
    """Which lines recognise anything at all, in percent: clear of chance at 98 % over their seeds."""
    found = {label: list(rows[metric].values()) for label, (metric, _) in table.items() if rows.get(metric)}
    if not found:
        return f"{what}: not measured yet."
    clear = []
    for label, values in found.items():
        low = Sample.of(values).interval(EFFECT)[0] if len(values) > 1 else float("-inf")
        clear += [label] if low > chance else []
    listed = ", ".join(f"{label} {number(fmean(values))} %" for label, values in found.items())
    seeds = several(min(map(len, found.values())), "seeds")
    end = f"Clear of chance: {', '.join(clear)}."
    if max(map(len, found.values())) < 2:
        end = "One seed is a look, not a result."
    elif not clear:
        end = "Nothing is clear of chance: these seeds do not show that anything was recognised."
    return f"{what}: {listed} ({seeds}; chance {number(chance)} %). {end}"


def wasted(gamma: int, printed: float, counted: float, efficient: float) -> str:
    """What the released graph embeds and throws away at a `gamma`, of what the paper prints; in 10⁹ multiply-adds."""
    thrown = counted - efficient
    return (
        f"At γ = {gamma} the paper prints {printed:g}·10⁹ multiply-adds; the released graph counts {counted:.1f}, and "
        f"{thrown:.1f} of these ({100 * thrown / counted:.1f} %) embed frames that are then thrown away."
    )


def relative_costs(rows: Rows, paper: Callable[[str], float]) -> str:
    """Table 3 as ratios to DiST: geometric means of rounds "cost/<what>.<who>", as the verdicts take them, beside the
    ratio of the paper's numbers, which `paper` finds by their keys."""
    said = []
    for what, column in COSTS.items():
        for who, name in (("st_adapter", "ST-Adapter"), ("evl", "EVL")):
            ratio = paper(f"t3.{column}.{who}") / paper(f"t3.{column}")
            ratio = 1 / ratio if what == "latency" else ratio  # the paper prints videos a second
            if rounds := rows.get(f"cost/{what}.{who}"):
                said.append(f"{what} of {name} {geometric_mean(rounds.values()):.2f} ({ratio:.2f})")
    if not said:
        return "Time and memory are not measured here yet: `python -m minilib.study dist --costs` measures them."
    means = "geometric means over rounds, here and in the verdicts"
    return f"Relative to DiST ({means}), in brackets the paper's ratio: {', '.join(said)}."
