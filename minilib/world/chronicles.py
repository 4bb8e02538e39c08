"""Chronicles: minutes of events by several objects, told as a captioner would, one caption a second, and a question
with five answers about each.

    captions  0 "a red star moving right"   1 "red star moving right on sand"   2 "nothing moves"   3 ...
    question  "what happens just after red star moving right ?"   five answers, of which one is right

Five siblings share the question and its five answers, and each answer is right for one of them; so a reader of the
question alone, whatever it prefers, is right in exactly one of five. Each set of siblings also has a mirrored twin: its
events in the opposite order, asked about "last" and "before" where the other is asked about "first" and "after".

One thing happens in a second, so that every answer follows from the captions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from minilib.errors import BadInput
from minilib.world.draws import Draws
from minilib.world.long import LONG_MOTIONS
from minilib.world.questions import ANSWERS
from minilib.world.vocabulary import COLOURS, GROUNDS, SHAPES

KINDS = ("order", "neighbour", "often", "long", "when")
CHUNK = 10  # seconds: a chronicle is whole chunks, and the shortest holds any question
SECONDS = 16 * CHUNK
LONGEST = 25 * CHUNK
CAST = 4  # objects of a chronicle
DEEDS = tuple(motion for motion in LONG_MOTIONS if "spinning" not in motion)  # any shape can do them
WORDINGS = ("{}", "{}", "a {}", "the {}", "{} on {ground}")
STILL = ("nothing moves", "nothing moves on {ground}")
STREAM = 5_000_011


@dataclass(frozen=True)
class Event:
    """What one object does, in seconds from `start` to `last`, both within."""

    text: str
    start: int
    last: int

    @property
    def seconds(self) -> int:
        return self.last - self.start + 1


@dataclass(frozen=True)
class Fact:
    """A question with its answer, and the seconds that show it."""

    kind: str
    text: str
    answer: str
    span: tuple[int, int]


@dataclass(frozen=True)
class Chronicle:
    """events in order of time; captions, one a second from second `start` on."""

    events: tuple[Event, ...]
    captions: tuple[str, ...]
    start: int = 0

    def later(self, seconds: int) -> Chronicle:
        """The same, so many seconds later."""
        events = tuple(Event(e.text, e.start + seconds, e.last + seconds) for e in self.events)
        return Chronicle(events, self.captions, self.start + seconds)

    def said(self) -> list[str | None]:
        """What happens in each second; None, nothing."""
        out: list[str | None] = [None] * len(self.captions)
        for event in self.events:
            out[event.start - self.start : event.last + 1 - self.start] = [event.text] * event.seconds
        return out

    def facts(self) -> list[Fact]:
        """All that can be asked: what is first and last, and of events that happen once what stands next to them, how
        long they last and when; of all, how often they happen."""
        happens = Counter(event.text for event in self.events)
        first, last = self.events[0], self.events[-1]
        out = [
            Fact("order", "what happens first ?", first.text, (first.start, first.last)),
            Fact("order", "what happens last ?", last.text, (last.start, last.last)),
        ]
        for text, count in happens.items():
            all_of_it = [event for event in self.events if event.text == text]
            span = (all_of_it[0].start, all_of_it[-1].last)
            out.append(Fact("often", f"how often does it happen : {text} ?", f"{count} times", span))
        for at, event in enumerate(self.events):
            if happens[event.text] > 1:
                continue
            span = (event.start, event.last)
            for word, beside in (("before", at - 1), ("after", at + 1)):
                if 0 <= beside < len(self.events):
                    other = self.events[beside]
                    text = f"what happens just {word} {event.text} ?"
                    out.append(Fact("neighbour", text, other.text, (other.start, other.last)))
            out.append(Fact("long", f"how long does it last : {event.text} ?", f"{event.seconds} seconds", span))
            out.append(Fact("when", f"when does it happen : {event.text} ?", interval(span), span))
        return out


@dataclass(frozen=True)
class ChronicleQuestion:
    """A question with five answers, of which `right` is the index of the true one; kind, one of KINDS; span, the
    seconds that show it, (first, last)."""

    text: str
    answers: tuple[str, ...]
    right: int
    kind: str
    span: tuple[int, int]


def interval(span: tuple[int, int]) -> str:
    return f"{span[0]} to {span[1]}"


def chronicle(seed: int, split: str, index: int, seconds: int = SECONDS) -> tuple[Chronicle, ChronicleQuestion]:
    """Chronicle `index` of so many seconds and its question; a function of the arguments alone.

    Of an index the remainder by five is the sibling, whose right answer it is in the order in which the answers are
    drawn; the next bit says whether this is the mirrored twin; the rest draws events, question and words.
    """
    if seconds % CHUNK or not CHUNK <= seconds <= LONGEST:
        raise BadInput(f"a chronicle of {seconds} seconds: give a multiple of {CHUNK}, {CHUNK} to {LONGEST}")
    right, group = index % ANSWERS, index // (2 * ANSWERS)
    backwards = index // ANSWERS % 2 == 1
    draws = Draws(seed + STREAM, split, np.array([group]), count=128 + 8 * seconds)
    kind = KINDS[group % len(KINDS)]
    cast = zip(draws.order(len(COLOURS))[0, :CAST], draws.order(len(SHAPES))[0, :CAST], strict=True)
    deeds = [f"{COLOURS[c]} {SHAPES[s]} {deed}" for c, s in cast for deed in DEEDS]
    deeds = [deeds[i] for i in draws.order(len(deeds))[0]]
    options, target, others = deeds[:ANSWERS], deeds[ANSWERS], deeds[ANSWERS + 1 :]
    told = _MAKERS[kind](options, target, right, seconds, _filler(others, draws, seconds), draws)
    told = told[::-1] if backwards else told
    ground = GROUNDS[draws.integers(0, len(GROUNDS), 1)[0, 0]]
    wording = draws.uniform(0, 1, seconds)[0]
    captions = tuple(_caption(text, at, ground) for text, at in zip(told, wording, strict=True))
    made = Chronicle(_runs(told), captions)
    return made, _question(made, kind, options, target, right, seconds, backwards)


# --- what happens ----------------------------------------------------------------------------------------------------

Told = list[str | None]  # what happens in each second; None, nothing


def _filler(others: Sequence[str], draws: Draws, seconds: int) -> list[Told]:
    """Pieces of two to eight seconds of other events, each followed by none or one in which nothing moves; more than
    fill the chronicle. So most captions repeat, as a captioner's do, and what is asked for is brief."""
    which = draws.integers(0, len(others), seconds)[0]
    length, rest = draws.integers(2, 9, seconds)[0], draws.integers(0, 2, seconds)[0]
    return [[others[w]] * int(n) + [None] * int(r) for w, n, r in zip(which, length, rest, strict=True)]


def _shuffled(pieces: list[Told], filler: list[Told], seconds: int, draws: Draws) -> Told:
    """The pieces and as much filler as there is time for, in a random order."""
    left = seconds - sum(map(len, pieces))
    pieces = list(pieces)
    for piece in filler:
        pieces.append(piece[:left])
        left -= len(pieces[-1])
    order = draws.uniform(0, 1, seconds + ANSWERS + 1)[0][: len(pieces)].argsort(kind="stable")
    return [second for i in order for second in pieces[i]]


def _order(options, target, right, seconds, filler, draws) -> Told:
    rest = [[text] for at, text in enumerate(options) if at != right]
    return [options[right], *_shuffled(rest, filler, seconds - 1, draws)]


def _neighbour(options, target, right, seconds, filler, draws) -> Told:
    pieces = [[text] if at != right else [target, text] for at, text in enumerate(options)]
    return _shuffled(pieces, filler, seconds, draws)


def _often(options, target, right, seconds, filler, draws) -> Told:
    return _shuffled([[target, None]] * (right + 1), filler, seconds, draws)


def _long(options, target, right, seconds, filler, draws) -> Told:
    return _shuffled([[target] * (right + 1)], filler, seconds, draws)


def _when(options, target, right, seconds, filler, draws) -> Told:
    start = _starts(seconds)[right]
    rest = _shuffled([], filler, seconds - 2, draws)
    return [*rest[:start], target, target, *rest[start:]]


_MAKERS: dict[str, Callable[..., Told]] = {
    "order": _order,
    "neighbour": _neighbour,
    "often": _often,
    "long": _long,
    "when": _when,
}


def _starts(seconds: int) -> list[int]:
    """Where the two seconds of a grounded event can begin: in the middle of each fifth."""
    fifth = seconds // ANSWERS
    return [at * fifth + (fifth - 2) // 2 for at in range(ANSWERS)]


def _runs(told: Told) -> tuple[Event, ...]:
    events, at = [], 0
    for text, run in groupby(told):
        length = len(list(run))
        if text is not None:
            events.append(Event(text, at, at + length - 1))
        at += length
    return tuple(events)


def _caption(text: str | None, at: float, ground: str) -> str:
    """One of several wordings, chosen by `at` in [0, 1)."""
    if text is None:
        return STILL[int(at * len(STILL))].format(ground=ground)
    return WORDINGS[int(at * len(WORDINGS))].format(text, ground=ground)


def _question(made, kind, options, target, right, seconds, backwards) -> ChronicleQuestion:
    texts = {
        "order": f"what happens {'last' if backwards else 'first'} ?",
        "neighbour": f"what happens just {'before' if backwards else 'after'} {target} ?",
        "often": f"how often does it happen : {target} ?",
        "long": f"how long does it last : {target} ?",
        "when": f"when does it happen : {target} ?",
    }
    starts = _starts(seconds)
    counted = range(1, ANSWERS + 1)
    answers = {
        "often": [f"{n} times" for n in counted],
        "long": [f"{n} seconds" for n in counted],
        "when": [interval((start, start + 1)) for start in starts],
    }.get(kind, options)
    if kind == "when" and backwards:
        answers = [interval((seconds - start - 2, seconds - start - 1)) for start in starts]
    known = {fact.text: fact for fact in made.facts()}
    return ChronicleQuestion(texts[kind], tuple(answers), right, kind, known[texts[kind]].span)
