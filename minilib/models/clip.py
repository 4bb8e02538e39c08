"""One image-text model for every paper: the real CLIP and the small world's, behind the same four methods.

Both are `open_clip.CLIP`, so a method that attaches to one attaches to the other. Weights come from a local file and
never from the network; `minilib.manifests.resolve` says where the file belongs.

Axes: b clips, t frames, n patches, d width, e joint embedding, l layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import open_clip
import torch
from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.models.checkpoints import load_strictly, read_state

MEAN = (0.48145466, 0.4578275, 0.40821073)  # OpenAI's channel statistics, used for every model of the suite
STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class Architecture:
    """Sizes of an image-text model, in open_clip's own terms."""

    embed_dim: int
    vision: dict = field(hash=False)
    text: dict = field(hash=False)
    quick_gelu: bool = False


SMALL = Architecture(
    embed_dim=96,
    vision=dict(image_size=64, patch_size=8, layers=4, width=96, head_width=8),
    text=dict(context_length=24, vocab_size=128, layers=2, width=96, heads=6),
)
TINY = Architecture(  # for tests: every part there, nothing to wait for
    embed_dim=16,
    vision=dict(image_size=16, patch_size=8, layers=2, width=24, head_width=2),
    text=dict(context_length=24, vocab_size=128, layers=1, width=24, heads=2),
)
VIT_B16 = Architecture(
    embed_dim=512,
    vision=dict(image_size=224, patch_size=16, layers=12, width=768, head_width=64),
    text=dict(context_length=77, vocab_size=49408, layers=12, width=512, heads=8),
    quick_gelu=True,
)
VIT_L14 = Architecture(
    embed_dim=768,
    vision=dict(image_size=224, patch_size=14, layers=24, width=1024, head_width=64),
    text=dict(context_length=77, vocab_size=49408, layers=12, width=768, heads=12),
    quick_gelu=True,
)


@dataclass(frozen=True)
class FrameFeatures:
    """Tokens of chosen layers: cls (l, b, t, d) and patches (l, b, t, n, d); the raw residual stream."""

    cls: Tensor
    patches: Tensor

    def to(self, device: torch.device | str, non_blocking: bool = False) -> FrameFeatures:
        return FrameFeatures(*(x.to(device, non_blocking=non_blocking) for x in (self.cls, self.patches)))


class ImageText(nn.Module):
    """CLIP on batches of frames and lists of sentences.

    `model` is an `open_clip.CLIP`; `tokenize` maps a list of strings to int64 (k, context_length) and raises
    `BadInput` where a text does not fit.
    """

    def __init__(self, model: open_clip.CLIP, tokenize: Callable[[Sequence[str]], Tensor]):
        super().__init__()
        self.model, self.tokenize = model, tokenize
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1), persistent=False)

    @property
    def visual(self) -> nn.Module:
        return self.model.visual

    @property
    def logit_scale(self) -> Tensor:
        return self.model.logit_scale.exp()

    def normalise(self, frames: Tensor) -> Tensor:
        """uint8 (..., h, w, 3) to float (..., 3, h, w) in the units the model was trained with."""
        return (frames.movedim(-1, -3) / 255.0 - self.mean) / self.std

    def blocks(self, layers: Sequence[int]) -> list[int]:
        """`layers` counted from 0, where negative ones count from the end; BadInput where there is no such block."""
        depth = self.visual.transformer.layers
        if not len(layers) or any(not -depth <= layer < depth for layer in layers):
            raise BadInput(f"layers {list(layers)}: the image model has blocks 0 to {depth - 1}")
        return [int(layer) % depth for layer in layers]

    def frame_features(self, frames: Tensor, layers: Sequence[int]) -> FrameFeatures:
        """Tokens after the given blocks of every frame. frames: uint8 (b, t, h, w, 3)."""
        order = self.blocks(layers)
        clips, steps = frames.shape[:2]
        pixels = self.normalise(frames).flatten(0, 1)
        wanted = sorted(set(order))
        out = self.visual.forward_intermediates(
            pixels, indices=wanted, output_fmt="NLC", intermediates_only=True, output_extra_tokens=True, stop_early=True
        )
        at = [wanted.index(layer) for layer in order]
        stack = lambda tokens: torch.stack([tokens[i].unflatten(0, (clips, steps)) for i in at])  # noqa: E731
        return FrameFeatures(stack(out["image_intermediates_prefix"])[..., 0, :], stack(out["image_intermediates"]))

    def image_features(self, frames: Tensor) -> Tensor:
        """Unit vectors in the joint space, (b, t, e), for uint8 (b, t, h, w, 3)."""
        features = self.model.encode_image(self.normalise(frames).flatten(0, 1), normalize=True)
        return features.unflatten(0, frames.shape[:2])

    def frame_embeddings(self, frames: Tensor) -> Tensor:
        """Each frame in the joint space, not normalised, (b, t, e); frames uint8 (b, t, h, w, 3), or what `normalise`
        made of them."""
        pixels = frames if frames.is_floating_point() else self.normalise(frames)
        return self.model.encode_image(pixels.flatten(0, 1)).unflatten(0, frames.shape[:2])

    def text_features(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors in the joint space, (k, e), for k sentences."""
        tokens = self.tokenize(texts).to(self.mean.device)
        return self.model.encode_text(tokens, normalize=True)


def build(architecture: Architecture, tokenize: Callable[[Sequence[str]], Tensor] | None = None) -> ImageText:
    """A randomly initialised model of that size; the tokeniser defaults to CLIP's own byte-pair encoding."""
    model = open_clip.CLIP(
        architecture.embed_dim, architecture.vision, architecture.text, quick_gelu=architecture.quick_gelu
    )
    if tokenize is None:
        bpe = open_clip.SimpleTokenizer(context_length=architecture.text["context_length"])

        def tokenize(texts: Sequence[str]) -> Tensor:
            for text in texts:
                if len(bpe.encode(text)) + 2 > bpe.context_length:
                    raise BadInput(f"text {text[:40]!r}... has more than {bpe.context_length - 2} tokens")
            return bpe(list(texts))

    return ImageText(model, tokenize)


def without_words(architecture: Architecture, device: str = "meta") -> ImageText:
    """A model of that size that no sentence will be given to; on the meta device it has shapes alone, for counting."""
    with torch.device(device):
        return build(architecture, tokenize=list)


def openai_clip(architecture: Architecture, path: Path | str) -> ImageText:
    """OpenAI's weights from a local file, in OpenAI's or open_clip's own names (they agree)."""
    clip = build(architecture)
    state = read_state(path)
    notes = ("input_resolution", "context_length", "vocab_size", "attn_mask")  # what is not trained, in some archives
    load_strictly(clip.model, {k: v.float() for k, v in state.items() if k not in notes}, path)
    return clip


def vit_in21k(path: Path | str | None = None, **sizes) -> nn.Module:
    """timm's ViT-B/16 without its classifier, the papers' ImageNet-21k initialisation; random without a `path`."""
    import timm

    vit = timm.create_model("vit_base_patch16_224.augreg_in21k", pretrained=False, num_classes=0, **sizes)
    if path is not None:
        state = {k: v for k, v in read_state(path).items() if not k.startswith("head.")}
        load_strictly(vit, state, path)
    return vit
