"""The small world's language model: its transformer, and how it completes and scores text.

A decoder of about a million parameters that reads the words of `small_language_words`. `small_language_training`
teaches it; `python -m minilib.models.small_language_training --minutes M` is the command.

Axes: b texts, t tokens, h heads, d channels, v words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.models.half import load_half
from minilib.models.small_language_words import CONTEXT, END, PAD, WORDS, decode, encode, padded

WEIGHTS = Path(__file__).parents[1] / "weights" / "small_language.safetensors"


@dataclass(frozen=True)
class Sizes:
    width: int = 128
    layers: int = 4
    heads: int = 4
    spans: tuple[int, ...] = (4, 8, 12, 16)  # words before a token by which each head begins to find it


Past = tuple[Tensor, Tensor, Tensor]  # the convolution's last inputs (b, span, d), keys and values (b, h, t, c)


class Block(nn.Module):
    """Attention and MLP, each added to x (b, t, d). A token is found by the words before it, and asks by the words up
    to itself: queries and keys come from one causal convolution of each channel, the keys' a token earlier (a short
    convolution before attention as in H3, Fu et al. 2023). At the start it is a mean over some words, queries and keys
    are alike, and a head adds what it finds: the model begins as one that repeats what stood behind the same words
    (mimetic initialisation, Trockman and Kolter 2023), which from random weights took longer than the training.
    Positions are rotary (Su et al. 2021) in a part of the channels."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        d, self.heads, self.span = sizes.width, sizes.heads, max(sizes.spans)
        self.before_attention, self.before_mlp = nn.RMSNorm(d), nn.RMSNorm(d)
        self.near = nn.Conv1d(d, d, self.span, groups=d, bias=False)
        self.itself = nn.Parameter(torch.zeros(d))
        self.q, self.k, self.v, self.out = (nn.Linear(d, d, bias=False) for _ in range(4))
        self.mlp = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d))
        with torch.no_grad():
            for head, span in zip(self.near.weight.chunk(len(sizes.spans)), sizes.spans, strict=True):
                head.zero_()[..., -span:] = span**-0.5
            for linear, scale in ((self.q, 1.0), (self.k, 1.0), (self.v, 1.0), (self.out, 0.3)):
                linear.weight.normal_(std=0.02).add_(scale * torch.eye(d))
            self.mlp[2].weight.normal_(std=0.02)

    def forward(
        self, x: Tensor, waves: tuple[Tensor, Tensor], past: Past | None = None, seeing: Tensor | None = None
    ) -> tuple[Tensor, Past]:
        """x behind `past`, what this layer kept of the tokens before it; also what it keeps now. `seeing`
        (b, 1, t, all): which tokens a token sees, where that is less than all before it."""
        y = self.before_attention(x)
        last = y.new_zeros(len(y), self.span, y.shape[-1]) if past is None else past[0]
        seen = torch.cat([last, y], 1)
        near = self.near(seen.mT).mT
        q, k, v = (
            each.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for each in (self.q(near[:, 1:]), self.k(near[:, :-1] + self.itself * y), self.v(y))
        )
        q, k = rotated(q, *waves), rotated(k, *waves)
        if past is not None:
            k, v = torch.cat([past[1], k], 2), torch.cat([past[2], v], 2)
            if seeing is None and q.shape[2] > 1:
                seeing = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool).tril(k.shape[2] - q.shape[2])
        if seeing is None:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=past is None)
        else:
            y = among(q, k, v, seeing)
        x = x + self.out(y.transpose(1, 2).flatten(2))
        return x + self.mlp(self.before_mlp(x)), (seen[:, -self.span :], k, v)


def among(q: Tensor, k: Tensor, v: Tensor, seeing: Tensor) -> Tensor:
    """Attention (b, h, t, c) to what is seen, (b, 1, t, t): with a mask in bfloat16 the fused one is a third slower."""
    scores = (q * q.shape[-1] ** -0.5) @ k.mT
    return scores.masked_fill(~seeing, -1e4).softmax(-1).to(v.dtype) @ v


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x (b, h, t, c) of which the first quarter of the channels is turned by angles (t, c / 8) or (b, 1, t, c / 8); the
    others find far words as they find near ones."""
    half = cos.shape[-1]
    a, b, rest = x.split((half, half, x.shape[-1] - 2 * half), -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos, rest], -1)


class SmallTransformer(nn.Module):
    """ids int64 (b, t) -> the next word's logits (b, t, v); the embedding is also the last layer."""

    def __init__(self, sizes: Sizes = Sizes()):
        super().__init__()
        self.embedding = nn.Embedding(len(WORDS) + 2, sizes.width)
        self.blocks = nn.ModuleList(Block(sizes) for _ in range(sizes.layers))
        self.norm, self.sentence = nn.RMSNorm(sizes.width), nn.Linear(sizes.width, sizes.width, bias=False)
        nn.init.normal_(self.embedding.weight, std=sizes.width**-0.5)
        nn.init.constant_(self.norm.weight, 0.25)  # at 1 it would begin by repeating the word that it reads
        half = sizes.width // sizes.heads // 8
        angles = torch.arange(CONTEXT)[:, None] * 10000 ** (-torch.arange(half) / half)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def hidden(
        self,
        ids: Tensor,
        past: list[Past] | None = None,
        positions: Tensor | None = None,
        seeing: Tensor | None = None,
    ) -> tuple[Tensor, list[Past]]:
        """(b, t) -> (b, t, d), and what every layer keeps for the tokens to come. Of tokens that do not simply follow
        one another, `positions` (b, t), and `seeing` as in `Block`."""
        x = self.embedding(ids) * self.embedding.embedding_dim**0.5
        start = 0 if past is None else past[0][1].shape[2]
        at = torch.arange(start, start + ids.shape[1]) if positions is None else positions[:, None]
        waves = (self.cos[at], self.sin[at])
        there = (ids != PAD)[..., None]
        kept = []
        for at, block in enumerate(self.blocks):
            x, now = block(x * there, waves, None if past is None else past[at], seeing)
            kept.append(now)
        return self.norm(x), kept

    def scores(self, hidden: Tensor) -> Tensor:
        return hidden @ self.embedding.weight.T

    def sentences(self, texts: Sequence[str]) -> Tensor:
        """Embeddings (b, d) of length one, of the means over words."""
        ids = padded(texts)
        there = (ids != PAD)[..., None]
        return F.normalize(self.sentence((self.hidden(ids)[0] * there).sum(1) / there.sum(1)), dim=-1)

    def forward(self, ids: Tensor) -> Tensor:
        return self.scores(self.hidden(ids)[0])


class SmallLanguage:
    """A trained transformer as a `LanguageModel`: it completes greedily and gives the log-likelihood of endings."""

    name = "small_language"

    def __init__(self, model: SmallTransformer):
        self.model = model.eval()

    def complete(self, prompt: str, most: int) -> str:
        """The likeliest next words, one by one, up to `most` or until the model ends its reply."""
        return self.complete_all([prompt], most)[0]

    @torch.inference_mode()
    def complete_all(self, prompts: Sequence[str], most: int) -> list[str]:
        """The replies to several prompts, which wait for one another: padded on the left, where nobody looks."""
        rows = [encode(prompt) for prompt in prompts]
        longest = max(map(len, rows))
        ids = torch.tensor([[PAD] * (longest - len(row)) + row for row in rows])
        positions = (torch.arange(longest) - (ids == PAD).sum(1, keepdim=True)).clamp(min=0)
        seen = (ids != PAD)[:, None, None]
        causal = torch.ones(longest, longest, dtype=torch.bool).tril()
        hidden, past = self.model.hidden(ids, positions=positions, seeing=causal & seen if len(rows) > 1 else None)
        replies = torch.empty(len(rows), 0, dtype=torch.long)
        while replies.shape[1] < most and longest + replies.shape[1] < CONTEXT:
            following = self.model.scores(hidden[:, -1]).argmax(-1, keepdim=True)
            replies = torch.cat([replies, following], 1)
            if (replies <= END).any(1).all():
                break
            positions, seen = positions[:, -1:] + 1, F.pad(seen, (0, 1), value=True)
            seeing = seen if len(rows) > 1 else None
            hidden, past = self.model.hidden(following.clamp(min=END), past, positions, seeing)
        return [decode(list(takewhile(lambda i: i > END, row))) for row in replies.tolist()]

    @torch.inference_mode()
    def log_likelihood(self, prompt: str, endings: Sequence[str]) -> list[tuple[float, int]]:
        """(sum of log-probabilities, number of tokens) of each ending after the prompt."""
        target = padded(endings)
        before, past = self.model.hidden(torch.tensor([encode(prompt)]))
        past = [tuple(part.expand(len(target), *part.shape[1:]) for part in layer) for layer in past]
        after = self.model.hidden(target, past)[0][:, :-1]
        likely = self.model.scores(torch.cat([before[:, -1:].expand(len(target), -1, -1), after], 1)).log_softmax(-1)
        each = likely.gather(-1, target[..., None])[..., 0] * (target != PAD)
        return list(zip(each.sum(1).tolist(), (target != PAD).sum(1).tolist(), strict=True))

    @torch.inference_mode()
    def embed(self, texts: Sequence[str]) -> Tensor:
        """Sentence embeddings (b, d) of length one: alike for one event in other words, and for no other."""
        return self.model.sentences(texts)


def small_language(path: Path | str = WEIGHTS) -> SmallLanguage:
    """The trained model, frozen; the global random state is left as it was."""
    if not Path(path).is_file():
        raise BadInput(
            f"weights {path}: no such file; python -m minilib.models.small_language_training --minutes 60 makes it"
        )
    with torch.random.fork_rng(devices=[]):
        model = SmallTransformer()
    return SmallLanguage(load_half(model, path).requires_grad_(False))
