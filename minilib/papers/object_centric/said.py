"""Sentences about OCA's results, made from what was measured: they cannot say what it does not bear out.

Axes: t frames, s slots, h and w pixels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean, geometric_mean

from torch import Tensor

from minilib.claims.chosen import pairs_of
from minilib.claims.intervals import EFFECT, Sample
from minilib.claims.said import paired
from minilib.claims.words import in_words, number, several

Rows = Mapping[str, Mapping[int, float]]
REFINED = "_crf"  # a metric of masks ends so once a random field has drawn them to the edges


def refined(masks: Mapping[str, str], rows: Rows) -> str:
    """What the random field adds to masks, label -> metric of their J&F, over the seeds that both have in one setup."""
    samples = {label: paired(rows, metric + REFINED, metric, least=1) for label, metric in masks.items()}
    gains = {label: sample for label, sample in samples.items() if sample}
    if not gains:
        return "What the random field adds is not measured yet."
    text = "The random field changes J&F by so many points: "
    text += ", ".join(f"{label} {number(sample.mean, '+')}" for label, sample in gains.items())
    return f"{text} ({several(min(sample.n for sample in gains.values()), 'seeds')})."


def holds(soft: Tensor, truth: Tensor) -> str:
    """Of one clip, soft masks (t, s, h, w) and true identities (t, h, w), 0 the ground: how many objects have a slot
    that wins most of them and of no other object, and how many slots win a tenth of the ground or more."""
    won = soft.argmax(1)
    objects = [int(k) for k in truth.unique() if k]
    slot = {k: int(won[truth == k].mode().values) for k in objects}
    alone = sum(count == 1 for count in Counter(slot.values()).values())
    ground = won[truth == 0]
    shares = [float((ground == k).double().mean()) for k in range(soft.shape[1])]
    spread = [k for k, share in enumerate(shares) if share >= 0.1]
    both = sum(k in spread for k in slot.values())
    has = "have" if alone > 1 else "has"
    text = (
        f"In this clip {in_words(alone) if alone else 'none'} of {several(len(objects), 'objects')} {has} a slot that "
    )
    text += f"holds no other object; the ground lies in {several(len(spread), 'slots')}"
    share = "shares" if both == 1 else "share"
    return f"{text}; {in_words(both)} of the objects {share} a slot with it." if both else f"{text}."


def beside(references: Mapping[str, float]) -> str:
    """What a J&F is to be held against, label -> J&F on the same clips."""
    return ", ".join(f"{label} {number(jf)}" for label, jf in references.items())


def references(rows: Rows, metrics: Mapping[str, str]) -> str:
    """The same from rows, label -> metric, and what of it is not measured yet."""
    known = {label: fmean(rows[metric].values()) for label, metric in metrics.items() if rows.get(metric)}
    absent = [label for label in metrics if label not in known]
    text = f"The same score of other masks: {beside(known)}." if known else ""
    return f"{text} Not measured yet: {', '.join(absent)}.".strip() if absent else text


def kept(taught: float, after: float, untrained: float, others: Mapping[str, float]) -> str:
    """What training on left of a J&F that was taught, above slots that were never trained, with one seed; `others` are
    what no slots made, on the same clips."""
    listed = beside({"slots that were never trained": untrained, **others})
    text = f"J&F is {number(taught)} after the lesson, {number(after)} after training on ({listed}), with one seed. "
    if taught <= untrained:
        return text + "The lesson taught nothing, so there was nothing to keep."
    left = 100 * (after - untrained) / (taught - untrained)
    if left >= 90:
        return text + "The losses keep what they were given."
    if left < 10:
        return text + "Of what the lesson added nothing is left."
    return text + f"Of what the lesson added {left:.0f} % is left."


def chain(count: int, slots: float, tubes: float, others: Sequence[Mapping[str, float]]) -> str:
    """J&F of OCA's slots and of another page's tubes on the same `count` clips, and what each is to be held against."""
    ours, theirs = map(beside, others)
    text = f"On {count} validation clips OCA's slots reach a J&F of {number(slots)} ({ours}) and the tubes of notebook "
    text += f"09 {number(tubes)} (there {theirs}). "
    return text + "The two differ in what they learn, and in encoder, patches and training clips as well."


def changes(task: str, front: Mapping[int, float], back: Mapping[int, float], printed: float) -> str:
    """Table 11: norms of the state changes of slots on objects and of all others, by seed; `printed`, the ratio of the
    paper's."""
    if not (pairs := pairs_of(front, back)):
        return (
            f"*{task}.* Not measured yet; in the paper slots on objects change {printed:.1f} times as much as others."
        )
    means = [fmean(side) for side in zip(*pairs.values(), strict=True)]
    text = f"*{task}.* Slots on objects change by {number(means[0])}, others by {number(means[1])}: "
    text += (
        f"{means[0] / means[1]:.1f} times as much ({several(len(pairs), 'seeds')}; in the paper {printed:.1f} times)."
    )
    if len(pairs) == 1:
        return text
    low, high = Sample.of([one - other for one, other in pairs.values()]).interval(EFFECT)
    clear = low > 0 or high < 0
    return text if clear else f"{text} The interval of the difference holds 0, so these seeds do not tell them apart."


def costs(rows: Rows, names: Mapping[str, str]) -> str:
    """Geometric means of the rounds "cost/<what>.<who>", relative to OCA's."""
    said = []
    for what, words in (("memory", "memory of a step"), ("step", "time of a step"), ("forward", "time of a pass")):
        each = {name: rows.get(f"cost/{what}.{who}") for who, name in names.items() if who != "oca"}
        listed = ", ".join(f"{name} {geometric_mean(rounds.values()):.2f}" for name, rounds in each.items() if rounds)
        said += [f"{words}: {listed}"] if listed else []
    if not said:
        return "Not measured here yet; `python -m minilib.study object_centric --costs` measures them."
    where = "geometric means over rounds on the device that measured the rows"
    return f"In multiples of OCA's, {where}: {'; '.join(said)}."
