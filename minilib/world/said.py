"""Sentences about the small world's models, made from what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from minilib.claims.words import in_words, several

if TYPE_CHECKING:
    from minilib.world.proofs import FrameProof, PairScore

NEAR = 5  # points above chance: less is not knowing


def known(scores: Mapping[str, float], chance: Mapping[str, float]) -> str:
    """What a model knows and what it only guesses, of the questions of `chance`; scores and chance in percent."""
    listed = {name: f"{name} ({scores[name]:.1f} %)" for name in chance}
    guesses = [listed[name] for name in chance if scores[name] <= chance[name] + NEAR]
    knows = [listed[name] for name in chance if scores[name] > chance[name] + NEAR]
    parts = [f"above chance: {', '.join(knows)}"] * bool(knows) + [f"at chance: {', '.join(guesses)}"] * bool(guesses)
    return "; ".join(parts)


def caption_test(scores: Mapping[str, float], chance: Mapping[str, float], wanted: float = 80) -> str:
    """What finding the caption among 64 (`scores["caption of 64"]`) proves of a model with these scores."""
    found = f"It finds the right one of 64 captions in {scores['caption of 64']:.1f} %"
    guessed = [name for name in chance if scores[name] <= chance[name] + NEAR]
    if scores["caption of 64"] >= wanted and guessed:
        return f"{found}, and still guesses: {', '.join(guessed)}. Other captions differ in so much that this is easy."
    if guessed:
        return f"{found}; it still guesses: {', '.join(guessed)}."
    return f"{found}; there is nothing that it only guesses."


def right_words(sentences: Sequence[str], truth: Mapping[str, str]) -> str:
    """How many of the sentences hold each word of `truth`, what -> word: "four say the colour (red)"."""
    said = []
    for what, word in truth.items():
        count = sum(word in sentence.split() for sentence in sentences)
        said.append(f"{in_words(count) if count else 'none'} {'says' if count == 1 else 'say'} the {what} ({word})")
    return f"Of {several(len(sentences), 'sentences')} {', '.join(said)}."


def bag(pairs: Sequence[PairScore]) -> str:
    """What a bag of frames sees of mirrored pairs, and whether it answers a reversed clip as it answered the clip."""
    scores = [pair.bag for pair in pairs]
    far = [" / ".join(pair.motions) for pair in pairs if abs(pair.bag - 50) > NEAR]
    where = f"more than {NEAR} points from chance: {', '.join(far)}" if far else f"all within {NEAR} points of chance"
    least = min(pair.bag_keeps for pair in pairs)
    same = "every reversed clip" if least == 100 else f"{least:.1f} % of the reversed clips, in the worst pair,"
    return (
        f"The bag is right on {min(scores):.1f} to {max(scores):.1f} %, {where}. "
        f"It gives {same} the answer that it gave to the clip."
    )


def ordered(pairs: Sequence[PairScore]) -> str:
    """Which pairs frames in order separate, and what comparing neighbours adds or loses."""
    plain = [pair for pair in pairs if pair.ordered - 50 <= NEAR]
    text = f"Frames in order lead {in_words(len(pairs) - len(plain))} of {several(len(pairs), 'pairs')} out of chance."
    for pair in plain:
        text += (
            f" At chance stays {' / '.join(pair.motions)} ({pair.ordered:.1f} %); "
            f"neighbours compared reach {pair.compared:.1f} % there."
        )
    worse = [pair for pair in pairs if pair not in plain and pair.compared < pair.ordered]
    return f"{text} On the other pairs comparing does worse than order in {len(worse)} of {len(pairs) - len(plain)}."


def one_frame(proof: FrameProof) -> str:
    """How much of the appearance score of all frames the middle one reaches."""
    most = "nearly all of it is in a single frame" if proof.share >= 90 else "a single frame lacks some of it"
    return (
        f"One frame is right on {proof.one:.1f} %, {proof.frames} frames on {proof.all:.1f} %: "
        f"one reaches {proof.share:.0f} % of the score, so {most}."
    )


def promises(kept: Mapping[str, bool]) -> str:
    """How many measurements are as promised, and which are not."""
    broken = [name for name, well in kept.items() if not well]
    if not broken:
        return f"All {several(len(kept), 'measurements')} are as promised."
    good = in_words(len(kept) - len(broken))
    return f"As promised: {good} of {several(len(kept), 'measurements')}. Not so: {', '.join(broken)}."
