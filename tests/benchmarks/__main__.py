"""Speed and memory side by side: `make bench`. Targets are printed beside the ratios and never asserted."""

from __future__ import annotations

import argparse
import contextlib
from functools import partial

import torch

from minilib.claims import environment
from minilib.cost import peak_training_memory
from minilib.models.clip import VIT_B16
from minilib.papers.detection_pretraining.cutmix import TransientView
from minilib.papers.detection_pretraining.method import DetectionPretraining, VolumeFreeze, frame_labels, unchanged
from minilib.papers.detection_pretraining.mixes import VolumeMixUp
from minilib.papers.dist.study import CLIPS, timed
from minilib.papers.open_vocabulary import costs as video_slots
from minilib.papers.zeroi2v import STDHA, merge
from minilib.papers.zeroi2v.costs import zeroi2v
from minilib.papers.zeroi2v.counts import visual
from minilib.papers.zeroi2v.method import VideoAttention
from minilib.papers.zeroi2v.study import GRID, STUDY
from minilib.world import train_batches
from tests.benchmarks import detection, reading, slots, victr
from tests.benchmarks import dist as dist_steps
from tests.benchmarks.ratio import compare_speed, middle


def show(what: str, ratio: object, target: str) -> None:
    print(f"{what}\n    {ratio}\n    target: {target}", flush=True)


def time_reading(rounds: int) -> None:
    """Every reader that is installed against PyAV, on one file of each kind."""
    with reading.videos() as files:
        for kind, path in files.items():
            right = reading.wrong(path, reading.pyav)
            print(f"reading {reading.FRAMES} of {reading.LENGTH} frames, {kind}, by PyAV: {right}")
            for name, reader in reading.readers().items():
                right = reading.wrong(path, reader)
                if name == "pyav" or "cannot be read" in right:
                    continue
                ratio = compare_speed(reading.reading(path, reading.pyav), reading.reading(path, reader), rounds)
                show(f"the same against {name} ({right})", ratio, "at most 1.25 where its frames are right")


def time_video_slots(device: str, rounds: int) -> None:
    """Open-vocabulary localization's slots and their decoder at the real size."""
    shape = f"{video_slots.FRAMES}x{video_slots.GRID**2} tokens, {video_slots.SLOTS} slots"
    found = video_slots.slot_rounds(device, rounds)
    for name, what in (("video", "one slot attention over the clip"), ("frames", "slots of each frame in one call")):
        for key, how in (("forward", "forward"), ("step", "a step")):
            ratio = middle([each[name] for each in found[f"slots.{key}"]])
            show(f"{what} against the released graph frame by frame, {shape}, {how}", ratio, "below 1")
    found = video_slots.decoder_rounds(device, max(rounds // 10, 1))  # a step is 600 G multiply-adds
    for key, how, target in (("memory", "peak memory", "at most 0.5"), ("step", "time", "at most 1.34")):
        ratio = middle([each["chunked"] for each in found[f"decoder.{key}"]])
        show(f"decoder in chunks of slots against the direct reading, {shape}, {how} of a step", ratio, target)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    device, rounds = args.device, args.rounds
    half = torch.autocast("cuda", torch.bfloat16) if device == "cuda" else contextlib.nullcontext()
    facts = environment(device)
    print(f"{facts['device']}, {facts['threads']} threads, torch {facts['versions']['torch']}, {rounds} rounds")
    print("a ratio is the time, or the memory, of what is named first over that of what is named last")

    time_reading(rounds)

    frames, plain = 8, visual(VIT_B16, device=device).eval()
    attached = zeroi2v(visual(VIT_B16, device=device), frames, 1).backbone.eval().to(device)
    merged = merge(attached)
    pixels = torch.randn(frames, 3, 224, 224, device=device)

    @torch.inference_mode()
    def forward(model, *inputs):
        with half:
            model(*inputs)

    ratio = compare_speed(partial(forward, merged, pixels), partial(forward, plain, pixels), rounds)
    show("merged ZeroI2V against the plain ViT-B/16, forward, 8 frames: time", ratio, "at most 1.02")
    memory = [peak_training_memory(partial(forward, model, pixels), device).peak for model in (merged, plain)]
    show("the same: peak memory", f"ratio {memory[0] / memory[1]:.4f}", "at most 1.02")

    x = torch.randn(frames, 197, 768, device=device)
    inner = plain.transformer.resblocks[0].attn
    shifted, still = (VideoAttention(inner, frames, mixing).eval() for mixing in (STDHA(), STDHA(())))
    ratio = compare_speed(partial(forward, shifted, x), partial(forward, still, x), rounds, calls=10)
    show("STDHA against the same attention without temporal heads, forward", ratio, "at most 1.05")
    library = partial(inner, need_weights=False)
    ratio = compare_speed(partial(forward, shifted, x), partial(forward, library, x, x, x), rounds, calls=10)
    show("STDHA against the library's own attention, forward", ratio, "at most 1.05")

    attention, clip = slots.pair(device)
    loop = partial(slots.per_frame, attention)
    ratio = compare_speed(partial(forward, attention, clip), partial(forward, loop, clip), rounds)
    shape = f"{slots.FRAMES}x{slots.TOKENS} tokens, {slots.SLOTS} slots, 3 iterations (D={slots.WIDTH})"
    show(f"slot attention over {shape}: batched against a per-frame loop, forward", ratio, "at most 0.5")
    step = partial(slots.training_step, clip=clip)
    ratio = compare_speed(partial(step, attention), partial(step, loop), rounds)
    show("the same with the backward pass", ratio, "at most 0.5")

    time_video_slots(device, rounds)

    fast, plain_x3d, clips = detection.networks(device)
    for what, run in (("forward", forward), ("a training step", detection.training_step)):
        ratio = compare_speed(partial(run, fast, clips), partial(run, plain_x3d, clips), rounds)
        show(f"fast X3D-M against the plain one, {what}, 2 x 16 frames of 112", ratio, "at most 0.67 on a CPU")
    coarse_fine, fine_fine, clip, cheaper = detection.two_streams(device)
    ratio = compare_speed(partial(forward, coarse_fine, clip), partial(forward, fine_fine, clip), rounds)
    show("Coarse-Fine against Fine-Fine, forward, 128 frames of the small world", ratio, f"at most {1.1 * cheaper:.3f}")
    net, clips, labels = detection.pretraining_batch(device)
    task = partial(DetectionPretraining(unchanged, 8), net, clips, labels)
    known = frame_labels(labels, clips.shape[2])
    for augmentation in (VolumeFreeze(), VolumeMixUp(), TransientView()):
        ratio = compare_speed(partial(augmentation, clips, known), lambda task=task: task().backward(), rounds)
        show(f"{type(augmentation).__name__} against a step of pretraining, small world", ratio, "at most 0.02")

    calls = dist_steps.steps(device)
    for name, target in (("computed", "at most 0.95"), ("cached", "at most 0.45")):
        ratio = compare_speed(calls[name], calls["straightforward"], rounds)
        show(f"DiST's training step, features {name}, against the straightforward released graph", ratio, target)
    methods = timed(dist_steps.FRAMES, device)
    memory = {name: peak_training_memory(methods[name].step, device).peak for name in ("dist", "st_adapter")}
    ratio = f"ratio {memory['dist'] / memory['st_adapter']:.4f}"
    show(f"DiST against ST-Adapter: peak memory of a training step, {CLIPS} clips", ratio, "at most 0.5")

    head, direct, inputs = victr.pair(device)
    few = max(rounds // 4, 1)  # each takes seconds on a CPU
    shape = f"{victr.CLIPS} clips of {victr.FRAMES} frames x {victr.CLASSES + sum(victr.GROUPS)} names"
    for what, run in (("forward", forward), ("a training step", victr.training_step)):
        calls = [partial(run, model, *inputs) for model in (head, direct)]
        ratio = compare_speed(*calls, few, warmup=1)
        show(f"VicTR's head over {shape} against a text token for every frame, {what}: time", ratio, "at most 0.8")
        memory = [peak_training_memory(call, device) for call in calls]
        ratio = f"ratio {memory[0].peak / memory[1].peak:.4f}, {memory[0].added / memory[1].added:.4f} without weights"
        show("the same: peak memory", ratio, "at most 0.5")

    variant = STUDY.variants["zeroi2v"]
    model = variant.build(None).to(device).train()
    batches = train_batches(variant.task.labels, 0, GRID.batch, variant.task.frames, device=device)
    clips, labels = batches(0)

    def step():
        torch.nn.functional.cross_entropy(model(clips), labels.to(device)).backward()

    ratio = compare_speed(partial(batches, 1), step, rounds)
    show("rendering a batch against a training step on the small world", ratio, "at most 0.05 on a CPU")


if __name__ == "__main__":
    main()
