"""Sentences about a model of one's own videos, made from what it answers. Axes: n videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from minilib.claims.words import several

SURE = 2.6  # standard errors: by chance alone further from it once in a hundred times


def chance_error(classes: int, videos: int) -> float:
    """The standard error of an accuracy, in points, of who guesses among so many classes, over so many videos."""
    share = 1 / classes
    return 100 * (share * (1 - share) / videos) ** 0.5


def weakest(per_class: Sequence[tuple[str, int, float | None, float | None]]) -> str:
    """Which class is recognised least, and for which it is all: rows of `Validation.per_class`."""
    known = [(found, name, count) for name, count, found, _ in per_class if found is not None]
    if not known:
        return "No class has a validation video."
    found, name, count = min(known)
    if found == 100:
        return f"All videos of all {len(known)} classes are recognised."
    return f"Recognised least: “{name}”, {found:.0f} % of its {several(count, 'videos')}."


def against_chance(accuracy: float, classes: int, videos: int) -> str:
    """Whether an accuracy in percent is clear of guessing."""
    chance, error = 100 / classes, chance_error(classes, videos)
    clear = "clear of" if abs(accuracy - chance) > SURE * error else "not clear of"
    by_chance = f"chance ({chance:.0f} %, give or take {SURE * error:.0f})"
    return f"{accuracy:.0f} % of {several(videos, 'videos')} right: {clear} {by_chance}."


def order(answers: Mapping[str, Tensor], truth: Tensor) -> str:
    """What becomes of the answers int64 (n,) "as they are" once videos are played backwards or mirrored."""
    plain = answers["as they are"]
    right = plain == truth
    if not right.any():
        return "No answer is right, so there is nothing to turn round."
    lines = []
    for name, answer in answers.items():
        if name != "as they are":
            kept = 100 * (answer == plain)[right].double().mean().item()
            lines.append((name, kept))
    listed = ", ".join(f"{name} {kept:.0f} %" for name, kept in lines)
    text = f"Of the {several(int(right.sum()), 'answers')} that are right, so many stay the same: {listed}."
    kept = dict(lines).get("backwards", 100.0)
    if kept == 100:
        return f"{text} The model does not use the order of the frames."
    return f"{text} The model uses the order of the frames" + (", and rests on it." if kept < 50 else " for some.")


def control(accuracy: float, classes: int, videos: int) -> str:
    """Whether a training with labels that mean nothing stays at chance, as it must."""
    chance, error = 100 / classes, chance_error(classes, videos)
    by_chance = f"chance {chance:.0f} %, give or take {SURE * error:.0f}"
    text = f"With labels that mean nothing {accuracy:.0f} % are right ({by_chance})"
    if abs(accuracy - chance) <= SURE * error:
        return f"{text}: at chance, as it must be."
    return f"{text}: *not* at chance, so do not trust the numbers above."
