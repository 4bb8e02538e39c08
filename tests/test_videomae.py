"""The masked autoencoder against transformers' VideoMAE, against loops, and on other sizes."""

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from minilib.errors import BadInput
from minilib.models.tubelets import (
    contrasted,
    flat_positions,
    normalised,
    places,
    spacetime_positions,
    tube_mask,
    tubelets,
)
from minilib.models.videomae import MaskedAutoencoder, VideoEncoder
from minilib.models.videomae_weights import released_autoencoder, released_encoder

BLOCK = [  # of MCG-NJU's files and of the paper's
    *("norm1.weight", "norm1.bias", "attn.q_bias", "attn.v_bias", "attn.qkv.weight"),
    *("attn.proj.weight", "attn.proj.bias", "norm2.weight", "norm2.bias"),
    *("mlp.fc1.weight", "mlp.fc1.bias", "mlp.fc2.weight", "mlp.fc2.bias"),
]
PATCHES = ["patch_embed.proj.weight", "patch_embed.proj.bias"]
ENCODER = [*PATCHES, *(f"blocks.{i}.{name}" for i in range(2) for name in BLOCK)]
MCG = {  # two blocks and one
    *("mask_token", "encoder_to_decoder.weight", "decoder.head.weight", "decoder.head.bias"),
    *("encoder.norm.weight", "encoder.norm.bias", "decoder.norm.weight", "decoder.norm.bias"),
    *(f"encoder.{name}" for name in ENCODER),
    *(f"decoder.blocks.0.{name}" for name in BLOCK),
}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def autoencoder(tubelet=1, steps=2, **more):
    torch.manual_seed(0)
    model = MaskedAutoencoder(VideoEncoder(24, 2, 2, 8, tubelet, steps, (3, 4), last_norm=True), 12, 1, 2, **more)
    for parameter in model.parameters():  # no bias at zero, no norm at one
        nn.init.normal_(parameter, std=0.3)
    return model


def saved(path, pooled=False):
    """A folder of transformers with random weights: (path, the model)."""
    transformers = pytest.importorskip("transformers")
    sizes = dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=96)
    sizes |= dict(decoder_hidden_size=12, decoder_num_hidden_layers=1, decoder_num_attention_heads=2)
    config = transformers.VideoMAEConfig(
        image_size=32, patch_size=8, num_frames=4, tubelet_size=2, decoder_intermediate_size=48, layer_norm_eps=1e-6,
        use_mean_pooling=pooled, **sizes,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.VideoMAEForPreTraining(config).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    model.decoder.norm.eps = 1e-6  # MCG-NJU's; transformers leaves this one norm at torch's default
    model.save_pretrained(path)
    return path, model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("videomae"))


@pytest.mark.parametrize("pooled", [False, True])
def test_equals_transformers(tmp_path, pooled):
    path, theirs = saved(tmp_path, pooled)
    ours = released_autoencoder(path, 4, (32, 32))
    pixels, hidden = torch.randn(3, 4, 3, 32, 32, generator=seeded()), tube_mask(3, 2, 16, generator=seeded())
    expected = theirs(pixels, hidden)
    torch.testing.assert_close(ours(pixels, hidden), expected.logits)
    torch.testing.assert_close(ours.loss(pixels, hidden), expected.loss)
    encoder = released_encoder(path, 4, (32, 32))
    features = encoder(pixels)
    assert features.shape == (3, 2, 4, 4, 24)
    assert isinstance(encoder.norm, nn.Identity) == pooled  # who pools by mean has no last norm
    torch.testing.assert_close(encoder.norm(features).flatten(1, 3), theirs.videomae(pixels).last_hidden_state)


def test_reads_files_of_mcg_and_of_the_paper(tmp_path, folder):
    ours = released_autoencoder(folder[0], 4, (32, 32))
    pixels = torch.randn(1, 4, 3, 32, 32, generator=seeded())
    state = ours.state_dict()
    assert state.keys() == MCG
    torch.save({"model": state}, tmp_path / "mcg.pth")
    read = released_autoencoder(tmp_path / "mcg.pth", 4, (32, 32))
    assert read.encoder.blocks[0].attn.heads == 1  # 64 channels a head; here the file is smaller than any released
    read.encoder.blocks[0].attn.heads = read.encoder.blocks[1].attn.heads = 2
    torch.testing.assert_close(read.encoder(pixels), ours.encoder(pixels))
    own = {
        k.removeprefix("encoder."): v for k, v in state.items() if k.startswith("encoder.") and "norm." not in k[:13]
    }
    assert own.keys() == set(ENCODER)
    extra = {"head.weight": torch.zeros(3, 24), "norm.weight": torch.zeros(24)}
    paper = {f"model.{k}": v for k, v in (own | extra).items()} | {"conditioning.slots_mu": torch.zeros(1, 1, 128)}
    torch.save(paper, tmp_path / "paper.ckpt")
    found = released_encoder(tmp_path / "paper.ckpt", 4, (32, 32))
    assert isinstance(found.norm, nn.Identity)
    torch.testing.assert_close(dict(found.state_dict()), own)
    torch.testing.assert_close(found.positions.table, spacetime_positions(2, 4, 4, 24))


def test_a_learned_table_of_positions_is_refused(tmp_path, folder):
    ours = released_autoencoder(folder[0], 4, (32, 32))
    state, table = ours.state_dict(), ours.encoder.positions.table
    alone = {f"model.{k.removeprefix('encoder.')}": v for k, v in state.items() if k.startswith("encoder.")}
    layouts = {
        "mcg": (state, "encoder.pos_embed", released_autoencoder, {}),
        "decoder": (state, "pos_embed", released_autoencoder, {}),
        "paper": (alone, "model.pos_embed", released_encoder, {"positions": flat_positions}),
    }
    for name, (tensors, at, read, how) in layouts.items():
        right = ours.positions.table if name == "decoder" else table
        path = tmp_path / f"{name}.pth"
        torch.save(tensors | {at: right[None]}, path)
        read(path, 4, (32, 32), **how)
        for wrong in (right + 0.01, right[:-1]):
            torch.save(tensors | {at: wrong[None]}, path)
            with pytest.raises(BadInput, match=f"{name}.pth: the (encoder|decoder)'s table of positions"):
                read(path, 4, (32, 32), **how)
    torch.save(alone | {"decoder.pos_embed": torch.zeros(1, 2, 16, 24)}, tmp_path / "slots.pth")
    released_encoder(tmp_path / "slots.pth", 4, (32, 32))  # that is the slots' own, which others read


def test_files_of_other_kinds_are_named(tmp_path):
    torch.save({"model.patch_embed.proj.weight": torch.zeros(24, 3, 1, 8, 8)}, tmp_path / "no_bias.pth")
    with pytest.raises(BadInput, match="no_bias.pth.*biases"):
        released_encoder(tmp_path / "no_bias.pth")
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(BadInput, match="no layout of VideoMAE"):
        released_encoder(tmp_path / "other.pth")
    with pytest.raises(BadInput, match=r"config\.json"):
        released_encoder(tmp_path)


def test_positions_of_space_and_time():
    table = spacetime_positions(2, 3, 4, 24).view(2, 3, 4, 24)
    assert (table[0, 0, 0] == torch.tensor([0.0, 1.0] * 12)).all()  # sin and cos in turn
    assert (table[:, :1, :1, :8] == table[..., :8]).all() and (table[:1, :, :1, 8:16] == table[..., 8:16]).all()
    torch.testing.assert_close(
        table[1, 0, 0, :2],
        torch.tensor([1.0, 1.0]).sin().mul(torch.tensor([1, 0])) + torch.tensor([0, torch.tensor(1.0).cos()]),
    )
    assert flat_positions(2, 3, 4, 24).unique(dim=0).shape == (24, 24)
    with pytest.raises(BadInput, match="multiple of 6"):
        spacetime_positions(1, 1, 1, 16)


def test_tubes_hide_the_same_places_at_every_step():
    hidden = tube_mask(5, 3, 20, 0.9, seeded())
    assert hidden.shape == (5, 60) and (hidden.sum(1) == 3 * 18).all()
    assert (hidden.view(5, 3, 20) == hidden.view(5, 3, 20)[:, :1]).all()
    assert len(hidden.unique(dim=0)) > 1
    for ratio in (0.01, 1.0):
        with pytest.raises(BadInput, match="at least one"):
            tube_mask(1, 1, 20, ratio)


def test_tubelets_are_cut_as_a_convolution_reads_them():
    encoder = autoencoder(tubelet=2).encoder
    pixels = torch.randn(2, 4, 3, 24, 32, generator=seeded())
    expected = encoder.patch_embed.proj(pixels.movedim(2, 1)).movedim(1, -1)
    torch.testing.assert_close(encoder.patch_embed(tubelets(pixels, 2, 8)), expected)


def test_hidden_tokens_are_never_computed():
    model = autoencoder()
    sizes = []
    model.encoder.patch_embed.register_forward_pre_hook(lambda _, args: sizes.append(args[0].shape[1]))
    model.encoder.blocks[0].register_forward_pre_hook(lambda _, args: sizes.append(args[0].shape[1]))
    pixels, hidden = torch.randn(2, 2, 3, 24, 32), tube_mask(2, 2, 12, 0.75, seeded())
    out = model(pixels, hidden)
    assert sizes == [6, 6] and out.shape == (2, 18, 192)
    changed = pixels.unflatten(4, (4, 8)).unflatten(3, (3, 8)).clone()  # b t 3 r p c p
    b, n = hidden.nonzero()[0]
    changed[b, n // 12, :, n % 12 // 4, :, n % 4] += 1
    torch.testing.assert_close(model(changed.flatten(5).flatten(3, 4), hidden), out)  # ... so they cannot matter
    with pytest.raises(AssertionError):
        seen = (~hidden).nonzero()[0]
        changed[seen[0], seen[1] // 12, :, seen[1] % 12 // 4, :, seen[1] % 4] += 1
        torch.testing.assert_close(model(changed.flatten(5).flatten(3, 4), hidden), out)


def test_attention_is_one_call_of_torch_and_no_table_of_its_own(monkeypatch):
    class Seen(TorchDispatchMode):
        def __torch_dispatch__(self, op, types, args=(), kwargs=None):
            assert "softmax" not in str(op) and "exp.default" not in str(op)
            return op(*args, **(kwargs or {}))

    calls = []
    monkeypatch.setattr(
        nn.functional, "scaled_dot_product_attention", lambda q, k, v: calls.append(q.shape) or q + k + v
    )
    pixels, hidden = torch.randn(1, 2, 3, 24, 32), tube_mask(1, 2, 12, 0.75, seeded())
    model = autoencoder()
    with Seen():
        model(pixels, hidden)
        model.encoder(pixels)
    assert calls == [(1, 2, 6, 12)] * 2 + [(1, 2, 24, 6)] + [(1, 2, 24, 12)] * 2  # clips, heads, tokens, channels


def test_target_has_no_mean_and_no_contrast():
    patches = torch.rand(2, 5, 12, generator=seeded())
    found = normalised(patches).unflatten(-1, (4, 3))
    torch.testing.assert_close(found.mean(-2), torch.zeros(2, 5, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.var(-2), torch.ones(2, 5, 3), atol=1e-3, rtol=0)
    torch.testing.assert_close(normalised(patches * 0.1 + 0.5).unflatten(-1, (4, 3)), found, atol=1e-3, rtol=0)
    assert contrasted(patches).std() > 0.5
    model, pixels = autoencoder(target=contrasted), torch.randn(1, 2, 3, 24, 32)
    hidden = tube_mask(1, 2, 12, 0.5, seeded())
    cut = tubelets(pixels * model.encoder.std + model.encoder.mean, 1, 8).flatten(1, 3)[hidden]
    torch.testing.assert_close(model.target(pixels, hidden)[0], contrasted(cut))


def test_unequal_masks_and_odd_sizes_are_refused():
    model, hidden = autoencoder(tubelet=2), tube_mask(2, 1, 12, 0.5, seeded())
    hidden[0, places(~hidden)[0, 0]] = True
    with pytest.raises(BadInput, match="all clips of a batch must hide as many"):
        model(torch.zeros(2, 2, 3, 24, 32), hidden)
    with pytest.raises(BadInput, match="mask"):
        model(torch.zeros(2, 2, 3, 24, 32), hidden[:, :6])
    with pytest.raises(BadInput, match="3 frames: tubelets of 2"):
        model.encoder(torch.zeros(1, 3, 3, 24, 32))
    with pytest.raises(BadInput, match="20 x 32 pixels: patches of 8"):
        model.encoder(torch.zeros(1, 2, 3, 20, 32))
    with pytest.raises(BadInput, match="3 steps of tubelets"):
        model.encoder(torch.zeros(1, 6, 3, 24, 32))
    with pytest.raises(BadInput, match="blocks 0 to 1"):
        model.encoder.features(torch.zeros(1, 2, 3, 24, 32), (2,))


def test_features_are_those_of_the_blocks_without_the_last_norm():
    encoder, pixels = autoencoder().encoder.eval(), torch.randn(2, 2, 3, 24, 32, generator=seeded())
    first, last = encoder.features(pixels, (0, -1))
    x = encoder.blocks[0](encoder.embed(tubelets(pixels, 1, 8)))
    torch.testing.assert_close(first.flatten(1, 3), x)
    torch.testing.assert_close(last.flatten(1, 3), encoder.blocks[1](x))
    short = encoder.features(pixels[:, :1, :, :16])[0]  # fewer steps, another grid
    assert short.shape == (2, 1, 2, 4, 24) and short.isfinite().all()


def test_learns_and_every_parameter_takes_part():
    torch.manual_seed(0)
    model = MaskedAutoencoder(VideoEncoder(24, 1, 2, 8, 1, 2, (3, 4), last_norm=True), 12, 1, 2, target=contrasted)
    pixels = torch.randn(8, 1, 3, 1, 1, generator=seeded()).expand(-1, 2, -1, 24, 32).contiguous()
    optimizer, losses = torch.optim.Adam(model.parameters(), 1e-2), []
    for step in range(60):
        loss = model.loss(pixels, tube_mask(8, 2, 12, 0.75, seeded(step)))
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


def test_runs_on_a_gpu_without_mixing_devices():
    model, mode = autoencoder(), FakeTensorMode()
    hidden = tube_mask(2, 2, 12, 0.75, seeded())
    seen, gone = places(~hidden), places(hidden)
    with mode:
        move = lambda x: mode.from_tensor(x).to("cuda")  # noqa: E731
        for module in model.modules():
            module._parameters = tree_map_only(nn.Parameter, lambda p: nn.Parameter(move(p)), module._parameters)
            module._buffers = tree_map_only(torch.Tensor, move, module._buffers)
        pixels = torch.zeros(2, 2, 3, 24, 32, device="cuda")
        assert model.encoder(pixels).device.type == "cuda"
        found = model.predict(tubelets(pixels, 1, 8), move(seen), move(gone))
        assert found.device.type == "cuda" and found.shape == (2, 18, 192)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_agrees_with_cpu():
    model, pixels = autoencoder(), torch.randn(2, 2, 3, 24, 32)
    hidden = tube_mask(2, 2, 12, 0.75, seeded())
    expected = model(pixels, hidden)
    torch.testing.assert_close(model.cuda()(pixels.cuda(), hidden).cpu(), expected, atol=1e-4, rtol=1e-4)
