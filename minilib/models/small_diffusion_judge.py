"""Who judges the small diffusion model: a classifier that reads pixels and knows no sentence, and the card of scores.

A generated frame is good if the judge names in it what its sentence said. The judge learned from rendered frames and
shares nothing with the CLIP that conditions the UNet.

Axes: b frames, h and w pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilib.files import write_whole
from minilib.models.small_diffusion import (
    GUIDANCE,
    SmallDiffusion,
    decode,
    encode,
    generate,
    load_part,
    new_autoencoder,
    small_diffusion,
    to_signed,
    weights_file,
)
from minilib.models.small_diffusion_frames import ATTRIBUTES, Frames, control_maps, sentence, single_frames
from minilib.models.small_diffusion_tasks import HELD, drawn, half, psnr

SHARED = 0.7  # of the real frames' share, what generated frames have to reach in each attribute
NAMED = ("shape", "colour", "place")  # the attributes of the target; the others are reported
DECIBELS = 28.0
GUIDANCES = (1.0, 3.0, GUIDANCE)  # none, that of edits by an inversion, and the usual one
PARTS = {"autoencoder": "the autoencoder", "unet": "the UNet", "controlnet": "the ControlNet", "judge": "the judge"}


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
    """All scores of the parts that are there, on `count` frames of the test split: PSNR of the autoencoder, shares
    named rightly."""
    frames, rows = single_frames("test", count, device), {}
    autoencoder, judge = (
        _frozen(part, made, folder, device) for part, made in (("autoencoder", new_autoencoder), ("judge", Judge))
    )
    if autoencoder is not None:
        rows["PSNR"] = dict(zip(("whole frame", "object and its edge"), psnr(autoencoder, frames), strict=True))
    if judge is None:
        return rows
    rows["real frames"] = named_rightly(judge, frames.pixels, frames.said)
    if autoencoder is None:
        return rows
    back = decode(autoencoder, encode(autoencoder, frames.pixels))
    rows["reconstructed"] = named_rightly(judge, back, frames.said)
    unet, controlnet = (weights_file(part, folder).is_file() for part in ("unet", "controlnet"))
    if not unet:
        return rows
    models = small_diffusion(folder, device, controlnet)
    for guidance in GUIDANCES:
        found = generated(models, frames, guidance)
        rows[f"generated, guidance {guidance:g}"] = named_rightly(judge, found, frames.said)
    for kind in ("depth", "edges") if controlnet else ():
        found = generated(models, frames, GUIDANCE, kind)
        rows[f"generated by {kind}"] = named_rightly(judge, found, frames.said)
    return rows


def _frozen(part: str, made: Callable[[], nn.Module], folder: Path, device: torch.device) -> nn.Module | None:
    """A part with its weights, or None where there are none."""
    file = weights_file(part, folder)
    return load_part(made(), file).to(device).eval().requires_grad_(False) if file.is_file() else None


def write_card(folder: Path, device: torch.device, count: int = 0) -> None:
    """Measures the parts that are there and writes the card beside their weights, `small_diffusion.md`; half an hour on
    a CPU."""
    count = count or (1024 if device.type == "cuda" else 512)
    there = {part: weights_file(part, folder) for part in PARTS}
    sizes = {part: file.stat().st_size for part, file in there.items() if file.is_file()}
    text = card(measure(folder, device, count), count, sizes)
    write_whole(Path(folder) / "small_diffusion.md", text)
    print(text)


def card(rows: dict[str, dict[str, float]], count: int, sizes: dict[str, int]) -> str:
    """The model card, from measured scores and the sizes in bytes of the parts that are there."""
    missing = [name for part, name in PARTS.items() if part not in sizes]
    lines = [
        "# The small world's diffusion model",
        "",
        "**What it is.** Parts of diffusers: an autoencoder (64x64 pixels to 16x16 latents of 4 channels), a UNet with",
        "cross-attention to the words of the second CLIP, a ControlNet for the order of depth and for edges; and a",
        f"classifier that judges them. {sum(sizes.values()) / 1e6:.1f} MB together, in half precision.",
        *([f"**Not there yet:** {', '.join(missing)}."] if missing else []),
        "",
        "**What it was taught.** Single frames of the clips that are edited, training split: one object of any size,",
        "shape, colour (seven of eight a shape), texture and ground, at any moment of its event. Prompts are those of",
        'the edits ("a red star on sand"), half of them with the texture, half with the place, a tenth empty.',
        "v-prediction on the schedule of Stable Diffusion. `minilib.models.small_diffusion_training` has the recipe.",
        "",
        f"**What it scores**, on {count} frames of the test split.",
        "",
    ]
    if "PSNR" in rows:
        quality = rows["PSNR"]
        told = ", ".join(f"{name} {value:.1f} dB" for name, value in quality.items())
        reached = _reached(min(quality.values()) >= DECIBELS)
        lines += [f"Autoencoder: {told} (target {DECIBELS:g} each: {reached}).", ""]
    if "real frames" in rows:
        lines += ["Percent of frames in which the judge names what was said:", ""]
        lines += ["| frames | " + " | ".join(ATTRIBUTES) + " |", "|---|" + "---|" * len(ATTRIBUTES)]
        for name, found in rows.items():
            if name != "PSNR":
                lines.append(f"| {name} | " + " | ".join(f"{100 * found[key]:.1f}" for key in ATTRIBUTES) + " |")
        lines.append("")
    for guidance in GUIDANCES[1:]:
        if (found := rows.get(f"generated, guidance {guidance:g}")) is not None:
            told = ", ".join(_ratio(name, found[name], rows["real frames"][name], count) for name in NAMED)
            real = rows["real frames"]
            least = min(found[name] / max(real[name], 1 / count) for name in NAMED)
            lines += [
                f"Frames generated with guidance {guidance:g} in 20 steps of DPM-Solver++, named rightly as a share of",
                f"real ones (95 % interval): {told}; target {SHARED:g} each: {_reached(least >= SHARED)}.",
                "",
            ]
    return "\n".join(lines)


def _ratio(name: str, share: float, real: float, count: int) -> str:
    """A share of `count` generated frames by that of real ones, with Wilson's interval of the first."""
    from scipy.stats import binomtest

    ends = binomtest(round(share * count), count).proportion_ci(0.95, "wilson")
    value, low, high = (each / max(real, 1 / count) for each in (share, ends.low, ends.high))
    return f"{name} {value:.2f} [{low:.2f}, {high:.2f}]"


def _reached(yes: bool) -> str:
    return "reached" if yes else "not reached"
