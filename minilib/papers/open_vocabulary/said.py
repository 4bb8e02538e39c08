"""Sentences about open-vocabulary localization, made from what was measured: they cannot say what it does not bear out.

Rows are {metric: {replicate: value}}; a table is what `Study.printed` gives, label -> (metric, the paper's number).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import sqrt
from statistics import fmean

from torch import Tensor

from minilib.claims.chosen import pairs_of
from minilib.claims.intervals import EFFECT, quantile
from minilib.claims.said import paired
from minilib.claims.words import in_words, number, several

Rows = Mapping[str, Mapping[int, float]]
Printed = Mapping[str, tuple[str, float | None]]


def listed(words: Sequence[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


# --- part one, part two ----------------------------------------------------------------------------------------------


def filled(own: float, neighbour: float, own_mean: float, neighbour_mean: float) -> str:
    """Errors of the hidden pixels as shares of grey's: filled in by the model with the hidden patches' own mean and
    contrast, with those of a patch that was seen, and without the model by either mean alone."""
    text = f"Painting the hidden patches grey is an error of 100 %. The usual picture has {100 * own:.0f} %. "
    taken = 1 - own / own_mean
    if taken < 0.15:
        text += (
            f"Their own means alone, with no model at all, have {100 * own_mean:.0f} %: what looks so good was given."
        )
    else:
        text += f"Their own means alone have {100 * own_mean:.0f} %, of which the model takes {100 * taken:.0f} % away."
    text += f" Drawn from what can be seen, it is {100 * neighbour:.0f} %, and with no model, by the neighbours' means "
    text += f"alone, {100 * neighbour_mean:.0f} %: "
    taken = 1 - neighbour / neighbour_mean
    return text + (f"the model takes {100 * taken:.0f} % of that away." if taken > 0.02 else "the model adds nothing.")


def steady(shares: Mapping[str, float], slots: int) -> str:
    """Name of the slots -> in how many percent of neighbouring frames an object stays in its slot."""
    luck = 100 / slots
    said = [f"{share:.0f} % of the cases with {name}" for name, share in shares.items()]
    text = f"From one frame to the next an object keeps its slot in {listed(said)}; luck would give {luck:.0f} %."
    lost = [name for name, share in shares.items() if share < 2 * luck]
    return text + (f" With {listed(lost)} the number of a slot says nothing about the next frame." if lost else "")


def on_ground(shares: Mapping[str, float]) -> str:
    """Kind of boxes -> percent of them whose slot has most of its patches on the ground."""
    said = [f"{share:.0f} % of “{kind}”" for kind, share in shares.items()]
    text = f"The rules look at boxes, not at masks. Most patches of the slot are ground in {listed(said)}."
    false = [kind for kind, share in shares.items() if kind != "background" and share > 50]
    if not false:
        return text
    return f"{text} So most of what the rules call {listed([f'“{kind}”' for kind in false])} is ground around objects."


def merged(kept: int, groups: int) -> str:
    """How many slots are kept of a group of clips, and how many groups they make."""
    text = f"Of the eight clips together {in_words(kept)} slots are kept"
    if kept == groups:
        return f"{text}, and none of them is merged with another."
    return f"{text}, which make {in_words(groups)} things."


def live(scores: Mapping[str, Sequence[float]], start: Mapping[str, float]) -> str:
    """Name -> DecRate of each seed, and that of its slots with random weights: who left where it began, who leads."""
    means = {name: fmean(values) for name, values in scores.items()}
    said = [f"from {start[name]:.0f} to {mean:.0f} % with slots of {name}" for name, mean in means.items()]
    text = f"DecRate went {listed(said)}."
    stayed = [name for name, mean in means.items() if mean < start[name] + 10]
    if stayed:
        return f"{text} Those of {listed(stayed)} did not leave where they began, so nothing is compared yet."
    first, second = sorted(means, key=means.get, reverse=True)[:2]
    ahead = means[first] - means[second]
    count = several(len(scores[first]), "seeds")
    if ahead < 3:
        return f"{text} They are level within three points ({count}, a look, not a result)."
    return f"{text} Slots of {first} are ahead by {ahead:.0f} points ({count}, a look, not a result)."


# --- names -----------------------------------------------------------------------------------------------------------


def clear(share: float, chance: float, count: int) -> bool:
    """Whether a share in percent of so many lies above chance at 98 %."""
    return share - chance > quantile(EFFECT, max(count - 1, 1)) * sqrt(chance * (100 - chance) / max(count, 1))


def named(shares: Mapping[str, float], chance: float, count: int) -> str:
    """Reader -> percent of `count` objects that it calls rightly."""
    said = [f"{share:.0f} % by {reader}" for reader, share in shares.items()]
    text = f"Of {count} objects that were found, {listed(said)} are called by their shape (chance {chance:.0f} %)."
    lost = [reader for reader, share in shares.items() if not clear(share, chance, count)]
    return text + (f" Not clear of chance: {listed(lost)}." if lost else "")


def words_right(right: Mapping[str, tuple[float, float, float]], count: int) -> str:
    """Kind of word -> percent that patch-CLIP and CLIP's own patches say rightly of `count` objects, and chance."""
    said = [
        f"{kind} {ours:.0f} % (CLIP's own patches {own:.0f}, chance {luck:.0f})"
        for kind, (ours, own, luck) in right.items()
    ]
    return f"Under the true masks of {count} objects patch-CLIP finds the right word for {'; '.join(said)}."


def taken_for(truth: Tensor, found: Tensor, names: Sequence[str]) -> str:
    """Which name is most often given in place of which: truth and found int64 (n,)."""
    wrong = Counter((int(t), int(f)) for t, f in zip(truth, found, strict=True) if t != f)
    often = [(pair, count) for pair, count in wrong.most_common(3) if count > 1]
    if not often:
        return "No name is given in place of another one more than once."
    said = [f"{names[t]} for {names[f]} ({count} of {int((truth == t).sum())})" for (t, f), count in often]
    return f"Most often taken for another: {listed(said)}."


def knows_ground(share: float, chance: float) -> str:
    """Percent of objects whose own patches also name the ground that they lie on."""
    text = f"The patches *of the object* also name the ground around it, in {share:.0f} % of the cases"
    if share > 2 * chance:
        return (
            f"{text}. Whether patches have read what lies around them or hold some of it at the object's edge, a name "
            "of a background cannot tell objects from ground then."
        )
    return f"{text}, which is hardly more than chance ({chance:.0f} %)."


def pairs_right(shape: int, colour: int, both: int, count: int) -> str:
    """Of `count` objects in combinations that no training picture had: whose shape, whose colour, and both are said."""
    if not count:
        return "No object in an unseen combination was found here."
    text = f"Of {several(count, 'objects')} in pairs that no training picture and no training sentence had, "
    return f"{text}{in_words(shape)} got the right shape, {in_words(colour)} the right colour, {in_words(both)} both."


# --- rows ------------------------------------------------------------------------------------------------------------


def changed(table: Printed, rows: Rows, after: str, before: str, what: str) -> str:
    """What a step does in the paper and here, with its interval: from line `before` to line `after` of a table."""
    (metric, printed), (old, old_printed) = table[after], table[before]
    text = f"{what}: in the paper it {moves(printed - old_printed)}"
    sample = paired(rows, metric, old)
    if sample is None:
        return f"{text}; not measured here yet."
    low, high = sample.interval(EFFECT)
    text += f", here it {moves(sample.mean)} (98 % interval {number(low, '+')} to {number(high, '+')})"
    if low <= 0 <= high:
        return f"{text}, which may be nothing."
    return f"{text}, {'the same way' if (sample.mean > 0) == (printed > old_printed) else 'the other way'}."


def moves(by: float) -> str:
    """'rises by 2.0 points'."""
    return f"{'rises' if by > 0 else 'falls'} by {number(abs(by))} points"


def share_of(rows: Rows, ours: str, oracle: str) -> float | None:
    """The mean of one metric in percent of another's, over the groups that both have in one setup."""
    if not (pairs := pairs_of(rows.get(ours, {}), rows.get(oracle, {}))):
        return None
    a, b = (fmean(values) for values in zip(*pairs.values(), strict=True))
    return 100 * a / b


def of_oracle(rows: Rows, ours: str, oracle: str, metrics: Mapping[str, str]) -> str:
    """Ours as shares of the oracle's; metrics: name -> what is put behind the variant."""
    shares = {name: share_of(rows, ours + part, oracle + part) for name, part in metrics.items()}
    said = [f"{share:.0f} % in {name}" for name, share in shares.items() if share is not None]
    return f"Of what the oracle scores, our slots reach {listed(said)}." if said else "Not measured yet."


def aims(rows: Rows, ours: str, oracle: str, aimed: Mapping[str, tuple[str, float]]) -> str:
    """Which shares of the oracle's scores were aimed at, and which are missed; aimed: name -> what is put behind the
    variant, and percent."""
    shares = {name: (share_of(rows, ours + part, oracle + part), aim) for name, (part, aim) in aimed.items()}
    missed = [f"{name} ({share:.0f} %)" for name, (share, aim) in shares.items() if share is not None and share < aim]
    text = f"The aims were {listed([f'{aim:g} % in {name}' for name, (_, aim) in aimed.items()])}: "
    return text + (f"missed in {listed(missed)}." if missed else "all reached, or not measured yet.")


def lost_in(rows: Rows, ours: str, oracle: str) -> str:
    """Whether finding or naming loses more of what the oracle scores."""
    parts = {"finding objects": "", "naming their shapes": "/named"}
    shares = {name: share_of(rows, ours + part, oracle + part) for name, part in parts.items()}
    if None in shares.values():
        return "Where it is lost is not measured yet."
    less, more = sorted(shares, key=shares.get)
    return f"More is lost in {less} ({shares[less]:.0f} % of the oracle's) than in {more} ({shares[more]:.0f} %)."


def against(rows: Rows, one: str, control: str, what: str, why: str, ours: str = "Slots") -> str:
    """Whether `ours` find more than a control, with the interval; `why` is said where the control is ahead."""
    sample = paired(rows, one, control)
    if sample is None:
        return f"{ours} and {what} are not compared yet."
    low, high = sample.interval(EFFECT)
    interval = f"(98 % interval {number(low, '+')} to {number(high, '+')})"
    if low <= 0 <= high:
        return f"{ours} and {what} find as much, as far as these groups tell {interval}."
    if low > 0:
        return f"{ours} find {number(sample.mean)} points more than {what} {interval}."
    return f"**{ours} find {number(-sample.mean)} points fewer than {what}** {interval}. {why}"


def failed(cases: Mapping[str, int], total: int) -> str:
    """Rule -> how many of `total` objects fail by it."""
    said = [f"{rule} {count}" for rule, count in cases.items()]
    rest = total - sum(cases.values())
    text = f"Of {several(total, 'objects')}: {listed(said)}."
    return f"{text} The other {rest} are found and named, or were never found."


def shuffled(rows: Rows, ours: str, control: str, chance: float) -> str:
    """Names under words that mean other shapes: metrics of the share of objects that are rightly named."""
    if not (pairs := pairs_of(rows.get(ours, {}), rows.get(control, {}))):
        return "Names under words of other shapes are not measured yet."
    right, wrong = (fmean(values) for values in zip(*pairs.values(), strict=True))
    text = f"Under words that mean other shapes {wrong:.0f} % of the found objects get their name, under the right ones"
    text += f" {right:.0f} % (chance {chance:.0f} %)"
    return f"{text}." if wrong < right else f"{text}: **the words do not matter, so these names say nothing.**"


def costs(counted: Mapping[str, float]) -> str:
    """Where the operations of eight frames go, and how little is trained: 10^9 multiply-adds, 10^6 parameters."""
    share = {part: 100 * counted[f"{part}.macs"] / counted["macs"] for part in ("encoder", "grouping", "decoder")}
    text = f"Of {counted['macs']:.0f} billion multiply-adds the frozen encoder takes {share['encoder']:.0f} %, "
    text += f"the decoder {share['decoder']:.0f} % and slot attention {number(share['grouping'])} %. "
    text += f"Of {counted['parameters']:.0f} million parameters {number(counted['trained.parameters'])} million are "
    text += f"trained. Patch-CLIP takes {number(counted['patch_clip.macs'])} billion a frame and trains "
    return text + f"{number(counted['patch_clip.trained'])} million."
