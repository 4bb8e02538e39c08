"""What pipelines take: seconds of inversion, generation and the UNet by itself, and bytes of stored maps.

Whatever is compared takes turns within a round. How long a step takes does not depend on the weights, so they may be
random. Everything is fused but maps that are really stored.

Axes: b videos, t frames, n queries, m keys, c heads, d channels.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from minilib.claims import Measurements
from minilib.models.frame_attention import Now, Span, attached
from minilib.models.small_diffusion import LATENT, SmallDiffusion, ddim
from minilib.models.small_diffusion_frames import control_maps
from minilib.papers.object_centric_diffusion import baselines as base
from minilib.papers.object_centric_diffusion.control import (
    CONTROLVIDEO,
    OBJECT_CENTRIC_CONTROL,
    OPTIMIZED_CONTROL,
    ControlPipeline,
    generate_controlled,
)
from minilib.papers.object_centric_diffusion.crossing import SHAPES, attention_rounds, stack_rounds
from minilib.papers.object_centric_diffusion.maps import Kept
from minilib.papers.object_centric_diffusion.method import (
    FATEZERO,
    OBJECT_CENTRIC,
    OPTIMIZED,
    Object,
    Pipeline,
    find_object,
    generate_edit,
    invert,
)
from minilib.papers.object_centric_diffusion.regions import Region
from minilib.papers.object_centric_diffusion.sampling import Sampling
from minilib.papers.object_centric_diffusion.small import RANDOM, Editing, edits_of, models_of, prompts_of, shortened
from minilib.study.speed import ROUNDS, Rounds, record_rounds

Costs = dict[str, float]
SIDES, GAMMAS = (12, 8, 4), (0.5, 0.25, 0.05)  # of the appendix's Table 6.6, at a quarter of its latents
INVERTING = {  # on small objects, each factor by itself: fewer steps, fewer keys, tokens that are chosen, the crop
    "fatezero": FATEZERO,
    "steps20": base.STEPS20,
    "optimized": OPTIMIZED,
    "merging": base.MERGING,
    "object_centric": OBJECT_CENTRIC,
}
CONTROLLED = {
    "controlvideo": CONTROLVIDEO,
    "text2video_zero": base.TEXT2VIDEO_ZERO,
    "control_optimized": OPTIMIZED_CONTROL,
    "control_object_centric": OBJECT_CENTRIC_CONTROL,
    "both_merged": base.BOTH_MERGED,
    "reduced": base.REDUCED,
    "single": base.SINGLE,
}


# --- one edit --------------------------------------------------------------------------------------------------------


@dataclass
class Clock:
    """Seconds within a module's forward passes."""

    seconds: float = 0.0
    began: list[float] = field(default_factory=list)


@contextmanager
def clock_of(module: nn.Module):
    """A `Clock` of all passes while it lasts."""
    clock = Clock()

    def before(module, args):
        clock.began.append(now())

    def after(module, args, out):
        clock.seconds += now() - clock.began.pop()

    handles = module.register_forward_pre_hook(before), module.register_forward_hook(after)
    try:
        yield clock
    finally:
        for handle in handles:
            handle.remove()


def now() -> float:
    """Seconds, once a GPU has done what it was told."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def cost_of_edit(
    models: SmallDiffusion, clip: int, pipeline: Pipeline, size: str, thing: Object | None = None
) -> Costs:
    """Seconds of inversion, generation, both, and the UNet; stored maps in 10^6 bytes."""
    edits = edits_of("colour", size, clip)
    prompts, scheduler, latents = prompts_of(edits), ddim(), models.encode(edits.source.pixels[0])
    thing = thing or find_object(edits.source.mask[0], latents, pipeline)
    with clock_of(models.unet) as unet:
        began = now()
        inverted = invert(models, latents, scheduler, prompts.source, pipeline, thing)
        middle = now()
        generate_edit(models, inverted, scheduler, prompts, pipeline, thing)
        end = now()
    return {
        "inversion": middle - began,
        "generation": end - middle,
        "total": end - began,
        "unet": unet.seconds,
        "maps": inverted.kept.bytes / 1e6,
    }


def cost_of_control(models: SmallDiffusion, clip: int, pipeline: ControlPipeline) -> Costs:
    """Seconds of generation, and of the UNet and the ControlNet in it."""
    source = edits_of("colour", "small", clip).source
    latents = models.encode(source.pixels[0])
    thing, maps = find_object(source.mask[0], latents, pipeline), control_maps(source.pixels[0], source.mask[0])
    with clock_of(models.unet) as unet, clock_of(models.controlnet) as controlnet:
        began = now()
        generate_controlled(models, ddim(), maps.to(latents), source.prompts[0], pipeline, thing, latents[:1])
        end = now()
    return {"generation": end - began, "unet": unet.seconds, "controlnet": controlnet.seconds}


def seconds_of_pass(
    models: SmallDiffusion, latents: torch.Tensor, prompt: str, span: Span
) -> tuple[float, float, float]:
    """One pass of the UNet over latents (t, d, h, w), after Fig. 6.2: seconds of all but attention, of fused attention,
    and what making and storing its maps adds."""
    at, tokens, found = Now(0, tuple(latents.shape[-2:])), models.tokens([prompt]).repeat(len(latents), 1, 1), []
    for kept in (None, Kept(at, dtype=torch.float16)):
        with torch.no_grad(), ExitStack() as stack:
            stack.enter_context(attached(models.unet, len(latents), span, at, kept))
            models.unet(latents, 500, tokens)
            parts = (part for name, part in models.unet.named_modules() if name.endswith(("attn1", "attn2")))
            clocks = [stack.enter_context(clock_of(part)) for part in parts]
            began = now()
            models.unet(latents, 500, tokens)
            found.append((now() - began, sum(clock.seconds for clock in clocks)))
    (fused, attention), (stored, _) = found
    return fused - attention, attention, max(stored - fused, 0.0)


def square(side: int, frames: int = 8) -> Object:
    """An object whose crop has so many cells a side, in the middle: the hypothetical ones of Table 6.6."""
    first = (LATENT - side) // 2
    mask = torch.zeros(frames, LATENT, LATENT, dtype=torch.bool)
    mask[:, first : first + side, first : first + side] = True
    return Object(mask, Region(torch.full((frames, 2), first), (side, side)))


# --- rounds ----------------------------------------------------------------------------------------------------------


def in_turns(calls: Mapping[str, Callable[[], Costs]], rounds: int, warmup: int = 1) -> dict[str, Rounds]:
    """{cost: rounds of {name: value}}: in each round every call once, in an order that turns."""
    names, found = list(calls), {}
    for number in range(-warmup, rounds):
        shift, costs = number % len(names), {}
        for name in names[shift:] + names[:shift]:
            costs[name] = calls[name]()
        if number >= 0:
            for what in next(iter(costs.values())):
                found.setdefault(what, []).append({name: each[what] for name, each in costs.items()})
    return found


def editing_rounds(recipe: Editing, device: str, rounds: int) -> dict[str, Rounds]:
    """All of INVERTING on a small object, and the object-centric one on a medium and on a large one."""
    models, calls = models_of(RANDOM, device), {}
    sizes = {name: (pipeline, "small") for name, pipeline in INVERTING.items()}
    sizes |= {f"object_centric_{size}": (OBJECT_CENTRIC, size) for size in ("medium", "large")}
    for name, (pipeline, size) in sizes.items():
        calls[name] = Call(cost_of_edit, models, shortened(pipeline, recipe.most_steps), size)
    return in_turns(calls, rounds)


@dataclass(frozen=True)
class Call:
    """function(models, clip 0, *rest)."""

    function: Callable[..., Costs]
    models: SmallDiffusion
    pipeline: object
    rest: object = None

    def __call__(self) -> Costs:
        return self.function(self.models, 0, self.pipeline, *(() if self.rest is None else (self.rest,)))


def control_rounds(recipe: Editing, device: str, rounds: int) -> dict[str, Rounds]:
    """All of CONTROLLED, on a small object."""
    models = models_of(RANDOM, device, controlnet=True)
    calls = {
        name: Call(cost_of_control, models, shortened(pipeline, recipe.most_steps))
        for name, pipeline in CONTROLLED.items()
    }
    return {f"control.{what}": found for what, found in in_turns(calls, rounds).items()}


@dataclass(frozen=True)
class Crop:
    """An edit whose crop has `side` cells a side."""

    models: SmallDiffusion
    pipeline: Pipeline
    side: int

    def __call__(self) -> Costs:
        return cost_of_edit(self.models, 0, self.pipeline, "small", square(self.side))


def crop_rounds(recipe: Editing, device: str, rounds: int) -> dict[str, Rounds]:
    """The appendix's Table 6.6: gamma and the side of the crop, beside whole frames."""
    models = models_of(RANDOM, device)
    calls = {"whole": Crop(models, shortened(OPTIMIZED, recipe.most_steps), LATENT)}
    for gamma in GAMMAS:
        pipeline = shortened(replace(base.SAMPLING, sampling=Sampling(20, gamma)), recipe.most_steps)
        calls |= {f"gamma{100 * gamma:02.0f}_side{side}": Crop(models, pipeline, side) for side in SIDES}
    found = in_turns(calls, rounds)
    return {f"crop.{what}": found[what] for what in ("inversion", "generation", "total")}


def record_costs(rows: Measurements, rounds: int = ROUNDS) -> None:
    """All rows "cost/<what>.<name>"; some twenty minutes on two cores."""
    recipe = Editing() if rows.scale != "smoke" else Editing().smoke()
    rounds, device = (rounds if rows.scale != "smoke" else 1), rows.device
    for what, found in {
        "edits": editing_rounds(recipe, device, rounds),
        "control": control_rounds(recipe, device, rounds),
        "crops": crop_rounds(recipe, device, rounds),
        "attention": attention_rounds(device, rounds, SHAPES if rows.scale != "smoke" else SHAPES[:1]),
        "stack": stack_rounds(device, rounds, 32 if rows.scale != "smoke" else 8),
    }.items():
        record_rounds(rows, found, {"group": what, "frames": 8, "most_steps": recipe.most_steps})
