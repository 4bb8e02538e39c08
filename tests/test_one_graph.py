"""Each method's forward pass and training step is one graph for `torch.compile`: no number decides what runs next.

The backend runs the graph as it stands, so the losses are those of the plain step.
"""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from minilib.distributed import WithLoss
from minilib.models.classifier import VideoClassifier
from minilib.models.clip import TINY, FrameFeatures, build
from minilib.models.x3d import TINY as TINY_X3D
from minilib.models.x3d import X3D
from minilib.papers.baselines import EVL
from minilib.papers.coarse_fine.fusion import MultiStageFusion
from minilib.papers.coarse_fine.grid import GridPool
from minilib.papers.coarse_fine.method import CoarseStream, detection_loss
from minilib.papers.detection_pretraining.cutmix import TransientView
from minilib.papers.detection_pretraining.method import DetectionPretraining
from minilib.papers.detection_pretraining.mixes import VolumeMixUp
from minilib.papers.dist.method import Design, DiST, ImageSizes
from minilib.papers.object_centric import method as oca
from minilib.papers.object_centric.losses import Objective
from minilib.papers.victr.method import VicTR
from minilib.papers.victr.recogniser import Names, Reader
from minilib.papers.victr.small import LOSS
from minilib.papers.zeroi2v import STDHA, Adaptation, attach
from minilib.training import CrossEntropy

FRAMES, CLASSES = 4, 3
WIDTH, PATCHES = TINY.vision["width"], 4


def visual() -> nn.Module:
    return build(TINY, tokenize=lambda texts: None).visual


def pixels() -> torch.Tensor:
    return torch.randn(2, FRAMES, 3, 16, 16)


def features(layers: int = 1) -> FrameFeatures:
    return FrameFeatures(torch.randn(layers, 2, FRAMES, WIDTH), torch.randn(layers, 2, FRAMES, PATCHES, WIDTH))


class Unpacked(nn.Module):
    """A model of two inputs as `train` calls it, with one: what lies frozen before, and frames."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, inputs: tuple) -> torch.Tensor:
        return self.model(*inputs)


def dist() -> Unpacked:
    sizes = ImageSizes(width=WIDTH, depth=2, grid=(2, 2), patch=(8, 8), embed=CLASSES)
    return Unpacked(DiST(sizes, Design(frames=FRAMES, gamma=2, integration=8, temporal=4, pooling=1)))


def victr() -> Reader:
    return Reader(VicTR(16, 4, FRAMES, 1), Names(torch.randn(CLASSES, 16), torch.randn(3, 16), (2, 1)))


def coarse() -> Unpacked:
    return Unpacked(CoarseStream(X3D(TINY_X3D, CLASSES, dropout=0.0), GridPool, MultiStageFusion))


def with_levels() -> tuple:
    with torch.no_grad():
        return clips(), X3D(TINY_X3D, CLASSES).features(clips())


def clips() -> torch.Tensor:
    return torch.randn(2, 3, 8, 32, 32)


def frame_labels() -> torch.Tensor:
    return torch.rand(2, 8, CLASSES) > 0.5


def labels() -> torch.Tensor:
    return torch.tensor([0, 2])


def detection(model: nn.Module, inputs: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    return detection_loss(model(inputs), wanted)


METHODS = {  # model, its input, labels, objective
    "zeroi2v": (
        lambda: VideoClassifier(attach(visual(), Adaptation(FRAMES, STDHA((-1, 1)))), CLASSES),
        pixels, labels, CrossEntropy(),
    ),
    "dist": (dist, lambda: (features(2), torch.randn(2, 2 * FRAMES, 3, 16, 16)), labels, CrossEntropy()),
    "oca": (
        lambda: oca.oca(visual(), FRAMES, CLASSES, tokens=partial(oca.slot_tokens, slots=3)),
        features, labels, Objective(),
    ),
    "victr": (victr, lambda: torch.randn(2, FRAMES, 16), labels, LOSS),
    "evl": (lambda: EVL(visual(), FRAMES, CLASSES, layers=2), pixels, labels, CrossEntropy()),
    "coarse_fine": (coarse, with_levels, frame_labels, detection),
    "volume mixup": (
        lambda: X3D(TINY_X3D, CLASSES), clips, labels, DetectionPretraining(VolumeMixUp(), CLASSES)
    ),
    "volume cutmix": (
        lambda: X3D(TINY_X3D, CLASSES), clips, labels, DetectionPretraining(TransientView(), CLASSES)
    ),
}  # fmt: skip


def one_graph(module: nn.Module, backend: str = "aot_eager") -> nn.Module:
    """Raises where a number would decide what runs next."""
    torch.compiler.reset()
    return torch.compile(module, fullgraph=True, backend=backend)


@pytest.mark.parametrize("name", METHODS)
def test_a_training_step_and_a_forward_pass_are_one_graph_each(name):
    make, given, wanted, objective = METHODS[name]
    torch.manual_seed(0)
    model, inputs, truth = make(), given(), wanted()
    step, losses, slopes = WithLoss(model, objective), [], []
    for each in (step, one_graph(step)):
        model.zero_grad()
        torch.manual_seed(1)
        losses.append(each(inputs, truth))
        losses[-1].backward()
        slopes.append([p.grad.norm() for p in model.parameters() if p.grad is not None])
    torch.testing.assert_close(losses[1], losses[0])
    torch.testing.assert_close(slopes[1], slopes[0], rtol=1e-3, atol=1e-4)
    model.eval()
    with torch.no_grad():
        torch.testing.assert_close(one_graph(model, "eager")(inputs), model(inputs), rtol=1e-4, atol=1e-4)


def test_a_number_that_decides_is_noticed():
    class Decides(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(torch._dynamo.exc.Unsupported):
        one_graph(Decides())(torch.ones(2))
