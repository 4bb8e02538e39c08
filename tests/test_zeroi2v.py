"""ZeroI2V against naive loops, against the plain backbone, and against itself after merging."""

import copy

import pytest
import timm
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from minilib.errors import BadInput
from minilib.models.checkpoints import load_strictly
from minilib.models.classifier import VideoClassifier, train_only
from minilib.models.clip import TINY, build
from minilib.papers.zeroi2v import (
    FOUR,
    SIX,
    STDHA,
    Adaptation,
    Adapter,
    attach,
    blocks,
    detach,
    merge,
    new_parameters,
    variants,
)
from minilib.papers.zeroi2v.operators import ChannelShift, ClsTokenHeads, Relocation, ShiftedClsToken
from minilib.papers.zeroi2v.released import PLACES as RELEASED_PLACES
from minilib.papers.zeroi2v.released import released_names
from minilib.papers.zeroi2v.stdha import from_frame

FRAMES = 4
TWIN = STDHA(())  # every head in its own frame


def tiny_vit(seed=0):
    torch.manual_seed(seed)
    return build(TINY, tokenize=lambda texts: None).visual.eval()


def tiny_timm(seed=0):
    torch.manual_seed(seed)
    return timm.create_model(
        "vit_base_patch16_224", img_size=16, patch_size=8, embed_dim=24, depth=2, num_heads=12, num_classes=0
    ).eval()


def tiny_swin(seed=0):
    torch.manual_seed(seed)
    return timm.create_model(
        "swin_base_patch4_window7_224",
        img_size=32,
        patch_size=4,
        window_size=4,
        embed_dim=24,
        depths=(2, 2),
        num_heads=(4, 8),
        num_classes=0,
    ).eval()


BACKBONES = {"open_clip": tiny_vit, "timm": tiny_timm, "swin": tiny_swin}
PIXELS = {"open_clip": 16, "timm": 16, "swin": 32}


def randomise(module, std=0.2):
    for name, parameter in module.named_parameters():
        if (
            "adapters" in name
            or "_pre.embedding" in name
            or ("parametrizations" in name and not name.endswith("original"))
        ):
            nn.init.normal_(parameter, std=std)
    for part in module.modules():
        if isinstance(part, Adapter):
            part.scale = 0.3 + torch.rand(()).item()


def pixels(kind, clips=2, frames=FRAMES):
    torch.manual_seed(1)
    return torch.randn(clips * frames, 3, PIXELS[kind], PIXELS[kind])


# --- reading another frame ---


@given(steps=st.integers(1, 6), offset=st.integers(-7, 7))
@settings(max_examples=60)
def test_from_frame_is_the_loop(steps, offset):
    x = torch.arange(2.0 * steps * 3).view(2, steps, 3)
    got = from_frame(x, offset)
    assert got.shape == x.shape
    for t in range(steps):
        source = t + offset if 0 <= t + offset < steps else t
        assert torch.equal(got[:, t], x[:, source])


def loop_attention(inner, x, frames, offsets):
    """Eq. 7-9 written with a loop over clips, frames and heads."""
    h = inner.num_heads
    d = x.shape[-1]
    q, k, v = F.linear(x, inner.in_proj_weight, inner.in_proj_bias).chunk(3, -1)
    out = torch.zeros_like(q)
    c = d // h
    per_head = [*offsets, *[0] * (h - len(offsets))]
    for row in range(len(x)):
        clip, t = divmod(row, frames)
        for head, dt in enumerate(per_head):
            source = clip * frames + (t + dt if 0 <= t + dt < frames else t)
            part = slice(head * c, (head + 1) * c)
            weight = (q[row, :, part] @ k[source, :, part].T / c**0.5).softmax(-1)
            out[row, :, part] = weight @ v[source, :, part]
    return inner.out_proj(out)


@pytest.mark.parametrize("offsets", [(-1, 1), (1, 1), (-1, 1, -2, -2, 3), ()])
def test_stdha_is_the_loop(offsets):
    vit = attach(tiny_vit(), Adaptation(FRAMES, STDHA(offsets), places=()))
    x = torch.randn(2 * FRAMES, 5, 24)
    attention = blocks(vit)[0].attn
    with torch.no_grad():
        assert torch.allclose(attention.attend(x), loop_attention(attention.inner, x, FRAMES, offsets), atol=1e-6)


def test_query_relocation_and_half_heads():
    x = torch.randn(1, FRAMES, 1, 3, 3, 12, 4)
    moved = Relocation((-1,), queries=True)(x.clone())
    assert torch.equal(moved[:, 1:, ..., 0, :], x[:, :-1, ..., 0, :])
    assert torch.equal(moved[..., 1:, :], x[..., 1:, :])
    halves = Relocation(heads=0.5)(x.clone())
    assert torch.equal(halves[:, :, :, :, 0], x[:, :, :, :, 0])  # the queries stay
    assert torch.equal(halves[:, 1:, :, :, 1:, 0, :2], x[:, :-1, :, :, 1:, 0, :2])
    assert torch.equal(halves[:, :-1, :, :, 1:, 0, 2:], x[:, 1:, :, :, 1:, 0, 2:])
    assert torch.equal(halves[..., 1:, :], x[..., 1:, :])
    three = Relocation(heads=1.5)(x.clone())  # three heads, the second one shared
    assert torch.equal(three[:, 1:, :, :, 1:, 0], x[:, :-1, :, :, 1:, 0])
    assert torch.equal(three[:, 1:, :, :, 1:, 1, :2], x[:, :-1, :, :, 1:, 1, :2])
    assert torch.equal(three[:, :-1, :, :, 1:, 1, 2:], x[:, 1:, :, :, 1:, 1, 2:])
    assert torch.equal(three[:, :-1, :, :, 1:, 2], x[:, 1:, :, :, 1:, 2])
    assert torch.equal(three[..., 3:, :], x[..., 3:, :])
    assert torch.equal(Relocation()(x.clone()), STDHA()(x.clone()))


def test_channel_and_cls_shift_are_their_loops():
    x = torch.randn(1, FRAMES, 1, 3, 3, 2, 24)
    shifted = ChannelShift(divisor=12)(x.clone())
    for h in range(2):
        assert torch.equal(shifted[:, 1:, :, :, 1:, h, :2], x[:, :-1, :, :, 1:, h, :2])
        assert torch.equal(shifted[:, :-1, :, :, 1:, h, 2:4], x[:, 1:, :, :, 1:, h, 2:4])
        assert torch.equal(shifted[..., h, 4:], x[..., h, 4:])
    assert torch.equal(shifted[:, :, :, :, 0], x[:, :, :, :, 0])  # the queries stay, but where they are asked for
    assert torch.equal(ChannelShift(divisor=12, queries=True)(x.clone())[:, 1:, ..., :2], x[:, :-1, ..., :2])
    inside = ClsTokenHeads()(x.clone())
    assert torch.equal(inside[:, :, :, 1:], x[:, :, :, 1:])
    assert torch.equal(inside[:, :, :, :1], STDHA()(x.clone())[:, :, :, :1])
    tokens = torch.randn(FRAMES, 3, 24)
    before = ShiftedClsToken(nn.Identity(), FRAMES, 12)(tokens)
    assert torch.equal(before[1:, 0, :2], tokens[:-1, 0, :2])
    assert torch.equal(before[:-1, 0, 2:4], tokens[1:, 0, 2:4])
    assert torch.equal(before[:, 0, 4:], tokens[:, 0, 4:])
    assert torch.equal(before[:, 1:], tokens[:, 1:])


@pytest.mark.parametrize("mixing", [Relocation(heads=1.5), ChannelShift(), ClsTokenHeads(), STDHA()])
def test_operators_reach_the_other_frame_with_gradients(mixing):
    leaf = torch.randn(1, 3, 1, 2, 3, 4, 24, requires_grad=True)
    mixing(leaf * 1.0)[:, 1, :, 0].sum().backward()
    read = leaf.grad.abs().sum((0, 2, 4, 5, 6))  # (t, n)
    assert read[0, 0] > 0 and read[2, 0] > 0 and read[:, 1].sum() == 0


def test_a_shifted_class_token_stands_before_attention_and_mlp():
    twin = Adaptation(FRAMES, TWIN, places=())
    shifted = tiny_vit()
    norms = [norm for block in blocks(shifted) for norm in (block.ln_1, block.ln_2)]
    variants.ClsTokenShifted(twin, divisor=8)(shifted)
    behind = [norm for block in blocks(shifted) for norm in (block.ln_1, block.ln_2)]
    assert all(isinstance(norm, ShiftedClsToken) and norm.divisor == 8 for norm in behind)
    assert all(norm.norm is own for norm, own in zip(behind, norms, strict=True))
    x, plain = pixels("open_clip"), attach(tiny_vit(), twin)
    with torch.no_grad():
        assert not torch.allclose(shifted(x), plain(x), atol=1e-4)


# --- attach, detach, merge ---


@pytest.mark.parametrize("kind", BACKBONES)
def test_attach_without_mixing_changes_nothing_and_detach_restores_exactly(kind):
    plain = BACKBONES[kind]()
    x = pixels(kind)
    with torch.no_grad():
        want = plain(x)
        attached = attach(plain, Adaptation(FRAMES, TWIN))
        assert torch.allclose(attached(x), want, atol=1e-5)
        randomise(attached)
        assert not torch.allclose(attached(x), want, atol=1e-3)
        assert torch.equal(detach(attached)(x), want)


@pytest.mark.parametrize("places", [FOUR, SIX, ("o",), ("q", "down"), ()])
@pytest.mark.parametrize("kind", BACKBONES)
def test_merged_equals_unmerged(kind, places):
    plain = BACKBONES[kind]()
    size = sum(p.numel() for p in plain.parameters())
    model = attach(plain, Adaptation(FRAMES, STDHA((-1, 1, 2)), places=places, temporal_embedding=False))
    randomise(model, 0.1)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    merged = merge(model)
    with torch.no_grad():
        out = model.eval()(pixels(kind))
        error = (merged(pixels(kind)) - out).abs().max() / out.abs().max()
    assert error < 1e-5
    assert sum(p.numel() for p in merged.parameters()) == size
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items()), "merging must not touch the original"
    assert detach(merged).state_dict().keys() == BACKBONES[kind]().state_dict().keys()


def test_gelu_adapters_cannot_be_merged():
    model = attach(tiny_vit(), Adaptation(FRAMES, adapter=variants.GeluAdapter))
    with pytest.raises(BadInput, match="GELU is not linear"):
        merge(model)


def test_frames_see_one_another_only_through_temporal_heads():
    x = pixels("open_clip", clips=1)
    changed = x.clone()
    changed[-1] += 1
    for mixing, differs in ((TWIN, False), (STDHA((1,)), True)):
        model = attach(tiny_vit(), Adaptation(FRAMES, mixing))
        with torch.no_grad():
            delta = (model(changed) - model(x)).abs().amax(1)
        assert delta[-1] > 1e-4
        assert (delta[-2] > 1e-6) == differs
        assert delta[0] == 0  # two blocks, one frame each: frame 3 is out of reach of frame 0


@pytest.mark.parametrize("clips,frames", [(1, 4), (3, 1), (1, 1)])
def test_edge_sizes(clips, frames):
    mixing = STDHA() if frames > 1 else TWIN
    model = VideoClassifier(attach(tiny_vit(), Adaptation(frames, mixing)), classes=5)
    assert model(torch.zeros(clips, frames, 16, 16, 3, dtype=torch.uint8)).shape == (clips, 5)


def test_gradients_reach_what_trains_and_nothing_else():
    for places in (FOUR, SIX):
        model = VideoClassifier(attach(tiny_vit(), Adaptation(FRAMES, places=places)), classes=3)
        randomise(model)
        new = new_parameters(model.backbone)
        train_only(model, [*new, *model.head.parameters()])
        model(torch.randint(0, 255, (2, FRAMES, 16, 16, 3), dtype=torch.uint8)).square().sum().backward()
        for name, p in model.named_parameters():
            if p.requires_grad:
                assert p.grad is not None and p.grad.abs().sum() > 0, name
            else:
                assert p.grad is None, name
        assert sum(p.requires_grad for p in model.parameters()) == len(places) * 4 * 2 + 3


@pytest.mark.parametrize("kind", BACKBONES)
def test_a_step_of_the_new_parameters_moves_these_alone_and_merging_adds_one_tensor_at_most(kind):
    plain = BACKBONES[kind]()
    names = set(plain.state_dict())
    with pytest.raises(BadInput, match="nothing is attached"):
        new_parameters(plain)
    model = attach(plain, Adaptation(FRAMES)).requires_grad_(False)
    randomise(model)
    for parameter in new_parameters(model):
        parameter.requires_grad_(True)
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 1.0)
    model(pixels(kind)).square().sum().backward()
    optimizer.step()
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    own = {name for name in before if "adapters." in name or name.endswith(".embedding")}
    assert moved == own and len(own) == len(new_parameters(model))
    embedding = {"open_clip": {"ln_pre.embedding"}, "timm": {"norm_pre.embedding"}, "swin": set()}[kind]
    assert set(merge(model).state_dict()) - names == embedding == own & {"ln_pre.embedding", "norm_pre.embedding"}
    assert {id(p) for p in new_parameters(VideoClassifier(model, 3))} == {id(p) for p in new_parameters(model)}


def test_dropout_acts_in_training_only():
    model = attach(tiny_vit(), Adaptation(FRAMES))
    randomise(model)
    x = pixels("open_clip")
    with torch.no_grad():
        assert torch.equal(model.eval()(x), model(x))
        assert not torch.equal(model.train()(x), model(x))


# --- strategies ---


def test_lora_counts_merges_and_starts_at_zero():
    plain = tiny_vit()
    x = pixels("open_clip")
    with torch.no_grad():
        want = plain(x)
    model = attach(plain, Adaptation(FRAMES, TWIN, places=(), temporal_embedding=False))
    variants.add_lora(model, ("q", "v", "o", "up", "down"), rank=3)
    new = new_parameters(model)
    assert sum(p.numel() for p in new) == 2 * 3 * (3 * 48 + 2 * (24 + 96))
    with torch.no_grad():
        assert torch.allclose(model(x), want, atol=1e-6)
        randomise(model)
        changed = model(x)
        weight = blocks(model)[0].attn.inner.in_proj_weight
        k = slice(24, 48)
        assert torch.equal(weight[k], blocks(tiny_vit())[0].attn.in_proj_weight[k]), "K was not asked for"
    assert not torch.allclose(changed, want, atol=1e-3)


def test_shared_lora_adds_the_same_to_q_k_and_v():
    model = variants.add_lora(attach(tiny_vit(), Adaptation(FRAMES, places=())), ("qkv",), rank=2)
    randomise(model)
    inner = blocks(model)[0].attn.inner
    delta = (inner.in_proj_weight - inner.parametrizations.in_proj_weight.original).chunk(3)
    assert torch.allclose(delta[0], delta[1]) and torch.allclose(delta[0], delta[2])
    assert delta[0].abs().sum() > 0


def test_tuning_temporal_heads_leaves_spatial_heads_alone():
    model = variants.tune_temporal_heads(attach(tiny_vit(), Adaptation(FRAMES, places=())))
    randomise(model)
    inner = blocks(model)[0].attn.inner
    changed = inner.in_proj_weight != inner.parametrizations.in_proj_weight.original
    rows = changed.any(1).nonzero().flatten().tolist()
    assert rows == [0, 1, 2, 3, 24, 25, 26, 27, 48, 49, 50, 51]  # two heads of two channels in Q, K and V
    out = inner.out_proj
    assert (out.weight != out.parametrizations.weight.original).any(0).nonzero().flatten().tolist() == [0, 1, 2, 3]


# --- the authors' checkpoints ---


def released_checkpoint(
    width=24,
    layers=2,
    frames=FRAMES,
    patches=4,
    classes=3,
    places=("T_Adapter_in", "S_Adapter", "MLP_Adapter", "MLP_Adapter_out"),
):
    """Random tensors in the published layout."""
    d, r = width, width // 4
    shapes = {
        "class_embedding": (d,), "positional_embedding": (patches + 1, d), "temporal_embedding": (1, frames, d),
        "conv1.weight": (d, 3, 8, 8), "ln_pre.weight": (d,), "ln_pre.bias": (d,),
        "ln_post.weight": (d,), "ln_post.bias": (d,),
    }  # fmt: skip
    for i in range(layers):
        b = f"transformer.resblocks.{i}."
        shapes |= {b + "attn.in_proj_weight": (3 * d, d), b + "attn.in_proj_bias": (3 * d,)}
        for name, (o, n) in {"attn.out_proj": (d, d), "mlp.c_fc": (4 * d, d), "mlp.c_proj": (d, 4 * d)}.items():
            shapes |= {b + name + ".weight": (o, n), b + name + ".bias": (o,)}
        for name in ("ln_1", "ln_2"):
            shapes |= {b + name + ".weight": (d,), b + name + ".bias": (d,)}
        for name in places:
            shapes |= {b + name + ".D_fc1.weight": (r, d), b + name + ".D_fc1.bias": (r,)}
            shapes |= {b + name + ".D_fc2.weight": (d, r), b + name + ".D_fc2.bias": (d,)}
    state = {"backbone." + k: torch.randn(v) * 0.1 for k, v in shapes.items()}
    return state | {"cls_head.fc_cls.weight": torch.randn(classes, d), "cls_head.fc_cls.bias": torch.randn(classes)}


def without_projection(classes=3, places=FOUR):
    vit = tiny_vit()
    vit.proj = None  # the released code deletes it
    return VideoClassifier(attach(vit, Adaptation(FRAMES, places=places)), classes)


def test_released_layout_loads_strictly():
    state = released_checkpoint()
    model = without_projection()
    load_strictly(model, released_names(state), "made.pth")
    block = blocks(model.backbone)[1]
    want = state["backbone.transformer.resblocks.1.T_Adapter_in.D_fc2.weight"]
    assert torch.equal(block.attn.adapters["qkv"].up.weight, want)
    assert torch.equal(model.head.weight, state["cls_head.fc_cls.weight"])
    six = released_checkpoint(places=tuple(RELEASED_PLACES)[1:])
    load_strictly(without_projection(places=SIX), released_names(six), "made.pth")


@pytest.mark.parametrize("damage", ["missing", "foreign", "shape"])
def test_another_layout_is_refused_and_nothing_is_written(damage):
    state = released_checkpoint()
    if damage == "missing":
        del state["backbone.transformer.resblocks.0.S_Adapter.D_fc1.bias"]
    elif damage == "foreign":
        state["backbone.transformer.resblocks.2.ln_1.weight"] = torch.zeros(24)
    else:
        state["backbone.ln_post.bias"] = torch.zeros(25)
    model = without_projection()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(BadInput, match="made.pth"):
        load_strictly(model, released_names(state), "made.pth")
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


# --- bad input ---


def test_bad_input_says_what():
    with pytest.raises(BadInput, match="14 temporal heads: the block has 12"):
        attach(tiny_vit(), Adaptation(FRAMES, STDHA((-1,) * 7 + (1,) * 7)))
    with pytest.raises(BadInput, match=r"time offset \+4 reaches beyond a clip of 4 frames"):
        attach(tiny_vit(), Adaptation(FRAMES, STDHA((4,))))
    with pytest.raises(BadInput, match="adapter places"):
        attach(tiny_vit(), Adaptation(FRAMES, places=("qkv", "q")))
    with pytest.raises(BadInput, match="none of the image models that are known here"):
        attach(nn.Linear(2, 2), Adaptation(FRAMES))
    vit = tiny_vit()
    with pytest.raises(BadInput):
        attach(vit, Adaptation(FRAMES, STDHA((9,))))
    attach(vit, Adaptation(FRAMES))  # the failed try left nothing behind
    with pytest.raises(BadInput, match="attached already"):
        attach(vit, Adaptation(FRAMES))
    with pytest.raises(BadInput, match="not whole clips of 4"):
        vit(torch.zeros(6, 3, 16, 16))
    with pytest.raises(BadInput, match="do not divide into patches of 8"):
        VideoClassifier(vit, 2)(torch.zeros(1, 4, 20, 20, 3, dtype=torch.uint8))
    with pytest.raises(BadInput, match="five axes"):
        VideoClassifier(vit, 2)(torch.zeros(4, 16, 16, 3, dtype=torch.uint8))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_half_precision_agrees_with_the_cpu():
    model = attach(tiny_vit(), Adaptation(FRAMES))
    randomise(model)
    with torch.no_grad():
        want = model(pixels("open_clip"))
        with torch.autocast("cuda", torch.bfloat16):
            got = model.cuda()(pixels("open_clip").cuda())
    assert torch.allclose(got.float().cpu(), want, atol=0.1)
