"""`python -m minilib.check`: does this machine have what the suite needs? Ten seconds; nothing is downloaded or kept.

Each line begins with ok, none (not here, and not needed for the small scale) or bad (must be mended).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from minilib.claims.words import several
from minilib.commands import answer
from minilib.environment import commit, cores, cpu, threads, versions
from minilib.errors import BadInput
from minilib.files import IN_CHECKOUT, RUNS, writable_folder

OK, NONE, BAD = "ok", "none", "bad"
Line = tuple[str, str]  # OK, NONE or BAD, and what was found


def software(data_root: str) -> Iterator[Line]:
    yield OK, ", ".join(f"{name} {number}" for name, number in versions().items())
    yield OK, f"commit {commit() or 'unknown'}" if IN_CHECKOUT else "installed outside of a checkout"


def machine(data_root: str) -> Iterator[Line]:
    import torch

    yield OK, f"{cpu()}: {several(cores(), 'cores')}, {several(threads(), 'threads')}"
    if not torch.cuda.is_available():
        yield NONE, "GPU: none that torch can use"
        return
    x = torch.randn(256, 256, device="cuda")
    right = torch.allclose((x @ x).cpu(), x.cpu() @ x.cpu(), rtol=1e-2, atol=1e-1)
    memory = torch.cuda.get_device_properties(0).total_memory / 2**30
    yield OK if right else BAD, f"GPU: {torch.cuda.get_device_name()}, {memory:.0f} GiB"


def video(data_root: str) -> Iterator[Line]:
    """Eight frames are written, and read back by what is here."""
    import numpy as np

    from minilib.decoding import decord, pyav
    from minilib.video import read_frames, write_video

    shown = np.repeat(np.arange(8, dtype=np.uint8) * 30, 64 * 64 * 3).reshape(8, 64, 64, 3)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "eight.mp4")
        write_video(path, shown)
        for name, reader in (("PyAV", pyav), ("decord", decord)):
            if name == "decord" and find_spec("decord") is None:
                yield NONE, "video by decord: not installed; PyAV reads everything"
                continue
            try:
                off = np.abs(read_frames(path, [7, 0, 3], reader=reader).astype(int) - shown[[7, 0, 3]]).max()
                yield OK if off < 10 else BAD, f"video by {name}: the right frames, off by {off} of 255 at most"
            except BadInput as error:
                yield BAD, f"video by {name}: {error}"


def weights(data_root: str) -> Iterator[Line]:
    from minilib.manifests import all_manifests, resolve

    for name, manifest in all_manifests().items():
        if manifest.kind != "weights":
            continue
        try:
            yield OK, f"weights {name}: {resolve(name, data_root, check_hash=manifest.shipped)}"
        except BadInput as error:
            yield BAD if manifest.shipped else NONE, str(error)


def model(data_root: str) -> Iterator[Line]:
    import torch

    from minilib.models.small_clip import small_clip

    clip, began = small_clip().eval(), time.perf_counter()
    with torch.no_grad():
        found = clip.image_features(torch.zeros(1, 16, 64, 64, 3, dtype=torch.uint8))
    spent = 1e3 * (time.perf_counter() - began)
    yield OK if found.isfinite().all() else BAD, f"small CLIP: 16 frames in {spent:.0f} ms"


def place(data_root: str) -> Iterator[Line]:
    try:
        yield OK, f"results go to {writable_folder(RUNS, 'runs')}"
    except BadInput as error:
        yield BAD, str(error)


CHECKS: tuple[Callable[[str], Iterator[Line]], ...] = (software, machine, video, weights, model, place)


def main(arguments: Sequence[str] | None = None) -> int:
    """0, or 1 where something is bad."""
    parser = argparse.ArgumentParser(
        prog="python -m minilib.check", description=__doc__.split(": ", 1)[1].split("\n")[0], allow_abbrev=False
    )
    parser.add_argument("--data-root", default="", help="the folder in which each data set and checkpoint has its own")
    args = parser.parse_args(arguments)
    return answer(lambda: _check(args.data_root))


def _check(data_root: str) -> int:
    bad = 0
    for check in CHECKS:
        for word, found in check(data_root):
            print(f"{word:5s}{found}", flush=True)
            bad += word == BAD
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
