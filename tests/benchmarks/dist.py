"""DiST's training step against the released graph read straightforwardly: every frame through the image model's stem,
attention as its equations have it, all layers' tokens kept in a list."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilib.models.clip import VIT_B16, FrameFeatures
from minilib.papers.baselines.frozen import embed, project
from minilib.papers.dist.clip import DiSTRecogniser, sparse_taps
from minilib.papers.dist.speed import dist

FRAMES = 8


def attention(inner: nn.MultiheadAttention, x: Tensor) -> Tensor:
    """Two products and a soft-max."""
    q, k, v = project(inner, x)
    weight = (q @ k.mT * q.shape[-1] ** -0.5).softmax(-1)
    return inner.out_proj((weight @ v).transpose(1, 2).flatten(2))


@torch.no_grad()
def straightforward_taps(visual: nn.Module, dense: Tensor, gamma: int) -> FrameFeatures:
    """What `released_taps` gives."""
    x = embed(visual, dense).unflatten(0, dense.shape[:2])[:, ::gamma].flatten(0, 1)
    kept = []
    for block in visual.transformer.resblocks:
        x = x + attention(block.attn, block.ln_1(x))
        x = x + block.mlp(block.ln_2(x))
        kept.append(x.unflatten(0, (len(dense), -1)))
    return FrameFeatures(torch.stack([x[:, :, 0] for x in kept]), torch.stack([x[:, :, 1:] for x in kept]))


def step(model: DiSTRecogniser, dense: Tensor, features: FrameFeatures | None = None) -> None:
    F.cross_entropy(model(dense, features), torch.zeros(len(dense), dtype=torch.long, device=dense.device)).backward()
    model.zero_grad(set_to_none=True)


def steps(device: str) -> dict[str, Callable[[], None]]:
    """The straightforward step, ours, and ours with the features cached; ViT-B/16, one clip."""
    torch.manual_seed(0)
    model = dist(VIT_B16, FRAMES, straightforward_taps).to(device).train()
    ours = DiSTRecogniser(model.clip, model.net, model.classes, taps=sparse_taps).to(device).train()
    dense = torch.randn(1, 2 * FRAMES, 3, 224, 224, device=device)
    with torch.no_grad():
        torch.testing.assert_close(model(dense), ours(dense), atol=1e-2, rtol=1e-3)
    features = sparse_taps(model.clip.visual, dense, 2)
    return {
        "straightforward": partial(step, model, dense),
        "computed": partial(step, ours, dense),
        "cached": partial(step, ours, dense, features),
    }
