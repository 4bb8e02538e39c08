"""Video slots and their decoders, patch-CLIP, names, merging: against loops, and against what they must not do."""

import copy
import itertools
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from minilib.errors import BadInput
from minilib.memory import peak_training_memory
from minilib.models.clip import TINY, build
from minilib.models.slots import GaussianSlots, LearnedQueries
from minilib.models.small_clip import tokenize
from minilib.models.tubelets import PositionTable
from minilib.papers.open_vocabulary import naming
from minilib.papers.open_vocabulary.counts import count_all
from minilib.papers.open_vocabulary.decoder import AttendedDecoder, BroadcastDecoder, ChunkedDecoder
from minilib.papers.open_vocabulary.joint import (
    IN_FRAME,
    RELEASED,
    group_sums,
    joint_optimisation,
    mask_boxes,
    merged,
    touching,
)
from minilib.papers.open_vocabulary.method import VideoSlots, reconstruction_loss
from minilib.papers.open_vocabulary.naming import (
    CONTENT,
    Vocabulary,
    cosines,
    fitting,
    mean,
    photo_of_a,
    real_vocabulary,
    slot_means,
    slot_sums,
    wanted,
)
from minilib.papers.open_vocabulary.naming import best as best_prompt
from minilib.papers.open_vocabulary.patch_clip import (
    Content,
    OnlyMlp,
    PatchClip,
    VanillaPatches,
    info_nce,
    only_attention,
    patch_loss,
    pooled,
    residual_block,
    resized,
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def video_slots(decoder=BroadcastDecoder, initial=GaussianSlots, slots=3):
    torch.manual_seed(0)
    return VideoSlots(initial(slots, 12), decoder(8, 12, 2, (3, 4), 16), 8)


@pytest.mark.parametrize("decoder", [BroadcastDecoder, ChunkedDecoder, AttendedDecoder])
@pytest.mark.parametrize("initial", [GaussianSlots, LearnedQueries])
def test_tubes_share_out_every_token_and_gradients_reach_everything(decoder, initial):
    model, features = video_slots(decoder, initial), torch.randn(2, 2, 3, 4, 8, generator=seeded())
    tubes = model(features, seeded())
    assert tubes.slots.shape == (2, 3, 12) and tubes.masks.shape == (2, 3, 2, 3, 4)
    assert tubes.features.shape == features.shape and tubes.assigned.shape == (2, 2, 3, 4)
    torch.testing.assert_close(tubes.masks.sum(1), torch.ones(2, 2, 3, 4))
    reconstruction_loss(tubes, features).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []
    torch.testing.assert_close(model(features, seeded()).masks, tubes.masks)  # the generator alone draws
    other = model(features, seeded(1)).masks
    assert torch.equal(other, tubes.masks) == (initial is LearnedQueries)


def test_one_slot_attention_reads_all_frames():
    model, features = video_slots(), torch.randn(1, 2, 3, 4, 8, generator=seeded())
    swapped = model(features.flip(1), seeded()).attention.flip(2)
    torch.testing.assert_close(swapped, model(features, seeded()).attention)  # no order, and no position is added
    changed = features.clone()
    changed[:, 1] += torch.randn(3, 4, 8, generator=seeded(1))
    assert not torch.allclose(model(changed, seeded()).attention[:, :, 0], swapped.flip(2)[:, :, 1])
    short = model(features[:, :1, :2, :3], seeded())
    assert short.masks.shape == (1, 3, 1, 2, 3)
    with pytest.raises(BadInput, match="more slots|at most as many"):
        model(features[:, :1, :1, :2])
    with pytest.raises(BadInput, match="3 steps"):
        model(torch.zeros(1, 3, 3, 4, 8))
    with pytest.raises(BadInput, match="clips, steps, rows"):
        model(features[0])


def test_broadcast_decoder_is_the_papers_formula():
    model = video_slots()
    slots = torch.randn(1, 3, 12, generator=seeded())
    features, masks = model.decoder(slots, (2, 3, 4), None)
    for n in range(24):
        out = [model.decoder.decoder(slots[0, k] + model.decoder.pos_embed.flatten(0, 1)[n]) for k in range(3)]
        alpha = torch.stack([each[-1] for each in out]).softmax(0)
        torch.testing.assert_close(masks[0, :, n], alpha)
        torch.testing.assert_close(features[0, n], sum(a * each[:-1] for a, each in zip(alpha, out, strict=True)))


@pytest.mark.parametrize("shape", [(2, 3, 4), (1, 4, 2)])
@pytest.mark.parametrize("chunk", [1, 2, 5])
def test_chunks_of_slots_change_nothing(shape, chunk):
    torch.manual_seed(0)
    direct, chunked = (kind(8, 12, 2, (3, 4), 16).double() for kind in (BroadcastDecoder, ChunkedDecoder))
    chunked.load_state_dict(direct.state_dict())
    chunked.chunk = chunk
    slots = torch.randn(2, 5, 12, generator=seeded(), dtype=torch.double, requires_grad=True)
    found = []
    for decoder in (direct, chunked):
        features, masks = decoder(slots, shape, None)
        loss = (features**2).sum() + (masks * torch.arange(5).view(5, 1)).sum()
        found.append((features, masks, torch.autograd.grad(loss, [slots, *decoder.parameters()])))
    torch.testing.assert_close(found[1], found[0])


def test_chunks_take_at_most_half_of_the_memory():
    peaks = []
    for kind in (BroadcastDecoder, ChunkedDecoder):
        decoder = kind(48, 16, 4, (7, 7), 64)
        slots = torch.randn(1, 15, 16, requires_grad=True)

        def step(decoder=decoder, slots=slots):
            (decoder(slots, (4, 7, 7), None)[0] ** 2).sum().backward()

        step()
        peaks.append(peak_training_memory(step).added)
    assert peaks[1] <= 0.5 * peaks[0], peaks


# --- patch-CLIP ------------------------------------------------------------------------------------------------------


def tiny():
    torch.manual_seed(0)
    clip = build(TINY, tokenize)
    for parameter in clip.parameters():
        nn.init.normal_(parameter, std=0.2)
    return clip


def test_class_token_is_clips_own_embedding():
    clip = tiny()
    model, frames = PatchClip(clip), torch.randint(256, (3, 16, 16, 3), generator=seeded(), dtype=torch.uint8)
    cls, tokens = model.read(clip.normalise(frames))
    torch.testing.assert_close(cls, clip.model.encode_image(clip.normalise(frames)))
    assert tokens.shape == (3, 5, 24)


def test_vanilla_patches_are_open_clips_own_tokens_projected():
    clip, frames = tiny(), torch.randint(256, (3, 16, 16, 3), generator=seeded(), dtype=torch.uint8)
    visual = copy.deepcopy(clip.visual)
    visual.output_tokens = True  # behind the last norm, and not projected
    cls, tokens = visual(clip.normalise(frames))
    torch.testing.assert_close(cls, clip.model.encode_image(clip.normalise(frames)))
    torch.testing.assert_close(VanillaPatches(clip)(frames), (tokens @ visual.proj).unflatten(1, (2, 2)))


@pytest.mark.parametrize("block", [residual_block, only_attention, OnlyMlp])
def test_only_the_new_parts_learn(block):
    clip = tiny()
    before = copy.deepcopy(clip.state_dict())
    model = PatchClip(clip, block).train()
    assert not clip.training
    frames = torch.randint(256, (4, 16, 16, 3), generator=seeded(), dtype=torch.uint8)
    patch_loss(model, clip.normalise(frames)).backward()
    names = {n.split(".")[0] for n, p in model.named_parameters() if p.requires_grad}
    assert names == {"last_transformer", "ln_last", "vision_emb"}
    assert [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None] == []
    assert [n for n, p in clip.named_parameters() if p.grad is not None] == []
    torch.testing.assert_close(dict(clip.state_dict()), dict(before))


def test_other_sizes_interpolate_positions_and_leave_clip_as_it_was():
    clip = tiny()
    model, own = PatchClip(clip), clip.visual.positional_embedding
    large = torch.randint(256, (1, 2, 24, 32, 3), generator=seeded(), dtype=torch.uint8)
    assert model(large).shape == (1, 2, 3, 4, 16)
    assert clip.visual.positional_embedding is own
    with pytest.raises(BadInput, match="20 x 32 pixels"):
        model(large[:, :, :20])


def from_table(ramps, grid):
    table = PositionTable(lambda *sizes: ramps.flatten(0, 2), 3, (3, 4), 3)
    return table(2, *grid).unflatten(0, (2, *grid))


def from_decoder(ramps, grid):
    decoder = BroadcastDecoder(8, 3, 3, (3, 4), 16)
    decoder.pos_embed.data = ramps.flatten(1, 2)
    return decoder.positions(2, *grid).unflatten(0, (2, *grid))


def from_clip(ramps, grid):
    found = []
    for ramp in ramps[:2]:
        table = nn.Parameter(torch.cat([torch.full((1, 3), 7.0), ramp.flatten(0, 1)]))
        visual = SimpleNamespace(patch_size=(8, 8), grid_size=(3, 4), positional_embedding=table)
        with resized(visual, (8 * grid[0], 8 * grid[1])):
            cls, *patches = visual.positional_embedding
            assert (cls == 7).all()
        found.append(torch.stack(patches).unflatten(0, grid))
    return torch.stack(found)


@pytest.mark.parametrize("grid", [(3, 4), (6, 8), (4, 3)])
@pytest.mark.parametrize("read", [from_table, from_decoder, from_clip])
def test_positions_of_other_sizes_are_bicubic_along_their_own_axes(read, grid):
    """Of 3 steps of 3 x 4 patches the first two; channels that rise with step, row and column."""
    ramps = torch.stack(torch.meshgrid(*(torch.arange(n) for n in (3, 3, 4)), indexing="ij"), -1).float()
    found = read(ramps, grid)
    for axis, (steps, patches) in enumerate(zip((3, 4), grid, strict=True)):
        line = torch.arange(steps).float().view(1, 1, 1, steps)
        expected = F.interpolate(line, (1, patches), mode="bicubic", align_corners=False).flatten()
        assert (expected.diff() > 0).all()
        along = found[..., 1 + axis].movedim(1 + axis, -1)
        torch.testing.assert_close(along, expected.expand_as(along))
    torch.testing.assert_close(found[..., 0], torch.arange(2.0).view(2, 1, 1).expand(2, *grid))


def test_pooling_and_the_loss_are_equations_1_to_3():
    patches, cls = torch.randn(3, 5, 4, generator=seeded()), torch.randn(3, 4, generator=seeded(1))
    found = pooled(patches, cls)
    for i in range(3):
        weights = torch.stack([patches[i, m] @ cls[i] for m in range(5)]).softmax(0)
        torch.testing.assert_close(found[i], sum(w * p for w, p in zip(weights, patches[i], strict=True)))
    phi = torch.stack([torch.stack([F.cosine_similarity(f, c, dim=0) for c in cls]) for f in found])
    expected = -sum((phi[i, i].exp() / phi[i].exp().sum()).log() for i in range(3)) / 3
    torch.testing.assert_close(info_nce(found, cls), expected)
    assert info_nce(cls, cls) < info_nce(-cls, cls)  # a loss, not its negative


# --- names -----------------------------------------------------------------------------------------------------------


def test_vocabulary_is_checked_and_names_are_their_best_prompt():
    cases = (((), (), "empty"), (["red", "blue"], ["red"], "'red' occurs twice"), ("red", (), "give a list of names"))
    for targets, background, said in (*cases, (("red",), "sand", "background is the text 'sand'")):
        with pytest.raises(BadInput, match=said):
            Vocabulary(targets, background)
    clip = tiny()
    prompts = {"circle": ["a circle", "the circle"], "sand": ["sand"]}
    found = Vocabulary(["circle"], ["sand"], prompts.get).features(clip)  # lists are as good as tuples
    expected = clip.text_features(["a circle", "the circle", "sand", "sand"]).view(2, 2, 16)
    torch.testing.assert_close(found, expected)
    cosine = cosines(torch.randn(1, 3, 16, generator=seeded()), found)
    best = [F.normalize(torch.randn(1, 3, 16, generator=seeded()), dim=-1) @ each.T for each in expected]
    torch.testing.assert_close(cosine, torch.stack([each.amax(-1) for each in best], -1))  # the best prompt of a name
    assert photo_of_a("star") == ["a photo of a star"]


def test_prompts_of_a_name_count_by_their_best_their_mean_or_as_they_fit():
    cosine = torch.tensor([[0.1, 0.5, 0.0], [0.2, 0.3, 0.3]])  # two names, three sentences
    torch.testing.assert_close(best_prompt(cosine), torch.tensor([0.5, 0.3]))
    torch.testing.assert_close(mean(cosine), torch.tensor([0.2, 0.8 / 3]))
    weights = (20 * cosine.mean(0)).softmax(0)
    torch.testing.assert_close(fitting(cosine), cosine @ weights)
    assert fitting(cosine)[0] > fitting(cosine)[1] > mean(cosine)[0]  # the second sentence fits whatever the name
    slot, names = (
        torch.randn(1, 2, 16, generator=seeded()),
        F.normalize(torch.randn(3, 4, 16, generator=seeded(1)), dim=-1),
    )
    every = torch.stack([F.cosine_similarity(slot[:, :, None], each, dim=-1) for each in names], -2)
    torch.testing.assert_close(cosines(slot, names, mean), every.mean(-1))
    assert cosines(torch.zeros(1, 1, 16), names, fitting).abs().max() == 0


def test_slots_merge_only_where_they_look_alike():
    assigned = torch.tensor([[[[0, 1, 2]]]])
    patches = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.6, 0.8]])[None, None, None]
    names = torch.tensor([[[1.0, 0.0]], [[0.0, -1.0]]])
    for likeness, groups in ((None, [True, False, False]), (0.8, [True, False, True]), (0.9999, [True, True, True])):
        joined = joint_optimisation(assigned, 3, patches, names, 1, likeness=likeness)
        assert joined.groups.tolist() == [groups]


def test_vocabularies_of_real_data_sets():
    words = real_vocabulary("imagenet_vid", photo_of_a)
    assert len(words.targets) == 30 and "domestic_cat" in words.targets and len(words.background) == 86
    assert {"concrete wall", "sky", "grass"} <= set(words.background)
    assert len(real_vocabulary("youtube_vis").targets) == 40
    with pytest.raises(BadInput, match="imagenet_vid and youtube_vis"):
        real_vocabulary("coco")


def test_slot_sums_are_sums_over_the_patches_of_a_slot():
    patches = torch.randn(2, 4, 3, 3, 5, generator=seeded())
    assigned = torch.randint(3, (2, 2, 3, 3), generator=seeded())
    found = slot_sums(patches, assigned, 4)
    assert not found[:, 3].any() and not cosines(found, torch.eye(5)[:, None])[:, 3].any()
    for b, s in itertools.product(range(2), range(3)):
        expected = sum(patches[b, t][assigned[b, t // 2] == s].sum(0) for t in range(4))
        torch.testing.assert_close(found[b, s], expected)
    fine = slot_sums(patches, assigned.repeat_interleave(2, 2).repeat_interleave(2, 3), 4)
    torch.testing.assert_close(fine, found)  # a finer grid of slots, the same shares
    with pytest.raises(BadInput, match="3 frames"):
        slot_sums(patches[:, :3], assigned, 4)


def test_slots_are_kept_by_their_content_where_it_is_known():
    cosine = torch.tensor([[[0.3, 0.1], [0.1, 0.2], [0.2, 0.9]]])
    content = torch.tensor([[CONTENT + 0.1, CONTENT + 0.2, CONTENT - 0.1]])
    assert wanted(cosine, 2, 0.0, content).tolist() == [[True, True, False]]
    assert wanted(cosine, 2, 0.25, content).tolist() == [[True, False, False]]
    assert wanted(cosine, 2, 0.95, content).tolist() == [[True, False, False]]  # none: the best one with content
    assert wanted(cosine, 2, 0.0, 0 * content).tolist() == [[False, False, True]]  # none at all: the best one
    values = torch.randn(1, 4, 2, 2, 3, generator=seeded())
    assigned = torch.tensor([[[[0, 1], [1, 1]], [[0, 0], [1, 1]]]])
    means = slot_means(values, assigned, 3)
    torch.testing.assert_close(means[0, 0], torch.cat([values[0, :2, 0, 0], values[0, 2:, 0].flatten(0, 1)]).mean(0))
    assert not means[0, 2].any()


def test_content_is_equation_1s_weights():
    clip = tiny()
    model, frames = PatchClip(clip), torch.randint(256, (1, 2, 16, 16, 3), generator=seeded(), dtype=torch.uint8)
    content = Content(model)(frames)
    assert content.shape == (1, 2, 2, 2)
    torch.testing.assert_close(content.sum((2, 3)), torch.full((1, 2), 4.0))
    cls, _ = model.read(clip.normalise(frames[0]))
    patches = model(frames)[0].detach().flatten(1, 2)
    mean = torch.einsum("tm,tme->te", content[0].flatten(1) / 4, patches)
    torch.testing.assert_close(mean, pooled(patches, cls))


def test_kept_are_slots_whose_best_name_is_a_target():
    cosine = torch.tensor([[[0.3, 0.1, 0.2], [0.1, 0.2, 0.3], [0.05, 0.01, 0.0], [-0.1, -0.2, -0.3]]])
    assert wanted(cosine, 2).tolist() == [[True, False, True, False]]
    assert wanted(cosine, 2, 0.1).tolist() == [[True, False, False, False]]
    assert wanted(cosine, 2, 0.9).tolist() == [[True, False, False, False]]  # none: the best one


# --- merging ---------------------------------------------------------------------------------------------------------


def one_pair_at_a_time(assigned, names, kept, offsets):
    """The text's procedure: as long as there is a pair to merge, merge it."""
    assigned, alive = assigned.clone(), [s for s in range(len(names)) if kept[s]]
    while True:
        near = touching(assigned[None], len(names), offsets)[0]
        pairs = [(i, j) for i, j in itertools.combinations(alive, 2) if names[i] == names[j] and near[i, j]]
        if not pairs:
            return assigned, alive
        i, j = pairs[-1]
        assigned[assigned == j] = i
        alive.remove(j)


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), slots=st.integers(2, 7), offsets=st.sampled_from([IN_FRAME, RELEASED]))
def test_merging_is_its_own_fixed_point(seed, slots, offsets):
    generator = seeded(seed)
    assigned = torch.randint(slots, (3, 2, 3, 3), generator=generator)
    names, kept = (torch.randint(2, (3, slots), generator=generator) for _ in "ab")
    kept = kept.bool()
    found, groups = merged(assigned, names, kept, touching(assigned, slots, offsets))
    for b in range(3):
        expected, alive = one_pair_at_a_time(assigned[b], names[b], kept[b], offsets)
        assert torch.equal(found[b], expected) and groups[b].nonzero().flatten().tolist() == alive


def test_neighbours_are_those_of_the_text_or_of_the_code():
    assigned = torch.tensor([[[[0, 1], [3, 2]], [[4, 4], [4, 4]]]])  # (b, u, r, c)
    near = touching(assigned, 5, IN_FRAME)[0]
    assert near[0, 1] and near[1, 2] and near[2, 3] and near[3, 0] and not near[0, 2] and not near[0, 4]
    released = touching(assigned, 5)[0]
    assert released[0, 2] and released[0, 4] and not released[1, 3]  # forward diagonals only
    assert torch.equal(released, released.T)


def test_the_sum_of_two_slots_of_one_name_has_that_name():
    products = torch.randn(50, 2, 31, generator=seeded())
    same = products.argmax(-1)[:, 0] == products.argmax(-1)[:, 1]
    products[~same, 1] = products[~same, 0]
    assert torch.equal(products.sum(1).argmax(-1), products[:, 0].argmax(-1))  # so the code's third condition is idle
    sums = group_sums(torch.arange(8.0).view(1, 4, 2), torch.tensor([[0, 0, 2, 0]]))
    assert sums.tolist() == [[[8.0, 11.0], [0.0, 0.0], [4.0, 5.0], [0.0, 0.0]]]


def test_boxes_of_masks():
    masks = torch.zeros(2, 3, 4, dtype=torch.bool)
    masks[0, 1:, 2] = masks[0, 1, 3] = True
    assert mask_boxes(masks).tolist() == [[2, 1, 4, 3], [0, 0, 0, 0]]
    assert mask_boxes(masks, 8).tolist() == [[16, 8, 32, 24], [0, 0, 0, 0]]


def test_attended_decoder_is_the_direct_reading():
    """Every slot painted by itself at every token, then summed by attention; its gradients, too."""
    torch.manual_seed(0)
    decoder = AttendedDecoder(5, 6, 2, (2, 3), 8, 3).double()
    slots = torch.randn(2, 4, 6, dtype=torch.float64, requires_grad=True)
    scores = torch.randn(2, 4, 12, dtype=torch.float64, requires_grad=True)
    found = []
    for direct in (True, False):
        attention = scores.softmax(1)
        if direct:
            place = decoder.positions(2, 2, 3)
            painted = [decoder.decoder(slots[:, k, None] + place) * attention[:, k, :, None] for k in range(4)]
            features = torch.stack(painted).sum(0)
        else:
            features, masks = decoder(slots, (2, 2, 3), attention)
            assert torch.equal(masks, attention)
        inputs = [slots, scores, *decoder.parameters()]
        found.append([features, *torch.autograd.grad(features.square().sum(), inputs)])
    assert all(torch.allclose(a, b, atol=1e-10) for a, b in zip(*found, strict=True))


def test_counts_are_those_of_the_released_graph():
    found = count_all()
    for name, expected, digits in (
        ("parameters", 89.96, 2), ("trained.parameters", 4.192, 3), ("encoder.macs", 179.4, 1),
        ("grouping.macs", 1.16, 2), ("decoder.macs", 70.9, 1), ("macs", 251.5, 1),
        ("patch_clip.parameters", 94.33, 2), ("patch_clip.trained", 8.140, 3), ("patch_clip.macs", 19.3, 1),
    ):  # fmt: skip
        assert round(found[name], digits) == expected, name


def test_slots_and_patch_clip_run_on_a_gpu_without_mixing_devices():
    """A forward pass of each "on cuda", with no GPU."""
    mode = FakeTensorMode()
    clip, frames = tiny(), torch.randint(256, (2, 16, 16, 3), dtype=torch.uint8)
    readers = [PatchClip(clip), VanillaPatches(clip)]
    slots = [video_slots(decoder) for decoder in (BroadcastDecoder, ChunkedDecoder, AttendedDecoder)]
    features = torch.randn(2, 2, 3, 4, 8)
    with mode:
        move = lambda x: mode.from_tensor(x).to("cuda")  # noqa: E731
        for module in [part for model in (*readers, *slots) for part in model.modules()]:
            for tensors, wrap in ((module._parameters, nn.Parameter), (module._buffers, lambda x: x)):
                for name, value in tensors.items():
                    if value is not None and value.device.type != "cuda":
                        tensors[name] = wrap(move(value))
        features, frames = move(features), move(frames)
        for model in slots:
            tubes = model(features)
            assert reconstruction_loss(tubes, features).device.type == "cuda"
            sums = slot_sums(torch.zeros(2, 2, 6, 8, 5, device="cuda"), tubes.assigned, 3)
            cosine = cosines(sums, torch.zeros(4, 2, 5, device="cuda"))
            near = touching(tubes.assigned, 3)
            tokens, groups = merged(tubes.assigned, cosine.argmax(-1), wanted(cosine, 3), near)
            assert mask_boxes(tokens == 0).device.type == groups.device.type == "cuda"
        for reader in readers:
            assert reader(frames).device.type == "cuda"
        assert patch_loss(readers[0], clip.normalise(frames)).device.type == "cuda"


def test_prompts_of_real_names_are_the_papers():
    assert naming.PROMPTS["photo"]("monkey") == ["a photo of monkey"]
    assert naming.PROMPTS["photo_of_a"]("monkey") == ["a photo of a monkey"]
    assert naming.PROMPTS["synonyms"]("monkey") == ["a photo of monkey", "a photo of ape"]
    assert naming.PROMPTS["synonyms"]("zebra") == ["a photo of zebra"]
    assert naming.spaced(naming.photo)("earless_seal") == ["a photo of earless seal"], "YouTube-VIS, as released"
    words = naming.among_stuff(("monkey", "zebra"), naming.PROMPTS["synonyms"])
    axes = {"a photo of monkey": 0, "a photo of ape": 1, "a photo of zebra": 2}
    clip = SimpleNamespace(text_features=lambda texts: torch.eye(4)[[axes.get(text, 3) for text in texts]])
    names = words.features(clip)
    assert torch.equal(names[1, 0], names[1, 1])  # who has fewer prompts repeats the first
    assert words.over(names @ torch.eye(4)[1]).argmax() == 0, "an ape is a monkey"
