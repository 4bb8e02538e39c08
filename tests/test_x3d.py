"""X3D: the fast convolutions are torch's, the network is what it is said to be, foreign weights find their place."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from minilib.cost import parameters
from minilib.errors import BadInput
from minilib.models.x3d import TINY, X3D, X3D_L, X3D_M, ClipHead
from minilib.models.x3d_convolution import FastConv3d
from minilib.models.x3d_weights import from_released, load_x3d, of_all_splits


def tiny(**how) -> X3D:
    torch.manual_seed(0)
    return X3D(TINY, 5, dropout=0.0, **how)


def scrambled(model: nn.Module) -> nn.Module:
    """Statistics and affine parameters of the norms away from 0 and 1, so that a misplaced one shows."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm3d):
            for tensor in (module.weight.data, module.bias.data, module.running_mean):
                tensor.normal_(0.5, 0.2)
            module.running_var.uniform_(0.5, 2)
    return model


# --- convolutions ---


@settings(max_examples=30)
@given(
    kind=st.sampled_from(["depthwise", "over time", "pointwise", "frames"]),
    frames=st.integers(1, 4),
    side=st.sampled_from([1, 2, 5, 6]),
    stride=st.sampled_from([1, 2]),
    bias=st.booleans(),
)
def test_fast_convolutions_equal_torchs_with_their_gradients(kind, frames, side, stride, bias):
    shape = {
        "depthwise": dict(kernel_size=3, padding=1, groups=4, bias=False),
        "over time": dict(kernel_size=(5, 1, 1), padding=(2, 0, 0), groups=4, bias=False),
        "pointwise": dict(kernel_size=1, bias=bias),
        "frames": dict(kernel_size=(1, 3, 3), padding=(0, 1, 1), bias=False),
    }[kind]
    stride = (1, stride, stride) if kind != "over time" else 1
    fast = FastConv3d(4, 4, stride=stride, **shape).double()
    plain = nn.Conv3d(4, 4, stride=stride, **shape).double()
    plain.load_state_dict(fast.state_dict())
    x = torch.randn(2, 4, frames, side, side, dtype=torch.float64)
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    one, two = fast(a), plain(b)
    weight = torch.randn_like(two)
    (one * weight).sum().backward(), (two * weight).sum().backward()
    assert torch.allclose(one, two, atol=1e-12)
    assert torch.allclose(a.grad, b.grad, atol=1e-12)
    for p, q in zip(fast.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(p.grad, q.grad, atol=1e-12)


@pytest.mark.parametrize("frozen", ["input", "weight"])
def test_depth_wise_gradients_only_where_they_are_wanted(frozen):
    conv, x = FastConv3d(3, 3, 3, padding=1, groups=3, bias=False), torch.randn(1, 3, 2, 4, 4, requires_grad=True)
    (x if frozen == "input" else conv.weight).requires_grad_(False)
    conv(x).sum().backward()
    assert (x.grad is None) == (frozen == "input") and (conv.weight.grad is None) == (frozen == "weight")


@pytest.mark.parametrize("train", [True, False])
def test_fast_network_equals_the_plain_one(train):
    fast, plain = scrambled(tiny()), tiny(conv=nn.Conv3d)
    plain.load_state_dict(fast.state_dict())
    x = torch.randn(2, 3, 3, 64, 64)
    outs = [model.train(train)(x) for model in (fast, plain)]
    assert torch.allclose(*outs, atol=1e-5)


# --- the network ---


def straight(model: X3D, x):
    """The network again, from its weights and the description of it alone, in evaluation mode."""
    state = model.state_dict()

    def norm(name, y):
        names = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(y, *(state[f"{name}.{n}"] for n in names))

    y = F.conv3d(x, state["stem.conv1_s.weight"], stride=(1, 2, 2), padding=(0, 1, 1))
    y = F.conv3d(y, state["stem.conv1_t.weight"], padding=(2, 0, 0), groups=y.shape[1])
    y = norm("stem.bn1", y).relu()
    for i, blocks in enumerate(model.size.blocks):
        for j in range(blocks):
            name, stride = f"stages.{i}.{j}", (1, 1, 1) if j else (1, 2, 2)
            z = norm(f"{name}.bn1", F.conv3d(y, state[f"{name}.conv1.weight"])).relu()
            z = F.conv3d(z, state[f"{name}.conv2.weight"], stride=stride, padding=1, groups=z.shape[1])
            z = norm(f"{name}.bn2", z)
            if j % 2 == 0:
                gate = z.mean((2, 3, 4), keepdim=True)
                gate = F.conv3d(gate, state[f"{name}.gate.fc1.weight"], state[f"{name}.gate.fc1.bias"]).relu()
                z = z * F.conv3d(gate, state[f"{name}.gate.fc2.weight"], state[f"{name}.gate.fc2.bias"]).sigmoid()
            z = norm(f"{name}.bn3", F.conv3d(z * z.sigmoid(), state[f"{name}.conv3.weight"]))
            if j == 0:
                y = norm(f"{name}.downsample.1", F.conv3d(y, state[f"{name}.downsample.0.weight"], stride=stride))
            y = (y + z).relu()
    y = norm("head.bn5", F.conv3d(y, state["head.conv5.weight"])).relu()
    y = F.conv3d(y.mean((3, 4), keepdim=True), state["head.fc1.weight"]).relu()[..., 0, 0].transpose(1, 2)
    return y @ state["head.fc2.weight"].T + state["head.fc2.bias"]


def test_network_equals_a_straightforward_reading():
    model = scrambled(tiny()).double().eval()
    x = torch.randn(2, 3, 4, 64, 32, dtype=torch.float64)
    assert torch.allclose(model(x), straight(model, x), atol=1e-12)


@pytest.mark.parametrize(
    ("size", "classes", "count"), [(X3D_M, 157, 3.2964), (X3D_L, 157, 5.6555), (X3D_M, 400, 3.7943)]
)
def test_sizes_have_the_known_parameters(size, classes, count):
    with torch.device("meta"):
        assert parameters(X3D(size, classes)) / 1e6 == pytest.approx(count, abs=5e-5)


def test_gates_have_the_known_widths():
    with torch.device("meta"):
        net = X3D()
    widths = [stage[0].gate.fc1.out_channels for stage in net.stages]
    assert widths == [8, 8, 16, 32]
    assert [hasattr(block.gate, "fc1") for block in net.stages[1]] == [True, False, True, False, True]


def test_frames_pixels_and_single_frames_give_scores_of_every_frame():
    model = tiny().eval()
    frames = torch.randint(0, 256, (1, 1, 64, 64, 3), dtype=torch.uint8)
    scores = model(frames)
    assert scores.shape == (1, 1, 5) and torch.equal(scores, model(model.normalise(frames)))
    by_hand = (frames[0, 0, 1, 2, 0].item() / 255 - 0.45) / 0.225
    assert model.normalise(frames)[0, 0, 0, 1, 2].item() == pytest.approx(by_hand, abs=1e-6)
    clip = X3D(TINY, 5, ClipHead).eval()
    assert clip(torch.randn(2, 3, 4, 64, 64)).shape == (2, 5)


def test_clip_head_of_one_frame_is_the_frame_head():
    model, clip = tiny().eval(), X3D(TINY, 5, ClipHead).eval()
    clip.load_state_dict(model.state_dict())
    x = torch.randn(2, 3, 1, 64, 64)
    assert torch.allclose(model(x)[:, 0], clip(x), atol=1e-6)


def test_every_parameter_learns_and_the_last_layer_can_be_replaced():
    model = tiny().set_classes(7).train()
    assert model.classes == 7
    model(torch.randn(2, 3, 3, 64, 64)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for n, p in model.named_parameters() if "gate" not in n)
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("shape", [(1, 4, 3, 64, 64), (3, 4, 64, 64), (1, 3, 0, 64, 64), (1, 3, 2, 64, 31)])
def test_wrong_clips_are_named(shape):
    with pytest.raises(BadInput, match=r"clips of"):
        tiny()(torch.zeros(shape))


# --- foreign weights ---


def in_two_splits(part, value):
    """Means 0.3 to either side, which account for 0.09 of the variance."""
    if part == "running_mean":
        return torch.cat([value - 0.3, value + 0.3])
    return torch.cat([value - 0.19, value + 0.01]) if part == "running_var" else value


def released(state):
    """Our names in the released layout as saved in training: the statistics are those of two splits together, and what
    stands under `bn` is old."""
    out = {}
    for key, value in state.items():
        key = key.removeprefix("stem.").removeprefix("head.").replace(".gate.", ".")
        if key.startswith("stages."):
            _, number, rest = key.split(".", 2)
            key = f"layer{int(number) + 1}.{rest}"
        for part in ("running_mean", "running_var", "num_batches_tracked"):
            if key.endswith(part):
                name = key.removesuffix(part)
                out[f"{name}split_bn.{part}"] = in_two_splits(part, value)
                key, value = f"{name}bn.{part}", torch.zeros_like(value)
        out[key] = value
    return out


def public(state):
    """Our names in the public layout; the norm of the first stage's shortcut is not there."""
    parts = {
        "conv1.": "branch2.conv_a.",
        "bn1.": "branch2.norm_a.",
        "conv2.": "branch2.conv_b.",
        "bn2.": "branch2.norm_b.0.",
        "gate.fc1.": "branch2.norm_b.1.block.0.",
        "gate.fc2.": "branch2.norm_b.1.block.2.",
        "conv3.": "branch2.conv_c.",
        "bn3.": "branch2.norm_c.",
        "downsample.0.": "branch1_conv.",
        "downsample.1.": "branch1_norm.",
    }
    fixed = {
        "stem.conv1_s.": "blocks.0.conv.conv_t.",
        "stem.conv1_t.": "blocks.0.conv.conv_xy.",
        "stem.bn1.": "blocks.0.norm.",
        "head.conv5.": "blocks.5.pool.pre_conv.",
        "head.bn5.": "blocks.5.pool.pre_norm.",
        "head.fc1.": "blocks.5.pool.post_conv.",
        "head.fc2.": "blocks.5.proj.",
    }
    out = {}
    for key, value in state.items():
        if key.startswith("stages.0.0.downsample.1."):
            continue
        if key.startswith("stages."):
            _, i, j, rest = key.split(".", 3)
            old = next(part for part in parts if rest.startswith(part))
            out[f"blocks.{int(i) + 1}.res_blocks.{j}.{parts[old]}{rest.removeprefix(old)}"] = value
        else:
            old = next(part for part in fixed if key.startswith(part))
            out[fixed[old] + key.removeprefix(old)] = value
    return out


@pytest.mark.parametrize(
    ("layout", "envelope"), [(released, "model_state_dict"), (public, "model_state"), (dict, None)]
)
def test_files_of_every_layout_load_strictly(layout, envelope, tmp_path):
    source, path = scrambled(tiny()).eval(), tmp_path / "x3d.pyth"
    if layout is public:  # as the public network computes: no norm in the first shortcut
        source.stages[0][0].downsample[1] = nn.Identity()
    state = layout(source.state_dict())
    torch.save({envelope: state} if envelope else state, path)
    torch.manual_seed(9)
    model = load_x3d(X3D(TINY, 5), path).eval()
    x = torch.randn(1, 3, 2, 64, 64)
    assert torch.allclose(model(x), source(x), atol=1e-6)


def test_splits_are_put_together_by_hand():
    # two channels, two splits: split 0 has means 1 and 10, variances 4 and 40; split 1 has 3 and 30, 6 and 60
    mean, variance = of_all_splits(torch.tensor([1.0, 10, 3, 30]), torch.tensor([4.0, 40, 6, 60]), 2)
    assert mean.tolist() == [2, 20] and variance.tolist() == [5 + 1, 50 + 100]
    mean, variance = of_all_splits(torch.tensor([0.0, 3, 6]), torch.tensor([1.0, 2, 3]), 3)
    assert mean.tolist() == [3] and variance.tolist() == [2 + 6]
    mean, variance = of_all_splits(torch.tensor([1.0, 2]), torch.tensor([3.0, 4]), 1)
    assert mean.tolist() == [1, 2] and variance.tolist() == [3, 4]
    x = torch.randn(3, 50, 4)  # three splits of fifty values of four channels
    mean, variance = of_all_splits(x.mean(1).flatten(), x.var(1, correction=0).flatten(), 3)
    assert torch.allclose(mean, x.flatten(0, 1).mean(0), atol=1e-6)
    assert torch.allclose(variance, x.flatten(0, 1).var(0, correction=0), atol=1e-5)


def test_norms_keep_their_own_statistics_without_splits_and_wrong_splits_are_named():
    norm = {
        "bn1.weight": torch.ones(2),
        "bn1.bn.running_mean": torch.tensor([5.0, 6]),
        "bn1.bn.running_var": torch.ones(2),
    }
    assert from_released(norm, "x")["stem.bn1.running_mean"].tolist() == [5, 6]
    splits = {"bn1.split_bn.running_mean": torch.tensor([1.0, 2, 3, 4]), "bn1.split_bn.running_var": torch.ones(4)}
    out = from_released(norm | splits, "x")
    assert out["stem.bn1.running_mean"].tolist() == [2, 3] and out["stem.bn1.running_var"].tolist() == [2, 2]
    assert not any("split" in key for key in out)
    for name, wrong in (("mean", 3), ("mean", 0), ("var", 2)):
        with pytest.raises(BadInput, match=r"weights x: bn1.split_bn has .* of 2 channels: splits are not whole"):
            from_released(norm | splits | {f"bn1.split_bn.running_{name}": torch.ones(wrong)}, "x")


def test_the_public_layouts_size_and_the_released_ones_names():
    with torch.device("meta"):
        state = X3D().state_dict()
    counts = public(state)
    learned = [key for key in counts if "running_" not in key and "num_batches" not in key]
    assert sum(counts[key].numel() for key in learned) == 3794322 - 48
    assert counts["blocks.4.res_blocks.6.branch2.norm_b.1.block.2.weight"].shape == (432, 32, 1, 1, 1)
    assert released(state)["layer1.0.downsample.0.weight"].shape == (24, 24, 1, 1, 1)


def test_wrong_files_are_named_and_change_nothing(tmp_path):
    model, path = tiny(), tmp_path / "x3d.pt"
    before = {key: value.clone() for key, value in model.state_dict().items()}
    whole = released(model.state_dict())
    lacking = {key: value for key, value in whole.items() if key != "layer2.0.conv2.weight"}
    wide = whole | {"fc2.weight": torch.zeros(9, 8)}
    for content, message in (
        (lacking, "stages.1.0.conv2.weight is missing"),
        (whole | {"other": torch.zeros(1)}, "other is not part of this model"),
        (wide, r"head.fc2.weight is \(9, 8\)"),
        ([1], "cannot be read as tensors"),
    ):
        torch.save(content, path)
        with pytest.raises(BadInput, match=message):
            load_x3d(model, path)
    path.write_bytes(b"nothing")
    with pytest.raises(BadInput, match="cannot be read"):
        load_x3d(model, path)
    with pytest.raises(BadInput, match="no such file"):
        load_x3d(model, tmp_path / "none.pt")
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
