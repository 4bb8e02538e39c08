"""Clips as embeddings of their frames: features, controls, seeds, scores."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from minilib.claims import load
from minilib.errors import BadInput
from minilib.metrics.detection import blind_precision, detection_score
from minilib.models.small_clip import small_clip
from minilib.study import embedded as study_embedded
from minilib.study import top1
from minilib.study.embedded import Embedded, LongMotions, Motions
from minilib.world import WorldClips


@pytest.fixture(autouse=True)
def own_caches(tmp_path_factory, monkeypatch):
    """Caches in a folder that all tests here share."""
    monkeypatch.setattr(study_embedded, "FOLDER", tmp_path_factory.getbasetemp() / "embeddings")


def some(task, count=6):
    """A few validation clips of a task."""
    return replace(task, test=count).feed("val", 0)


def test_a_frame_is_its_embedding():
    source = WorldClips("motion", 0, "val", 6, 4)
    clips, clip = study_embedded.embedded(source), small_clip()
    wanted = clip.model.encode_image(clip.normalise(source.frames([2])).flatten(0, 1))
    assert torch.allclose(clips.frames[2], wanted, atol=0.02)
    assert torch.equal(clips.labels, source.labels(np.arange(6)))


def test_controls_damage_only_what_they_name():
    clips, hot = some(Motions()), some(LongMotions())
    assert clips.damaged(None, 12, 0) is clips
    frames, labels = clips.damaged("frames", 12, 0), clips.damaged("labels", 12, 0)
    assert torch.equal(frames.labels, clips.labels) and torch.equal(labels.frames, clips.frames)
    assert not torch.equal(frames.frames, clips.frames) and not torch.equal(labels.labels, clips.labels)
    assert torch.allclose(frames.frames.sum(1), clips.frames.sum(1), atol=1e-4)
    other = hot.damaged("labels", 12, 0)
    assert torch.equal(other.frames, hot.frames) and not torch.equal(other.labels, hot.labels)
    assert sorted(other.labels.tolist()) == sorted(hot.labels.tolist()), "those of another clip"


@pytest.mark.parametrize("task", [Motions(), LongMotions()])
def test_a_control_shuffles_frames_in_test_and_labels_in_training_alone(task):
    task = replace(task, train=8, test=8)
    for split in ("train", "test"):
        whole = task.feed(split, 3)
        frames, labels = (replace(task, control=control).feed(split, 3) for control in ("frames", "labels"))
        assert not torch.equal(frames.frames, whole.frames) and torch.equal(frames.labels, whole.labels)
        assert torch.equal(labels.frames, whole.frames)
        assert torch.equal(labels.labels, whole.labels) == (split == "test")


def test_every_seed_tests_on_clips_of_its_own():
    task = Motions(train=4, test=4)
    first, second, again = (task.feed("test", seed) for seed in (0, 1, 0))
    assert not torch.equal(first.frames, second.frames) and torch.equal(first.frames, again.frames)
    assert len(task.feed("train", 0)) == 4 and len(first) == 4


def test_mean_average_precision_and_accuracy_are_the_scores():
    class Right(nn.Module):
        """Frames that hold their labels."""

        def forward(self, frames):
            return frames[:, 0]

    labels = torch.tensor([[True, False, True], [False, True, False]])
    clips = Embedded(torch.stack([labels.float()] * 2, 1), labels)
    assert LongMotions().score(Right(), clips) == 100
    assert LongMotions().score(Right(), replace(clips, frames=-clips.frames)) < 100
    single = Embedded(clips.frames, torch.tensor([0, 1]))
    assert Motions().score(Right(), single) == 100 == top1(Right(), single)


def test_chance_on_long_clips_is_what_random_scores_reach():
    """By the clips themselves; the claims file says the same number."""
    clips = LongMotions().source("test", 0)
    every = [replace(clips, seed=seed, count=512).labels(np.arange(512)) for seed in range(3)]
    labels, shares = every[0], [each.float().mean().item() for each in every]
    assert 100 * np.mean(shares) == pytest.approx(26.75, abs=1.0)
    assert load("victr").tasks["long"].chance == pytest.approx(LongMotions().chance, abs=0.005)
    draws = torch.Generator().manual_seed(0)
    blind = [detection_score(torch.rand(labels.shape, generator=draws), labels).mean for _ in range(20)]
    assert np.mean(blind) == pytest.approx(blind_precision(shares[0], len(labels)), abs=0.3)
    assert np.mean(blind) > 100 * shares[0] + 0.5  # more than the share of positives


@pytest.mark.parametrize("count", [0, 1])
def test_the_precision_of_chance_takes_two_examples(count):
    with pytest.raises(BadInput, match="takes two or more"):
        blind_precision(0.5, count)
