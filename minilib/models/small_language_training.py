"""How the small language model was trained: short chronicles first, many questions behind each.

A step's texts are of one task and length. Behind a text stand its questions; each sees the text and itself, at the
place that it has when it is asked alone, so that what is trained is what is asked later. The replies weigh most in the
loss. Training is limited by time and goes on where it stopped; weights are averaged on the way, looked at on validation
chronicles and written whole.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from minilib.files import RUNS
from minilib.models.half import save_half
from minilib.models.small_language import WEIGHTS, SmallTransformer
from minilib.models.small_language_judge import validation_scores, write_card
from minilib.models.small_language_texts import (
    FORMS,
    Text,
    alike,
    as_repository,
    pictures,
    questions,
    rephrasing,
    summary,
    told,
    training_chronicle,
)
from minilib.models.small_language_words import END, PAD, encode
from minilib.timed_training import Budget, Forgetting, History, Training, train_for

CHECKPOINT = RUNS / "small_language" / "training.pt"
READ = 0  # the owner of a token that all questions see; question i is owner i, padding -1


@dataclass(frozen=True)
class Recipe:
    """Matrices are trained by Muon (Jordan 2024), all else by AdamW; both rates rise at first and fall at the end."""

    tokens: int = 1500  # of a batch, padding included
    lr: float = 3e-3
    matrix_lr: float = 0.02
    warmup: int = 50
    falling: float = 0.4  # the last part of the minutes, over which the rates fall
    ema: float = 0.99
    asked: tuple[int, int] = (12, 20)  # questions behind a chronicle of one chunk, and at most
    rest: float = 0.02  # weight of words that are not a reply
    chunks: tuple[int, ...] = (1, 2, 4, 8, 16)
    first: tuple[float, ...] = (0.5, 0.5, 0.0, 0.0, 0.0)  # how often chronicles of so many chunks are read, at first
    last: tuple[float, ...] = (0.15, 0.2, 0.25, 0.2, 0.2)  # and from `turn` on; between them, in between
    turn: float = 0.4
    tasks: tuple[float, ...] = (0.02, 0.25, 0.05)  # pictures, rephrasing, summaries; the rest, questions
    alike: float = 0.1  # weight of the sentence embeddings' loss, which one step of `alike_every` has
    alike_every: int = 5
    temperature: float = 0.1
    forms: tuple[float, ...] = (0.25, 0.25, 0.25, 0.15, 0.1)  # how often FORMS are read,
    alone: float = 0.1  # but up to this part of the minutes questions about the first form alone
    seed: int = 0

    def at(self, step: int, passed: float) -> float:
        """The factor of both rates at a step, `passed` of the way (0 to 1)."""
        return min((step + 1) / self.warmup, (1 - passed) / self.falling, 1.0)

    def often(self, passed: float) -> np.ndarray:
        """How often chronicles of so many chunks are read."""
        part = min(passed / self.turn, 1.0)
        return (1 - part) * np.array(self.first) + part * np.array(self.last)


def texts_of(recipe: Recipe, step: int, passed: float) -> list[Text]:
    """The texts of a step: of one task and length, as many as the batch has room for."""
    rng = np.random.Generator(np.random.Philox(key=[recipe.seed + 77, step]))
    kind, chunks = rng.random(), int(rng.choice(recipe.chunks, p=recipe.often(passed)))
    form = str(rng.choice(FORMS, p=recipe.forms))
    if passed < recipe.alone:
        kind, form = 1.0, FORMS[0]
    drawn, listed, read = np.cumsum(recipe.tasks)
    if kind < drawn:
        return pictures(recipe.seed, step)
    texts, longest = [], 0
    while not texts or longest * (len(texts) + 1) <= recipe.tokens:
        made, fact = training_chronicle(recipe.seed, min(chunks, 8) if kind < read else chunks, rng)
        if kind < listed:
            texts.append(rephrasing(made, rng))
        elif kind < read:
            texts.append(summary(made, as_repository(made), rng))
        else:
            count = min(recipe.asked[0] * chunks, recipe.asked[1])
            texts.append(questions(made, fact, told(made, form, rng), count, rng))
        longest = max(longest, sum(len(row.ids) for row in rows_of(texts[-1], 0)))
    return texts


@dataclass(frozen=True)
class Row:
    """A piece of a text: ids, their positions, and their weight in the loss as what is to be predicted."""

    ids: list[int]
    positions: range
    weights: list[float]


def rows_of(text: Text, rest: float) -> list[Row]:
    """What is read, and each question with its reply behind it."""
    read = encode(text.read)
    rows = [Row(read, range(len(read)), [rest] * len(read))]
    for asked, reply in text.asked:
        before, after = encode(asked), [*encode(reply), END]
        positions = range(len(read), len(read) + len(before) + len(after))
        weights = [rest] * len(before) + [1.0] * len(after)
        rows.append(Row(before + after, positions, [0.0, *weights[1:]]))  # what stands before its first word is another
    return rows


def batch(texts: Sequence[Text], rest: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """ids, positions, owners and weights, each (b, t), padded at the end."""
    columns = []
    for text in texts:
        rows = rows_of(text, rest)
        ids = [i for row in rows for i in row.ids]
        positions = [p for row in rows for p in row.positions]
        owners = [at for at, row in enumerate(rows) for _ in row.ids]
        weights = [w for row in rows for w in row.weights]
        columns.append([torch.tensor(each) for each in (ids, positions, owners, weights)])
    pad = nn.utils.rnn.pad_sequence
    return tuple(
        pad(each, batch_first=True, padding_value=value)
        for each, value in zip(zip(*columns, strict=True), (PAD, 0, -1, 0.0), strict=True)
    )


def seeing(owners: Tensor) -> Tensor:
    """bool (b, 1, t, t): a token sees those before it that are read by all or are of its own question."""
    keys, queries = owners[:, None, :], owners[:, :, None]
    causal = torch.ones(owners.shape[1], owners.shape[1], dtype=torch.bool).tril()
    return (causal & ((keys == READ) | (keys == queries)))[:, None]


def loss_of(model: SmallTransformer, ids: Tensor, positions: Tensor, owners: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy of the next words, weighed; the first word of a question is nobody's next."""
    hidden = model.hidden(ids[:, :-1], positions=positions[:, :-1], seeing=seeing(owners[:, :-1]))[0]
    weights = weights[:, 1:]
    learned = weights > 0
    each = F.cross_entropy(model.scores(hidden[learned]), ids[:, 1:][learned], reduction="none")
    return (each * weights[learned]).sum() / weights.sum()


def alike_loss(model: SmallTransformer, texts: Sequence[str], others: Sequence[str], temperature: float) -> Tensor:
    """Contrastive cross-entropy: of all others a text's own is the most like it."""
    scores = model.sentences(texts) @ model.sentences(others).T / temperature
    return F.cross_entropy(scores.float(), torch.arange(len(texts)))


def optimizers_of(model: SmallTransformer, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Muon for the matrices, AdamW for the words and all else."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and name != "embedding.weight"]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or name == "embedding.weight"]
    return [
        torch.optim.Muon(matrices, lr=recipe.matrix_lr, weight_decay=0.01),
        torch.optim.AdamW(others, lr=recipe.lr, weight_decay=0.0, betas=(0.9, 0.98)),
    ]


def fit(budget: Budget, out: Path, checkpoint: Path, recipe: Recipe = Recipe()) -> History:
    """Trains until the budget is spent, earlier calls counted. The mean weights of the last steps are left in `out` at
    every checkpoint: rates fall to nothing, so the last ones are those to keep."""
    torch.manual_seed(recipe.seed)
    model = SmallTransformer()
    average = AveragedModel(model, multi_avg_fn=Forgetting(recipe.ema)).eval()

    def loss(step: int, passed: float) -> Tensor:
        ids, *about = batch(texts_of(recipe, step, passed), recipe.rest)
        with torch.autocast("cpu", torch.bfloat16):
            found = loss_of(model, ids, *about)
            if step % recipe.alike_every == 0:
                found = found + recipe.alike * alike_loss(model, *alike(recipe.seed, step), recipe.temperature)
        return found

    def look(history: History) -> None:
        save_half(average.module, out)
        print(f"{out.name}: {validation_scores(average.module)}", flush=True)

    training = Training(model, loss, optimizers_of(model, recipe), recipe.at, average)
    return train_for(training, budget, checkpoint, look, out.name)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="train the small world's language model, or go on training it")
    parser.add_argument("--minutes", type=float, required=True, help="how long in all, earlier calls counted")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    args = parser.parse_args(arguments)
    if not 0 < args.minutes < float("inf"):
        parser.error("--minutes: above 0")
    write_card(fit(Budget(60 * args.minutes, every=300), args.out, args.checkpoint), args.out)


if __name__ == "__main__":
    main()
