"""Who judges the small diffusion model: a classifier that reads pixels and knows no sentence, and the card of scores.

A generated frame is good if the judge names in it what its sentence said. The judge learned from rendered frames and
shares nothing with the CLIP that conditions the UNet.

Axes: b frames, h and w pixels.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilib.files import write_whole
from minilib.models.small_diffusion import (
    GUIDANCE,
    SmallDiffusion,
    generate,
    load_half,
    small_diffusion,
    to_signed,
    weights_file,
)
from minilib.models.small_diffusion_frames import ATTRIBUTES, Frames, control_maps, sentence, single_frames
from minilib.models.small_diffusion_tasks import HELD, drawn, half, psnr

SHARED = 0.7  # of the real frames' share, what generated frames have to reach in each attribute
NAMED = ("shape", "colour", "place")  # the attributes of the target; the others are reported
DECIBELS = 28.0


class Judge(nn.Module):
    """Five classifiers on one stack of convolutions: float (b, 3, h, w) in [-1, 1] to scores {attribute: (b, k)}.

    What the object is comes from the strongest answer anywhere, where it is from all answers in their places.
    """

    def __init__(self, widths: tuple[int, ...] = (24, 48, 72, 72)):
        super().__init__()
        layers, before = [], 3
        for width, stride in zip(widths, (1, 2, 2, 2), strict=True):
            layers += [nn.Conv2d(before, width, 3, stride, 1), nn.GroupNorm(8, width), nn.GELU()]
            before = width
        self.body = nn.Sequential(*layers, nn.Conv2d(before, before, 3, padding=1), nn.GELU())
        self.where = nn.Conv2d(before, 4, 1)
        heads = {name: nn.Linear(2 * before, len(words)) for name, words in ATTRIBUTES.items()}
        self.heads = nn.ModuleDict(heads | {"place": nn.Linear(4 * 8 * 8, len(ATTRIBUTES["place"]))})

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        found = self.body(pixels)
        what, where = torch.cat([found.amax((-2, -1)), found.mean((-2, -1))], 1), self.where(found).flatten(1)
        return {name: head(where if name == "place" else what) for name, head in self.heads.items()}


class JudgeTask:
    """Cross-entropy of all five attributes, on frames with a little noise. The score is the share named wrongly of the
    attributes in NAMED."""

    def __init__(self, device: torch.device, pool: int):
        self.frames, self.held = (single_frames(split, n, device) for split, n in (("train", pool), ("val", HELD)))
        self.model = Judge().to(device, memory_format=torch.channels_last)

    def loss(self, model: nn.Module, batch: int, generator: torch.Generator) -> Tensor:
        frames = self.frames[drawn(len(self.frames), batch, generator)]
        pixels = to_signed(frames.pixels)
        noise = torch.randn(pixels.shape, generator=generator, device=pixels.device)
        with half(pixels.device):
            found = model((pixels + 0.03 * noise).contiguous(memory_format=torch.channels_last))
        return sum(F.cross_entropy(found[name].float(), frames.said[:, i]) for i, name in enumerate(ATTRIBUTES))

    def score(self, model: nn.Module) -> float:
        named = named_rightly(model, self.held.pixels, self.held.said)
        return 1 - sum(named[name] for name in NAMED) / len(NAMED)

    def finish(self, model: nn.Module) -> None:
        """Nothing is left to set."""


@torch.no_grad()
def named_rightly(judge: Judge, pixels: Tensor, said: Tensor) -> dict[str, float]:
    """The share of frames uint8 (b, h, w, 3) in which the judge names what was said (b, 5), for each attribute."""
    parts = [judge(to_signed(part)) for part in pixels.split(256)]
    right = {name: torch.cat([p[name] for p in parts]).argmax(1) == said[:, i] for i, name in enumerate(ATTRIBUTES)}
    return {name: share.float().mean().item() for name, share in right.items()}


def generated(models: SmallDiffusion, frames: Frames, guidance: float, controlled: str | None = None) -> Tensor:
    """One frame for each of `frames`, of the sentence that says its texture and place; by the ControlNet with its
    "depth" or its "edges", where the sentence need not say the place."""
    noise = torch.randn((len(frames), 4, 16, 16), generator=torch.Generator().manual_seed(0)).to(models.device)
    texts = [sentence(said, texture=True, place=controlled is None) for said in frames.said]
    maps = None
    if controlled is not None:
        maps = control_maps(frames.pixels, frames.mask)
        maps[:, 1 if controlled == "depth" else 0] = 0
    parts = []
    for at in range(0, len(frames), 128):
        part = slice(at, at + 128)
        control = None if maps is None else maps[part]
        parts.append(generate(models, texts[part], noise[part], control, guidance=guidance))
    return torch.cat(parts)


def measure(folder: Path, device: torch.device, count: int) -> dict[str, dict[str, float]]:
    """All scores, of `count` frames of the test split: PSNR of the autoencoder, shares named rightly."""
    controlnet = weights_file("controlnet", folder).is_file()
    models = small_diffusion(folder, device, controlnet)
    judge = load_half(Judge(), weights_file("judge", folder)).to(device).eval().requires_grad_(False)
    frames = single_frames("test", count, device)
    rows = {"PSNR": dict(zip(("whole frame", "object and its edge"), psnr(models.autoencoder, frames), strict=True))}
    rows["real frames"] = named_rightly(judge, frames.pixels, frames.said)
    rows["reconstructed"] = named_rightly(judge, models.decode(models.encode(frames.pixels)), frames.said)
    for guidance in (1.0, GUIDANCE, 7.5):
        found = generated(models, frames, guidance)
        rows[f"generated, guidance {guidance:g}"] = named_rightly(judge, found, frames.said)
    if controlnet:
        for kind in ("depth", "edges"):
            found = generated(models, frames, GUIDANCE, kind)
            rows[f"generated by {kind}"] = named_rightly(judge, found, frames.said)
    return rows


def write_card(folder: Path, device: torch.device, count: int = 0) -> None:
    """Measures everything and writes the card beside the weights: `small_diffusion.md`."""
    count = count or (1024 if device.type == "cuda" else 64)
    rows = measure(folder, device, count)
    text = card(rows, count, sum(f.stat().st_size for f in Path(folder).glob("small_diffusion_*.safetensors")))
    write_whole(Path(folder) / "small_diffusion.md", text)
    print(text)


def card(rows: dict[str, dict[str, float]], count: int, size: int) -> str:
    """The model card, from measured scores."""
    quality = rows["PSNR"]
    enough = min(quality.values()) >= DECIBELS
    best = rows[f"generated, guidance {GUIDANCE:g}"]
    ratios = {name: best[name] / rows["real frames"][name] for name in NAMED}
    lines = [
        "# The small world's diffusion model",
        "",
        "**What it is.** Parts of diffusers: an autoencoder (64x64 pixels to 16x16 latents of 4 channels), a UNet with",
        "cross-attention to the words of the second CLIP, a ControlNet for the order of depth and for edges; and a",
        f"classifier that judges them. {size / 1e6:.1f} MB together, in half precision.",
        "",
        "**What it was taught.** Single frames of the clips that are edited, training split: one object of any size,",
        "shape, colour (seven of eight a shape), texture and ground, at any moment of its event. Prompts are those of",
        'the edits ("a red star on sand"), half of them with the texture, half with the place, a tenth empty.',
        "v-prediction on the schedule of Stable Diffusion. `minilib.models.small_diffusion_training` has the recipe.",
        "",
        f"**What it scores**, on {count} frames of the test split.",
        "",
        f"Autoencoder: {', '.join(f'{name} {value:.1f} dB' for name, value in quality.items())}"
        f" (target {DECIBELS:g} each: {'reached' if enough else 'not reached'}).",
        "",
        "Percent of frames in which the judge names what was said:",
        "",
        "| frames | " + " | ".join(ATTRIBUTES) + " |",
        "|---|" + "---|" * len(ATTRIBUTES),
    ]
    for name, found in rows.items():
        if name != "PSNR":
            lines.append(f"| {name} | " + " | ".join(f"{100 * found[key]:.1f}" for key in ATTRIBUTES) + " |")
    told = ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items())
    reached = min(ratios.values()) >= SHARED
    lines += [
        "",
        f"Generated frames (guidance {GUIDANCE:g}, 20 steps of DPM-Solver++) are named rightly, against real ones:",
        f"{told}; target {SHARED:g} each: {'reached' if reached else 'not reached'}.",
        "",
    ]
    return "\n".join(lines)
