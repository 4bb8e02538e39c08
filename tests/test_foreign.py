"""Other people's image models: what is taken computes the same while nothing is attached, the rest is refused."""

import copy
import pickle

import numpy as np
import open_clip
import pytest
import timm
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from minilib.errors import BadInput
from minilib.models.classifier import VideoClassifier
from minilib.models.clip import TINY, build
from minilib.models.foreign import blocks, check_known, image_part, windows
from minilib.papers.baselines import STAdapter
from minilib.papers.dist.method import ImageSizes
from minilib.papers.zeroi2v import FOUR, SIX, STDHA, Adaptation, Adapter, attach, detach, merge, variants
from minilib.papers.zeroi2v.operators import ChannelShift, ClsTokenHeads, Relocation
from minilib.papers.zeroi2v.parts import TemporalEmbedding, VideoAttention

FRAMES = 2
NOTHING = Adaptation(FRAMES, STDHA(()))
NARROW = dict(embed_dim=48, num_heads=4, depth=2, img_size=32, num_classes=0)
SHORT = dict(depth=2, img_size=64, num_classes=0)
UNKNOWN, PART = "none of the image models that are known", "not reproduced"
TAKEN = {
    "vit_tiny_patch16_224": NARROW,
    "vit_small_patch32_224": NARROW,
    "vit_base_patch16_clip_224": NARROW,  # a norm before the blocks
    "vit_base_patch16_clip_quickgelu_224": NARROW,
    "vit_small_patch14_dinov2": NARROW | dict(img_size=28),  # layer scale
    "vit_small_patch14_reg4_dinov2": NARROW | dict(img_size=28),  # registers
    "vit_giant_patch14_dinov2": NARROW | dict(img_size=28),  # gated MLP, called whole
    "deit_tiny_patch16_224": NARROW,
    "deit_tiny_distilled_patch16_224": NARROW,
    "deit3_small_patch16_224": NARROW | dict(drop_path_rate=0.2),
    "flexivit_small": NARROW,
    "vit_base_patch16_siglip_224": NARROW,  # attention pool
    "vit_base_patch16_siglip_gap_224": NARROW,
    "vit_little_patch16_reg4_gap_256": NARROW,
    "vit_base_patch8_224": NARROW | dict(dynamic_img_size=True),
    "vit_tiny_r_s16_p8_224": NARROW | dict(img_size=64),  # on a small ResNet
    "swin_tiny_patch4_window7_224": dict(img_size=64, embed_dim=24, depths=(2, 2), num_heads=(2, 4), num_classes=0),
    "swin_s3_tiny_224": dict(img_size=64, embed_dim=24, depths=(2, 2), num_heads=(2, 4), window_size=7, num_classes=0),
}
REFUSED = {
    "vit_base_patch16_224_miil": (SHORT, "place 'qkv' has no bias"),
    "vit_small_patch16_18x2_224": (SHORT, "ParallelThingsBlock"),
    "vit_relpos_small_patch16_224": (SHORT, UNKNOWN),
    "vit_srelpos_small_patch16_224": (SHORT, UNKNOWN),
    "vit_base_patch16_rope_224": (SHORT, UNKNOWN),
    "vit_small_patch16_dinov3": (SHORT, UNKNOWN),
    "vit_7b_patch16_dinov3": (SHORT, UNKNOWN),
    "vit_base_patch16_rpn_224": (SHORT, "ResPostBlock"),
    "vit_pwee_patch16_reg1_gap_256": (SHORT, "ParallelScalingBlock"),
    "vit_dwee_patch16_reg1_gap_256": (SHORT, "DiffAttention"),
    "vit_dpwee_patch16_reg1_gap_256": (SHORT, "DiffParallelScalingBlock"),
    "vit_large_patch14_xp_224": (SHORT, "ParallelScalingBlock"),
    "beit3_base_patch16_224": (SHORT, PART),  # a norm behind the heads
    "aimv2_large_patch14_224": (SHORT, "SwiGLU"),
    "vitamin_small_224": (SHORT, "GeGluMlp"),
    "eva02_tiny_patch14_224": (SHORT, UNKNOWN),
    "beit_base_patch16_224": (SHORT, UNKNOWN),
    "beitv2_base_patch16_224": (SHORT, UNKNOWN),
    "cait_xxs24_224": (SHORT, UNKNOWN),
    "xcit_nano_12_p16_224": (SHORT, UNKNOWN),
    "naflexvit_base_patch16_gap": (SHORT, UNKNOWN),
    "samvit_base_patch16": (SHORT, UNKNOWN),
    "convit_tiny": (SHORT, UNKNOWN),
    "hiera_tiny_224": (dict(num_classes=0), UNKNOWN),
    "swinv2_cr_tiny_224": (dict(num_classes=0), UNKNOWN),
    "resnet18": (dict(num_classes=0), UNKNOWN),
    "convnext_atto": (dict(num_classes=0), UNKNOWN),
    "mixer_s32_224": (dict(num_classes=0), UNKNOWN),
}
OPEN_CLIP = {  # name: taken, or why not
    "ViT-B-32": None,
    "ViT-B-16-quickgelu": None,
    "ViT-L-14-CLIPA": None,
    "ViT-S-16-alt": None,
    "ViT-g-14": None,
    "coca_ViT-B-32": None,
    "ViT-B-16-SigLIP": None,
    "EVA02-B-16": UNKNOWN,
    "ViTamin-S": "GeGluMlp",
    "RN50": UNKNOWN,
    "convnext_base": UNKNOWN,
}


def trained(model):
    """As if trained: no bias is zero, no norm or layer scale one."""
    with torch.no_grad():
        for p in model.parameters():
            if p.ndim == 1:
                p.add_(0.2 * torch.randn_like(p))
    return model


def timm_model(name, **sizes):
    torch.manual_seed(0)
    return trained(timm.create_model(name, pretrained=False, **sizes).double())


def vit(**changes):
    return timm_model("vit_tiny_patch16_224", **(NARROW | changes)).eval()


def clip(seed=0, **vision):
    torch.manual_seed(seed)
    text = TINY.text | vision.pop("text", {})
    return trained(open_clip.CLIP(TINY.embed_dim, TINY.vision | vision, text).double()).eval()


def random_adapters(model):
    with torch.no_grad():
        for part in model.modules():
            if isinstance(part, Adapter):
                for p in part.parameters():
                    p.add_(0.05 * torch.randn_like(p))
            if isinstance(part, TemporalEmbedding):
                part.embedding.add_(torch.randn_like(part.embedding))
    return model


def pixels(size, clips=2, frames=FRAMES):
    torch.manual_seed(1)
    return torch.randn(clips * frames, 3, size, size, dtype=torch.float64)


def close(a, b):
    assert a.shape == b.shape and (a - b).abs().max() <= 1e-9 * b.abs().max()


def proves_itself(model, x, call=lambda model, x: model(x)):
    """Nothing attached changes nothing, in both modes; merged equals unmerged; the plain library loads what is merged;
    detached is as before."""
    plain = copy.deepcopy(model)
    with torch.no_grad():
        for mode in (True, False):
            adapted = attach(copy.deepcopy(plain).train(mode), Adaptation(FRAMES, STDHA(()), places=()))
            torch.manual_seed(2)
            got = call(adapted, x)
            torch.manual_seed(2)
            close(got, call(plain.train(mode), x))
        for places in (FOUR, SIX):
            want = call(plain, x)
            adapted = attach(copy.deepcopy(plain), Adaptation(FRAMES, STDHA((-1, 1)), places=places))
            assert not adapted.training and all(p.dtype == torch.float64 for p in adapted.parameters())
            same = attach(copy.deepcopy(plain), Adaptation(FRAMES, STDHA(()), places=places))
            close(call(same, x), want)
            moved = call(random_adapters(adapted), x)
            assert (moved - want).abs().max() > 1e-3 * want.abs().max()
            merged = merge(adapted)
            close(call(merged, x), moved)
            state = {k: v for k, v in merged.state_dict().items() if not k.endswith("_pre.embedding")}
            assert {k: v.shape for k, v in state.items()} == {k: v.shape for k, v in plain.state_dict().items()}
            again = copy.deepcopy(plain)
            again.load_state_dict(state)
            detached = detach(copy.deepcopy(merged))
            assert detached.state_dict().keys() == plain.state_dict().keys()
            close(call(detached, x), call(again, x))
            assert torch.equal(call(detach(adapted), x), want)
            assert adapted.state_dict().keys() == plain.state_dict().keys()


@pytest.mark.parametrize("name", TAKEN)
def test_a_taken_model_is_unchanged_until_something_is_attached(name):
    sizes = TAKEN[name]
    proves_itself(timm_model(name, **sizes), pixels(sizes["img_size"]))


@pytest.mark.parametrize("name", REFUSED)
def test_another_model_is_refused_in_one_line_and_left_alone(name):
    sizes, why = REFUSED[name]
    with torch.device("meta"):
        model = timm.create_model(name, pretrained=False, **sizes)
    before = [(n, id(m)) for n, m in model.named_modules()]
    with pytest.raises(BadInput) as caught:
        attach(model, NOTHING)
    assert why in str(caught.value) and "\n" not in str(caught.value)
    assert [(n, id(m)) for n, m in model.named_modules()] == before and not hasattr(model, "clip_frames")


@pytest.mark.parametrize("name", OPEN_CLIP)
def test_open_clips_models_by_name(name):
    config = open_clip.get_model_config(name)
    small = dict(image_size=64, layers=2) if "timm_model_name" not in config["vision_cfg"] else {}
    small = {} if name == "RN50" else small
    with torch.device("meta"):
        config = dict(config["vision_cfg"], **small)
        tower = open_clip.model._build_vision_tower(64, open_clip.model.CLIPVisionCfg(**config))
    if OPEN_CLIP[name] is None:
        assert attach(tower, NOTHING) is tower
        assert all(type(block.attn) is VideoAttention for block in blocks(tower))
        assert all(p.is_meta for p in tower.parameters())
        return
    with pytest.raises(BadInput, match=OPEN_CLIP[name]):
        attach(tower, NOTHING)


VISION = {
    "plain": {},
    "layer_scale": dict(ls_init_value=0.1),
    "no_norm_before": dict(no_ln_pre=True),
    "attention_pool": dict(attentional_pool=True, attn_pooler_heads=2, attn_pooler_queries=3),
    "mean_pool": dict(pool_type="avg", final_ln_after_pool=True),
    "patch_dropout": dict(patch_dropout=0.5),
}


@pytest.mark.parametrize("kind", VISION)
def test_open_clips_vits_compute_the_same(kind):
    proves_itself(clip(**VISION[kind]).visual, pixels(16))


def test_a_whole_clip_gets_its_image_tower_attached():
    call = lambda model, x: model.encode_image(x)  # noqa: E731
    whole = clip()
    words = torch.randint(0, 128, (2, 24))
    proves_itself(whole, pixels(16), call)
    attached = attach(copy.deepcopy(whole), Adaptation(FRAMES))
    assert type(attached.visual.transformer.resblocks[0].attn) is VideoAttention
    assert torch.equal(attached.encode_text(words), whole.encode_text(words))
    custom = open_clip.CustomTextCLIP(TINY.embed_dim, TINY.vision, TINY.text).double().eval()
    proves_itself(trained(custom), pixels(16), call)


def test_wrappers_are_seen_through():
    tiny = build(TINY, tokenize=list).eval()
    assert image_part(tiny) is tiny.model.visual and image_part(VideoClassifier(tiny, 3)) is tiny.model.visual
    trunk = open_clip.timm_model.TimmModel("vit_tiny_patch16_224", embed_dim=8, pool="token", proj="linear")
    assert image_part(trunk) is trunk.trunk and attach(trunk, NOTHING) is trunk
    assert type(trunk.trunk.blocks[0].attn) is VideoAttention
    for wrap in (nn.DataParallel, lambda model: torch.compile(model, backend="eager")):
        model = vit()
        wrapped, x = wrap(copy.deepcopy(model)), pixels(32)
        with torch.no_grad():
            close(wrapped(x), model(x))
            random_adapters(attach(wrapped, Adaptation(FRAMES)))
            close(wrapped(x), image_part(wrapped)(x))
            close(detach(wrapped)(x), model(x))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (dict(qk_norm=True), "q_norm"),
        (dict(scale_attn_norm=True), "part norm"),
        (dict(attn_drop_rate=0.1), "attn_drop"),
        (dict(proj_drop_rate=0.1), "proj_drop"),
        (dict(attn_layer="diff"), "DiffAttention"),
        (dict(mlp_layer=timm.layers.SwiGLU), "SwiGLU"),
        (dict(qkv_bias=False), "'qkv' has no bias"),
        (dict(proj_bias=False), "'o' has no bias"),
        (dict(block_fn=timm.models.vision_transformer.ParallelScalingBlock, qkv_bias=True), "ParallelScalingBlock"),
    ],
)
def test_timms_switches_are_refused_where_they_change_the_attention(changes, why):
    with pytest.raises(BadInput, match=why):
        attach(vit(**changes), NOTHING)


def test_timms_other_parts_are_refused_in_a_plain_vit():
    for name, part, why in (
        ("attn", timm.layers.Attention(48, 4, qkv_bias=True, gated=True), "part gate"),
        ("attn", timm.layers.AttentionRope(48, 4), "AttentionRope"),
        ("mlp", timm.layers.GlobalResponseNormMlp(48, 96), "GlobalResponseNormMlp"),
        ("mlp", timm.layers.GatedMlp(48, 96), "GatedMlp"),
        ("mlp", timm.layers.Mlp(48, 96, use_conv=True), "fc1 is torch.nn.modules.conv.Conv2d"),
    ):
        model = vit()
        setattr(model.blocks[1], name, part)
        with pytest.raises(BadInput, match=f"block 1: .*{why}"):
            attach(model, NOTHING)


def test_timms_harmless_switches_are_taken():
    for changes in (
        dict(scale_mlp_norm=True, norm_layer=nn.LayerNorm),
        dict(init_values=0.1, drop_path_rate=0.3, drop_rate=0.2, pos_drop_rate=0.2),
        dict(patch_drop_rate=0.5, reg_tokens=2, img_size=64),
        dict(pre_norm=True, class_token=False, global_pool="avg"),
    ):
        proves_itself(vit(**changes), pixels(changes.get("img_size", 32)))
    bare = Adaptation(FRAMES, places=("up", "down"))  # adapters only beside layers that have a bias
    model = random_adapters(attach(vit(qkv_bias=False), bare))
    close(merge(model)(pixels(32)), model(pixels(32)))
    unfused = vit()
    for block in unfused.blocks:
        block.attn.fused_attn = False
    proves_itself(unfused, pixels(32))


@pytest.mark.parametrize(
    "switch", ["qk_norm", "scaled_cosine_attn", "scale_heads", "scale_attn_inner", "scale_attn", "scale_fc"]
)
def test_open_clips_switches_are_refused(switch):
    with pytest.raises(BadInput, match="CustomResidualAttentionBlock"):
        attach(clip(**{switch: True}), NOTHING)


class Odd(nn.MultiheadAttention):
    pass


def test_what_was_done_to_a_model_from_outside_is_refused():
    def subclass(visual):
        visual.transformer.resblocks[1].attn = Odd(24, 12, batch_first=True)

    def dropout(visual):
        visual.transformer.resblocks[1].attn.dropout = 0.1

    def frames_second(visual):
        visual.transformer.batch_first = False

    def own_forward(visual):
        visual.transformer.resblocks[1].attn.forward = lambda q, k, v, **named: (q, None)

    def hook(visual):
        visual.transformer.resblocks[1].attn.register_forward_hook(lambda module, inputs, output: output)

    def weight_norm(visual):
        parametrizations.weight_norm(visual.transformer.resblocks[1].attn.out_proj)

    def key_bias(visual):
        visual.transformer.resblocks[1].attn = nn.MultiheadAttention(24, 12, add_bias_kv=True, batch_first=True)

    def other_mlp(visual):
        visual.transformer.resblocks[1].mlp = nn.Sequential(nn.Linear(24, 24))

    def cross(visual):
        block = open_clip.transformer.ResidualAttentionBlock(24, 12, is_cross_attention=True)
        visual.transformer.resblocks[1] = block

    for change in (subclass, dropout, frames_second, own_forward, hook, weight_norm, key_bias, other_mlp, cross):
        visual = clip().visual
        check_known(visual)
        change(visual)
        with pytest.raises(BadInput, match="VisionTransformer, "):
            attach(visual, NOTHING)
        assert not any(isinstance(module, VideoAttention) for module in visual.modules()), change.__name__
    scaled = vit()
    scaled.blocks[1].attn.scale = 1.0
    with pytest.raises(BadInput, match=r"block 1: attention scales by 1\.0"):
        attach(scaled, NOTHING)
    wide = vit()
    wide.blocks[0].attn = timm.layers.Attention(48, 4, attn_head_dim=8, qkv_bias=True)
    with pytest.raises(BadInput, match="does not project width 48"):
        attach(wide, NOTHING)


def test_swins_windows_are_counted_with_their_padding():
    sizes = dict(embed_dim=24, depths=(2, 2), num_heads=(2, 4), num_classes=0)
    padded = timm_model("swin_tiny_patch4_window7_224", img_size=72, **sizes)
    assert [windows(block) for block in blocks(padded)] == [9, 9, 4, 4]
    proves_itself(padded, pixels(72))
    with pytest.raises(BadInput, match="images of any size"):
        attach(timm_model("swin_tiny_patch4_window7_224", img_size=64, strict_img_size=False, **sizes), NOTHING)


def test_masks_are_refused_when_they_come():
    model, x = attach(vit(), NOTHING), pixels(32)
    for named in (dict(attn_mask=torch.zeros(5, 5)), dict(is_causal=True)):
        with pytest.raises(BadInput, match="know no mask"):
            model.forward_features(x, **named)


# --- state, clips, files ---------------------------------------------------------------------------------------------


def test_new_parts_join_in_the_state_of_the_model():
    for mode in (True, False):
        for dtype in (torch.float64, torch.bfloat16):
            model = attach(vit().to(dtype).train(mode), Adaptation(FRAMES))
            assert all(module.training == mode for module in model.modules())
            assert all(p.dtype == dtype for p in model.parameters())
    with torch.device("meta"):
        model = timm.create_model("vit_tiny_patch16_224", num_classes=0)
    assert all(p.is_meta for p in attach(model, Adaptation(FRAMES)).parameters())


def test_clips_of_another_length_are_refused():
    model = VideoClassifier(attach(vit().float(), Adaptation(4)), 3).eval()
    with torch.no_grad():
        assert model(torch.randn(2, 4, 3, 32, 32)).shape == (2, 3)
        for frames in (2, 8):
            with pytest.raises(BadInput, match=f"clips of {frames} frames: .* attached for clips of 4"):
                model(torch.randn(2, frames, 3, 32, 32))
        detach(model)
        assert model(torch.randn(2, 2, 3, 32, 32)).shape == (2, 3)


def test_nothing_attached_is_one_line():
    for act in (merge, detach):
        with pytest.raises(BadInput, match="nothing is attached"):
            act(vit())
    model = merge(attach(vit(), Adaptation(FRAMES)))
    close(merge(model)(pixels(32)), model(pixels(32)))
    with pytest.raises(BadInput, match="attached already"):
        attach(model, NOTHING)


def test_what_cannot_be_merged_is_one_line():
    from minilib.papers.baselines.st_adapter import SpatioTemporalAdapter

    odd = Adaptation(FRAMES, adapter=lambda width, bottleneck: SpatioTemporalAdapter(width, bottleneck, FRAMES))
    with pytest.raises(BadInput, match="no linear adapter"):
        merge(attach(vit(), odd))
    both = variants.add_lora(attach(vit(), Adaptation(FRAMES)), ("q",), 2)
    with pytest.raises(BadInput, match="remove_parametrizations"):
        merge(both)
    for block in blocks(both):
        parametrize.remove_parametrizations(block.attn.inner.qkv, "weight")
    close(merge(both)(pixels(32)), both(pixels(32)))


def test_a_merged_model_can_be_copied_saved_and_moved(tmp_path):
    merged, x = merge(random_adapters(attach(vit(), Adaptation(FRAMES)))), pixels(32)
    with torch.no_grad():
        for again in (copy.deepcopy(merged), pickle.loads(pickle.dumps(merged))):
            close(again(x), merged(x))
        half = copy.deepcopy(merged).float()
        assert half(x.float()).dtype == torch.float32
        other = copy.deepcopy(merged)
        for p in other.parameters():
            p.zero_()
        other.load_state_dict(merged.state_dict())
        close(other(x), merged(x))


EXPORTED = {
    "timm": lambda: vit(),
    "open_clip": lambda: clip().visual,
    "swin": lambda: timm_model("swin_tiny_patch4_window7_224", **TAKEN["swin_tiny_patch4_window7_224"]).eval(),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", EXPORTED)
def test_a_merged_model_leaves_python_with_any_number_of_clips(kind, tmp_path):
    size = {"timm": 32, "open_clip": 16, "swin": 64}[kind]
    merged = merge(random_adapters(attach(EXPORTED[kind](), Adaptation(FRAMES)))).eval()
    x, clips = pixels(size), torch.export.Dim("clips", max=64)
    classifier = VideoClassifier(merged, 3).double().eval()  # takes clips, so that even a single one can be exported
    with torch.no_grad():
        traced = torch.jit.trace(merged, x, check_trace=False)
        if kind != "swin":
            exported = torch.export.export(merged, (x,), dynamic_shapes=({0: FRAMES * clips},)).module()
            close(exported(pixels(size, 5)), merged(pixels(size, 5)))
        whole = torch.export.export(classifier, (x.unflatten(0, (-1, FRAMES)),), dynamic_shapes=({0: clips},)).module()
        for y in (pixels(size, 1), pixels(size, 5)):
            close(traced(y), merged(y))
            close(whole(y.unflatten(0, (-1, FRAMES))), classifier(y.unflatten(0, (-1, FRAMES))))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mixing", [Relocation(heads=1.5), ChannelShift(), ClsTokenHeads()])
def test_other_operators_are_traced_and_exported_too(mixing):
    merged = merge(attach(vit(), Adaptation(FRAMES, mixing)))
    x, y, clips = pixels(32), pixels(32, 3), torch.export.Dim("clips", max=64)
    with torch.no_grad():
        close(torch.jit.trace(merged, x, check_trace=False)(y), merged(y))
        close(torch.export.export(merged, (x,), dynamic_shapes=({0: FRAMES * clips},)).module()(y), merged(y))


@pytest.mark.filterwarnings("ignore")
def test_a_merged_model_runs_as_onnx(tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    merged, x = merge(random_adapters(attach(vit().float(), Adaptation(FRAMES)))), pixels(32).float()
    clips = torch.export.Dim("clips", max=64)
    torch.onnx.export(merged, (x,), tmp_path / "m.onnx", dynamo=True, dynamic_shapes=({0: FRAMES * clips},))
    session, y = runtime.InferenceSession(tmp_path / "m.onnx"), pixels(32, 5).float()
    (got,) = session.run(None, {session.get_inputs()[0].name: y.numpy()})
    np.testing.assert_allclose(got, merged(y).detach(), rtol=1e-3, atol=1e-4)


# --- other methods on the same models --------------------------------------------------------------------------------


def test_classifiers_take_what_describes_an_image_by_one_vector():
    assert VideoClassifier(clip(), 3).backbone.conv1.out_channels == 24
    for backbone, why in (
        (vit(num_classes=7), "num_classes=0"),
        (clip(**VISION["attention_pool"]), "class token"),
        (clip(**VISION["mean_pool"]), "class token"),
        (nn.Linear(3, 3), "no `num_features`"),
    ):
        with pytest.raises(BadInput, match=why):
            VideoClassifier(backbone, 3)
    with pytest.raises(BadInput, match="not one vector a frame"):
        VideoClassifier(vit(global_pool="").float(), 3)(torch.randn(1, 2, 3, 32, 32))


def test_other_methods_look_into_a_clip_and_refuse_what_they_do_not_know():
    whole = clip().float()
    assert ImageSizes.of(whole) == ImageSizes.of(whole.visual)
    x = torch.randn(1, FRAMES, 3, 16, 16)
    with torch.no_grad():
        got, want = (STAdapter(part, FRAMES, 3).eval().clip_features(x) for part in (whole, whole.visual))
        assert torch.equal(got, want)
    for odd in (clip(qk_norm=True), vit(), clip(**VISION["attention_pool"]), clip(**VISION["mean_pool"])):
        for act in (ImageSizes.of, lambda visual: STAdapter(visual, FRAMES, 3)):
            with pytest.raises(BadInput):
                act(odd)
