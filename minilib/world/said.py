"""Sentences about the small world's models, made from what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from minilib.claims.words import in_words, several

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
