"""Long video by chunks: scripts, sharing against plain loops, rivals, and metrics on videos that are known."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from diffusers.models.attention_processor import Attention

from minilib.claims import Measurements, load
from minilib.claims.intervals import Sample
from minilib.claims.said import paired
from minilib.errors import BadInput
from minilib.models.frame_attention import dense
from minilib.models.second_clip import second_clip
from minilib.models.small_diffusion import dpm, generate
from minilib.papers.long_video import (
    Chunked,
    chunk_by_chunk,
    dense_memory,
    figures,
    independent,
    method,
    nothing,
    quality,
    said,
    sharing,
    sparse_memory,
    variants,
)
from minilib.papers.long_video.script import Script, by_hand, by_model, by_rule, control_maps, rendered, written
from minilib.papers.long_video.study import STUDY
from minilib.papers.object_centric_diffusion.small import models_of
from minilib.study import Trial, load_study
from minilib.study.plan import run_of
from minilib.world.vocabulary import COLOURS, GROUNDS, SHAPES, held_out_colour

META = "a red star on sand : moving right , moving down then turning blue moving left"
STEPS = Chunked(steps=2)


@pytest.fixture(scope="module")
def models():
    """Random weights, and a ControlNet that says something."""
    made = models_of("random", controlnet=True)
    generator = torch.Generator().manual_seed(1)
    for parameter in made.controlnet.parameters():
        parameter.add_(0.03 * torch.randn(parameter.shape, generator=generator))
    return made


@pytest.fixture(scope="module")
def script():
    return written(*by_rule(META), frames=2)


@pytest.fixture(scope="module")
def inputs(script):
    """Prompts, maps and noise of three chunks."""
    noise = torch.randn((3, 1, 4, 16, 16), generator=torch.Generator().manual_seed(0))
    return script.prompts, control_maps(script), noise


def together(models, inputs, how):
    return torch.stack(list(chunk_by_chunk(models, *inputs, how, dpm)))


# --- scripts ---------------------------------------------------------------------------------------------------------


def test_words_become_positions_and_an_evolving_prompt():
    made = written(*by_rule(META), frames=2, start=(0.3, 0.4), step=0.2)
    assert made.prompts == ("a red star on sand", "a red star on sand", "a blue star on sand")
    wanted = [[[0.4, 0.4], [0.5, 0.4]], [[0.5, 0.5], [0.5, 0.6]], [[0.4, 0.6], [0.3, 0.6]]]
    torch.testing.assert_close(made.positions, torch.tensor(wanted))
    assert written("a red star on sand", ["it stays still"], 3).positions.diff(dim=1).abs().max() == 0
    assert made.said[:, 0].tolist() == [COLOURS.index("red"), COLOURS.index("red"), COLOURS.index("blue")]


class Replies:
    def __init__(self, reply):
        self.reply = reply

    def complete(self, prompt, most):
        assert "3 steps" in prompt and META in prompt
        return self.reply


def test_a_language_model_may_split_the_prompt():
    subject, steps = by_model(
        META, "a red star on sand", 3, Replies("Sure!\n1. It moves right.\n2. Down\n3. to the left")
    )
    assert torch.equal(written(subject, steps, 2).positions, written(*by_rule(META), 2).positions)
    with pytest.raises(BadInput, match="no step 2 of 3"):
        by_model(META, "a red star on sand", 3, Replies("1. right\n3. up"))


def test_maps_lie_where_the_script_says():
    middle, off = torch.tensor([[[0.5, 0.5]]]), torch.tensor([[[0.5 + 8 / 64, 0.5]]])
    one, other = (control_maps(Script(("a red circle on sand",), at)) for at in (middle, off))
    assert one.shape == (1, 1, 2, 64, 64) and one[:, :, 1].max() == 0
    depth = one[0, 0, 0]
    assert torch.equal(depth, depth.flip(0)) and torch.equal(depth, depth.flip(1))
    assert depth.sum().item() == pytest.approx(torch.pi * (0.95 * 0.16 * 64) ** 2, rel=0.03)
    assert torch.equal(other[0, 0, 0], depth.roll(8, 1))
    middles = quality.centres(control_maps(written(*by_rule(META), 4))[:, :, 0] > 0)
    assert (middles[:, :, 0] - written(*by_rule(META), 4).positions[..., 0]).abs().max() < 1 / 64


def test_chunks_by_hand_are_those_of_the_positions():
    path = torch.linspace(0.3, 0.7, 6)[:, None].expand(-1, 2)
    made = by_hand(["a red star on sand"] * 3, path, 2)
    assert torch.equal(made.positions.flatten(0, 1), path)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: by_hand([], torch.zeros(4, 2), 5), "a chunk of 5 frames of a script of 4"),
        (lambda: by_hand(["a red star on sand"], torch.zeros(4, 2), 3), "no whole number of chunks"),
        (lambda: Script((), torch.zeros(0, 2, 2)), "0 prompts"),
        (lambda: Script((" ",), torch.full((1, 2, 2), 0.5)), "an empty prompt"),
        (lambda: Script(("a star on sand",), torch.full((1, 2, 2), 0.5)), "0 words for a colour"),
        (lambda: written("a red star on sand", ["up"], 2), r"chunk 1, frame 1.*leaves the frame"),
        (lambda: written("a red star on sand", ["moving on"], 2), "one direction of right"),
        (lambda: written("a red star on sand", ["right"], 0), "frames=0"),
        (lambda: by_rule("a red star on sand"), "behind a colon"),
        (lambda: Chunked(held=-1), "held 0 or more"),
        (lambda: Chunked(maps=0.5, seen=dense_memory), "share maps, or tokens"),
        (lambda: Chunked(motion=0.5, held=1), "the one or the other"),
    ],
)
def test_bad_scripts_are_one_line(wrong, said):
    with pytest.raises(BadInput, match=said) as error:
        wrong()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda p, m, n: ((), m[:0], n[:0]), "zero chunks"),
        (lambda p, m, n: (("a red star on sand", "", "a red star on sand"), m, n), "chunk 2 is empty"),
        (lambda p, m, n: (p, m[:2], n), "control maps"),
        (lambda p, m, n: (p, m, n[:2]), "noise"),
    ],
)
def test_bad_inputs_are_one_line_before_the_first_step(models, inputs, change, said):
    for make in (chunk_by_chunk, independent):
        with pytest.raises(BadInput, match=said):
            make(models, *change(*inputs), STEPS, dpm)
    with pytest.raises(BadInput, match="no ControlNet"):
        chunk_by_chunk(replace(models, controlnet=None), *inputs, STEPS, dpm)
    with pytest.raises(BadInput, match="held=3"):
        chunk_by_chunk(models, *inputs, replace(STEPS, held=3), dpm)


# --- sharing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seen", [nothing, dense_memory, sparse_memory, sharing.own_memory])
@pytest.mark.parametrize("frames", [1, 3])
def test_shared_tokens_are_those_of_a_loop(seen, frames):
    torch.manual_seed(0)
    layer = Attention(query_dim=8, heads=2, dim_head=4).eval()
    chunks = torch.randn(3, 2, frames, 5, 8)  # k, b, t, n, d
    memory = sharing.Memory(time=7, seen=seen)
    for chunk, hidden in enumerate(chunks):
        memory.chunk = chunk
        processor = sharing.ChunkAttention("layer", frames, dense, memory)
        found = processor(layer, hidden.flatten(0, 1)).unflatten(0, (2, frames))
        wanted = torch.empty_like(found)
        others = {
            nothing: [],
            dense_memory: [(c, t) for c in {0, chunk - 1} if chunk for t in range(frames)],
            sparse_memory: [(0, 0), (chunk - 1, frames - 1)][: 1 if chunk == 1 and frames == 1 else 2] if chunk else [],
            sharing.own_memory: [(chunk, t) for t in range(frames)],
        }[seen]
        for b in range(2):
            context = torch.cat([*hidden[b], *(chunks[c, b, t] for c, t in others)])
            for t in range(frames):
                q, k, v = layer.to_q(hidden[b, t]), layer.to_k(context), layer.to_v(context)
                heads = [(q[:, s] @ k[:, s].T / 2).softmax(-1) @ v[:, s] for s in (slice(0, 4), slice(4, 8))]
                wanted[b, t] = layer.to_out[0](torch.cat(heads, -1))
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_without_sharing_chunks_are_independent_ones(models, inputs):
    apart = independent(models, *inputs, STEPS, dpm)
    torch.testing.assert_close(together(models, inputs, STEPS), apart, rtol=1e-3, atol=1e-4)
    own = replace(STEPS, seen=sharing.own_memory)
    torch.testing.assert_close(together(models, inputs, own), apart, rtol=1e-3, atol=1e-4)


def test_one_chunk_of_one_frame_is_plain_generation(models, inputs):
    prompts, maps, noise = inputs
    latents = next(
        chunk_by_chunk(models, prompts[:1], maps[:1, :1], noise[:1], Chunked(seen=dense_memory, steps=3), dpm)
    )
    plain = generate(models, prompts[:1], noise[0], maps[0, :1], steps=3, guidance=7.5)
    assert (models.decode(latents).int() - plain.int()).abs().max() <= 1


@pytest.mark.parametrize(
    "more",
    [{"seen": dense_memory}, {"seen": sparse_memory}, {"held": 1}, {"maps": 0.5}],
    ids=lambda more: next(iter(more)),
)
def test_sharing_begins_at_the_second_chunk_and_leaves_nothing_behind(models, inputs, more):
    before = dict(models.unet.attn_processors)
    found, apart = together(models, inputs, replace(STEPS, **more)), together(models, inputs, STEPS)
    torch.testing.assert_close(found[0], apart[0], rtol=1e-3, atol=1e-4)
    assert (found[1:] - apart[1:]).abs().amax((1, 2, 3, 4)).min() > 1e-3
    assert models.unet.attn_processors == before


@pytest.mark.parametrize("more", [{"maps": 0.7}, {"motion": 0.7}])
def test_maps_and_motion_of_the_same_chunk_change_nothing(models, inputs, more):
    same = [x[:1] * 2 if isinstance(x, tuple) else x[:1].expand(2, *x.shape[1:]) for x in inputs]
    found = together(models, same, replace(STEPS, **more))
    torch.testing.assert_close(found[1], found[0], rtol=1e-3, atol=1e-4)


def test_maps_are_mixed_with_what_the_chunk_before_used():
    memory, maps = sharing.Memory(time=3), torch.rand(3, 2, 2, 1, 4, 8)  # k, b, t, c, n, m
    shares, found = sharing.SharedMaps(memory, 0.25), []
    for memory.chunk, own in enumerate(maps):
        found.append(shares("layer", False, own))
    assert torch.equal(found[0], maps[0])
    for chunk in (1, 2):
        torch.testing.assert_close(found[chunk], 0.25 * found[chunk - 1] + 0.75 * maps[chunk])


@pytest.mark.parametrize("strength", [0.25, 1.0])
def test_means_of_frames_change_as_in_the_chunk_before(strength):
    torch.manual_seed(0)
    block, memory, videos = torch.nn.Identity(), sharing.Memory(), torch.randn(2, 2, 3, 4, 5, 5)  # k, b, t, d, h, w
    with sharing.shared_motion(block, 3, memory, strength):
        found = []
        for memory.chunk, video in enumerate(videos):
            found.append(block(video.flatten(0, 1)).unflatten(0, (2, 3)))
    assert not block._forward_hooks and torch.equal(found[0], videos[0])
    for b in range(2):
        for t in range(3):
            old, new = (video[b, t].mean((1, 2)) - video[b, 0].mean((1, 2)) for video in videos)
            shift = strength * (old - new)
            torch.testing.assert_close(found[1][b, t], videos[1, b, t] + shift[:, None, None])


def test_held_frames_stay_what_they_are(models, inputs):
    prompts, maps, noise = inputs
    held = torch.full((1, 4, 16, 16), 0.5)
    memory = sharing.Memory(chunk=1, held=1)
    found = method.sampled(models, prompts[:1], maps[:1], noise[:1], STEPS, dpm, memory, held)
    assert torch.equal(found[0, :1], held) and found.shape[1] == maps.shape[1]


def test_held_frames_have_the_noise_of_each_step_and_their_own_control_maps(models, inputs):
    _, maps, noise = inputs
    seen, read = [], []
    hooks = [
        models.unet.register_forward_pre_hook(lambda module, given: seen.append(given[:2])),
        models.controlnet.register_forward_pre_hook(
            lambda module, given, named: read.append(named["controlnet_cond"]), with_kwargs=True
        ),
    ]
    made = together(models, inputs, replace(STEPS, held=1))
    for hook in hooks:
        hook.remove()
    assert len(seen) == len(read) == 3 * STEPS.steps
    for call in range(STEPS.steps, len(seen)):
        chunk, (latents, time), control = call // STEPS.steps, seen[call], read[call]
        level = dpm().alphas_cumprod[int(time)]
        wanted = level.sqrt() * made[chunk - 1, -1] + (1 - level).sqrt() * noise[chunk, 0]
        for half in (slice(0, 3), slice(3, 6)):  # without text, with it; the held frame first
            torch.testing.assert_close(latents[half][0], wanted)
            assert torch.equal(control[half], torch.cat([maps[chunk - 1, -1:], maps[chunk]]))


def test_only_the_first_and_the_last_chunk_are_remembered():
    memory = sharing.Memory()
    for chunk in range(4):
        memory.chunk = chunk
        memory.keep("layer", torch.tensor(chunk))
        memory.forget(chunk)
    assert {place[0] for place in memory.kept} == {0, 3}
    with pytest.raises(BadInput, match="left nothing at time 5"):
        replace(memory, time=5).of(0, "layer")


# --- metrics ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ground", GROUNDS)
def test_the_tracker_finds_every_object_of_the_rendered_truth(ground):
    path = torch.tensor([[[0.3, 0.6], [0.55, 0.4]]])
    for colour in COLOURS:
        for shape in SHAPES:
            pixels, mask = rendered(Script((f"a {colour} {shape} on {ground}",), path), texture=3)
            found = quality.stands_out(pixels[0], torch.tensor([GROUNDS.index(ground)] * 2))
            assert (quality.centres(found) - quality.centres(mask[0])).abs().max() < 0.75 / 64, (colour, shape)


def test_an_object_that_is_not_there_is_not_found():
    bare = rendered(Script(("a red star on sand",), torch.full((1, 1, 2), 0.5)))[0][0].clone()
    bare[:] = bare[:, :8].repeat(1, 8, 1, 1)
    found = quality.stands_out(bare, torch.tensor([GROUNDS.index("sand")]))
    assert not found.any() and quality.centres(found).isnan().all()
    assert quality.gone(quality.centres(found)[None].expand(1, 2, 2), torch.tensor([[[0.3, 0.3], [0.6, 0.3]]])) == 0


def test_ways_are_measured_against_those_of_the_script():
    right = torch.tensor([[[0.3, 0.3], [0.6, 0.3]]]).repeat(4, 1, 1)
    ways = torch.tensor([0.3, 0.15, 0.0, -0.3])
    found = right.clone()
    found[:, 1, 0] = 0.3 + ways
    torch.testing.assert_close(quality.gone(found + 0.1, right), torch.tensor([1.0, 0.5, 0.0, 0.0]))


def test_a_static_video_wins_consistency_and_loses_motion():
    made, clip = variants.script_of(1, "val", 2, 3), second_clip()
    truth, static = (variants.scores(clip, make(made, 1), made) for make in (variants.truth, variants.first_frame))
    assert static["temporal"] == pytest.approx(100, abs=1e-3) and truth["temporal"] < 99.5
    assert static["motion"] == 0 and truth["motion"] > 95
    back = variants.scores(clip, variants.backward(made, 1), made)
    assert back["temporal"] == pytest.approx(truth["temporal"], abs=1e-3)
    assert truth[""] == 100 > static[""] and static["fidelity"] == truth["fidelity"] == 100


def test_the_truth_has_one_texture_and_the_ground_stays():
    made = variants.script_of(2, "val", 2, 2)
    stripes, mask = rendered(made, 1)
    dots, moved = rendered(made, 2)[0], rendered(made, 1, (0.3, 0.3))[0]
    assert quality.truth_reached(stripes, made) == quality.truth_reached(dots, made) == [100, 100]
    first, second = quality.truth_reached(torch.stack([stripes[0], dots[1]]), made)
    assert min(first, second) < 97
    assert min(quality.ground_kept(stripes, mask)) > 99
    still, other = quality.ground_kept(torch.stack([stripes[0], moved[1]]), mask)
    assert still > 99 > 96 > other


def test_the_ladder_knows_what_it_made():
    made = variants.script_of(3, "val", 2, 4)
    assert torch.equal(variants.of_quality(made, 1.0, 1.0, 3), variants.truth(made, 3))
    half = variants.of_quality(made, 1.0, 0.5, 3)
    assert (half == variants.truth(made, 3)).flatten(2).all(-1).sum() == 4
    still = variants.of_quality(made, 0.0, 1.0, 3)
    assert torch.equal(still[:1, :1].expand_as(still), still)
    found = variants.Ladder((0.0, 1.0)).run(variants.Length(2, 4, 1, "random"), Trial(3, split="val")).metrics
    assert found["motion_known_fidelity"] == 0 and found["fidelity_known_fidelity"] == pytest.approx(100)
    assert found["motion_motion"] > 85 and found["motion_temporal"] < 0 and found["fidelity_fidelity"] > 85
    assert variants.correlation([0, 1, 2], [3, 3, 3]) == 0


# --- the study -------------------------------------------------------------------------------------------------------


def test_scripts_of_the_study_are_walks_of_pairs_seen_in_training():
    for number in range(20):
        long, short = (variants.script_of(number, "test", chunks, 4) for chunks in (8, 3))
        assert torch.equal(long.positions[:3], short.positions)
        colour, shape, _ = long.said[0].tolist()
        assert held_out_colour(shape) != colour
    assert len({variants.script_of(n, "test", 1, 1).prompts for n in range(20)}) > 15
    assert torch.equal(variants.noise_of(3, 8)[:2], variants.noise_of(3, 2))


def test_the_study_measures_every_claim_and_no_two_variants_alike(tmp_path, monkeypatch):
    study, claims = load_study("long_video"), load("long_video")
    known = set(study.metrics())
    for claim in claims.claims:
        for metric in (*claims.base_metrics(claim), *claims.gate_metrics(claim)):
            assert run_of(metric, known), f"{claim.id}: nothing measures {metric}"
    rows = Measurements("long_video", tmp_path, "smoke")
    settings = [str(study.settings(metric, rows)) for metric in study.metrics()]
    assert len(set(settings)) == len(settings)


@pytest.mark.parametrize("name", ["dense", "one_noise", "static", "strangers"])
def test_a_run_has_all_scores_and_comes_back_bit_by_bit(name):
    variant, recipe = STUDY.smoke().variants[name], STUDY.smoke().recipes["videos"]
    first, again = (variant.run(recipe, Trial(2)).metrics for _ in range(2))
    assert first == again
    assert {"", "temporal", "clip", "fidelity", "motion", "ground", "truth1", "truth2", "ground2"} == first.keys()
    assert all(-100 <= value <= 100.01 for value in first.values())


def test_known_quality_rises_with_the_levels():
    made = variants.script_of(5, "val", 2, 4)
    found = [quality.motion(variants.of_quality(made, level, 1.0, 5), made) for level in (0.0, 0.5, 1.0)]
    assert all(a < b for a, b in pairwise(found))


# --- sentences and pictures ------------------------------------------------------------------------------------------


def test_sentences_follow_from_numbers():
    assert said.prefers("It", 70, 100).endswith("prefers the static one.")
    assert said.prefers("It", 70, 0).endswith("prefers the one that moves.")
    assert said.prefers("It", 70, 70).endswith("prefers neither.")
    names, truth = ("v/a", "v/b", "v/c"), {"v/a": 1.0, "v/b": 2.0, "v/c": 3.0}
    rows = {name: dict.fromkeys(range(4), truth[name]) for name in names}
    rows |= {f"{name}/good": {seed: truth[name] + seed for seed in range(4)} for name in names}
    rows |= {f"{name}/bad": dict.fromkeys(range(4), -truth[name]) for name in names}
    over_all, within = said.agreement(rows, names, "good")
    assert within.mean == pytest.approx(1) and within.n == 4 and 0 < over_all < 1
    assert said.agrees("It", said.agreement(rows, names, "bad")).endswith("against the truth.")
    rows |= {f"{name}/always": dict.fromkeys(range(4), 100.0) for name in names}
    assert said.agrees("It", said.agreement(rows, names, "always")).endswith("not clearly with the truth.")
    mixed = rows | {f"v/{x}/always": {0: 100.0, 1: 100.0, 2: 100.0, 3: truth[f"v/{x}"]} for x in "abc"}
    assert said.agreement(mixed, names, "always")[1].mean == pytest.approx(1 / 4)
    assert said.agrees("It", said.agreement(rows, (*names, "v/d"), "good")) == "It: not measured yet."


def test_paired_differences_say_no_more_than_their_intervals():
    labels = {"v/a": "first", "v/b": "second"}
    rows = {"v/a": {0: 1.0, 1: 2.0, 2: 3.0}, "v/b": {0: 2.0, 1: 3.1, 2: 3.9, 3: 9.0}}
    assert said.measured(rows, labels) == "Measured: 3 to 4 videos by each variant."
    assert "Not measured yet: third" in said.measured(rows, labels | {"v/c": "third"})
    assert said.measured({}, labels).startswith("No video is measured yet")
    up, noise = paired(rows, "v/b", "v/a"), Sample.of([-1.0, 1.0, 0.5])
    assert up.n == 3 and up.mean == pytest.approx(1) and paired(rows, "v/b", "v/c") is None
    table = said.differences({"second": {"ground": up, "truth": None}}, "against the first")
    assert table.header == ("against the first", "ground", "truth")
    assert table.rows[0][1].startswith("+1.0 (+0.") and table.rows[0][2] == "not measured"
    assert "one leaves out zero: second, *ground*, +1.0." in said.clear({"second": {"ground": up, "truth": noise}})
    assert said.clear({"second": {"truth": noise}}).startswith("Of one interval none leaves out zero")
    assert said.clear({"second": {"truth": None}}) == "Nothing is compared yet."
    assert "up to 1.1 points" in said.unchanged(rows, "v/a", "v/b", "They")
    assert said.unchanged(rows, "v/a", "v/a", "They").endswith("rounding, and nothing else.")
    assert said.unchanged(rows, "v/a", "v/c", "They") == "They: not measured yet."


STILL = {"videos/static/motion": {0: 0.0}, "videos/static/temporal": {0: 100.0}}


def test_pictures_take_what_is_there():
    labels, rows = {"videos/dense": "dense", "videos/sparse": "sparse"}, {"videos/dense/motion": {0: 50.0}}
    rows |= {"videos/dense/temporal": {0: 80.0}, "videos/dense/ground2": {0: 90.0}}
    whole, enlarged = figures.against(rows | STILL, labels | {"videos/static": "still"}, "motion", "temporal").axes
    assert len(whole.lines) == 2 and len(enlarged.lines) == 1
    assert "dense" in [text.get_text() for text in enlarged.texts]
    assert len(figures.against({}, labels, "motion", "temporal").axes[0].lines) == 0
    assert len(figures.growth(rows, labels).axes) == 2
    assert "script" in [text.get_text() for text in figures.idea().axes[0].texts]
