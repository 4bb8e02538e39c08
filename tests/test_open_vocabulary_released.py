"""Files laid out as the authors' are read into the same model; others are refused in one line."""

import re

import pytest
import torch
from torch import nn

from minilib.errors import BadInput
from minilib.models.clip import TINY, VIT_B16, build
from minilib.models.slots import GaussianSlots
from minilib.models.videomae import VideoEncoder
from minilib.papers.open_vocabulary.decoder import BroadcastDecoder, ChunkedDecoder
from minilib.papers.open_vocabulary.method import VideoSlots
from minilib.papers.open_vocabulary.patch_clip import PatchClip
from minilib.papers.open_vocabulary.released import released_patch_clip, released_slots


def layers(weights):
    """{name: shape} of the weights and biases of layers."""
    return {f"{k}.weight": v for k, v in weights.items()} | {f"{k}.bias": v[:1] for k, v in weights.items()}


BLOCK = layers(
    {"norm1": (768,), "norm2": (768,), "attn.proj": (768, 768), "mlp.fc1": (3072, 768), "mlp.fc2": (768, 3072)}
) | {"attn.q_bias": (768,), "attn.v_bias": (768,), "attn.qkv.weight": (2304, 768)}
SLOTS = {
    **layers({"model.patch_embed.proj": (768, 3, 1, 16, 16)}),
    **{f"model.blocks.{i}.{name}": shape for i in range(12) for name, shape in BLOCK.items()},
    **layers({"grouping.positional_embedding.0": (768,), "grouping.positional_embedding.1": (768, 768)}),
    **layers({"grouping.positional_embedding.3": (128, 768)}),
    **layers({f"grouping.slot_attention.norm_{name}": (128,) for name in ("input", "slots")}),
    **{f"grouping.slot_attention.to_{name}.weight": (128, 128) for name in "qkv"},
    **{f"grouping.slot_attention.gru.weight_{name}": (384, 128) for name in ("ih", "hh")},
    **{f"grouping.slot_attention.gru.bias_{name}": (384,) for name in ("ih", "hh")},
    **layers({"grouping.slot_attention.ff_mlp.module.0": (128,)}),
    **layers({"grouping.slot_attention.ff_mlp.module.1": (512, 128)}),
    **layers({"grouping.slot_attention.ff_mlp.module.3": (128, 512)}),
    **{f"conditioning.slots_{name}": (1, 1, 128) for name in ("mu", "logsigma")},
    **layers({"decoder.decoder.0": (1024, 128), "decoder.decoder.2": (1024, 1024)}),
    **layers({"decoder.decoder.4": (1024, 1024), "decoder.decoder.6": (769, 1024)}),
    "decoder.pos_embed": (8, 196, 128),
}
PATCH_CLIP = {
    "last_transformer.attn.in_proj_weight": (2304, 768),
    "last_transformer.attn.in_proj_bias": (2304,),
    **layers({"last_transformer.attn.out_proj": (768, 768)}),
    **layers({"last_transformer.mlp.c_fc": (3072, 768), "last_transformer.mlp.c_proj": (768, 3072)}),
    **layers({"last_transformer.ln_1": (768,), "last_transformer.ln_2": (768,), "ln_last": (768,)}),
    **layers({"vision_emb.main.0": (512, 768), "vision_emb.main.2": (512, 512), "vision_emb.res": (512, 768)}),
}


def shapes(state):
    return {name: tuple(value.shape) for name, value in state.items()}


def drawn(model):
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model.eval()


def theirs(name):
    """A tensor of ours by the name that facts give it in the released file."""
    for ours, released in (
        ("read.", "grouping.positional_embedding."),
        ("attention.mlp.", "grouping.slot_attention.ff_mlp.module."),
        ("attention.initial.mean", "conditioning.slots_mu"),
        ("attention.initial.log_sigma", "conditioning.slots_logsigma"),
        ("attention.", "grouping.slot_attention."),
    ):
        if name.startswith(ours):
            return released + name.removeprefix(ours)
    return name


def small_pair():
    """An encoder of 16 x 16 patches and slots for 8 frames, every parameter drawn."""
    encoder = drawn(VideoEncoder(64 * 3, 1, 3, 16))
    return encoder, drawn(VideoSlots(GaussianSlots(4, 12), BroadcastDecoder(192, 12, 8, (3, 3), 16), 192))


def their_state(encoder, slots):
    """Both in the released file's names."""
    state = {f"model.{k}": v for k, v in encoder.state_dict().items()} | {"model.head.weight": torch.zeros(2, 192)}
    for name, value in slots.state_dict().items():
        state[theirs(name)] = value.view(1, 1, -1) if "initial" in name else value
    return state


def own_parts(state):
    """Of patch-CLIP's state what is not the frozen CLIP."""
    return {name: value for name, value in state.items() if not name.startswith("clip.")}


def released_files(folder, clip):
    """Two files as the authors lay them out, of small models: slots with their encoder, and patch-CLIP."""
    torch.save({"state_dict": their_state(*small_pair())}, folder / "slots.ckpt")
    torch.save({"state_dict": drawn(PatchClip(clip)).state_dict()}, folder / "patch.pth")
    return folder / "slots.ckpt", folder / "patch.pth"


def test_names_and_shapes_at_full_size_are_the_released_files():
    with torch.device("meta"):
        state = their_state(VideoEncoder(), VideoSlots(GaussianSlots(15, 128), ChunkedDecoder(), 768))
        patch_clip = own_parts(PatchClip(build(VIT_B16, tokenize=list)).state_dict())
    state.pop("model.head.weight")  # their classifier, which nobody reads
    assert shapes(state) == SLOTS and shapes(patch_clip) == PATCH_CLIP


def test_slots_and_their_encoder(tmp_path):
    torch.manual_seed(0)
    encoder, slots = small_pair()
    state = their_state(encoder, slots)
    one_block = {name for name in SLOTS if not re.match(r"model\.blocks\.[1-9]", name)}
    assert state.keys() - {"model.head.weight"} == one_block
    torch.save({"state_dict": state}, tmp_path / "released.ckpt")
    read_encoder, read = released_slots(tmp_path / "released.ckpt", slots=4)
    pixels = torch.randn(1, 2, 3, 48, 48)
    torch.testing.assert_close(read_encoder(pixels), encoder(pixels))
    expected = slots(encoder(pixels), torch.Generator().manual_seed(1))
    torch.testing.assert_close(read(encoder(pixels), torch.Generator().manual_seed(1)).masks, expected.masks)
    torch.save({k: v for k, v in state.items() if k.startswith("model.")}, tmp_path / "encoder.ckpt")
    with pytest.raises(BadInput, match=r"encoder\.ckpt: an encoder, but no slots"):
        released_slots(tmp_path / "encoder.ckpt")


def test_patch_clip(tmp_path):
    torch.manual_seed(0)
    clip = build(TINY, tokenize=list)
    model = drawn(PatchClip(clip))
    state, frames = model.state_dict(), torch.randint(256, (2, 16, 16, 3), dtype=torch.uint8)
    assert own_parts(state).keys() == PATCH_CLIP.keys()
    for held in (state, own_parts(state)):  # a file may hold the CLIP as well
        torch.save({"state_dict": held}, tmp_path / "patch.pth")
        read = released_patch_clip(tmp_path / "patch.pth", clip)
        torch.testing.assert_close(read(frames), model(frames))
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(BadInput, match="not patch-CLIP's"):
        released_patch_clip(tmp_path / "other.pth", clip)
