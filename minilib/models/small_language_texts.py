"""What the small language model learns from: chronicles as a writer leaves them, with questions behind.

    a red star moving right : 12 .             a caption that was not merged
    red star moving right x 3 : 12 to 14 .     captions that were

From no merging at all, which is every caption a line, to a perfect writer, which is a line an event: one form, so that
who reads all captions and who reads a repository are one reader, taught on contexts of the same lengths. Some texts
have only a part of the captions, some no metadata. Chronicles begin at any second, so that short ones have all numbers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from minilib.world.chronicles import CHUNK, DEEDS, LONGEST, STILL, WORDINGS, Chronicle, Event, Fact, chronicle
from minilib.world.labels import image_captions
from minilib.world.scenes import image_scenes
from minilib.world.vocabulary import COLOURS, GROUNDS, SHAPES


@dataclass(frozen=True)
class Text:
    """read, what stands before all; asked: (what is asked, the reply to be learned), each behind `read` alone."""

    read: str
    asked: tuple[tuple[str, str], ...]


def entry(times: Sequence[int], text: str) -> str:
    """As the repository shows it: one caption is its words and second."""
    if len(times) == 1:
        return f"{text} : {times[0]} ."
    return f"{text} x {len(times)} : {times[0]} to {times[-1]} ."


def as_captions(made: Chronicle) -> list[str]:
    """One line a second."""
    return [entry((made.start + at,), caption) for at, caption in enumerate(made.captions)]


def as_some_captions(made: Chronicle, rng: np.random.Generator) -> list[str]:
    """A part of them, evenly spaced or at random."""
    lines = as_captions(made)
    count = max(2, int(rng.uniform(0.2, 1) * len(lines)))
    if rng.random() < 0.5:
        return [lines[(2 * at + 1) * len(lines) // (2 * count)] for at in range(count)]
    return [lines[at] for at in sorted(rng.permutation(len(lines))[:count])]


def as_repository(made: Chronicle) -> list[str]:
    """One line an event, as a perfect writer would have it: when, what and how many captions."""
    return [entry(range(e.start, e.last + 1), e.text) for e in made.events]


def as_written(made: Chronicle, rng: np.random.Generator) -> list[str]:
    """As a real writer leaves it: of each chunk a part of the captions has joined an earlier one of the same event."""
    joining, chunk = rng.uniform(0, 1), int(rng.choice((1, 2, 4, 16))) * CHUNK
    said = made.said()
    entries: list[tuple[list[int], str]] = []
    of: dict[tuple[int, str], int] = {}
    for at, (text, caption, joins) in enumerate(zip(said, made.captions, rng.random(len(said)), strict=True)):
        key = (at // chunk, text or "nothing moves")
        if key in of and joins < joining:
            entries[of[key]] = ([*entries[of[key]][0], made.start + at], key[1])
        else:
            of[key] = len(entries)
            entries.append(([made.start + at], caption))
    return [entry(times, text) for times, text in entries]


def as_bare(made: Chronicle, rng: np.random.Generator) -> list[str]:
    """What a writer leaves, without metadata."""
    return [re.sub(r"( x \d+)? : .*$", "", line) for line in as_written(made, rng)]


def told(made: Chronicle, form: str, rng: np.random.Generator) -> list[str]:
    """A chronicle in one of FORMS."""
    if form in ("perfect", "captions"):
        return as_repository(made) if form == "perfect" else as_captions(made)
    return {"written": as_written, "some": as_some_captions, "bare": as_bare}[form](made, rng)


FORMS = ("perfect", "captions", "written", "some", "bare")


def questions(made: Chronicle, first: Fact, lines: list[str], count: int, rng: np.random.Generator) -> Text:
    """A chronicle, its own question and others of it, no fact twice, the kinds taking turns."""
    facts = [fact for fact in made.facts() if fact.text != first.text]
    facts = [facts[at] for at in rng.permutation(len(facts))]
    by_kind = [list(group) for _, group in groupby(sorted(facts, key=lambda f: f.kind), key=lambda f: f.kind)]
    turns = [fact for at in range(count) for each in by_kind for fact in each[at : at + 1]]
    chosen = [first, *turns][:count]
    asked = tuple((f"question : {fact.text}\nanswer :", f"{fact.answer} .") for fact in chosen)
    return Text("\n".join(lines) + "\n", asked)


def rephrasing(made: Chronicle, rng: np.random.Generator) -> Text:
    """Groups of captions of one event each, of which several may be of the same, and the list that says each once."""
    said = made.said()
    groups: list[tuple[str, list[str]]] = []
    last: dict[str, list[str]] = {}
    for second in sorted(rng.permutation(len(said))[: int(rng.integers(2, 61))]):
        event = said[second] or "nothing moves"
        if event not in last or rng.random() < 0.3:
            last[event] = []
            groups.append((event, last[event]))
        last[event].append(made.captions[second])
    told = "\n".join(f"{n} . {' ; '.join(captions)}" for n, (_, captions) in enumerate(groups, 1))
    reply = "\n".join(f"{n} . {event}" for n, (event, _) in enumerate(groups, 1))
    return Text("", ((f"rephrase :\n{told}\nreply :\n", reply),))


def summary(made: Chronicle, lines: list[str], rng: np.random.Generator) -> Text:
    """The lines of a perfect repository's chunk that bear on a question."""
    facts = made.facts()
    fact = facts[int(rng.random() * len(facts))]
    kept = [line for line, e in zip(lines, made.events, strict=True) if bears(fact, e)]
    asked = "read : " + fact.text + "\n" + "\n".join(lines) + "\nreply :\n"
    return Text("", ((asked, "\n".join(kept)),))


def bears(fact: Fact, event: Event) -> bool:
    """Whether an event is one that the question names, or shows the answer."""
    shows = event.start <= fact.span[1] and event.last >= fact.span[0] and fact.kind != "often"
    return event.text in fact.text or shows


def alike(seed: int, step: int) -> tuple[list[str], list[str]]:
    """Everything that eight objects can do, and nothing, each in two wordings: what sentence embeddings learn from."""
    rng = np.random.Generator(np.random.Philox(key=[seed + 78, step]))
    cast = zip(rng.permutation(COLOURS), rng.permutation(SHAPES), strict=True)
    events = [f"{colour} {shape} {deed}" for colour, shape in cast for deed in DEEDS]

    def worded() -> list[str]:
        ground = str(rng.choice(GROUNDS))
        return [str(rng.choice(WORDINGS)).format(e, ground=ground) for e in events] + [
            str(rng.choice(STILL)).format(ground=ground)
        ]

    return worded(), worded()


def pictures(seed: int, step: int) -> list[Text]:
    """Captions of pictures, one after another, as sentences of the other half of the small world."""
    scenes = image_scenes(seed, "train", np.arange(100) + 100 * step)
    return [Text("", (("", caption),)) for caption in image_captions(scenes)]


def training_chronicle(seed: int, chunks: int, rng: np.random.Generator) -> tuple[Chronicle, Fact]:
    """A chronicle of so many chunks that begins at any second, and the fact that it was made for."""
    made, question = chronicle(seed, "train", int(rng.random() * 2**40), CHUNK * chunks)
    made = made.later(int(rng.random() * (LONGEST - CHUNK * chunks + 1)))
    return made, next(fact for fact in made.facts() if fact.text == question.text)
