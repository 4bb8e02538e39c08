"""How the small language model was trained: on chronicles of all lengths, read as captions and as a repository.

A text is a chronicle with questions and answers behind it, a list to rephrase, a chunk to summarise for a question, or
captions of pictures. The answers weigh most in the loss. Training is limited by time and goes on where it stopped;
weights are averaged on the way, judged on validation chronicles and written whole where they are the best so far.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from minilib.errors import BadInput
from minilib.files import RUNS, write_whole
from minilib.models.small_language import (
    CONTEXT,
    END,
    PAD,
    WEIGHTS,
    SmallTransformer,
    encode,
    save_small_language,
)
from minilib.models.small_language_judge import as_captions, as_repository, validation_scores, write_card
from minilib.world.chronicles import CHUNK, Chronicle, chronicle
from minilib.world.labels import image_captions
from minilib.world.scenes import image_scenes

CHECKPOINT = RUNS / "small_language" / "training.pt"


@dataclass(frozen=True)
class Recipe:
    """Matrices are trained by Muon (Jordan 2024), all else by AdamW; both rates rise at first and fall at the end."""

    tokens: int = 2000  # of a batch, padding included
    lr: float = 3e-3
    matrix_lr: float = 0.02
    warmup: int = 20
    falling: float = 0.4  # the last part of the minutes, over which the rates fall
    ema: float = 0.97
    asked: int = 12  # questions behind a chronicle
    rest: float = 0.2  # weight of words that are not an answer
    chunks: tuple[int, ...] = (1, 2, 4, 8, 16)
    first: tuple[float, ...] = (0.8, 0.15, 0.03, 0.01, 0.01)  # how often chronicles of so many chunks are read
    later: tuple[float, ...] = (0.35, 0.25, 0.2, 0.1, 0.1)
    turn: float = 0.5  # the part of the minutes after which "later" holds
    seed: int = 0

    def at(self, step: int, progress: float) -> float:
        """The factor of both rates."""
        return max(min((step + 1) / self.warmup, (1 - progress) / self.falling, 1.0), 0.0)


Text = list[tuple[str, bool]]  # pieces, and whether each is to be learned as an answer


def asked(made: Chronicle, lines: list[str], count: int, rng: np.random.Generator) -> Text:
    """A chronicle with `count` questions and answers behind it, of which each kind is equally frequent."""
    facts = made.facts()
    kinds = sorted({fact.kind for fact in facts})
    out: Text = [("\n".join(lines) + "\n", False)]
    for _ in range(count):
        kind = kinds[int(rng.random() * len(kinds))]
        of_kind = [fact for fact in facts if fact.kind == kind]
        fact = of_kind[int(rng.random() * len(of_kind))]
        out += [(f"question : {fact.text}\nanswer :", False), (f"{fact.answer} .", True), ("\n", False)]
    return out


def rephrasing(made: Chronicle, rng: np.random.Generator) -> Text:
    """Groups of captions of one event each, and the list that says each once."""
    spans = [event for event in made.events if event.seconds > 1][:12]
    groups = [" ; ".join(made.captions[e.start : e.last + 1]) for e in spans]
    told = "\n".join(f"{at} . {group}" for at, group in enumerate(groups, 1))
    reply = "\n".join(f"{at} . {e.text}" for at, e in enumerate(spans, 1))
    return [(f"rephrase :\n{told}\nreply :\n", False), (reply, True)]


def summary(made: Chronicle, lines: list[str], rng: np.random.Generator) -> Text:
    """The lines of a chunk that bear on a question."""
    facts = made.facts()
    fact = facts[int(rng.random() * len(facts))]
    kept = [line for line, e in zip(lines, made.events, strict=True) if bears(fact, e.text, e.start, e.last)]
    return [("read : " + fact.text + "\n" + "\n".join(lines) + "\nreply :\n", False), ("\n".join(kept), True)]


def bears(fact, text: str, start: int, last: int) -> bool:
    """Whether an event is one that the question names, or shows the answer."""
    return text in fact.text or (start <= fact.span[1] and last >= fact.span[0] and fact.kind != "often")


def pieces(recipe: Recipe, step: int, progress: float) -> list[Text]:
    """The texts of a step: of one kind and length, as many as the batch has room for."""
    often = recipe.first if progress < recipe.turn else recipe.later
    rng = np.random.Generator(np.random.Philox(key=[recipe.seed + 77, step]))
    kind, chunks = rng.random(), int(rng.choice(recipe.chunks, p=often))
    if kind < 0.04:
        scenes = image_scenes(recipe.seed, "train", np.arange(200) + 200 * step)
        return [[(caption, True)] for caption in image_captions(scenes)]
    if kind < 0.24:
        chunks = min(chunks, 2)
    make: Callable[[Chronicle], Text]
    if kind < 0.14:
        make = lambda made: rephrasing(made, rng)  # noqa: E731
    elif kind < 0.24:
        make = lambda made: summary(made, as_repository(made), rng)  # noqa: E731
    else:
        lines = as_repository if kind < 0.75 else as_captions
        make = lambda made: asked(made, lines(made), recipe.asked, rng)  # noqa: E731
    texts, used = [], 0
    while used < recipe.tokens:
        made, _ = chronicle(recipe.seed, "train", int(rng.random() * 2**40), CHUNK * chunks)
        texts.append(make(made))
        used += sum(len(encode(text)) for text, _ in texts[-1])
    return texts


def batch(texts: Sequence[Text], rest: float) -> tuple[Tensor, Tensor]:
    """ids (b, t) padded, and the weight (b, t) of each in the loss."""
    ids, weights = [], []
    for text in texts:
        row, weight = [], []
        for piece, learned in text:
            part = encode(piece)
            row += part
            weight += [1.0 if learned else rest] * len(part)
        ids.append(torch.tensor([*row, END][:CONTEXT]))
        weights.append(torch.tensor([*weight, 1.0 if text[-1][1] else rest][:CONTEXT]))
    pad = nn.utils.rnn.pad_sequence
    return pad(ids, batch_first=True, padding_value=PAD), pad(weights, batch_first=True)


def loss_of(model: nn.Module, ids: Tensor, weights: Tensor) -> Tensor:
    each = F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    weights = weights[:, 1:].flatten()
    return (each * weights).sum() / weights.sum()


def fit(minutes: float, out: Path, checkpoint: Path, recipe: Recipe = Recipe(), every: float = 420) -> dict:
    """Trains for some minutes in all, whatever was done before counted, and returns what the card says. The best
    weights on validation chronicles are left in `out`."""
    torch.manual_seed(recipe.seed)
    model = SmallTransformer()
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema)).eval()
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and name != "embedding.weight"]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or name == "embedding.weight"]
    optimizers = {
        "muon": torch.optim.Muon(matrices, lr=recipe.matrix_lr, weight_decay=0.01),
        "adamw": torch.optim.AdamW(others, lr=recipe.lr, weight_decay=0.0, betas=(0.9, 0.98)),
    }
    rates = {"muon": recipe.matrix_lr, "adamw": recipe.lr}
    parts = {"model": model, "average": average, **optimizers}
    state = {"step": 0, "seconds": 0.0, "tokens": 0, "best": -1.0, "scores": {}}
    if checkpoint.is_file():
        saved = torch.load(checkpoint, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(saved.pop(name))
        state = saved
    began, judged = time.monotonic() - state["seconds"], time.monotonic()

    def judge() -> None:
        scores = validation_scores(average.module)
        mean = sum(scores.values()) / len(scores)
        if mean > state["best"]:
            state.update(best=mean, scores=scores)
            save_small_language(average.module, out)
        state["seconds"] = time.monotonic() - began
        content = io.BytesIO()
        torch.save({name: part.state_dict() for name, part in parts.items()} | state, content)
        write_whole(checkpoint, content.getvalue())
        print(f"step {state['step']} {state['seconds']:.0f} s {state['tokens']} tokens", scores, flush=True)

    while (spent := time.monotonic() - began) < 60 * minutes:
        for name, optimizer in optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = rates[name] * recipe.at(state["step"], spent / (60 * minutes))
        ids, weights = batch(pieces(recipe, state["step"], spent / (60 * minutes)), recipe.rest)
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(model, ids, weights)
        if not torch.isfinite(loss):
            raise BadInput(f"the loss is not finite at step {state['step']}: a rate below {recipe.lr:g} may help")
        model.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers.values():
            optimizer.step()
        average.update_parameters(model)
        state["step"] += 1
        state["tokens"] += ids.numel()
        if state["step"] % 10 == 0:
            print(f"step {state['step']} loss {loss.item():.3f} {spent:.0f} s", flush=True)
        if time.monotonic() - judged > every:
            judge()
            judged = time.monotonic()
    judge()
    return state


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="train the small world's language model, or go on training it")
    parser.add_argument("--minutes", type=float, required=True, help="how long in all, earlier calls counted")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    args = parser.parse_args(arguments)
    if not 0 < args.minutes < float("inf"):
        parser.error("--minutes: above 0")
    write_card(fit(args.minutes, args.out, args.checkpoint), args.out)
