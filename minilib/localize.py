"""`python -m minilib.localize VIDEO WORD...`: finds what the words name in a video, as json and drawn over its frames.

    python -m minilib.localize shapes.mp4 circle star --out found
    python -m minilib.localize dog.mp4 dog ball --background grass sky road \\
        --slots object_centric_vol.pth --patch-clip patch_clip.pth --data-root /data

Without files of weights the small world's models look, which know its words and nothing else.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from minilib.commands import answer
from minilib.errors import BadInput
from minilib.predict import device_of

if TYPE_CHECKING:
    from minilib.papers.open_vocabulary import Localizer, Vocabulary


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m minilib.localize", description="Find what words name in a video.", allow_abbrev=False
    )
    made.add_argument("video", type=Path, help="a video file of 8 frames or more")
    made.add_argument("words", nargs="+", metavar="WORD", help='what to look for; "two words" in quotes')
    made.add_argument(
        "--background",
        nargs="+",
        metavar="WORD",
        help="what else is there (default: COCO's stuff, or all other shapes)",
    )
    made.add_argument("--out", type=Path, default=Path("."), help="folder for NAME_found.json and .mp4 (default: here)")
    made.add_argument("--threshold", type=float, default=0.0, help="least cosine with a name (default: 0)")
    made.add_argument("--most", type=int, default=128, help="frames to read at most, evenly spread (default: 128)")
    made.add_argument("--slots", default="", help="file of object-centric-vol: video encoder and slots")
    made.add_argument("--patch-clip", default="", help="file of patch-CLIP's block, with --slots")
    made.add_argument("--clip", default="", help="file of CLIP ViT-B/16, where its manifest does not find it")
    made.add_argument("--data-root", default="", help="folder of data sets and weights")
    made.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """0, or 2 and one line where what is asked for cannot be."""
    args = parser().parse_args(arguments)
    return answer(lambda: _localize(args))


def _localize(args: argparse.Namespace) -> int:
    from minilib.files import writable_folder, write_whole
    from minilib.video import write_video

    if not args.video.is_file():
        raise BadInput(f"video {args.video}: no such file")
    if bool(args.slots) != bool(args.patch_clip):
        raise BadInput("--slots and --patch-clip belong together: give both, or neither for the small world's models")
    if not args.slots and (args.clip or args.data_root):
        raise BadInput("--clip and --data-root belong to --slots and --patch-clip; the small models need neither")
    if not math.isfinite(args.threshold):
        raise BadInput(f"--threshold {args.threshold}: must be a number")
    if args.most < 8:
        raise BadInput(f"--most {args.most}: at least 8 frames are needed")
    device, out = device_of(args.device), writable_folder(args.out, "--out")
    from minilib.papers.open_vocabulary import files  # torch takes seconds, and a mistyped name should not

    localizer, vocabulary, short = (_released if args.slots else _small)(args)
    files.move(localizer, device)
    seen = files.localize_file(args.video, vocabulary, localizer, short, args.threshold, args.most)
    name = f"{args.video.stem}_found"
    words = {"words": list(vocabulary.targets), "background": list(vocabulary.background)}
    write_whole(out / f"{name}.json", json.dumps(seen.summary() | words) + "\n")
    write_video(out / f"{name}.mp4", files.drawn(seen), seen.fps)
    for tube in seen.tubes:
        print(f"{tube.name} {tube.score:.2f}: {int(tube.masks.flatten(1).any(1).sum())} of {len(seen.numbers)} frames")
    print(f"{out / name}.json, {out / name}.mp4")
    return 0


def _small(args: argparse.Namespace) -> tuple[Localizer, Vocabulary, int]:
    """The shipped models, settled, words that they know, and the short side of what they see. They keep slots by what
    patch-CLIP finds in them, so backgrounds need no names."""
    from minilib.papers.open_vocabulary.localize import settled
    from minilib.papers.open_vocabulary.naming import Vocabulary, fitting, mean
    from minilib.papers.open_vocabulary.pretrain.shipped import small_localizer
    from minilib.papers.open_vocabulary.small import sentences
    from minilib.world.localization import SIZE
    from minilib.world.vocabulary import COLOURS, GROUNDS, SHAPES, TEXTURES

    words, background = tuple(args.words), tuple(args.background or ())
    known = (*SHAPES, *COLOURS, *TEXTURES, *GROUNDS)
    for word in (*words, *background):
        if word not in known:
            raise BadInput(
                f"word {word!r}: the small world's models know {', '.join(known)}; others need --slots and --patch-clip"
            )
    over = fitting if all(word in SHAPES for word in (*words, *background)) else mean
    return settled(small_localizer()), Vocabulary(words, background, sentences, over), SIZE


def _released(args: argparse.Namespace) -> tuple[Localizer, Vocabulary, int]:
    """The authors' models and prompts; backgrounds are COCO's stuff."""
    from minilib.manifests import resolve
    from minilib.models.clip import VIT_B16, openai_clip
    from minilib.papers.open_vocabulary.naming import Vocabulary, among_stuff
    from minilib.papers.open_vocabulary.released import released_localizer

    words = tuple(args.words)
    vocabulary = Vocabulary(words, tuple(args.background)) if args.background else among_stuff(words)
    clip = openai_clip(VIT_B16, args.clip or resolve("openai_clip_vit_b16", args.data_root))
    return released_localizer(args.slots, args.patch_clip, clip), vocabulary, 224


if __name__ == "__main__":
    sys.exit(main())
