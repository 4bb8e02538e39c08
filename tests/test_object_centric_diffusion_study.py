"""Object-centric diffusion's study: what is measured of an edit, its references and controls, costs, sentences."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from minilib.claims import Measurements, load
from minilib.errors import BadInput
from minilib.models.frame_attention import Pooling, dense
from minilib.models.small_diffusion import LATENT, ddim
from minilib.models.small_diffusion_judge import GUIDANCES
from minilib.papers.object_centric_diffusion import (
    FATEZERO,
    OBJECT_CENTRIC,
    OPTIMIZED,
    costs,
    crossing,
    figures,
    small,
    storage,
)
from minilib.papers.object_centric_diffusion.control import OBJECT_CENTRIC_CONTROL
from minilib.papers.object_centric_diffusion.masks import from_truth, inverted, moved, usable
from minilib.papers.object_centric_diffusion.method import find_object, invert
from minilib.papers.object_centric_diffusion.small import Editing, edits_of, models_of, prompts_of, scores, shortened
from minilib.papers.object_centric_diffusion.study import STUDY
from minilib.papers.object_centric_diffusion.variants import (
    Controlled,
    Edit,
    reconstructed_truth,
    repeated,
    strangers,
    unedited,
)
from minilib.study import Trial
from minilib.study.plan import run_of
from minilib.study.study import load_study

RECIPE = Editing().smoke()


@pytest.fixture(scope="module")
def models():
    return models_of("random")


@pytest.fixture(scope="module")
def edits():
    return edits_of("colour", "medium", 1)


def test_the_study_is_found_by_its_papers_name_and_every_claim_has_a_variant():
    study, claims = load_study("object_centric_diffusion"), load("object_centric_diffusion")
    assert study is STUDY and study.replicates == 64
    known = set(study.metrics())
    for claim in claims.claims:
        if claim.kind == "ordering" and not claim.cost:
            for metric in (*claims.base_metrics(claim), *claims.gate_metrics(claim)):
                assert run_of(metric, known), f"{claim.id}: nothing measures {metric}"
    assert sum(claim.headline for claim in claims.claims) == 5
    for table in STUDY.tables:
        for label, (metric, _) in STUDY.printed(table, claims, "edits").items():
            assert run_of(metric, known), f"{table}, {label}"


def test_every_variant_can_be_described_and_no_two_alike(tmp_path):
    rows = Measurements("object_centric_diffusion", tmp_path, "smoke")
    found = {}
    for metric in STUDY.metrics():
        found.setdefault(str(STUDY.settings(metric, rows)), []).append(metric)
    assert all(len(names) == 1 for names in found.values())


def test_other_weights_have_other_rows(tmp_path, monkeypatch):
    def hashes():
        small.hash_of_weights.cache_clear()
        return Editing().weights, Controlled("colour", OBJECT_CENTRIC_CONTROL).controlnet

    monkeypatch.setattr(small, "weights_file", lambda part: tmp_path / part)
    found = [hashes()]
    for part in ("unet", "controlnet"):
        (tmp_path / part).write_bytes(b"other")
        found.append(hashes())
    small.hash_of_weights.cache_clear()
    first, new_unet, new_controlnet = found
    assert first[0] != new_unet[0] == new_controlnet[0]  # an edit with an inversion has no ControlNet
    assert first[1] == new_unet[1] != new_controlnet[1]


def test_what_is_not_shipped_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(small, "weights_file", lambda part: tmp_path / part)
    with pytest.raises(BadInput, match="UNet is not shipped.*weights=random") as error:
        models_of("shipped", "meta")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "metric", ["colour/object_centric", "depth/object_centric", "colour/mask/words", "ground/fatezero"]
)
def test_a_run_has_all_scores_and_comes_back_bit_by_bit(metric):
    variant = STUDY.smoke().variants[metric]
    state = torch.random.get_rng_state()
    one, two = (variant.run(RECIPE, Trial(2)).metrics for _ in range(2))
    assert set(one) == {"", "outside", "temporal", "clip"} and one == two
    assert torch.equal(state, torch.random.get_rng_state())
    assert variant.run(RECIPE, Trial(5)).metrics != one


def test_references_stand_where_they_must(models, edits):
    found = {
        make.__name__: scores(models, make(models, edits, 1), edits)
        for make in (unedited, reconstructed_truth, repeated, strangers)
    }
    assert scores(models, edits.target.pixels[0], edits)[""] == 100
    assert found["unedited"]["outside"] == 100 and found["unedited"][""] < found["reconstructed_truth"][""]
    assert found["strangers"]["outside"] < found["reconstructed_truth"]["outside"] - 10
    assert found["repeated"]["temporal"] > found["reconstructed_truth"]["temporal"] > found["strangers"]["temporal"] + 3
    half = STUDY.variants["colour/unedited"].run(RECIPE, Trial(1)).metrics
    assert half["halfway"] == pytest.approx(100 - (100 - half[""]) / 2)


def test_clips_of_all_sizes_take_turns_and_prompts_are_words_of_the_text_model():
    shares = [edits_of("colour", None, clip).source.mask.float().mean() for clip in (0, 1, 2)]
    assert shares[0] < shares[1] < shares[2]
    pair = prompts_of(edits_of("colour", None, 0))
    assert len(pair.changed()) == 1 and pair.context == models_of("random").tokens([pair.source]).shape[1]


def test_controls_have_the_area_of_the_mask_and_lie_elsewhere(edits):
    true = from_truth(None, None, edits, None, 1)
    other, rest = moved(None, None, edits, None, 1), inverted(None, None, edits, None, 1)
    assert other.sum() == true.sum() and (other & true).sum() < 0.2 * true.sum() and torch.equal(rest, ~true)
    assert not torch.equal(other, moved(None, None, edits, None, 2))
    for mask in (torch.zeros_like(true), torch.ones_like(true)):
        assert 0.2 < usable(mask).float().mean() < 0.3
    assert torch.equal(usable(true), true)


@pytest.mark.parametrize("pipeline", [FATEZERO, OPTIMIZED, OBJECT_CENTRIC, OBJECT_CENTRIC_CONTROL])
@pytest.mark.parametrize("steps", [1, 2, 3, 7])
def test_pipelines_can_be_cut_short(pipeline, steps):
    few = shortened(pipeline, steps)
    assert few.sampling.steps == steps and shortened(pipeline, None) is pipeline and shortened(pipeline, 99) is pipeline
    if pipeline is OBJECT_CENTRIC_CONTROL:  # nothing was inverted, so the background may not be skipped
        assert few.sampling.gamma == 1 or few.sampling.phi == few.sampling.apart


def test_a_pass_of_the_unet_is_timed_by_its_parts(models, edits):
    """The parts of Fig. 6.2, and what is said of the thesis' observations."""
    latents = models.encode(edits.source.pixels[0])
    rest, attention, maps = costs.seconds_of_pass(models, latents, edits.source.prompts[0], dense)
    assert rest > 0 and attention > 0 and maps >= 0
    said = figures.bottleneck_line({"own frame": (3.0, 1.0, 1.0), "dense": (3.0, 5.0, 9.0)})
    assert "20 % (own frame), 53 % (dense) of a step that stores them: more than half with dense." in said[0]
    assert "25 % (own frame), 62 % (dense): as much as all the rest with dense." in said[1]
    assert "takes 2.0 times as long" in said[2]
    assert "more than half with none" in figures.bottleneck_line({"own frame": (1, 1, 1), "dense": (1, 1, 1)})[0]


def test_costs_are_taken_in_turns_and_stored_maps_are_counted(models, tmp_path):
    few = {name: shortened(pipeline, 2) for name, pipeline in costs.INVERTING.items()}
    found = {name: costs.cost_of_edit(models, 0, pipeline, "small") for name, pipeline in few.items()}
    assert found["object_centric"]["maps"] < found["optimized"]["maps"] < found["steps20"]["maps"]
    assert found["fatezero"]["maps"] == found["steps20"]["maps"]  # as many steps here
    for each in found.values():
        assert 0 < each["unet"] < each["total"] == pytest.approx(each["inversion"] + each["generation"])
    order = []
    calls = {name: (lambda name=name: order.append(name) or {"total": 1.0}) for name in "ab"}
    rounds = costs.in_turns(calls, 2, warmup=0)
    assert rounds == {"total": [{"a": 1.0, "b": 1.0}] * 2} and order == ["a", "b", "b", "a"]


def test_hypothetical_crops_are_squares_in_the_middle():
    for side in (4, 8, 12):
        thing = costs.square(side)
        assert (
            thing.mask[0].sum() == side**2
            and not thing.region.outside(torch.zeros(8, 1, LATENT, LATENT))[:, :, thing.mask[0]].any()
        )


def test_ways_of_attention_agree_where_they_must():
    tokens, query = torch.randn(1, 512, 64), torch.randn(1, 16, 64)
    fused, stored, merged = (way(query, tokens) for way in (crossing.fused, crossing.stored, crossing.merged))
    assert torch.allclose(fused, stored, atol=1e-3) and not torch.allclose(fused, merged)
    assert fused.shape == merged.shape
    rounds = crossing.attention_rounds("cpu", 1, ((512, 64, 256),))["attention"]
    assert set(rounds[0]) == {"fused_512_64_256", "stored_512_64_256", "merged_512_64_256"}


def test_the_cost_model_has_its_ends():
    assert figures.expected_speedup(1.0, 0.1, 1) == 1 and figures.expected_speedup(0.0, 0.25, 1) == 4
    table = figures.expected_speedups((0.5, 0.05), (48, 16))
    assert table[0.5, 48] == pytest.approx(1.29, abs=0.03) and table[0.05, 16] > table[0.05, 48] > table[0.5, 48]


def test_tokens_lie_where_merging_says_so(edits):
    latents = torch.randn(8, 4, LATENT, LATENT, generator=torch.Generator().manual_seed(0))  # no place is special
    maps = {}
    for name, eta in (("plain", 1.0), ("spared", 0.1)):
        pipeline = replace(OPTIMIZED, merging=replace(OPTIMIZED.merging, eta=eta))
        thing = find_object(edits.source.mask[0], latents, replace(pipeline, sampling=OBJECT_CENTRIC.sampling))
        maps[name] = figures.token_map(latents, thing, pipeline)
        assert maps[name].shape == (8, LATENT, LATENT) and (maps[name] > 0).sum() == 64
        assert ((maps[name] == 2).flatten(1).sum(1) == 4).all()
    inside = [((each > 0) & thing.mask).sum() for each in maps.values()]
    assert inside[1] > 2 * inside[0] and "plain" in figures.spared_line(maps, thing.mask)


@pytest.mark.parametrize(
    ("kind", "gained", "said"),
    [
        ("colour", 20.0, "leaves 20 % of the error that the unedited video has, less than half, so"),
        ("shape", 3.0, "leaves 88 % of the error that the unedited video has, more than half: the baseline fails"),
        ("ground", 12.5, "leaves 50 % of the error that the unedited video has. Whether that is less than half cannot"),
    ],
)
def test_whether_the_baseline_edits_is_said_by_the_gate_of_its_claims(kind, gained, said):
    part, half = ("/outside", "halfway_outside") if kind == "ground" else ("", "halfway")
    scatter = {clip: 5.0 * (-1) ** clip for clip in range(64)}
    rows = {
        f"edits/{kind}/unedited{part}": dict.fromkeys(range(64), 75.0),
        f"edits/{kind}/unedited/{half}": dict.fromkeys(range(64), 87.5),
        f"edits/{kind}/fatezero{part}": {clip: 75 + gained + each for clip, each in scatter.items()},
    }
    assert said in figures.baseline_line(rows, kind)
    few = {metric: {clip: each[clip] for clip in range(9)} for metric, each in rows.items()}
    assert "9 clips cannot say" in figures.baseline_line(few, kind)
    assert "not measured yet" in figures.baseline_line({}, kind)


def test_lines_of_a_table_are_compared_on_the_clips_that_all_have():
    table = {"a": ("edits/a", 1.0), "b": ("edits/b", None), "c": ("edits/c", 3.0)}
    rows = {"edits/a": {0: 1.0, 1: 2.0, 2: 3.0}, "edits/b": {2: 9.0, 1: 8.0}, "edits/d": {7: 0.0}}
    assert figures.on_shared_clips(table, rows) == {"edits/a": {1: 2.0, 2: 3.0}, "edits/b": {1: 8.0, 2: 9.0}}
    assert figures.on_shared_clips(table, {}) == {}
    assert figures.on_shared_clips(table, rows | {"edits/c": {5: 1.0}}) == {}


def test_from_how_many_keys_on_merging_pays_is_said_from_rows():
    assert "not timed yet" in figures.crossing_line({})
    rows = {}
    for i, shape in enumerate(crossing.SHAPES):
        for way, took in (("fused", 1.0), ("stored", 2.0 + i), ("merged", 2.0 if i < 4 else 0.5)):
            rows[f"cost/attention.{way}_{crossing.named(*shape)}"] = {0: took, 1: took, 2: 99.0}
    said = figures.crossing_line(rows)
    assert "timed at five sizes" in said and "2.0 to 6.0 times as long" in said
    assert "at 8,192 keys of width 320 and 4,096 queries." in said
    assert (
        "timed at four sizes. It is faster than fused attention over all keys at none of them."
        in figures.crossing_line({k: v for k, v in rows.items() if "_320_" not in k})
    )


@pytest.mark.parametrize("pipeline", [FATEZERO, OPTIMIZED, OBJECT_CENTRIC], ids=["fatezero", "optimized", "centric"])
def test_the_small_models_maps_take_what_sizes_say(pipeline, models, edits):
    few = shortened(pipeline, 4)
    latents = models.encode(edits.source.pixels[0])
    thing = find_object(edits.source.mask[0], latents, few)
    kept = invert(models, latents, ddim(), edits.source.prompts[0], few, thing).kept
    assert kept.bytes == storage.counted_maps(models, few, thing)


def test_sentences_are_made_of_rows():
    rows = {
        "cost/total.a": {0: 4.0, 1: 6.0},
        "cost/total.b": {0: 2.0, 1: 2.0},
    }
    alone = figures.baseline_line({"edits/colour/fatezero": {0: 90.0}}, "colour")
    assert "cannot be said yet" in alone and "not measured yet" not in alone
    assert "3.00 times (2.00 to 3.00 over 2 rounds)" in figures.ratio_line(rows, "total.a", "total.b", "x")
    assert figures.stored_line({"all": 30.0, "few": 3.0}, "all", "few").startswith("Few stores 10 times less than all")
    assert "More than half of it is left by b:" in figures.edited_line({"a": 10.0, "b": 21.0}, 40.0)
    assert "a comes nearest" in (said := figures.edited_line({"a": 10.0, "b": 20.0}, 40.0)) and "All of them" in said
    assert "not timed yet" in figures.ratio_line(rows, "total.a", "total.c", "x")


def test_pooled_pipelines_have_pooled_keys(models, edits):
    few = shortened(STUDY.variants["colour/average"].pipeline, 2)
    assert isinstance(few.merging, Pooling)
    whole = costs.cost_of_edit(models, 0, shortened(FATEZERO, 2), "small")["maps"]
    assert costs.cost_of_edit(models, 0, few, "small")["maps"] < 0.5 * whole
    video = Edit("colour", few).edited(edits, models, RECIPE, 0)
    assert video.shape == edits.source.pixels[0].shape


def test_the_judge_grades_at_the_guidance_of_edits():
    assert {FATEZERO.guidance, OBJECT_CENTRIC.guidance} < set(GUIDANCES)
