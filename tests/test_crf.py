"""The dense CRF equals a loop over all pairs of pixels, and does to masks what it is for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minilib.errors import BadInput
from minilib.models.crf import FLOOR, DenseCRF, appearance_kernel, refine, smoothness_kernel

CRF = DenseCRF()


def example(*shape: int, labels: int = 3, seed: int = 0):
    """Frames (*lead, h, w, 3) and soft masks (*lead, labels, h, w) of `shape` = (*lead, h, w)."""
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randint(0, 256, (*shape, 3), generator=generator, dtype=torch.uint8)
    soft = torch.rand(*shape, labels, generator=generator, dtype=torch.float64).movedim(-1, -3)
    return frames, soft / soft.sum(-3, keepdim=True)


def loop_kernels(frame: np.ndarray, near: float, alike: float, neighbour: float) -> np.ndarray:
    """Both kernels of Eq. 3 for each two pixels of one frame (h, w, 3): (2, n, n)."""
    height, width = frame.shape[:2]
    places = [(y, x) for y in range(height) for x in range(width)]
    out = np.zeros((2, len(places), len(places)))
    for i, (yi, xi) in enumerate(places):
        for j, (yj, xj) in enumerate(places):
            apart = (yi - yj) ** 2 + (xi - xj) ** 2
            colour = ((frame[yi, xi].astype(float) - frame[yj, xj]) ** 2).sum()
            out[0, i, j] = np.exp(-apart / (2 * near**2) - colour / (2 * alike**2))
            out[1, i, j] = np.exp(-apart / (2 * neighbour**2))
    return out


def loop_refine(frame: np.ndarray, soft: np.ndarray, crf: DenseCRF) -> np.ndarray:
    """Algorithm 1 on one frame, pair by pair, label by label."""
    labels, height, width = soft.shape
    n = height * width
    unary = -np.log(np.maximum(soft.reshape(labels, n), FLOOR))
    kernels = loop_kernels(frame, crf.near * max(height, width), crf.alike, crf.neighbour)
    totals = kernels.sum(2)
    q = np.exp(-unary) / np.exp(-unary).sum(0)
    for _ in range(crf.iterations):
        energy = unary.copy()
        for i in range(n):
            for label in range(labels):
                for other in range(labels):
                    for j in range(n):
                        if other != label and j != i:
                            for k, weight in enumerate((crf.appearance, crf.smoothness)):
                                pull = kernels[k, i, j] / np.sqrt(totals[k, i] * totals[k, j])
                                energy[label, i] += weight * pull * q[other, j]
        q = np.exp(-energy) / np.exp(-energy).sum(0)
    return q.reshape(soft.shape)


@pytest.mark.parametrize("shape", [(4, 5), (1, 6), (5, 1), (1, 1)])
def test_equal_to_a_loop_over_pairs(shape):
    crf = DenseCRF(appearance=3, near=0.4, alike=60, smoothness=2, neighbour=0.8, iterations=3)
    frames, soft = example(2, *shape)
    seen = refine(frames, soft, crf)
    for frame, mask, out in zip(frames.numpy(), soft.numpy(), seen.numpy(), strict=True):
        assert np.allclose(out, loop_refine(frame, mask, crf), atol=1e-10)
    if shape != (1, 1):
        assert (seen - soft).abs().max() > 0.05


@settings(max_examples=25)
@given(st.integers(1, 6), st.integers(1, 6), st.floats(0.3, 30), st.floats(2, 200), st.integers(0, 999))
def test_kernels_equal_their_matrices(height, width, near, alike, seed):
    frames, _ = example(1, height, width, seed=seed)
    q = torch.randn(1, height * width, 11, dtype=torch.float64)  # more labels than features
    both = appearance_kernel(frames.double(), near, alike), smoothness_kernel(height, width, near, q)
    for kernel, matrix in zip(both, loop_kernels(frames[0].numpy(), near, alike, near), strict=True):
        assert np.allclose(kernel.total[0, :, 0], matrix.sum(1))
        assert np.allclose(kernel.mean(q)[0], matrix @ q[0].numpy() / matrix.sum(1, keepdims=True))
        messages = matrix / np.sqrt(np.outer(matrix.sum(0), matrix.sum(0))) - np.diag(1 / matrix.sum(0))
        assert np.allclose(kernel.messages(q)[0], messages @ q[0].numpy())


def test_single_precision_is_enough_for_a_whole_frame():
    frames, soft = example(1, 48, 64)
    frames[:, 10:30, 10:40] = torch.tensor([250, 5, 128], dtype=torch.uint8)
    double = refine(frames, soft)
    assert (refine(frames, soft.float()) - double).abs().max() < 1e-3
    with torch.autocast("cpu", torch.bfloat16):
        assert (refine(frames, soft.float()) - double).abs().max() < 1e-3
    low = refine(frames, soft.bfloat16())
    assert low.dtype == torch.bfloat16 and (low.double() - double).abs().max() < 0.1


def test_every_frame_for_itself():
    frames, soft = example(2, 3, 6, 7)
    whole = refine(frames, soft)
    assert whole.shape == soft.shape and torch.allclose(whole.sum(-3), torch.ones(()).double())
    for b in range(2):
        for t in range(3):
            assert torch.allclose(refine(frames[b, t], soft[b, t]), whole[b, t])


def test_no_iteration_or_no_weight_gives_the_masks_back():
    frames, soft = example(6, 7)
    for crf in (replace(CRF, iterations=0), replace(CRF, appearance=0, smoothness=0)):
        assert torch.allclose(refine(frames, soft, crf), soft)
        assert torch.allclose(refine(frames, 5 * soft, crf), soft)  # only proportions count


def test_labels_have_no_order():
    frames, soft = example(6, 7, labels=4)
    order = torch.tensor([2, 0, 3, 1])
    assert torch.allclose(refine(frames, soft[order]), refine(frames, soft)[order])


def test_one_label():
    frames, soft = example(6, 7, labels=1)
    assert torch.equal(refine(frames, soft), torch.ones_like(soft))


def picture(height: int = 24, width: int = 30):
    """A red square on blue, and its mask bool (h, w)."""
    mask = torch.zeros(height, width, dtype=torch.bool)
    mask[6:16, 8:20] = True
    colours = torch.tensor([[30, 40, 200], [220, 50, 40]], dtype=torch.uint8)
    return colours[mask.long()], mask


def two(mask: torch.Tensor, sure: float) -> torch.Tensor:
    """Soft masks (2, h, w): ground and object."""
    soft = torch.where(mask, sure, 1 - sure)
    return torch.stack([1 - soft, soft])


def test_lone_pixels_vanish():
    frame, mask = picture()
    wrong = torch.rand(mask.shape, generator=torch.Generator().manual_seed(0)) < 0.1
    seen = refine(frame, two(mask ^ wrong, 0.9)).argmax(0).bool()
    assert wrong.sum() > 40 and torch.equal(seen, mask)
    flat = torch.full_like(frame, 128)  # no colour to go by: smoothness alone clears the inside
    seen = refine(flat, two(mask ^ wrong, 0.7), replace(CRF, appearance=0, smoothness=4)).argmax(0).bool()
    assert (seen ^ mask).sum() < 0.3 * wrong.sum()


def test_edges_move_to_the_edges_of_the_image():
    frame, mask = picture()
    shifted = mask.roll((2, 2), (0, 1))
    before = (shifted ^ mask).sum()
    seen = refine(frame, two(shifted, 0.8)).argmax(0).bool()
    assert before > 60 and (seen ^ mask).sum() < before // 8
    blind = refine(torch.full_like(frame, 128), two(shifted, 0.8)).argmax(0).bool()
    assert (blind ^ mask).sum() > before // 2  # without the image there is nothing to move to


def test_hard_masks_stay_where_the_image_agrees_and_move_where_it_does_not():
    frame, mask = picture()
    assert torch.equal(refine(frame, two(mask, 1.0)).argmax(0).bool(), mask)
    wrong = mask.clone()
    wrong[0, 0] = True
    strong = replace(CRF, appearance=20)  # a probability of nothing counts as FLOOR, not as impossible
    assert torch.equal(refine(frame, two(wrong, 1.0), strong).argmax(0).bool(), mask)
    nowhere = refine(frame, torch.zeros(3, *mask.shape))
    assert torch.allclose(nowhere, torch.full_like(nowhere, 1 / 3))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_same_on_a_gpu():
    frames, soft = example(2, 32, 32)
    seen = refine(frames.cuda(), soft.float().cuda()).cpu()
    assert (seen - refine(frames, soft)).abs().max() < 5e-3


FRAMES, SOFT = example(2, 4, 5)


@pytest.mark.parametrize(
    ("frames", "soft", "crf", "reason"),
    [
        (FRAMES.float(), SOFT, CRF, "frames must be uint8"),
        (FRAMES.movedim(-1, 1), SOFT, CRF, "frames must be uint8"),
        (FRAMES, SOFT > 0.5, CRF, "soft masks must be floats"),
        (FRAMES, SOFT[0], CRF, "soft masks must be floats"),
        (FRAMES, SOFT[:, :0], CRF, "soft masks must be floats"),
        (FRAMES, SOFT[..., :4], CRF, "resize the masks"),
        (FRAMES, SOFT[:1], CRF, "do not fit"),
        (FRAMES, SOFT - 0.5, CRF, "negative"),
        (FRAMES, SOFT / 0, CRF, "nan, inf"),
        (FRAMES, SOFT, replace(CRF, alike=0), "widths must be above 0"),
        (FRAMES, SOFT, replace(CRF, iterations=-1), "0 or more"),
    ],
)
def test_what_cannot_be_refined_is_said_in_one_line(frames, soft, crf, reason):
    with pytest.raises(BadInput, match=reason) as caught:
        refine(frames, soft, crf)
    assert str(caught.value).startswith("crf: ") and "\n" not in str(caught.value)
