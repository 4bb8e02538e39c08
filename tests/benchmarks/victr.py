"""VicTR's head against its equations read straightforwardly, as its tests do: torch's own attention, and a copy of
every name for every frame in every step."""

import torch
from torch import Tensor

from minilib.papers.victr.classifier import AffinityClassifier, Scores, victr_loss
from minilib.papers.victr.method import VicTR
from tests.test_victr import Direct

CLIPS, FRAMES, WIDTH, HEADS = 4, 8, 512, 8  # the text tower of CLIP ViT-B
CLASSES, GROUPS = 400, (40, 43, 5)  # Kinetics-400 and its attributes, 488 names


class Straightforward(Direct):
    def forward(self, *inputs) -> Scores:
        return Scores(*super().forward(*inputs))


def pair(device: str) -> tuple[VicTR, Straightforward, tuple]:
    """The head, the straightforward one on the same parameters, and what both get, after a check that they agree to
    1e-5 of a cosine."""
    torch.manual_seed(0)
    head = VicTR(WIDTH, HEADS, FRAMES, classifier=lambda width: AffinityClassifier(width, scale=1.0))
    head, direct = head.to(device), Straightforward(head).to(device)
    shapes = (CLIPS, FRAMES, WIDTH), (CLASSES, WIDTH), (sum(GROUPS), WIDTH)
    inputs = *(torch.randn(shape, device=device) for shape in shapes), GROUPS
    with torch.no_grad():
        mine, theirs = head(*inputs), direct(*inputs)
    torch.testing.assert_close(mine.logits, theirs.logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(mine.auxiliary, theirs.auxiliary, atol=1e-5, rtol=0)
    return head, direct, inputs


def training_step(model: VicTR | Straightforward, frames: Tensor, *names) -> None:
    victr_loss(model(frames, *names), torch.arange(len(frames), device=frames.device)).backward()
    model.zero_grad(set_to_none=True)
