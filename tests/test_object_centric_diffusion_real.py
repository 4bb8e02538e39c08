"""Object-centric diffusion on files: Stable Diffusion from a folder, the chapter's clips and prompts, one's own mp4."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from PIL import Image
from transformers import CLIPTextConfig, CLIPTextModel

from minilib.batch.executed import code_cells, read_notebook
from minilib.errors import BadInput
from minilib.files import NOTEBOOKS
from minilib.manifests import resolve
from minilib.models.small_diffusion import ddim
from minilib.notebook import check_parameters
from minilib.papers.object_centric_diffusion import FATEZERO, OBJECT_CENTRIC, own, real, real_control, replacing
from minilib.papers.object_centric_diffusion.control import OBJECT_CENTRIC_CONTROL
from minilib.papers.object_centric_diffusion.own import Editor, edit_file, read_mask
from minilib.papers.object_centric_diffusion.small import models_of, shortened, word_prompts
from minilib.video import read_frames, write_video
from minilib.world import edit_batch


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Stable Diffusion's parts, as diffusers lays them out, at a small size."""
    path, state = tmp_path_factory.mktemp("diffusion"), torch.random.get_rng_state()
    torch.manual_seed(0)
    UNet2DConditionModel(
        cross_attention_dim=16,
        attention_head_dim=2,
        block_out_channels=(32,) * 4,
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    ).save_pretrained(path / "unet")
    AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(32,) * 4,
    ).save_pretrained(path / "vae")
    sizes = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
    CLIPTextModel(CLIPTextConfig(**sizes)).save_pretrained(path / "text_encoder")
    DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear").save_pretrained(path / "scheduler")
    (path / "model_index.json").write_text("{}")
    torch.random.set_rng_state(state)
    return path


@pytest.fixture(scope="module")
def davis_root(tmp_path_factory):
    root, rng = tmp_path_factory.mktemp("davis"), np.random.default_rng(0)
    (root / "ImageSets" / "2017").mkdir(parents=True)
    for split, name in (("train", "bear"), ("val", "blackswan")):
        (root / "ImageSets" / "2017" / f"{split}.txt").write_text(f"{name}\n")
        for kind in ("JPEGImages", "Annotations_unsupervised"):
            (root / kind / "480p" / name).mkdir(parents=True)
        for t in range(9):
            pixels = rng.integers(0, 256, (80, 96, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / "JPEGImages" / "480p" / name / f"{t:05}.jpg")
            identities = np.zeros((80, 96), np.uint8)
            identities[30:50, 40:60] = 1
            picture = Image.fromarray(identities, "P")
            picture.putpalette([0, 0, 0, 200, 0, 0])
            picture.save(root / "Annotations_unsupervised" / "480p" / name / f"{t:05}.png")
    return root


def test_a_folder_of_diffusers_edits_davis_end_to_end(folder, davis_root, tmp_path):
    models, scheduler = real.stable_diffusion(folder)
    assert scheduler.config.timestep_spacing == "leading" and scheduler.config.steps_offset in (0, 1)
    for pipeline, count in ((OBJECT_CENTRIC, 2), (FATEZERO, 1)):
        found = real.edit_davis(
            models, scheduler, davis_root, pipeline, tmp_path, pixels=128, max_steps=2, max_clips=count
        )
        assert len(found) == count and {each.pair.video for each in found} <= {"blackswan", "bear"}
        assert read_frames(found[0].path, list(range(8))).shape == (8, 256, 128, 3)
    with pytest.raises(BadInput, match="no folder unet"):
        real.stable_diffusion(tmp_path)
    with pytest.raises(BadInput, match="cannot be read"):
        (tmp_path / "broken").mkdir()
        for part in real.LAYOUT:
            (tmp_path / "broken" / part).mkdir()
        real.stable_diffusion(tmp_path / "broken")


def test_page_10_finds_davis_and_weights_below_data_root_as_other_pages_do(folder, davis_root, tmp_path, capsys):
    sources = code_cells(read_notebook(NOTEBOOKS / "10_object_centric_diffusion.ipynb"))
    (check,) = [source.split("measurements =")[0] for source in sources if source.startswith("params = check_param")]
    (last,) = [source for source in sources if "real.edit_davis(" in source]
    (settings,) = [source for source in sources if source.startswith("scale: str")]
    names = dict(check_parameters=check_parameters, resolve=resolve, real=real, RANDOM="random")
    names |= dict(OBJECT_CENTRIC=OBJECT_CENTRIC)
    exec(settings, names)
    names |= dict(scale="paper", device="cpu", data_root=str(tmp_path / "data"), out_dir=str(tmp_path / "out"))
    names |= dict(pixels=128, max_steps=2, max_clips=1)
    (tmp_path / "data").mkdir()
    for name, there in (("davis2017_unsupervised", davis_root), ("stable_diffusion_v1_5", folder)):
        with pytest.raises(BadInput, match=rf"{name}: .* is missing"):
            exec(check, names)
        (tmp_path / "data" / name).symlink_to(there)
    exec(check + last, names)
    assert capsys.readouterr().out.count(".mp4") == 1 and len(list((tmp_path / "out").glob("*.mp4"))) == 1


def test_a_controlnet_generates_from_pictures_of_depth(folder, davis_root, tmp_path):
    models, scheduler = real.stable_diffusion(folder)
    models = real_control.with_controlnet(models, "random")
    few = dict(pixels=128, max_steps=2, max_clips=1)
    with pytest.raises(BadInput, match="Depth/480p/blackswan has 0 pictures, 8 are needed"):
        real_control.generate_davis(models, scheduler, davis_root, OBJECT_CENTRIC_CONTROL, tmp_path, **few)
    depth = davis_root / "Depth" / "480p" / "blackswan"
    depth.mkdir(parents=True)
    for t in range(9):
        Image.fromarray(np.full((80, 96), 20 * t, np.uint8)).save(depth / f"{t:05}.png")
    (found,) = real_control.generate_davis(models, scheduler, davis_root, OBJECT_CENTRIC_CONTROL, tmp_path, **few)
    assert read_frames(found.path, list(range(8))).shape == (8, 256, 128, 3)
    models.controlnet.save_pretrained(tmp_path / "controlnet")
    again = real_control.with_controlnet(models, tmp_path / "controlnet")
    assert again.controlnet.config.conditioning_channels == 3
    with pytest.raises(BadInput, match="cannot be read"):
        real_control.with_controlnet(models, tmp_path / "nowhere")


def test_latents_have_the_folders_own_scale(folder):
    models, _ = real.stable_diffusion(folder)
    frames = torch.randint(256, (2, 64, 64, 3), dtype=torch.uint8)
    one = models.encode(frames)
    models.autoencoder.register_to_config(scaling_factor=2 * models.autoencoder.config.scaling_factor)
    assert torch.allclose(models.encode(frames), 2 * one) and one.shape == (2, 4, 8, 8)
    assert torch.equal(models.decode(2 * one), replace(models).decode(models.encode(frames)))


def test_words_are_clips_tokens_padded_by_the_end():
    row = real.word_ids(["a black swan"])[0]
    assert row[:5].tolist() == [49406, 320, 1449, 12530, 49407] and (row[5:] == 49407).all() and len(row) == 77
    pair = real.clip_prompts("a blackswan swims", "a flamingo swims")
    assert len(pair.positions("a blackswan swims")[1]) == 2
    mapper, taken = replacing(pair)
    assert taken.all() and torch.allclose(mapper.sum(0), torch.ones(77))


def test_the_chapters_pairs_are_18_and_125():
    inversion, control = real.pairs(), real.pairs("control")
    assert (
        len(inversion) == 18
        and len(control) == 125
        and {pair.size for pair in inversion} == {"large", "medium", "small"}
    )
    assert all(
        pair.source and pair.target and "<" not in pair.target and "•" not in pair.target
        for pair in inversion + control
    )
    for pair in inversion + control:
        real.clip_prompts(pair.source, pair.target).positions(pair.target)  # all fit


# --- one's own video -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def editor():
    return Editor(models_of("random"), ddim(), word_prompts, shortened(OBJECT_CENTRIC, 2))


@pytest.fixture
def mp4(tmp_path):
    edits = edit_batch("colour", "medium", 0, "test", [3], 12)
    write_video(tmp_path / "mine.mp4", edits.source.pixels[0].numpy())
    write_video(tmp_path / "mask.mp4", np.repeat(edits.source.mask[0].numpy()[..., None] * np.uint8(255), 3, -1))
    return tmp_path / "mine.mp4", edits.source.prompts[0], edits.target.prompts[0], edits


def test_an_mp4_and_a_mask_or_a_word_give_an_edited_mp4(editor, mp4, monkeypatch):
    video, source, target, edits = mp4
    words, asked = source.split(), []

    def by_words(models, scheduler, frames, prompts, words):  # with random weights a word attends everywhere
        asked.append(words)
        return edits.source.mask[0][:8]

    monkeypatch.setattr(own, "mask_by_words", by_words)
    for mask in (str(video.parent / "mask.mp4"), words[2]):
        assert edit_file(editor, video, video.parent / "out.mp4", source, target, mask) == 12
        assert read_frames(video.parent / "out.mp4", list(range(12))).shape == (12, 64, 64, 3)
    assert asked == [[words[2]]] * 2  # windows of 8 of 12 frames
    whole = replace(editor, pipeline=shortened(FATEZERO, 2))
    assert edit_file(whole, video, video.parent / "whole.mp4", source, target) == 12


def test_masks_come_as_videos_pictures_and_folders(mp4, tmp_path):
    video, _, _, edits = mp4
    found = read_mask(video.parent / "mask.mp4", 12, 64)
    assert (found != edits.source.mask[0]).float().mean() < 0.01
    (tmp_path / "masks").mkdir()
    for t, mask in enumerate(edits.source.mask[0].numpy()):
        Image.fromarray(mask.astype(np.uint8) * 255).save(tmp_path / "masks" / f"{t:03}.png")
    assert torch.equal(read_mask(tmp_path / "masks", 12, 64), edits.source.mask[0])
    assert torch.equal(read_mask(tmp_path / "masks" / "000.png", 12, 64)[7], edits.source.mask[0][0])


@pytest.mark.parametrize(("late", "word"), [(0, "empty"), (255, "full")])
def test_a_window_without_object_or_background_is_named_before_the_first_is_edited(
    late, word, editor, mp4, tmp_path, monkeypatch
):
    video, source, target, edits = mp4
    (tmp_path / "masks").mkdir()
    for t, mask in enumerate(edits.source.mask[0].numpy()):
        picture = mask.astype(np.uint8) * 255 if t < 4 else np.full_like(mask, late, np.uint8)
        Image.fromarray(picture).save(tmp_path / "masks" / f"{t:03}.png")
    monkeypatch.setattr(own, "edit", None)
    with pytest.raises(BadInput, match=f"{word} in frames 4 to 11"):
        edit_file(editor, video, tmp_path / "out.mp4", source, target, str(tmp_path / "masks"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(mask=""), "give `mask`"),
        (dict(mask="moon"), "'moon' is not in the prompt"),
        (dict(edited="nowhere/out.mp4"), "make it first"),
        (dict(mask="short"), "1 frames, the video has 12"),
        (dict(target="a moon beam"), "moon"),
    ],
)
def test_what_cannot_be_edited_is_one_line_and_leaves_no_file(editor, mp4, tmp_path, change, message):
    video, source, target, _ = mp4
    (tmp_path / "short").mkdir()
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(tmp_path / "short" / "0.png")
    given = dict(edited=tmp_path / "out.mp4", source=source, target=target, mask=source.split()[2]) | change
    if given["mask"] == "short":
        given["mask"] = str(tmp_path / "short")
    with pytest.raises(BadInput, match=message) as error:
        edit_file(editor, video, **given)
    assert "\n" not in str(error.value) and not (tmp_path / "out.mp4").exists()
