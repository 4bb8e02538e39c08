"""Patch-CLIP (Sec. 4): CLIP's last block replaced, so that patches speak the language of its sentences.

    frozen blocks but the last -> a new block -> LN -> embedder -> patches P (m e)
    p = soft-max(P . CLS) P (Eq. 1), and of all pictures of a batch p should know its own CLS (Eq. 2, 3)

Only pictures are needed: CLS, the frozen model's own embedding of the whole picture, is the teacher.

Axes: b pictures, m patches, d width, e joint embedding.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.models.clip import ImageText
from minilib.models.foreign import open_clip_vit
from minilib.models.frozen import embed


class Embedder(nn.Module):
    """The released code's head: Linear-ReLU-Linear beside a linear skip, (..., d) -> (..., e)."""

    def __init__(self, width: int, outputs: int):
        super().__init__()
        self.main = nn.Sequential(nn.Linear(width, outputs), nn.ReLU(), nn.Linear(outputs, outputs))
        self.res = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.main(x) + self.res(x)


def residual_block(last: nn.Module) -> nn.Module:
    """As released: a block of CLIP's residual type, attention and MLP, random at the start."""
    block = copy.deepcopy(last).requires_grad_(True)
    for part in block.modules():
        if isinstance(part, nn.MultiheadAttention):
            nn.init.xavier_uniform_(part.in_proj_weight)
            nn.init.zeros_(part.in_proj_bias)
            part.out_proj.reset_parameters()
        elif isinstance(part, nn.Linear | nn.LayerNorm):
            part.reset_parameters()
    return block


def only_attention(last: nn.Module) -> nn.Module:
    """The text's "new multi-head self-attention module": a residual block without an MLP."""
    block = residual_block(last)
    block.ln_2, block.mlp = nn.Identity(), Nothing()
    return block


class OnlyMlp(nn.Module):
    """This suite's: a block without attention, so that a patch can say nothing that it does not hold already."""

    def __init__(self, last: nn.Module):
        super().__init__()
        block = residual_block(last)
        self.ln_2, self.mlp = block.ln_2, block.mlp

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mlp(self.ln_2(x))


class PatchClip(nn.Module):
    """A frozen CLIP with a new last block for patches. Frames uint8 (..., h, w, 3) -> patches (..., r, c, e).

    block: makes the new block of the old one. It reads all tokens, the class token too, which is dropped behind it;
    then follow a LayerNorm and `Embedder`, as released.
    """

    def __init__(self, clip: ImageText, block: Callable[[nn.Module], nn.Module] = residual_block):
        super().__init__()
        self.clip, visual = clip.requires_grad_(False).eval(), open_clip_vit(clip.visual)
        width, outputs = visual.proj.shape
        self.last_transformer = block(visual.transformer.resblocks[-1])
        self.ln_last, self.vision_emb = nn.LayerNorm(width), Embedder(width, outputs)

    def train(self, mode: bool = True) -> PatchClip:
        super().train(mode)
        self.clip.eval()
        return self

    def read(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised pixels (b, 3, h, w), without gradient: CLS (b, e), not normalised, and the last block's input
        (b, 1 + m, d). Positions are interpolated, bicubic, where the grid is another than CLIP was trained with."""
        visual = self.clip.visual
        with torch.no_grad(), resized(visual, pixels.shape[-2:]):
            x = embed(visual, pixels[:, None])
            for block in visual.transformer.resblocks[:-1]:
                x = block(x)
            cls = visual.ln_post(visual.transformer.resblocks[-1](x)[:, 0]) @ visual.proj
        return cls, x

    def patches(self, tokens: Tensor) -> Tensor:
        """The new block, its norm and the embedder on the last block's input (b, 1 + m, d): (b, m, e)."""
        return self.vision_emb(self.ln_last(self.last_transformer(tokens)[:, 1:]))

    def of_pixels(self, pixels: Tensor) -> Tensor:
        """Normalised pixels (b, 3, h, w) -> patches (b, r, c, e)."""
        _, tokens = self.read(pixels)
        grid = [side // patch for side, patch in zip(pixels.shape[-2:], self.clip.visual.patch_size, strict=True)]
        return self.patches(tokens).unflatten(1, grid)

    def forward(self, frames: Tensor) -> Tensor:
        return self.of_pixels(self.clip.normalise(frames.flatten(0, -4))).unflatten(0, frames.shape[:-3])


class Content(nn.Module):
    """Where patch-CLIP finds what CLIP says of a picture: Eq. 1's weights, 1 where they are uniform. Frames uint8
    (..., h, w, 3) -> (..., r, c)."""

    def __init__(self, model: PatchClip):
        super().__init__()
        self.model = model

    @torch.no_grad()
    def forward(self, frames: Tensor) -> Tensor:
        lead, clip = frames.shape[:-3], self.model.clip
        pixels = clip.normalise(frames.flatten(0, -4))
        cls, tokens = self.model.read(pixels)
        grid = [side // patch for side, patch in zip(pixels.shape[-2:], clip.visual.patch_size, strict=True)]
        weights = shares(self.model.patches(tokens), cls) * (tokens.shape[1] - 1)
        return weights.unflatten(1, grid).unflatten(0, lead)


class Nothing(nn.Module):
    """In the place of an MLP behind a residual: adds nothing."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


class VanillaPatches(nn.Module):
    """The control: CLIP's own patch tokens behind its last block, through the norm and the projection that were made
    for its class token. Frames uint8 (..., h, w, 3) -> (..., r, c, e)."""

    def __init__(self, clip: ImageText):
        super().__init__()
        self.clip = clip.requires_grad_(False).eval()
        open_clip_vit(clip.visual)

    @torch.no_grad()
    def forward(self, frames: Tensor) -> Tensor:
        visual, lead = self.clip.visual, frames.shape[:-3]
        pixels = self.clip.normalise(frames.flatten(0, -4))
        with resized(visual, pixels.shape[-2:]):
            x = visual.transformer(embed(visual, pixels[:, None]))
        grid = [side // patch for side, patch in zip(pixels.shape[-2:], visual.patch_size, strict=True)]
        return (visual.ln_post(x[:, 1:]) @ visual.proj).unflatten(1, grid).unflatten(0, lead)


class resized:
    """While it lasts, `visual` reads pictures of `size` (h, w): its positions are interpolated, bicubic."""

    def __init__(self, visual: nn.Module, size: tuple[int, int]):
        patch = visual.patch_size
        if size[0] % patch[0] or size[1] % patch[1]:
            raise BadInput(f"pictures of {size[0]} x {size[1]} pixels: CLIP's patches of {patch[0]} need multiples")
        self.visual, self.grid = visual, (size[0] // patch[0], size[1] // patch[1])

    def __enter__(self) -> None:
        own = self.visual.positional_embedding
        self.before = own
        if self.grid == tuple(self.visual.grid_size):
            return
        table = own[1:].unflatten(0, self.visual.grid_size).movedim(-1, 0)[None]
        table = F.interpolate(table, self.grid, mode="bicubic", align_corners=False)[0].flatten(1).T
        self.visual.positional_embedding = nn.Parameter(torch.cat([own[:1], table]), requires_grad=False)

    def __exit__(self, *_) -> None:
        self.visual.positional_embedding = self.before


# --- Eq. 1-3 ---------------------------------------------------------------------------------------------------------


def shares(patches: Tensor, cls: Tensor) -> Tensor:
    """Eq. 1's weights: the soft-max of the product of patches (b, m, e) with cls (b, e), (b, m). No scale, and CLS is
    not normalised."""
    return torch.bmm(patches, cls[:, :, None])[..., 0].softmax(1)


def pooled(patches: Tensor, cls: Tensor) -> Tensor:
    """Eq. 1: the weighted sum of the patches, (b, e)."""
    return (shares(patches, cls)[..., None] * patches).sum(1)


def info_nce(found: Tensor, cls: Tensor, temperature: float = 1.0) -> Tensor:
    """Eq. 2 and 3 with the sign that makes it a loss, which the text lacks: of the batch's class tokens each pooled
    feature should know its own. found, cls (b, e) -> scalar.

    temperature: 1, in the text and as released. With cosines the loss then lies between log(1 + (b - 1) / e^2) and
    log(b), whatever is learned, so a smaller one learns faster from small batches.
    """
    logits = F.normalize(found, dim=-1) @ F.normalize(cls, dim=-1).T / temperature
    return F.cross_entropy(logits, torch.arange(len(logits), device=logits.device))


def patch_loss(model: PatchClip, pixels: Tensor, temperature: float = 1.0) -> Tensor:
    """The loss of normalised pixels (b, 3, h, w)."""
    cls, tokens = model.read(pixels)
    return info_nce(pooled(model.patches(tokens).float(), cls.float()), cls.float(), temperature)
