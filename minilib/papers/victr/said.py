"""Sentences about VicTR's results, made from what was measured: they cannot say what it does not bear out.

Axes: b clips, t frames, n names, c channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from torch import Tensor

from minilib.claims.intervals import EFFECT, Sample
from minilib.claims.said import paired
from minilib.claims.words import in_words, number, several
from minilib.errors import BadInput
from minilib.papers.victr.figures import Inside

Rows = Mapping[str, Mapping[int, float]]


def guess(chance: float, ranked: bool = False) -> str:
    """What answers without looking score, in percent: top-1, or, ranked, mean average precision."""
    if ranked:
        return f"Random scores reach {chance:.1f} %, a little more than the share of positives."
    return f"A blind guess scores {chance:.1f} %."


def order_gone(rows: Rows, shuffled: str, chance: float) -> str:
    """What shuffled frames leave, a metric: accuracy within mirrored pairs where the rows have it, else top-1."""
    if pairs := rows.get(f"{shuffled}/pairs"):
        text = "Of two mirrored motions VicTR with shuffled frames finds the right one for "
        return f"{text}{number(fmean(pairs.values()))} % of the clips ({several(len(pairs), 'seeds')}; a guess 50 %)."
    if not (values := rows.get(shuffled)):
        return "What shuffled frames leave is not measured yet."
    text = "These rows have no accuracy within mirrored pairs, so the control is read in top-1 over all classes: "
    text += f"{number(fmean(values.values()))} % with shuffled frames ({several(len(values), 'seeds')}; a guess "
    return text + f"{chance:.1f} %, the right pair without its order 50 %)."


def showcase(labels: Tensor, taken: Tensor, label: int) -> tuple[int, str]:
    """The clip to show of a class, by a rule that a sentence gives: the first one that the model recognises, or, where
    it recognises none, the first one. labels, taken int64 (b,); raises BadInput for a class without clips."""
    clips = (labels == label).nonzero()[:, 0].tolist()
    if not clips:
        raise BadInput(f"showcase: no clip of class {label} among {len(labels)}, take more clips")
    right = [clip for clip in clips if taken[clip] == label]
    count = f"the model recognises {in_words(len(right)) if right else 'none'} of {several(len(clips), 'clips')}"
    if right:
        return right[0], f"{count}; shown is the first of those."
    return clips[0], f"{count}; shown is the first clip, a mistake."


def nearest(shown: Inside, labels: Tensor) -> str:
    """In how many frames the right name is the nearest of all, before and after the head, and how much the affinities
    of a clip change from frame to frame."""
    share, change = [], []
    for cosines in (shown.before, shown.after):
        share.append(100 * (cosines.argmax(-1) == labels[:, None]).double().mean().item())
        change.append(cosines.std(1, correction=0).mean().item())
    guess = 100 / shown.before.shape[-1]
    text = f"The right name is the nearest in {share[0]:.0f} % of the frames before the head and in {share[1]:.0f} % "
    text += f"after it (a guess: {guess:.0f} %). "
    ratio = change[1] / change[0] if change[0] else 0.0
    return text + (
        f"From frame to frame an affinity varies by {change[0]:.3f} before and {change[1]:.3f} after the head "
        f"(standard deviation of cosines), {ratio:.1f} times as much."
    )


def agreement(text: Tensor, labels: Tensor, names: Sequence[str]) -> str:
    """Whether a name is more alike in two clips of its own class than in two of one other class: unit vectors
    (b, n, c); one difference of mean cosines a name, clear of 0 at 98 % or not. Clips of two different classes do not
    count: any name is more alike in similar clips."""
    alike = labels[:, None] == labels
    alike.fill_diagonal_(False)
    pairs = []
    for k in range(len(names)):
        own = (labels == k)[:, None] & alike
        if own.any() and (alike & ~own).any():
            cosines = text[:, k] @ text[:, k].T
            pairs.append((float(cosines[own].mean()), float(cosines[alike & ~own].mean())))
    if len(pairs) < 2:
        return "Too few clips to compare a name with itself."
    own, other = (fmean(side) for side in zip(*pairs, strict=True))
    said = f"A name's mean cosine with itself is {own:.2f} in two clips of its own class, and {other:.2f} in two of "
    said += "one other class"
    low, high = Sample.of([one - two for one, two in pairs]).interval(EFFECT)
    said += (
        f" (98 % interval of the difference {low:+.2f} to {high:+.2f}, {several(len(pairs), 'names')} of one model)."
    )
    if low > 0:
        return f"{said} Clips agree more on the name of what they show."
    if high < 0:
        return f"{said} Clips agree *less* on the name of what they show."
    return f"{said} That is not clear of no difference."


def explains(reason: str, metrics: Mapping[str, str], reference: tuple[str, str], rows: Rows) -> str:
    """Whether a reason that should put every line (label -> metric) ahead of the reference (label, metric) fits what is
    measured: which are ahead, which behind, clear of 0 at 98 % over the seeds that both have in one setup."""
    name, other = reference
    sides: dict[str, list[str]] = {
        "clearly ahead": [],
        "clearly behind": [],
        "not told apart": [],
        "not paired yet": [],
    }
    for label, metric in metrics.items():
        if (sample := paired(rows, metric, other)) is None:
            sides["not paired yet"].append(label)
            continue
        low, high = sample.interval(EFFECT)
        sides["clearly ahead" if low > 0 else "clearly behind" if high < 0 else "not told apart"].append(label)
    if len(sides["not paired yet"]) == len(metrics):
        return f"Whether {reason}: not measured on common seeds of one machine yet."
    found = [f"{side}: {', '.join(labels)}" for side, labels in sides.items() if labels]
    text = f"Compared with {name} (intervals of 98 %), {'; '.join(found)}."
    if sides["clearly behind"]:
        return f"{text} So that {reason} cannot be the whole explanation."
    if sides["not told apart"] or sides["not paired yet"]:
        return f"{text} These seeds neither bear out nor refute that {reason}."
    return f"{text} That is what one would see if {reason}; it is no proof."


def head_cost(one: float, every: float, names: int, rest: float) -> str:
    """What the head takes for one name and for all, in 10⁹ multiply-adds, beside the image and the text model's."""
    shares = [100 * head / (head + rest) for head in (one, every)]
    return (
        f"For one name the head takes {number(one)}·10⁹ multiply-adds a view, {number(shares[0])} % of the whole; for "
        f"all {names} names {number(every)}·10⁹, {number(shares[1])} %."
    )


def growth(work: Mapping[int, float]) -> str:
    """names -> multiply-adds: by how much the work grows between the two largest numbers of names."""
    (few, less), (many, more) = sorted(work.items())[-2:]
    return (
        f"From {few:,} to {many:,} names the work grows {more / less:.1f}-fold; linear would be {many / few:.1f}-fold."
    )
