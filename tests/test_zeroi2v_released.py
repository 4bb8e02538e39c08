"""ZeroI2V's released files: offsets and scale travel with the name. The files here are made, in their layout."""

import numpy as np
import pytest
import torch
from torch import nn

from minilib.errors import BadInput
from minilib.models.checkpoints import read_state
from minilib.models.foreign import blocks
from minilib.papers.zeroi2v import STDHA
from minilib.papers.zeroi2v.released import load_released


def released(width, frames, classes, places=("T_Adapter_in", "S_Adapter", "MLP_Adapter", "MLP_Adapter_out")):
    """A small file in the published layout: one block, images of two by two patches."""
    torch.manual_seed(3)
    d, r, b = width, width // 4, "transformer.resblocks.0."
    shapes = {
        "class_embedding": (d,), "positional_embedding": (5, d), "temporal_embedding": (1, frames, d),
        "conv1.weight": (d, 3, 8, 8), "ln_pre.weight": (d,), "ln_pre.bias": (d,), "ln_post.weight": (d,),
        "ln_post.bias": (d,), b + "attn.in_proj_weight": (3 * d, d), b + "attn.in_proj_bias": (3 * d,),
    }  # fmt: skip
    for name, (o, n) in {"attn.out_proj": (d, d), "mlp.c_fc": (4 * d, d), "mlp.c_proj": (d, 4 * d)}.items():
        shapes |= {f"{b}{name}.weight": (o, n), f"{b}{name}.bias": (o,)}
    for name in ("ln_1", "ln_2"):
        shapes |= {f"{b}{name}.weight": (d,), f"{b}{name}.bias": (d,)}
    for name in places:
        shapes |= {f"{b}{name}.D_fc1.weight": (r, d), f"{b}{name}.D_fc1.bias": (r,)}
        shapes |= {f"{b}{name}.D_fc2.weight": (d, r), f"{b}{name}.D_fc2.bias": (d,)}
    state = {"backbone." + k: torch.randn(v) * 0.05 for k, v in shapes.items()}
    return state | {"cls_head.fc_cls.weight": torch.randn(classes, d), "cls_head.fc_cls.bias": torch.randn(classes)}


PUBLISHED = {  # what the released configurations say, typed from them
    "CLIP-B_k400_8x16x1": (768, 8, 400, (-1, 1), 0.5),
    "CLIP-L_k400_8x16x1": (1024, 8, 400, (-1, -1, 1, 1), 0.5),
    "CLIP-L_k400_32x4x1": (1024, 32, 400, (-1, -1, 1, 1, -2, -2), 0.5),
    "CLIP-L_sthv2_u32": (1024, 32, 174, (-1, -1, 1, 1, -2, 2, -3), 1),
    "CLIP-B_sthv2_u16": (768, 16, 174, (-1, 1, -2, 2), 1),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_released_files_offsets_travel_with_its_name(name, tmp_path):
    width, frames, classes, offsets, scale = PUBLISHED[name]
    path = tmp_path / f"{name}.pth"
    torch.save({"meta": {"epoch": 40, "cfg": "model = dict()"}, "state_dict": released(width, frames, classes)}, path)
    model = load_released(path)
    attention = blocks(model)[0].attn
    assert attention.mixing == STDHA(offsets) and attention.adapters["o"].scale == scale and not model.training
    assert attention.heads == width // 64 and model.backbone.clip_frames == frames
    with pytest.raises(BadInput, match="it has offsets"):
        load_released(path, offsets=(-1, 1, 2))


def test_a_released_file_computes_as_its_own_code_would(tmp_path):
    """Against the block written out from the released layout, on one frame pair (offsets -1 and 1)."""
    d, state = 128, released(128, 2, 3)
    torch.save({"state_dict": state}, tmp_path / "mine.pth")
    model = load_released(tmp_path / "mine.pth", offsets=(-1, 1), scale=0.5)
    s = {k.removeprefix("backbone."): v for k, v in state.items()}
    b, frames = "transformer.resblocks.0.", torch.randn(1, 2, 3, 16, 16)
    norm = lambda x, name: nn.functional.layer_norm(x, (d,), s[name + ".weight"], s[name + ".bias"])  # noqa: E731
    linear = lambda x, name: nn.functional.linear(x, s[name + ".weight"], s[name + ".bias"])  # noqa: E731
    adapter = lambda x, name: x + 0.5 * linear(linear(x, f"{b}{name}.D_fc1"), f"{b}{name}.D_fc2")  # noqa: E731
    x = nn.functional.conv2d(frames[0], s["conv1.weight"], stride=8).flatten(2).mT
    x = torch.cat([s["class_embedding"].expand(2, 1, -1), x], 1) + s["positional_embedding"]
    x = norm(x + s["temporal_embedding"][0][:, None], "ln_pre")
    y = adapter(norm(x, b + "ln_1"), "T_Adapter_in")
    q, k, v = nn.functional.linear(y, s[b + "attn.in_proj_weight"], s[b + "attn.in_proj_bias"]).chunk(3, -1)
    k, v = k.clone(), v.clone()
    for z in (k, v):  # head 0 of frame 1 reads frame 0, head 1 of frame 0 reads frame 1
        z[1, :, :64], z[0, :, 64:] = z[0, :, :64].clone(), z[1, :, 64:].clone()
    heads = [torch.softmax(q[..., p] @ k[..., p].mT / 8, -1) @ v[..., p] for p in (slice(0, 64), slice(64, 128))]
    x = x + adapter(linear(torch.cat(heads, -1), b + "attn.out_proj"), "S_Adapter")
    y = linear(adapter(norm(x, b + "ln_2"), "MLP_Adapter"), b + "mlp.c_fc")
    x = x + adapter(linear(y * torch.sigmoid(1.702 * y), b + "mlp.c_proj"), "MLP_Adapter_out")
    want = linear(norm(x[:, 0], "ln_post").mean(0), "cls_head.fc_cls")
    with torch.no_grad():
        torch.testing.assert_close(model(frames)[0], want, rtol=1e-4, atol=1e-4)


def test_a_file_without_a_released_name_needs_its_offsets(tmp_path):
    torch.save(released(128, 4, 5), tmp_path / "epoch_40.pth")
    for given in ({}, {"offsets": (-1, 1)}, {"scale": 0.5}):
        with pytest.raises(BadInput, match="give `offsets` and `scale`"):
            load_released(tmp_path / "epoch_40.pth", **given)
    wrapped = {f"module.{k}": v for k, v in released(128, 4, 5).items()}
    torch.save({"state_dict": wrapped, "meta": {}}, tmp_path / "epoch_40.pth")
    assert blocks(load_released(tmp_path / "epoch_40.pth", (-1, 1), 0.5))[0].attn.mixing == STDHA((-1, 1))
    six = ("T_Adapter_in_q", "T_Adapter_in_k", "T_Adapter_in_v", "S_Adapter", "MLP_Adapter", "MLP_Adapter_out")
    torch.save(released(128, 4, 5, six), tmp_path / "six.pth")
    assert set(blocks(load_released(tmp_path / "six.pth", (-1, 1), 1.0))[0].attn.adapters) == set("qkvo")
    torch.save(released(128, 4, 5, ()), tmp_path / "merged.pth")
    assert not blocks(load_released(tmp_path / "merged.pth", (-1, 1)))[0].attn.adapters


def test_a_released_name_on_other_tensors_is_refused(tmp_path):
    path = tmp_path / "CLIP-L_k400_32x4x1.pth"
    for (width, frames, classes), why in (
        ((768, 32, 400), "width 768, not 1024"),
        ((1024, 8, 400), "frames 8, not 32"),
        ((1024, 32, 174), "classes 174, not 400"),
    ):
        torch.save(released(width, frames, classes), path)
        with pytest.raises(BadInput, match=why):
            load_released(path)
    torch.save({"conv1.weight": torch.zeros(3)}, path)
    with pytest.raises(BadInput, match="not a released ZeroI2V checkpoint"):
        load_released(path)
    folder = tmp_path / "N006cc_vit_zero_large_clip_k400_32x4x1_div8_40e_long8"
    folder.mkdir()
    torch.save(released(1024, 32, 400), folder / "epoch_40.pth")
    assert blocks(load_released(folder / "epoch_40.pth"))[0].attn.mixing == STDHA((-1, -1, 1, 1, -2, -2))


class HistoryBuffer:
    """Stands for mmengine's log, which its files hold beside the tensors."""

    def __init__(self):
        self.values, self.function = np.arange(3.0), print


class Bomb:
    def __reduce__(self):
        return eval, ("open('exploded', 'w')",)


def test_logs_in_a_file_are_passed_over_and_no_code_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hub = {"log_scalars": {"loss": HistoryBuffer()}, "bomb": Bomb()}
    torch.save({"meta": {"hub": hub}, "message_hub": hub, "state_dict": {"a": torch.ones(2)}}, tmp_path / "mm.pth")
    state = read_state(tmp_path / "mm.pth")
    assert list(state) == ["a"] and torch.equal(state["a"], torch.ones(2))
    assert not (tmp_path / "exploded").exists()
    torch.save({"state_dict": {"a": HistoryBuffer()}}, tmp_path / "odd.pth")
    with pytest.raises(BadInput, match="cannot be read as tensors"):
        read_state(tmp_path / "odd.pth")
