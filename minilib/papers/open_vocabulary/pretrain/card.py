"""The card of the shipped checkpoints, written from what the trainings left."""

from __future__ import annotations

from collections.abc import Mapping

HEAD = """# The small world's open-vocabulary localization

**What it is.** Five small models of `minilib.papers.open_vocabulary`, half precision, {size:.2f} MB together:
`video_encoder` (a masked autoencoder of clips of 8 frames), `image_encoder` (the same of single frames), `patch_clip`
(the new last block for the second CLIP), `patch_content` (another one without attention, whose weights of Eq. 1 say
where the content of a picture is) and `video_slots` (slots on the video encoder's features).

**What it was taught.** Clips of one to three moving objects, 96 x 96 pixels, and nothing else: no label, no box, no
mask and no sentence. Patch-CLIP's teacher is the second CLIP, which learned from captions.

**How.** `python -m minilib.papers.open_vocabulary.pretrain all --minutes 9 --device cuda`: everything in parallel on
one device, for minutes; `TRIED` has the settings of slots. The best of them on validation clips was chosen, by DecRate
after joint optimisation by the text's rules, before this suite had its own.
`pretrain painted --clips 976 --minutes 27 --device cpu --batch 32` goes on from the best patch-CLIP of Eq. 1-3, taught
by the slots; of 400 of its 976 clips the slots were not widened before painting.
"""

WORDS = {
    "iou": "mean best IoU",
    "cor_loc": "CorLoc",
    "dec_rate": "DecRate",
    "named": "named rightly",
    "apart": "slots as they are",
    "joint": "after joint optimisation by the text's rules",
}

TAIL = """
**What it cannot do.** It knows the small world's clips of 8 frames and has seen no other video. Two objects of one
shape that touch and look alike become one.
"""


def table(rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def title(key: str) -> str:
    """What a column of slots holds: "joint cor_loc" is "CorLoc, after joint optimisation by the text's rules"."""
    state, metric = key.split()
    return f"{WORDS[metric]}, {WORDS[state]}"


def card(best: str, files: Mapping[str, str], found: Mapping[str, dict], size: int) -> str:
    """Markdown: what was trained how long, to which loss, and what each setting of slots scores on validation clips."""
    trained = [["training", "device", "seconds", "steps", "batch", "loss at the end", "shipped as"]]
    shipped = {source: target for target, source in files.items()}
    for name, each in found.items():
        if not each["steps"]:
            continue
        loss = f"{each['losses'][-1][2]:.4f}" if each["losses"] else "-"
        numbers = [f"{each['seconds']:.0f}", str(each["steps"]), str(each["batch"]), loss]
        trained.append([f"`{name}`", each["device"], *numbers, f"`{shipped[name]}`" if name in shipped else ""])
    slots = {name: each["scores"] for name, each in found.items() if name.startswith("slots_")}
    metrics = list(next(iter(slots.values()))) if slots else []
    scored = [["slots (validation clips, percent)", *map(title, metrics)]]
    for name, scores in slots.items():
        chosen = f"`{name}`, chosen" if name == f"slots_{best}" else f"`{name}`"
        scored.append([chosen, *(f"{scores.get(metric, float('nan')):.1f}" for metric in metrics)])
    readers = {name: each["scores"] for name, each in found.items() if name.startswith(("patch_clip", "vanilla"))}
    kinds = list(next(iter(readers.values()))) if readers else []
    named = [["patch-CLIP, names of true masks (validation clips, percent)", *kinds]]
    for name, scores in readers.items():
        named.append([f"`{name}`", *(f"{scores.get(kind, float('nan')):.1f}" for kind in kinds)])
    tables = "\n\n".join(table(rows) for rows in (trained, scored, named))
    return f"{HEAD.format(size=size / 1e6)}\n{tables}\n{TAIL}"
