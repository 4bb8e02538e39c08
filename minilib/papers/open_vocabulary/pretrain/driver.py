"""All trainings in their order, as processes beside each other, and the best of them into the package."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from minilib.errors import BadInput
from minilib.files import write_whole
from minilib.papers.open_vocabulary.pretrain.card import card
from minilib.papers.open_vocabulary.pretrain.encoders import ENCODERS
from minilib.papers.open_vocabulary.pretrain.grouping import TRIED
from minilib.papers.open_vocabulary.pretrain.patch import best_reader
from minilib.papers.open_vocabulary.pretrain.pool import pool

WEIGHTS = Path(__file__).parents[3] / "weights"
ENCODERS_UNTIL, SLOTS_UNTIL = 0.5, 0.97  # shares of the time at which these trainings end
SHORT = {"image": 0.3, "patch_clip": 0.4}  # ... and the small ones, which leave the device to the others
JUDGED_BY = ("joint dec_rate", "apart dec_rate")  # the first of these that a training has chooses among them
AT_MOST = 10e6  # bytes shipped
CONTENT = (
    "alone_crops"  # the patch-CLIP whose weights of Eq. 1 say where content is: its patches speak of themselves alone
)


def run_together(args: argparse.Namespace, jobs: Sequence[tuple[str, list[str], float]]) -> list[str]:
    """Starts (what, more arguments, until) as processes, waits for all, and returns which of them failed."""
    started = {}
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    for what, more, until in jobs:
        name = "_".join([what, *more[1:2]])
        command = [sys.executable, "-m", "minilib.papers.open_vocabulary.pretrain", what, *more]
        command += ["--device", args.device, "--folder", str(args.folder), "--until", f"{until:.0f}"]
        command += ["--scratch", str(args.scratch)]
        for option in ("clips", "judged", "steps"):
            if getattr(args, option) is not None:
                command += [f"--{option}", str(getattr(args, option))]
        log = (args.folder / f"{name}.log").open("a")
        started[name] = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        log.close()
    try:
        return [name for name, process in started.items() if process.wait()]
    finally:
        for process in started.values():
            if process.poll() is None:
                process.terminate()


def everything(args: argparse.Namespace) -> None:
    """Clips, encoders and patch-CLIP together, then all settings of slots together; what was trained before is trained
    on. Prints what each came to. A training that fails does not stop the others, and the package is left as it is."""
    began, seconds = time.time(), 60 * args.minutes
    args.folder.mkdir(parents=True, exist_ok=True)
    pool(args.scratch, args.clips, jobs=args.jobs)
    print(f"{time.time() - began:.0f} s: {args.clips} clips are rendered", flush=True)
    jobs = [(name, [], began + SHORT.get(name, ENCODERS_UNTIL) * seconds) for name in ENCODERS]
    jobs += [
        ("patch_clip", ["--readers", name], began + SHORT["patch_clip"] * seconds)
        for name in args.readers
        if name != "painted"
    ]
    failed = run_together(args, jobs)
    print(f"{time.time() - began:.0f} s: encoders and patch-CLIP are trained; failed: {failed or 'none'}", flush=True)
    ready = [n for n, each in TRIED.items() if (args.folder / f"{each.encoder}.safetensors").is_file()]
    jobs = [("slots", ["--tried", n], began + SLOTS_UNTIL * seconds) for n in ready if n in args.tried]
    failed = run_together(args, jobs)
    print(f"{time.time() - began:.0f} s: slots are trained; failed: {failed or 'none'}", flush=True)
    for name, found in results(args.folder).items():
        print(name, found["scores"], flush=True)
    print(f"best: {chosen(results(args.folder))}; `pretrain ship --folder {args.folder}` ships it", flush=True)


def results(folder: Path) -> dict[str, dict]:
    """What each training in the folder came to, by its name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(Path(folder).glob("*.json"))}


def chosen(found: dict[str, dict]) -> str:
    """The best settings of slots on a video encoder, by validation clips."""
    of_videos = [n for n, each in TRIED.items() if ENCODERS[each.encoder].frames > 1 and f"slots_{n}" in found]
    if not of_videos:
        raise BadInput("slots: none is trained yet on an encoder of videos")
    scores = {name: found[f"slots_{name}"]["scores"] for name in of_videos}
    metric = next((m for m in JUDGED_BY if all(m in each for each in scores.values())), None)
    if metric is None:
        raise BadInput("slots: some were judged with names and some without; train patch_clip and then slots again")
    return max(scores, key=lambda name: scores[name][metric])


def ship(folder: Path, to: Path = WEIGHTS) -> None:
    """Copies the chosen slots, their encoder, the image encoder, patch-CLIP's block and that of `CONTENT`, and writes
    their card.

    Raises BadInput where one is missing, or all together are larger than 10 MB.
    """
    found = results(folder)
    best, reader = chosen(found), best_reader(folder)
    files = {
        "video_encoder": TRIED[best].encoder,
        "image_encoder": "image",
        "patch_clip": f"patch_clip_{reader}",
        "patch_content": f"patch_clip_{CONTENT}",
        "video_slots": f"slots_{best}",
    }
    paths = {target: Path(folder) / f"{source}.safetensors" for target, source in files.items()}
    missing = [path.name for path in paths.values() if not path.is_file()]
    if missing:
        raise BadInput(f"{folder}: {missing[0]} is not trained yet")
    size = sum(path.stat().st_size for path in paths.values())
    if size > AT_MOST:
        raise BadInput(f"the files have {size / 1e6:.1f} MB together, at most {AT_MOST / 1e6:.0f} are shipped")
    for target, path in paths.items():
        shutil.copyfile(path, to / f".{target}.part")
        (to / f".{target}.part").replace(to / f"{target}.safetensors")
    write_whole(to / "open_vocabulary.json", json.dumps({"slots": best, "reader": reader, "content": CONTENT}) + "\n")
    write_whole(to / "open_vocabulary.md", card(best, files, found, size))
    print(f"shipped slots {best!r}, patch-CLIP {reader!r}, {size / 1e6:.2f} MB", flush=True)
