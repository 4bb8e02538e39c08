"""Released video encoders from local files, in three layouts: the object-centric one of the paper's code, MCG-NJU's own
files of VideoMAE, and a folder of `transformers`.

No file says how many heads there are; 64 channels each is what all released ones have. Tables of positions are not in
the files either, since sine waves need not be: name the one that the encoder was trained with (MCG-NJU's and
transformers' are flat, the paper's is of space and time). A table that is in a file must be that one.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from minilib.errors import BadInput
from minilib.models.checkpoints import load_strictly, read_state
from minilib.models.tubelets import Positions, flat_positions, spacetime_positions
from minilib.models.videomae import MaskedAutoencoder, VideoEncoder

HEAD_WIDTH = 64
HF_NAMES = (  # transformers' names and ours, both without the encoder's or decoder's own prefix
    ("attention.output.dense", "attn.proj"),
    ("intermediate.dense", "mlp.fc1"),
    ("output.dense", "mlp.fc2"),
    ("layernorm_before", "norm1"),
    ("layernorm_after", "norm2"),
)


TABLES = ("pos_embed", "position_embeddings")


def tables_of(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tables of positions that a file has of its encoder and decoder, (n, d) each; those of slots are none."""
    known = {"encoder": ("encoder.", "model.", "embeddings.", "videomae.embeddings.")}
    known = known | {"decoder": ("decoder.", "")} if "mask_token" in state else {"encoder": (*known["encoder"], "")}
    names = {prefix + table: part for part, prefixes in known.items() for prefix in prefixes for table in TABLES}
    return {part: state[name].float().flatten(0, -2) for name, part in names.items() if name in state}


def object_centric_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The encoder of a released object-centric checkpoint; its classifier and last norm, never used, are left out."""
    own = {k.removeprefix("model."): v for k, v in state.items() if k.startswith("model.")}
    return {f"encoder.{k}": v for k, v in own.items() if k.startswith(("patch_embed.", "blocks."))}


def mcg_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """MCG-NJU's names are ours; files of fine-tuned encoders lack the prefix and have a classifier."""
    if any(k.startswith("encoder.") for k in state):
        return {k: v for k, v in state.items() if not k.endswith(TABLES)}
    return {f"encoder.{k}": v for k, v in state.items() if k.startswith(("patch_embed.", "blocks.", "norm."))}


def transformers_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Ours for transformers': query, key and value are one matrix, and q_bias is query.bias since its version 4.50."""
    found: dict[str, Tensor] = {}
    thirds: dict[str, dict[str, Tensor]] = {}
    for name, value in state.items():
        name = name.removeprefix("videomae.")
        name = re.sub(r"^embeddings\.patch_embeddings\.projection\.", "encoder.patch_embed.proj.", name)
        name = re.sub(r"^encoder\.layer\.", "encoder.blocks.", name)
        name = re.sub(r"^decoder\.decoder_layers\.", "decoder.blocks.", name)
        name = re.sub(r"^layernorm\.", "encoder.norm.", name)
        part = re.fullmatch(r"(.*\.)attention\.attention\.(.*)", name)
        if part is None:
            for theirs, ours in HF_NAMES:
                name = name.replace(theirs, ours)
            if not name.startswith(("classifier.", "fc_norm.")) and not name.endswith(TABLES):
                found[name] = value
        elif part[2] in ("query.bias", "q_bias"):
            found[f"{part[1]}attn.q_bias"] = value
        elif part[2] in ("value.bias", "v_bias"):
            found[f"{part[1]}attn.v_bias"] = value
        else:
            thirds.setdefault(part[1], {})[part[2]] = value
    for prefix, three in thirds.items():
        found[f"{prefix}attn.qkv.weight"] = _joined(three)
    return found


def _joined(three: dict[str, Tensor]) -> Tensor:
    return torch.cat([three[f"{name}.weight"] for name in ("query", "key", "value")])


@dataclass(frozen=True)
class Released:
    """A file: tensors in our names, the table that belongs to its layout, heads where a folder's config says so, and
    the tables that it has itself."""

    state: dict[str, Tensor]
    positions: Positions
    heads: int | None
    tables: dict[str, Tensor]

    def check(self, part: str, table: Tensor, source: Path | str) -> None:
        """Raises BadInput where the file's own table is not the one that the part reads, (n, d)."""
        own = self.tables.get(part)
        if own is not None and (own.shape != table.shape or not torch.allclose(own, table, atol=1e-4)):
            raise BadInput(
                f"weights {source}: the {part}'s table of positions {tuple(own.shape)} is learned, or made for other "
                f"frames and sizes; only sine waves {tuple(table.shape)} are read"
            )


def released_file(path: Path | str) -> Released:
    """Raises BadInput for a file or folder of another kind."""
    path = Path(path)
    if path.is_dir():
        try:
            heads = json.loads((path / "config.json").read_text())["num_attention_heads"]
        except (OSError, ValueError, KeyError) as error:
            raise BadInput(f"weights {path}: not a folder of transformers, its config.json names no heads") from error
        file = next((path / n for n in ("model.safetensors", "pytorch_model.bin") if (path / n).is_file()), None)
        if file is None:
            raise BadInput(f"weights {path}: the folder has neither model.safetensors nor pytorch_model.bin")
        state = read_state(file)
        return Released(transformers_names(state), flat_positions, heads, tables_of(state))
    state = read_state(path)
    if any(k.startswith("model.patch_embed.") for k in state):
        return Released(object_centric_names(state), spacetime_positions, None, tables_of(state))
    if any(k.endswith("patch_embed.proj.weight") for k in state):
        return Released(mcg_names(state), flat_positions, None, tables_of(state))
    raise BadInput(f"weights {path}: no layout of VideoMAE that is known: it has no patch_embed.proj.weight")


def _depth(state: dict[str, Tensor], prefix: str) -> int:
    return 1 + max((int(k.split(".")[2]) for k in state if k.startswith(f"{prefix}.blocks.")), default=-1)


def _encoder(
    state: dict[str, Tensor], heads: int | None, positions: Positions, frames: int, size: tuple[int, int], source: Path
) -> VideoEncoder:
    first = state.get("encoder.patch_embed.proj.weight")
    if first is None or "encoder.blocks.0.attn.q_bias" not in state:
        raise BadInput(f"weights {source}: no encoder with biases of queries and values is in it")
    width, _, tubelet, patch, _ = first.shape
    return VideoEncoder(
        width,
        _depth(state, "encoder"),
        heads or max(width // HEAD_WIDTH, 1),
        patch,
        tubelet,
        frames // tubelet,
        (size[0] // patch, size[1] // patch),
        positions,
        last_norm="encoder.norm.weight" in state,
    )


def released_encoder(
    path: Path | str, frames: int = 16, size: tuple[int, int] = (224, 224), positions: Positions | None = None
) -> VideoEncoder:
    """The encoder of a released file, in evaluation mode. frames and size (h, w): what its table was made for.

    Raises BadInput for a file of another kind, and names any tensor that is missing or not part of the model.
    """
    file = released_file(path)
    encoder = _encoder(file.state, file.heads, positions or file.positions, frames, size, Path(path))
    own = {k.removeprefix("encoder."): v.float() for k, v in file.state.items() if k.startswith("encoder.")}
    load_strictly(encoder, own, path)
    file.check("encoder", encoder.positions.table, path)
    return encoder.eval()


def released_autoencoder(
    path: Path | str, frames: int = 16, size: tuple[int, int] = (224, 224), positions: Positions | None = None
) -> MaskedAutoencoder:
    """As `released_encoder`, with the decoder; the decoder's heads are 64 channels wide, unless the folder says."""
    file = released_file(path)
    state = file.state
    if "mask_token" not in state:
        raise BadInput(f"weights {path}: no decoder is in it, only an encoder: use released_encoder")
    width = state["mask_token"].shape[-1]
    if file.heads is not None:
        heads_of_decoder = json.loads((Path(path) / "config.json").read_text())["decoder_num_attention_heads"]
    else:
        heads_of_decoder = max(width // HEAD_WIDTH, 1)
    table = positions or file.positions
    encoder = _encoder(state, file.heads, table, frames, size, Path(path))
    model = MaskedAutoencoder(encoder, width, _depth(state, "decoder"), heads_of_decoder, table)
    load_strictly(model, {k: v.float() for k, v in state.items()}, path)
    for part, module in (("encoder", encoder), ("decoder", model)):
        file.check(part, module.positions.table, path)
    return model.eval()
