"""The authors' checkpoints under our names, with the offsets and scales that no tensor of them tells."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from torch import Tensor

from minilib.errors import BadInput
from minilib.models.checkpoints import load_strictly, read_state, renamed
from minilib.models.classifier import VideoClassifier
from minilib.models.clip import SMALL, Architecture, build
from minilib.papers.zeroi2v.adapters import Adapter
from minilib.papers.zeroi2v.method import Adaptation, attach
from minilib.papers.zeroi2v.published import TABLES
from minilib.papers.zeroi2v.stdha import STDHA

WIDTHS = {"vit_b16": 768, "vit_l14": 1024}
HEAD_WIDTH = 64  # of both
PLACES = {
    "T_Adapter_in": "attn.adapters.qkv",
    "T_Adapter_in_q": "attn.adapters.q",
    "T_Adapter_in_k": "attn.adapters.k",
    "T_Adapter_in_v": "attn.adapters.v",
    "S_Adapter": "attn.adapters.o",
    "MLP_Adapter": "mlp.adapters.up",
    "MLP_Adapter_out": "mlp.adapters.down",
}
BLOCK = r"(transformer\.resblocks\.\d+\.)"
RULES = (
    (r"^backbone\.", ""),
    *((rf"^{BLOCK}{theirs}\.D_fc1\.", rf"\g<1>{ours}.down.") for theirs, ours in PLACES.items()),
    *((rf"^{BLOCK}{theirs}\.D_fc2\.", rf"\g<1>{ours}.up.") for theirs, ours in PLACES.items()),
    (rf"^{BLOCK}(attn|mlp)\.(?!adapters)", r"\g<1>\g<2>.inner."),
    (r"^ln_pre\.", "ln_pre.inner."),
    (r"^temporal_embedding$", "ln_pre.embedding"),
    (r"^(?!cls_head)", "backbone."),
    (r"^cls_head\.fc_cls\.", "head."),
)


def released_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Renames a released ZeroI2V checkpoint to the names of `VideoClassifier` over an attached open_clip ViT."""
    return renamed(state, RULES)


def published(path: Path) -> tuple[dict, tuple[int, ...], float] | None:
    """Entry, offsets and adapter scale of a released file, known by its own name or its folder's; else None."""
    files = {name.lower(): entry for name, entry in TABLES["released_files"].items()}
    entry = files.get(path.stem.lower(), files.get(path.parent.name.lower()))
    if entry is None:
        return None
    heads = TABLES["table_11"][entry["dataset"]][entry["backbone"]][entry["frames"]]
    return entry, tuple(heads.get("released", heads["offsets"])), TABLES["table_12"][entry["dataset"]]["adapter_scale"]


def load_released(
    path: Path | str, offsets: Sequence[int] | None = None, scale: float | None = None
) -> VideoClassifier:
    """A released ZeroI2V checkpoint as a classifier in evaluation mode.

    Sizes, places of adapters and frames are read from the tensors. Offsets of the heads and scale of the adapters are
    in no tensor: they belong to the names of the released files, and must be given for a file of another name (a merged
    file needs no scale). Raises BadInput for an unknown name without them, a name that does not fit the tensors, and
    offsets or scale that are not those of the name.
    """
    path = Path(path)
    state = released_names(read_state(path))
    sizes = _sizes(state, path)
    known = published(path)
    if known:
        entry, its_offsets, its_scale = known
        wrong = [
            f"{what} {have}, not {want}"
            for what, have, want in (
                ("frames", sizes["frames"], entry["frames"]),
                ("width", sizes["width"], WIDTHS[entry["backbone"]]),
                ("classes", sizes["classes"], entry["classes"]),
                ("offsets", tuple(its_offsets if offsets is None else offsets), its_offsets),
                ("scale", its_scale if scale is None else scale, its_scale),
            )
            if have != want
        ]
        if wrong:
            raise BadInput(f"weights {path}: by its name it is a released file, but it has {wrong[0]}: rename it")
        offsets, scale = its_offsets, its_scale
    if offsets is None or (scale is None and sizes["places"]):
        names = ", ".join(list(TABLES["released_files"])[:5])
        raise BadInput(
            f"weights {path}: no tensor tells the heads' offsets or the adapters' scale, and this is no name of a "
            f"released file ({names}): give `offsets` and `scale`, or the file its released name"
        )
    vision = dict(layers=sizes["layers"], width=sizes["width"], head_width=HEAD_WIDTH)
    vision |= dict(patch_size=sizes["patch"], image_size=sizes["patch"] * sizes["grid"])
    visual = build(Architecture(HEAD_WIDTH, vision, SMALL.text, quick_gelu=True), tokenize=list).visual
    visual.proj = None  # the released code deletes it
    adapter = partial(Adapter, scale=scale)
    settings = Adaptation(sizes["frames"], STDHA(tuple(offsets)), sizes["places"], sizes["ratio"], adapter)
    model = VideoClassifier(attach(visual, settings), sizes["classes"])
    load_strictly(model, state, path)
    return model.eval()


def _sizes(state: dict[str, Tensor], path: Path) -> dict:
    """What the tensors of a released file say of the model, {size: number}."""
    first = "backbone.transformer.resblocks.0."
    needed = {
        "temporal": "backbone.ln_pre.embedding",
        "position": "backbone.positional_embedding",
        "patch": "backbone.conv1.weight",
        "head": "head.weight",
    }
    missing = [name for name in needed.values() if name not in state]
    if missing:
        raise BadInput(f"weights {path}: not a released ZeroI2V checkpoint, it has no {missing[0]}")
    temporal, position, patch, head = (state[name] for name in needed.values())
    width = temporal.shape[-1]
    if width % HEAD_WIDTH:
        raise BadInput(f"weights {path}: width {width} is no multiple of {HEAD_WIDTH}, the width of CLIP's heads")
    down = {ours.split(".")[-1]: state.get(f"{first}{ours}.down.weight") for ours in PLACES.values()}
    places = tuple(place for place, weight in down.items() if weight is not None)
    return dict(
        frames=temporal.shape[1],
        width=width,
        layers=1 + max(int(name.split(".")[3]) for name in state if name.startswith("backbone.transformer.resblocks.")),
        patch=patch.shape[-1],
        grid=round((len(position) - 1) ** 0.5),
        classes=len(head),
        places=places,
        ratio=len(down[places[0]]) / width if places else 0.25,
    )
