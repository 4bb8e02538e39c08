"""DiST against loops and plain PyTorch modules, its gradients, bad inputs, and checkpoints of the released layout."""

from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from minilib.errors import BadInput
from minilib.models.clip import TINY, FrameFeatures, build
from minilib.models.small_clip import tokenize
from minilib.papers.dist import variants
from minilib.papers.dist.clip import DiSTRecogniser, class_features, released_taps, sparse_taps
from minilib.papers.dist.head import AdaptivePooling, check_texts, fused, quick_gelu, similarity
from minilib.papers.dist.method import Branches, Design, DiST, ImageSizes, released_init
from minilib.papers.dist.parts import IBlock, R2Plus1D, ToIntegration, ToTemporal
from minilib.papers.dist.released import load_released

SIZES = ImageSizes(width=24, depth=2, grid=(2, 2), patch=(8, 8), embed=16)
SMALL = Design(frames=2, gamma=2, integration=8, temporal=4, pooling=1)


def gelu(x):
    return x * torch.sigmoid(1.702 * x)


def inputs(design, sizes=SIZES, clips=2, dtype=torch.float32, seed=0):
    torch.manual_seed(seed)
    n = sizes.grid[0] * sizes.grid[1]
    tokens = torch.randn(sizes.depth, clips, design.frames, 1 + n, sizes.width, dtype=dtype)
    side = [p * g for p, g in zip(sizes.patch, sizes.grid, strict=True)]
    dense = torch.randn(clips, design.frames * design.gamma, 3, *side, dtype=dtype)
    return FrameFeatures(tokens[..., 0, :], tokens[..., 1:, :]), dense


def model(design=SMALL, sizes=SIZES, branches=Branches, std=0.3):
    torch.manual_seed(0)
    net = DiST(sizes, design, branches)
    for parameter in net.parameters():  # zero biases and small weights would hide mistakes
        nn.init.normal_(parameter, std=std)
    return net


def tiny_clip(quick: bool = False):
    torch.manual_seed(0)
    return build(replace(TINY, quick_gelu=quick), tokenize).eval()


# --- the pieces against what they are said to be ---


def test_quick_gelu():
    x = torch.linspace(-6, 6, 50, dtype=torch.float64)
    assert torch.allclose(quick_gelu(x), gelu(x))


@pytest.mark.parametrize("frames", [1, 5])
def test_t_block_is_the_plain_modules(frames):
    block = R2Plus1D(6).double()
    block.apply(partial(lambda m: isinstance(m, nn.Conv3d) and nn.init.normal_(m.weight)))
    z = torch.randn(2, frames, 3, 4, 6, dtype=torch.float64)
    time, space = block.temporal_net["c_fc1"], block.temporal_net["c_fc2"]
    maps = z.permute(0, 4, 1, 2, 3)
    plain = gelu(maps + space(gelu(time(F.layer_norm(z, (6,)).permute(0, 4, 1, 2, 3)))))
    assert torch.allclose(block(z), plain.permute(0, 2, 3, 4, 1))


@pytest.mark.parametrize("frames", [1, 4])
def test_i_block_is_a_loop_over_tokens(frames):
    block = IBlock(8).double()
    y = torch.randn(2, frames, 5, 8, dtype=torch.float64)
    own, other = block.ffn, block.temporal_ffn
    out = torch.empty_like(y)
    for b in range(2):
        for token in range(5):
            line = y[b, :, token]
            reduced = F.linear(F.layer_norm(line, (8,)), other.c_fc1.weight.flatten(1), other.c_fc1.bias)
            moved = gelu(F.conv1d(reduced.T[None], other.c_fc2.weight[..., 0, 0], other.c_fc2.bias, padding=1)[0].T)
            moved = F.linear(moved, other.c_proj.weight.flatten(1), other.c_proj.bias)
            out[b, :, token] = own.c_proj(gelu(own.c_fc(F.layer_norm(line, (8,))))) + moved
    assert torch.allclose(block(y), out)


def loop_down(kind, psi, z):
    """Psi frame by frame, the class token first; z (b, g t, h, w, c)."""
    out = []
    for t in range(z.shape[1] // psi.gamma):
        part = z[:, t * psi.gamma : (t + 1) * psi.gamma].flatten(2, 3)
        if kind is ToIntegration:
            weight = psi.linear_fuse.weight
            tokens = sum(part[:, k] @ weight[:, :, k, 0, 0].T for k in range(psi.gamma)) + psi.linear_fuse.bias
        else:
            tokens = psi.linear_fuse(part.mean(1) if kind is variants.AveragePooling else part.max(1).values)
        out.append(torch.cat([psi.cls_token[:, :, t].expand(len(z), 1, -1), tokens], 1))
    return torch.stack(out, 1)


def loop_up(kind, phi, y):
    """Phi frame by frame; y (b, t, m, i)."""
    small = [phi.linear_fuse(y[:, t, 1:]) for t in range(y.shape[1])]
    gamma, out = phi.gamma, []
    if kind is variants.Deconvolution:
        out = [phi.deconv.bias.expand_as(small[0]).clone() for _ in range(gamma * len(small))]
        for t, tokens in enumerate(small):
            for k in range(gamma + 2):
                if 0 <= (place := t * gamma + k - 1) < len(out):
                    out[place] += tokens @ phi.deconv.weight[:, :, k, 0]
        return torch.stack(out, 1)
    for place in range(gamma * len(small)):
        at = (place + 0.5) / gamma - 0.5
        low, high = (min(max(int(at // 1) + k, 0), len(small) - 1) for k in (0, 1))
        near, share = place // gamma, at - at // 1
        out.append(small[near] if kind is ToTemporal else (1 - share) * small[low] + share * small[high])
    return torch.stack(out, 1)


@pytest.mark.parametrize("kind", [ToIntegration, variants.AveragePooling, variants.MaxPooling])
@pytest.mark.parametrize(("frames", "gamma"), [(1, 1), (3, 1), (2, 2), (1, 4), (2, 8)])
def test_psi_is_a_loop_over_frames(kind, frames, gamma):
    psi = kind(frames, gamma, 3, 5).double()
    z = torch.randn(2, frames * gamma, 2, 3, 3, dtype=torch.float64)
    assert psi(z).shape == (2, frames, 7, 5)
    assert torch.allclose(psi(z), loop_down(kind, psi, z))


@pytest.mark.parametrize("kind", [ToTemporal, variants.Trilinear, variants.Deconvolution])
@pytest.mark.parametrize(("frames", "gamma"), [(1, 1), (3, 1), (2, 2), (1, 4), (2, 8)])
def test_phi_is_a_loop_over_frames(kind, frames, gamma):
    phi = kind(frames, gamma, 3, 5).double()
    y = torch.randn(2, frames, 7, 5, dtype=torch.float64)
    assert phi(y).shape == (2, frames * gamma, 6, 3)
    assert torch.allclose(phi(y), loop_up(kind, phi, y))


@given(z=st.integers(0, 10_000))
@settings(max_examples=15)
def test_temporal_adaptive_convolution_has_weights_for_each_frame(z):
    torch.manual_seed(z)
    block = variants.TAdaConv(4).double()
    nn.init.normal_(block.routing.gain)
    z = torch.randn(1, 3, 2, 2, 4, dtype=torch.float64)
    x = block.ln(z)
    each = []
    for t, scale in enumerate(block.routing(x)[0]):
        weight = block.conv.weight[:, :, 0] * scale[None, :, None, None]
        each.append(F.conv2d(x[:, t].permute(0, 3, 1, 2), weight, block.conv.bias, padding=1).permute(0, 2, 3, 1))
    assert torch.allclose(block(z), gelu(z + torch.stack(each, 1)))


def test_routing_starts_at_one_and_then_differs_by_frame():
    torch.manual_seed(0)
    net = DiST(SIZES, replace(SMALL, t_block=variants.TAdaConv))
    routing = net.branches.temporal_nets[0].routing
    z = torch.randn(1, 4, 2, 2, 4)
    assert torch.equal(routing(z), torch.ones(1, 4, 4))
    nn.init.ones_(routing.gain)
    assert routing(z).std(1).min() > 0


def test_joint_transformer_sees_all_frames_and_knows_places():
    torch.manual_seed(0)
    block = variants.JointTransformer(4).double()
    z = torch.randn(1, 3, 2, 2, 4, dtype=torch.float64)
    changed = z.clone()
    changed[:, 2] += 1
    assert (block(changed) - block(z))[:, 0].abs().min() > 0
    assert not torch.allclose(block(z.flip(2)), block(z).flip(2))


def test_c3d_is_one_convolution():
    block = variants.C3D(4).double()
    z = torch.randn(2, 3, 2, 2, 4, dtype=torch.float64)
    moved = F.conv3d(F.layer_norm(z, (4,)).movedim(-1, 1), block.conv.weight, block.conv.bias, padding=1)
    assert torch.allclose(block(z), gelu(z + moved.movedim(1, -1)))


def attention(module, query, tokens):
    """Multi-head attention written out for one row; query (i,), tokens (k, i)."""
    parts = zip((query, tokens, tokens), module.in_proj_weight.chunk(3), module.in_proj_bias.chunk(3), strict=True)
    q, k, v = (F.linear(*part) for part in parts)
    size = q.shape[-1] // module.num_heads
    heads = []
    for h in range(module.num_heads):
        part = slice(h * size, (h + 1) * size)
        heads.append((k[:, part] @ q[part] / size**0.5).softmax(0) @ v[:, part])
    return module.out_proj(torch.cat(heads))


def test_adaptive_pooling_is_a_loop():
    torch.manual_seed(0)
    layer = AdaptivePooling(128, 3).double()
    assert layer.spatial_transformer.attn.num_heads == 2
    x = torch.randn(2, 3, 5, 128, dtype=torch.float64)
    video, frames = torch.randn(2, 1, 128, dtype=torch.float64), torch.randn(2, 3, 128, dtype=torch.float64)
    got_video, got_frames = layer(video, frames, x)
    norm = lambda v: F.layer_norm(v, (128,))  # noqa: E731
    for b in range(2):
        seen = []
        for t in range(3):
            one = frames[b, t] + attention(layer.spatial_transformer.attn, norm(frames[b, t]), norm(x[b, t]))
            mlp = layer.output_map_spatial_cls_token
            seen.append(one + mlp.c_proj(gelu(mlp.c_fc(norm(one)))))
        seen = torch.stack(seen)
        assert torch.allclose(got_frames[b], seen)
        placed = seen + layer.positional_embedding[0]
        one = video[b, 0] + attention(layer.temporal_transformer.attn, norm(video[b, 0]), norm(placed))
        mlp = layer.output_map_cls_token
        assert torch.allclose(got_video[b, 0], one + mlp.c_proj(gelu(mlp.c_fc(norm(one)))))


# --- the whole ---


def test_branches_follow_the_equations():
    net = model().double()
    features, dense = inputs(SMALL, dtype=torch.float64)
    b = net.branches
    z = b.temporal_stem(dense.transpose(1, 2)).permute(0, 2, 3, 4, 1)
    y = torch.zeros(2, 2, 5, 8, dtype=torch.float64)
    tokens = torch.cat([features.cls.unsqueeze(3), features.patches], 3)
    guide = torch.zeros_like(z)  # hat Z_0
    for at in range(2):
        x = b.input_linears[at](tokens[at])
        z = b.temporal_nets[at](z + guide)  # Eq. 3
        yhat = y + x + b.temporal2integration_nets[str(at)](z)  # Eq. 4
        if at == 0:
            guide = b.integration2temporal_nets["0"](y + x).view_as(z)  # Eq. 6
        y = b.integration_nets[at](yhat)
    parts = net.parts(features, dense)
    assert torch.allclose(parts["temporal"][-1], z) and torch.allclose(parts["integrated"][-1], y)
    assert torch.allclose(net.head(y + yhat, features.cls[-1]), net(features, dense))


@pytest.mark.parametrize(("frames", "gamma"), [(1, 1), (1, 2), (3, 1), (2, 4), (1, 8)])
def test_edge_sizes_and_one_clip_alone(frames, gamma):
    net = model(replace(SMALL, frames=frames, gamma=gamma)).eval()
    features, dense = inputs(net.design, clips=3)
    out = net(features, dense)
    assert out.shape == (3, 16) and out.isfinite().all()
    alone = FrameFeatures(features.cls[:, 1:2], features.patches[:, 1:2])
    assert torch.allclose(net(alone, dense[1:2])[0], out[1], atol=1e-5)


def on_device(device):
    """Video features in bfloat16 there, and exactly on the CPU; unit vectors, as similarities take them."""
    net, (features, dense) = model(std=0.1).eval(), inputs(SMALL)
    with torch.no_grad():
        exact = net(features, dense)
        with torch.autocast(device, torch.bfloat16):
            found = net.to(device)(features.to(device), dense.to(device))
    return F.normalize(found.float().cpu(), dim=-1), F.normalize(exact, dim=-1)


def test_bfloat16_stays_close():
    found, exact = on_device("cpu")
    assert (found * exact).sum(-1).min() > 0.99


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_half_precision_agrees_with_the_cpu():
    found, exact = on_device("cuda")
    assert (found * exact).sum(-1).min() > 0.99


VARIANTS = {
    "default": {},
    "c3d": {"t_block": variants.C3D},
    "tada": {"t_block": variants.TAdaConv},
    "joint": {"t_block": variants.JointTransformer},
    "average": {"psi": variants.AveragePooling},
    "max": {"psi": variants.MaxPooling},
    "trilinear": {"phi": variants.Trilinear},
    "deconvolution": {"phi": variants.Deconvolution},
    "no interaction": {"psi_at": (1,), "phi_at": ()},
    "to the temporal encoder": {"psi_at": (1,)},
    "to the integration branch": {"phi_at": ()},
    "no temporal encoder": {"psi_at": (), "phi_at": ()},
}
BRANCHES = {"late fusion": variants.LateFusion, "spatial only": variants.SpatialOnly}


@pytest.mark.parametrize("name", [*VARIANTS, *BRANCHES])
def test_gradients_reach_all_that_trains_and_nothing_frozen(name):
    clip = tiny_clip()
    net = model(replace(SMALL, **VARIANTS.get(name, {})), branches=BRANCHES.get(name, Branches))
    recogniser = DiSTRecogniser(clip, net, nn.Parameter(torch.randn(3, 16)))
    frames = torch.randint(0, 256, (4, 4, 16, 16, 3), dtype=torch.uint8)
    F.cross_entropy(recogniser.train()(frames), torch.tensor([0, 1, 2, 0])).backward()
    for which, parameter in [*net.named_parameters(), ("classes", recogniser.classes)]:
        assert parameter.grad is not None and parameter.grad.any(), which
    assert all(p.grad is None and not p.requires_grad for p in clip.parameters())


def test_removed_parts_leave_no_parameters():
    image_only = model(replace(SMALL, psi_at=(), phi_at=()))
    assert not any("temporal2" in n or "stem" in n or "temporal_nets" in n for n, _ in image_only.named_parameters())
    features, dense = inputs(SMALL)
    assert torch.equal(image_only(features, dense), image_only(features, torch.zeros_like(dense)))
    default, unguided = model(SMALL), model(replace(SMALL, phi_at=()))
    unguided.load_state_dict(default.state_dict(), strict=False)
    first, second = (net.parts(features, dense)["temporal"] for net in (default, unguided))
    assert torch.equal(first[0], second[0]) and not torch.allclose(first[1], second[1])


def test_train_and_evaluation_mode_agree():
    clip = tiny_clip()
    recogniser = DiSTRecogniser(clip, model(), class_features(clip, ["a red circle", "a blue star"]))
    frames = torch.randint(0, 256, (2, 4, 16, 16, 3), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.allclose(recogniser.train()(frames), recogniser.eval()(frames), atol=1e-5)
    assert not recogniser.train().clip.training


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("gamma", [1, 2, 4])
def test_both_graphs_give_the_image_models_own_features(gamma, quick):
    clip = tiny_clip(quick)
    frames = torch.randint(0, 256, (2, 4, 16, 16, 3), dtype=torch.uint8)
    pixels = clip.normalise(frames)
    efficient, released = (taps(clip.visual, pixels, gamma) for taps in (sparse_taps, released_taps))
    with torch.no_grad():
        own = clip.frame_features(frames[:, ::gamma], [0, 1])
    for name in ("cls", "patches"):
        assert torch.allclose(getattr(efficient, name), getattr(released, name), atol=1e-5)
        assert torch.allclose(getattr(efficient, name), getattr(own, name), atol=1e-5)
    recogniser = DiSTRecogniser(clip, model(replace(SMALL, frames=4 // gamma, gamma=gamma)), torch.randn(2, 16))
    assert torch.allclose(recogniser(frames), recogniser(frames, own), atol=1e-5)
    assert torch.allclose(recogniser(frames), recogniser(pixels), atol=1e-5)


def test_scores_are_scaled_cosines_and_fusion_is_half_of_each():
    video, frames, texts = torch.randn(2, 6), torch.randn(2, 3, 6), torch.randn(4, 6)
    for b in range(2):
        for k in range(4):
            cosine = F.cosine_similarity(video[b], texts[k], 0)
            plain = torch.stack([F.cosine_similarity(frame, texts[k], 0) for frame in frames[b]]).mean()
            assert torch.isclose(similarity(video, texts, 5.0)[b, k], 5 * cosine, atol=1e-5)
            assert torch.isclose(fused(video, frames, texts, 5.0)[b, k], 2.5 * (cosine + plain), atol=1e-5)
    assert torch.allclose(fused(video, frames, texts, 5.0, fraction=0.0), similarity(video, texts, 5.0))


# --- bad input ---


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f, d: (f, d[:, :3]), "3 dense frames do not divide by gamma=2"),
        (lambda f, d: (f, d[:, :2]), "2 sparse and 2 dense frames"),
        (lambda f, d: (f, d[:1]), "2 and 1 clips"),
        (lambda f, d: (FrameFeatures(f.cls[:1], f.patches[:1]), d), "features of 1 layers"),
        (lambda f, d: (FrameFeatures(f.cls[:, :, :1], f.patches[:, :, :1]), d), "1 sparse and 4 dense frames"),
        (lambda f, d: (f, d[..., :8]), r"\(3, 16, 8\)"),
    ],
)
def test_features_and_frames_that_do_not_fit(change, words):
    with pytest.raises(BadInput, match=words) as raised:
        model()(*change(*inputs(SMALL)))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("change", [{"psi_at": (2,)}, {"phi_at": (-1,)}, {"gamma": 0}, {"temporal": 0}])
def test_designs_that_cannot_be(change):
    with pytest.raises(BadInput, match="blocks 0 to 1|at least 1"):
        DiST(SIZES, replace(SMALL, **change))


def test_frames_that_do_not_divide_by_gamma():
    recogniser = DiSTRecogniser(tiny_clip(), model(), torch.randn(2, 16))
    with pytest.raises(BadInput, match="gamma=2"):
        recogniser(torch.zeros(1, 3, 16, 16, 3, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("texts", "words"), [([], "empty list"), (["a", " "], "number 1 is empty"), (["a b", "c", "A  b"], "'a b'")]
)
def test_text_lists(texts, words):
    with pytest.raises(BadInput, match=words):
        check_texts(texts)


# --- released checkpoints ---


def released_names(net):
    """The tensors of a released checkpoint by this suite's notes on its layout, not by what the model has."""
    i, t, g, w, p, e, frames = 8, 4, 2, 24, 8, 16, 2
    shapes = {"temporal_stem": (t, 3, 5, p, p), "proj_spatial_cls_token": (i, w)}
    for at in range(2):
        shapes |= {
            f"input_linears.{at}": (i, w),
            f"integration2temporal_nets.{at}.linear_fuse": (t, i),
            f"temporal2integration_nets.{at}.linear_fuse": (i, t, g, 1, 1),
            f"temporal_nets.{at}.temporal_net.c_fc1": (t, t, 3, 1, 1),
            f"temporal_nets.{at}.temporal_net.c_fc2": (t, t, 1, 3, 3),
            f"temporal_nets.{at}.ln": (t,),
            f"integration_nets.{at}.ffn.c_fc": (i, i),
            f"integration_nets.{at}.ffn.c_proj": (i, i),
            f"integration_nets.{at}.temporal_ffn.c_fc1": (i // 4, i, 1, 1, 1),
            f"integration_nets.{at}.temporal_ffn.c_fc2": (i // 4, i // 4, 3, 1, 1),
            f"integration_nets.{at}.temporal_ffn.c_proj": (i, i // 4, 1, 1, 1),
            f"integration_nets.{at}.ln": (i,),
            f"integration_nets.{at}.ln_temporal": (i,),
        }
    pool = "adapooling_nets.0"
    for which in ("temporal", "spatial"):
        shapes |= {
            f"{pool}.{which}_transformer.attn.out_proj": (i, i),
            f"{pool}.{which}_transformer.ln_1": (i,),
        }
    for which in ("output_map_cls_token", "output_map_spatial_cls_token"):
        shapes |= {f"{pool}.{which}.c_fc": (4 * i, i), f"{pool}.{which}.c_proj": (i, 4 * i)}
    shapes |= {f"{pool}.ln_out_{which}_cls_token": (i,) for which in ("temp", "spat")} | {"ln_post": (i,)}
    tensors = {}
    for name, shape in shapes.items():
        tensors |= {f"{name}.weight": torch.randn(shape), f"{name}.bias": torch.randn(shape[0])}
    for which in ("temporal", "spatial"):
        tensors[f"{pool}.{which}_transformer.attn.in_proj_weight"] = torch.randn(3 * i, i)
        tensors[f"{pool}.{which}_transformer.attn.in_proj_bias"] = torch.randn(3 * i)
    tensors |= {f"temporal2integration_nets.{at}.cls_token": torch.randn(1, 1, frames, i) for at in range(2)}
    tensors |= {f"{pool}.positional_embedding": torch.randn(1, frames, i), "proj": torch.randn(i, e)}
    tensors |= {name: torch.randn(1, 1, i) for name in ("aggregated_cls_token", "aggregated_spatial_cls_token")}
    return tensors


def write(path, tensors, prefix="backbone.clip.dist_net."):
    state = {prefix + name: value for name, value in tensors.items()}
    clip = {"backbone.clip.visual.proj": torch.randn(24, 16), "backbone.clip.logit_scale": torch.tensor(4.6)}
    torch.save({"model_state": {**state, **clip}, "epoch": 29}, path)


def test_released_checkpoints_load(tmp_path):
    tensors = released_names(model())
    write(tmp_path / "one.pt", tensors)
    write(tmp_path / "two.pt", {k: v.half() for k, v in tensors.items()}, "module.model.dist_net.")
    net = model()
    load_released(net, tmp_path / "one.pt")
    features, dense = inputs(SMALL)
    expected = net(features, dense)
    assert torch.equal(net.head.proj, tensors["proj"])
    assert torch.equal(net.branches.integration_nets[1].ffn.c_fc.weight, tensors["integration_nets.1.ffn.c_fc.weight"])
    other = model(std=0.1)
    load_released(other, tmp_path / "two.pt")
    assert torch.allclose(other.head.proj, net.head.proj, atol=1e-2) and other.head.proj.dtype == torch.float32
    torch.save(net.state_dict(), tmp_path / "own.pt")
    other.load_state_dict(torch.load(tmp_path / "own.pt", weights_only=True))
    assert torch.equal(other(features, dense), expected)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda t: t.pop("proj"), "head.proj is missing"),
        (lambda t: t.update(extra=torch.zeros(1)), "branches.extra is not part"),
        (lambda t: t.update(proj=torch.zeros(3, 3)), r"head.proj is \(3, 3\)"),
        (lambda t: t.pop("integration2temporal_nets.1.linear_fuse.bias"), "unused last Phi"),
        (lambda t: t.update({"integration2temporal_nets.1.linear_fuse.weight": torch.zeros(2, 2)}), r"is \(2, 2\)"),
        (lambda t: t.clear(), "no tensor's name"),
    ],
)
def test_other_checkpoints_are_refused_before_anything_changes(tmp_path, damage, words):
    net, tensors = model(), released_names(model())
    before = {k: v.clone() for k, v in net.state_dict().items()}
    damage(tensors)
    write(tmp_path / "wrong.pt", tensors)
    with pytest.raises(BadInput, match=words):
        load_released(net, tmp_path / "wrong.pt")
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_the_released_start():
    torch.manual_seed(0)
    linear = nn.Linear(300, 300)
    released_init(linear)
    assert abs(linear.weight.std().item() - 0.02) < 1e-3 and not linear.bias.any()
    net = DiST(SIZES, Design(frames=2, integration=64, temporal=32))
    assert all(not p.any() for n, p in net.named_parameters() if n.endswith("bias"))
