"""Trains the small checkpoints of open-vocabulary localization.

    python -m minilib.papers.open_vocabulary.pretrain all --minutes 9 --device cuda    # everything, in parallel
    ... all --minutes 9 --device cuda --folder OUT/open_vocabulary --scratch /tmp/open_vocabulary
    python -m minilib.papers.open_vocabulary.pretrain ship --folder OUT/open_vocabulary    # the best, into the package
    python -m minilib.papers.open_vocabulary.pretrain video --minutes 4 --device cuda
    python -m minilib.papers.open_vocabulary.pretrain slots --tried middle --minutes 4 --device cuda

A run that was stopped goes on where it was. Weights, scores and logs stay in --folder until `ship` copies the best to
the package; clips and checkpoints, which are large, in --scratch.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from minilib.errors import BadInput
from minilib.files import ROOT, write_whole
from minilib.models.half import load_half, save_half
from minilib.papers.open_vocabulary.patch_clip import VanillaPatches
from minilib.papers.open_vocabulary.pretrain import driver
from minilib.papers.open_vocabulary.pretrain.encoders import ENCODERS, reconstruction, small_autoencoder
from minilib.papers.open_vocabulary.pretrain.grouping import TRIED
from minilib.papers.open_vocabulary.pretrain.judge import Judge
from minilib.papers.open_vocabulary.pretrain.painted import Lessons, drawn, of_clips, taught
from minilib.papers.open_vocabulary.pretrain.patch import READERS, contrast, new_parts, small_patch_clip
from minilib.papers.open_vocabulary.pretrain.pool import pool
from minilib.papers.open_vocabulary.pretrain.recipe import training
from minilib.timed_training import Budget, History, read_history, train_for

FOLDER = ROOT / "runs" / "open_vocabulary"
CLIPS = {"cuda": 4096, "cpu": 1024}  # rendered once


def clips_of(args: argparse.Namespace) -> torch.Tensor:
    return torch.from_numpy(np.array(pool(args.scratch, args.clips, jobs=args.jobs))).to(args.device)


def finish(args: argparse.Namespace, name: str, history: History, scores: dict[str, float]) -> None:
    """What a training came to, as a file beside its weights."""
    parts = {"name": name, "seconds": history.seconds, "steps": history.step, "batch": args.batch}
    device = torch.cuda.get_device_name() if args.device == "cuda" else "cpu"
    found = parts | {"losses": history.losses, "scores": scores, "device": device}
    write_whole(args.folder / f"{name}.json", json.dumps(found, indent=1) + "\n")


def budget(args: argparse.Namespace, checkpoint: Path) -> Budget:
    """The time of this call, on top of what the checkpoint has seen."""
    left = 60 * args.minutes if args.until is None else args.until - time.time()
    return Budget(read_history(checkpoint).seconds + max(left, 1.0), steps=args.steps)


def train_encoder(args: argparse.Namespace, name: str) -> None:
    sizes, clips = ENCODERS[name], clips_of(args)
    torch.manual_seed(0)
    model, checkpoint = sizes.build().to(args.device), args.scratch / f"{name}.pt"
    loss = partial(reconstruction, model, sizes, clips, args.batch)

    def save(history: History) -> None:
        save_half(model, args.folder / f"{name}.safetensors")
        finish(args, name, history, {})

    train_for(training(model, loss, args.lr or 1.5e-3), budget(args, checkpoint), checkpoint, save, name)


def train_patch_clip(args: argparse.Namespace, reader: str) -> None:
    clips, name, how = clips_of(args), f"patch_clip_{reader}", READERS[reader]
    torch.manual_seed(0)
    model, checkpoint = how.build().to(args.device).train(), args.scratch / f"{name}.pt"
    parts, judge = new_parts(model), Judge(args.device, args.judged)
    if not (args.folder / "vanilla.json").is_file():  # the control
        finish(args, "vanilla", History(), judge.names_of(VanillaPatches(judge.clip)))

    def save(history: History) -> None:
        save_half(parts, args.folder / f"{name}.safetensors")
        scores = judge.names_of(model.eval())
        print(f"{name} {scores}", flush=True)
        model.train()
        finish(args, name, history, scores)

    loss = partial(contrast, model, how, clips, args.batch)
    train_for(training(parts, loss, args.lr or 1e-3), budget(args, checkpoint), checkpoint, save, name)


def train_slots(args: argparse.Namespace, tried: str) -> None:
    grouping, clips, name = TRIED[tried], clips_of(args), f"slots_{tried}"
    weights = args.folder / f"{grouping.encoder}.safetensors"
    encoder = small_autoencoder(weights, grouping.sizes).encoder.to(args.device)
    torch.manual_seed(0)
    model, checkpoint = grouping.build().to(args.device), args.scratch / f"{name}.pt"
    judge = Judge(args.device, args.judged, args.folder)

    def save(history: History) -> None:
        save_half(model, args.folder / f"{name}.safetensors")
        scores = judge.slots(grouping, encoder, model)
        print(f"{name} {scores}", flush=True)
        finish(args, name, history, scores)

    loss = partial(grouping.loss, model, encoder, clips, args.batch)
    train_for(training(model, loss, args.lr or 1e-3), budget(args, checkpoint), checkpoint, save, name)


def train_painted(args: argparse.Namespace) -> None:
    """Patch-CLIP goes on where "released" ended, with the best slots as its teachers."""
    tried = driver.chosen(driver.results(args.folder))
    grouping, name = TRIED[tried], "patch_clip_painted"
    model = small_patch_clip(args.folder / "patch_clip_released.safetensors", "released").to(args.device)
    encoder = small_autoencoder(args.folder / f"{grouping.encoder}.safetensors", grouping.sizes).encoder.to(args.device)
    slots, path = grouping.build(), args.folder / f"slots_{tried}.safetensors"
    load_half(slots, path)
    cache = args.scratch / f"lessons_{tried}_{args.clips}.pt"
    if cache.is_file():
        given = Lessons(*torch.load(cache, map_location=args.device, weights_only=True))
    else:
        given = of_clips(model, grouping, encoder, slots.to(args.device).eval(), clips_of(args))
        file = io.BytesIO()
        torch.save([given.tokens, given.shares, given.cls], file)
        write_whole(cache, file.getvalue())
    parts, checkpoint = new_parts(model).requires_grad_(True), args.scratch / f"{name}.pt"
    model.train()

    def save(history: History) -> None:
        save_half(parts, args.folder / f"{name}.safetensors")
        finish(args, name, history, {})

    def loss(generator: torch.Generator) -> torch.Tensor:
        return taught(model, drawn(given, args.batch, generator))

    history = train_for(training(parts, loss, args.lr or 7e-4), budget(args, checkpoint), checkpoint, save, name)
    scores = Judge(args.device, args.judged).names_of(model.eval())
    print(f"{name} {scores}", flush=True)
    finish(args, name, history, scores)


BATCH = {"painted": 64, "image": 512, "patch_clip": 512, "slots": 32}  # and 256 clips else; an eighth on the CPU


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="train the small checkpoints of open-vocabulary localization")
    parser.add_argument("what", choices=[*ENCODERS, "patch_clip", "slots", "painted", "all", "ship"])
    parser.add_argument("--minutes", type=float, default=4.0, help="of training in this call")
    parser.add_argument("--until", type=float, help="in place of minutes: a moment, in seconds since 1970")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=["cpu", "cuda"])
    parser.add_argument("--folder", type=Path, default=FOLDER, help="for weights, scores and logs")
    parser.add_argument("--scratch", type=Path, help="for clips and checkpoints; the same folder if not given")
    parser.add_argument("--tried", nargs="+", default=list(TRIED), choices=list(TRIED), help="settings of slots")
    parser.add_argument("--readers", nargs="+", default=list(READERS), choices=list(READERS), help="patch-CLIPs")
    parser.add_argument("--clips", type=int, help="rendered once: 4096 on a GPU, 1024 on a CPU, if not given")
    parser.add_argument("--jobs", type=int, default=min(os.cpu_count() or 1, 8), help="processes that render")
    parser.add_argument("--judged", type=int, default=128, help="validation clips that a training is looked at on")
    parser.add_argument("--batch", type=int, help="clips or frames a step")
    parser.add_argument("--lr", type=float, help="the highest rate")
    parser.add_argument("--steps", type=int, help="at most")
    args = parser.parse_args(arguments)
    args.scratch = args.scratch or args.folder
    args.clips = args.clips or CLIPS[args.device]
    if args.device == "cpu":
        torch.set_num_threads(1)
    torch.set_float32_matmul_precision("high")
    if args.batch is None:
        args.batch = max(BATCH.get(args.what, 256) // (1 if args.device == "cuda" else 8), 1)
    try:
        if args.what == "all":
            driver.everything(args)
        elif args.what == "ship":
            driver.ship(args.folder)
        elif args.what == "painted":
            train_painted(args)
        elif args.what == "patch_clip":
            for reader in (name for name in args.readers if name != "painted"):
                train_patch_clip(args, reader)
        elif args.what == "slots":
            for tried in args.tried:
                train_slots(args, tried)
        else:
            train_encoder(args, args.what)
    except BadInput as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
