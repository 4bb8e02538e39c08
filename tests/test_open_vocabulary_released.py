"""Files laid out as the authors' are read into the same model; others are refused in one line."""

import pytest
import torch
from torch import nn

from minilib.errors import BadInput
from minilib.models.clip import TINY, build
from minilib.models.slots import GaussianSlots
from minilib.models.videomae import VideoEncoder
from minilib.papers.open_vocabulary.decoder import BroadcastDecoder
from minilib.papers.open_vocabulary.method import VideoSlots
from minilib.papers.open_vocabulary.patch_clip import PatchClip
from minilib.papers.open_vocabulary.released import released_patch_clip, released_slots


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


def released_files(folder, clip):
    """Two files as the authors lay them out, of small models: slots with their encoder, and patch-CLIP."""
    torch.save({"state_dict": their_state(*small_pair())}, folder / "slots.ckpt")
    torch.save({"state_dict": drawn(PatchClip(clip)).state_dict()}, folder / "patch.pth")
    return folder / "slots.ckpt", folder / "patch.pth"


def test_slots_and_their_encoder(tmp_path):
    torch.manual_seed(0)
    encoder, slots = small_pair()
    state = their_state(encoder, slots)
    assert state["grouping.slot_attention.to_q.weight"].shape == (12, 12)
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
    torch.save({"state_dict": model.state_dict()}, tmp_path / "patch.pth")
    read = released_patch_clip(tmp_path / "patch.pth", clip)
    frames = torch.randint(256, (2, 16, 16, 3), dtype=torch.uint8)
    torch.testing.assert_close(read(frames), model(frames))
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(BadInput, match="not patch-CLIP's"):
        released_patch_clip(tmp_path / "other.pth", clip)
