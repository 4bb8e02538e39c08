"""Detection pretraining: every augmentation against naive loops, labels, losses, the objective."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from minilib import claims
from minilib.claims.verdicts import same_count
from minilib.errors import BadInput
from minilib.models.x3d import TINY, X3D, ClipHead
from minilib.papers.detection_pretraining import cutmix, mixes
from minilib.papers.detection_pretraining import method as pretraining
from minilib.papers.detection_pretraining.counts import count_all
from minilib.papers.detection_pretraining.cutmix import TransientView, TransientWindow
from minilib.papers.detection_pretraining.method import (
    BACKGROUND,
    DetectionPretraining,
    Labels,
    VolumeFreeze,
    binary_loss,
    frame_labels,
    softmax_loss,
    targets,
    unchanged,
)
from minilib.papers.detection_pretraining.mixes import VolumeMixUp, Windows
from minilib.papers.detection_pretraining.variants import Manifold, hard_ramp
from minilib.training import TrainSettings, train

RELEASED_WINDOW = TransientWindow(mixes.uncovered_windows, mixes.released_ramp, mixes.in_place)
THESIS_MIXUP = VolumeMixUp(ramp=mixes.thesis_ramp, content=mixes.from_its_start)
AUGMENTATIONS = {
    "unchanged": unchanged,
    "freeze": VolumeFreeze(),
    "freeze, thesis": VolumeFreeze(pretraining.thesis_freeze),
    "freeze, twice": VolumeFreeze(segments=2),
    "mixup": VolumeMixUp(),
    "mixup, hard": VolumeMixUp(ramp=hard_ramp, visible=mixes.where_it_weighs),
    "mixup, thesis": THESIS_MIXUP,
    "view": TransientView(),
    "view, thesis": TransientView(cutmix.thesis_view),
    "window": TransientWindow(),
    "window, released": RELEASED_WINDOW,
    "joint": pretraining.JointBatch((VolumeFreeze(), VolumeMixUp(), TransientView())),
}


def batch(b=4, t=8, size=16, classes=5):
    return torch.randn(b, 2, t, size, size), frame_labels(torch.arange(b) % classes, t)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


# --- what holds for all of them ---


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize("frames", [2, 3, 8])
def test_clips_keep_their_shape_and_weights_add_to_one(name, frames):
    clips, labels = batch(t=frames)
    before = clips.clone(), labels.classes.clone()
    for _ in range(5):
        out, new = AUGMENTATIONS[name](clips, labels)
        assert out.shape == clips.shape and out.dtype == clips.dtype and torch.isfinite(out).all()
        assert new.classes.shape == new.weights.shape == new.visible.shape and new.classes.dtype == torch.int64
        total = new.weights.sum(0)
        uncovered = (total == 0) & (name == "window, released")
        assert ((total - 1).abs() < 1e-5).logical_or(uncovered).all()
        assert ((new.weights > 0) <= new.visible).all()
    assert torch.equal(clips, before[0]) and torch.equal(labels.classes, before[1]), "the input must stay as it was"


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_batch_of_one_clip_meets_itself(name):
    clips, labels = batch(b=1)
    out, new = AUGMENTATIONS[name](clips, labels)
    assert out.shape == clips.shape and set(new.classes.flatten().tolist()) <= {0, BACKGROUND}


@pytest.mark.parametrize("augmentation", [VolumeFreeze(), VolumeMixUp(), TransientWindow()])
def test_one_frame_is_too_few(augmentation):
    with pytest.raises(BadInput, match="2 frames or more"):
        augmentation(*batch(t=1))


# --- Volume Freeze ---


@settings(max_examples=30)
@given(st.data())
def test_freeze_equals_the_concatenation_of_the_text(data):
    n = data.draw(st.integers(2, 9))
    r = data.draw(st.integers(1, n - 1))
    m = data.draw(st.integers(1, n - r + 1))
    clips, labels = torch.randn(1, 1, n, 1, 1), Labels(torch.arange(n)[None, None], *[torch.ones(1, 1, n)] * 2)
    out, new = pretraining.freeze(clips, labels, torch.tensor([r - 1]), torch.tensor([m]))
    v = clips.flatten().tolist()
    assert out.flatten().tolist() == v[: r - 1] + [v[r - 1]] * m + v[r : n - m + 1]
    kept = list(range(n))
    assert new.classes.flatten().tolist() == kept[: r - 1] + [BACKGROUND] * m + kept[r : n - m + 1]


@pytest.mark.parametrize(("draw", "shortest"), [(pretraining.released_freeze, 1), (pretraining.thesis_freeze, 2)])
@pytest.mark.parametrize("frames", [2, 3, 16])
def test_freezes_lie_within_the_clip(draw, shortest, frames):
    start, length = draw(2000, frames, torch.device("cpu"))
    assert start.min() == 0 and (start + length <= frames).all()
    assert length.min() == min(shortest, frames)
    if draw is pretraining.released_freeze:
        assert length.max() == max(frames // 2 - 1, 1)
        assert start.max() == frames - 1
    else:
        assert length.max() == frames and start.max() == frames - 2


# --- Volume MixUp ---


def naive_ramp(s1, e1, s2, e2, frames):
    """Weights of the own clip and its partner, frame by frame: whose start and end are later, ties being the own's."""
    first, last, one, two = max(s1, s2), min(e1, e2), [], []
    n = last - first
    for t in range(frames):
        in1, in2 = s1 <= t < e1, s2 <= t < e2
        if not (in1 and in2):
            one.append(float(in1)), two.append(float(in2))
            continue
        ramp, valley = (t + 1 - first) / (n + 1), abs(t + 1 - (first + last) / 2) * 2 / (n + 1)
        later = s1 >= s2, e1 >= e2
        own = {(True, True): ramp, (False, False): 1 - ramp, (False, True): valley, (True, False): 1 - valley}[later]
        one.append(own), two.append(1 - own)
    return torch.tensor([one]), torch.tensor([two])


def naive_alpha(n1, r, n2, t):
    """alpha[t] of the text for the earlier clip, t from 1."""
    value = (n1 - t) / (n1 - r) if n2 + r >= n1 else abs(n2 + 2 * r - 2 * t) / n2
    return min(max(value, 0), 1)


WINDOWS = st.tuples(st.integers(0, 7), st.integers(1, 8), st.integers(0, 7), st.integers(1, 8))


@settings(max_examples=60)
@given(WINDOWS)
def test_ramps_equal_their_closed_forms(drawn):
    s1, l1, s2, l2 = drawn
    e1, e2 = min(s1 + l1, 8), min(s2 + l2, 8)
    windows = Windows(*(torch.tensor([x]) for x in (s1, e1, s2, e2)))
    assert all(
        torch.allclose(a, b)
        for a, b in zip(mixes.released_ramp(windows, 8), naive_ramp(s1, e1, s2, e2, 8), strict=True)
    )
    own, other = mixes.thesis_ramp(windows, 8)
    n1, r, end = (e1, s2, e2) if s1 <= s2 else (e2, s1, e1)
    for t in range(max(s1, s2), min(e1, e2)):
        alpha = naive_alpha(n1, r, end - r, t + 1)
        earlier = own if s1 <= s2 else other
        assert earlier[0, t].item() == pytest.approx(alpha, abs=1e-6)
        assert own[0, t] + other[0, t] == pytest.approx(1)


@pytest.mark.parametrize(
    ("windows", "own"),
    [
        ((0, 4, 0, 4), [1 / 5, 2 / 5, 3 / 5, 4 / 5]),  # the same: the own clip rises
        ((5, 8, 0, 8), [0] * 5 + [1 / 4, 2 / 4, 3 / 4]),  # same end
        ((0, 8, 0, 5), [1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1, 1, 1]),  # same start
        ((0, 8, 5, 8), [1] * 5 + [1 / 4, 1 / 4, 3 / 4]),  # same end, the partner within
        ((0, 3, 0, 8), [3 / 4, 3 / 4, 1 / 4] + [0] * 5),  # same start, the own clip within
    ],
)
def test_on_ties_the_own_clip_is_the_later_one(windows, own):
    one, two = mixes.released_ramp(Windows(*(torch.tensor([x]) for x in windows)), len(own))
    assert one[0].tolist() == pytest.approx(own) and two[0].tolist() == pytest.approx([1 - x for x in own])


def test_an_inner_clip_leaves_a_valley_that_is_one_frame_off():
    windows = Windows(*(torch.tensor([x]) for x in (0, 12, 4, 9)))  # n = 5
    outer = mixes.released_ramp(windows, 12)[0][0, 4:9]
    assert outer[0].item() == pytest.approx(3 / 6) and outer[-1].item() == pytest.approx(5 / 6)


@pytest.mark.parametrize("frames", [2, 5, 16])
def test_released_windows_cover_every_frame_and_the_others_need_not(frames):
    covered = mixes.released_windows(2000, frames, torch.device("cpu"))
    at = torch.arange(frames)

    def there(w):
        first = (at >= w.start1[:, None]) & (at < w.end1[:, None])
        return first | ((at >= w.start2[:, None]) & (at < w.end2[:, None]))

    assert there(covered).all()
    assert (torch.minimum(covered.start1, covered.start2) == 0).all()
    assert (torch.maximum(covered.end1, covered.end2) == frames).all()
    raw = mixes.uncovered_windows(2000, frames, torch.device("cpu"))
    lengths = raw.end1 - raw.start1
    assert (lengths.min(), lengths.max()) == ((frames + 1) // 2, frames) and raw.end1.max() == frames
    assert not there(raw).all()


@pytest.mark.parametrize(
    ("drawn", "covered"),
    [
        ((2, 6, 3, 7), (0, 4, 3, 8)),  # moved with its four frames, not stretched back
        ((3, 7, 1, 6), (3, 8, 0, 5)),
        ((1, 8, 2, 6), (0, 8, 2, 6)),  # moved, it still ends later
        ((2, 7, 2, 6), (0, 5, 2, 8)),  # moved, it no longer does; it moves because equal starts are the own clip's
        ((1, 6, 1, 5), (0, 8, 1, 5)),  # equal ends after the move: the own clip is extended
        ((2, 6, 1, 7), (2, 8, 0, 6)),  # the same where the partner has moved
        ((0, 8, 0, 8), (0, 8, 0, 8)),
    ],
)
def test_the_earlier_window_moves_and_the_one_that_then_ends_later_is_extended(drawn, covered):
    windows = mixes.covering(Windows(*(torch.tensor([x]) for x in drawn)), 8)
    assert tuple(border.item() for border in windows) == covered


def fixed(windows):
    return lambda clips, frames, device: Windows(*(torch.full((clips,), x) for x in windows))


def test_mixup_is_what_its_ramp_says_and_the_thesis_moves_content():
    clips = torch.arange(8.0).view(1, 1, 8, 1, 1) + 1
    labels = frame_labels(torch.tensor([2]), 8)
    windows = (0, 6, 3, 8)
    one, two = naive_ramp(*windows, 8)
    out, new = VolumeMixUp(fixed(windows))(clips, labels)
    assert torch.allclose(out.flatten(), clips.flatten() * (one + two)[0])
    assert torch.allclose(new.weights[:, 0], torch.cat([one, two])) and new.classes.unique().tolist() == [2]
    assert new.visible[:, 0].tolist() == [[t < 6 for t in range(8)], [t >= 3 for t in range(8)]]
    moved, _ = VolumeMixUp(fixed(windows), mixes.thesis_ramp, mixes.from_its_start)(clips, labels)
    for t in range(8):
        alpha = naive_alpha(6, 3, 5, t + 1) if 3 <= t < 6 else float(t < 3)
        want = alpha * (t + 1) + (1 - alpha) * (t - 3 + 1 if t >= 3 else 0)
        assert moved[0, 0, t, 0, 0].item() == pytest.approx(want, abs=1e-5)


def test_a_clip_is_visible_on_its_whole_window_also_where_its_weight_is_zero():
    clips, labels = torch.zeros(1, 1, 8, 1, 1), frame_labels(torch.tensor([2]), 8)
    nested = fixed((0, 8, 2, 6))  # the valley's floor is at frame 3: 4 - (2 + 6) / 2 = 0
    for visible, count in ((mixes.in_its_window, 8), (mixes.where_it_weighs, 7)):
        _, new = VolumeMixUp(nested, visible=visible)(clips, labels)
        assert new.weights[0, 0].tolist() == pytest.approx([1, 1, 2 / 5, 0, 2 / 5, 4 / 5, 1, 1])
        assert new.visible.sum((1, 2)).tolist() == [count, 4]
    equal = torch.zeros(1, 8, 4)  # a cross-entropy of log 4 a frame: the sum of weights over the visible frames
    _, new = VolumeMixUp(nested)(clips, labels)
    own = 2 + 8 / 5 + 2
    want = (own / 8 + (8 - own) / 4) * torch.tensor(4.0).log().item()
    assert softmax_loss(equal, new).item() == pytest.approx(want, abs=1e-5)


def test_hard_boundaries_show_one_clip_at_a_time():
    one, two = hard_ramp(mixes.released_windows(50, 9, torch.device("cpu")), 9)
    assert torch.equal(one + two, torch.ones(50, 9)) and set(one.unique().tolist()) == {0, 1}


# --- Volume CutMix ---


@pytest.mark.parametrize(("width", "frames"), [(16, 5), (64, 8), (30, 3), (158, 4), (33, 3), (25, 7)])
def test_the_released_view_equals_its_closed_form(width, frames):
    clips, labels = torch.randn(3, 1, frames, 2, width), frame_labels(torch.tensor([0, 1, 2]), frames)
    torch.manual_seed(7)
    out, new = TransientView()(clips, labels)
    torch.manual_seed(7)
    order = torch.randperm(3).tolist()
    high = max(j for j in range(width) if 16 * j <= 9 * width)  # columns of either window
    low, travel = width - high, max(j for j in range(width) if 16 * j <= 7 * width)
    for b in range(3):
        for t in range(frames):
            shift = t * travel // frames
            for j in range(width):
                right = 0 if j < low else 1 if j >= high else (j + 1 - low) / (high - low + 1)
                left_pixel = clips[b, 0, t, :, (j + shift) % width]
                right_pixel = clips[order[b], 0, t, :, (j - shift) % width]
                assert torch.allclose(out[b, 0, t, :, j], (1 - right) * left_pixel + right * right_pixel, atol=1e-6)
    assert new.weights.unique().tolist() == [0.5] and new.classes[1, :, 0].tolist() == order


def test_the_released_view_of_the_multigrids_width_and_of_odd_ones():
    view = cutmix.released_view(4, 158, torch.device("cpu"))  # 9 x 158 / 16 = 88.9, 7 x 158 / 16 = 69.1
    assert (view.low, view.high) == (70, 88) and view.left.tolist() == [0, 17, 34, 51]
    assert view.right.tolist() == [70, 53, 36, 19]
    assert view.fraction.tolist() == pytest.approx([k / 19 for k in range(1, 19)])
    for width in (2, 3, 7, 9, 31, 158):
        view = cutmix.released_view(3, width, torch.device("cpu"))
        right = view.fraction.sum().item() + width - view.high
        assert right == pytest.approx(width / 2, abs=1e-4) or (width < 9 and right == width // 2), "half of the area"
        out, _ = TransientView()(torch.ones(1, 1, 3, 2, width), frame_labels(torch.tensor([0]), 3))
        assert torch.equal(out, torch.ones(1, 1, 3, 2, width))
    with pytest.raises(BadInput, match="2 columns or more, not 1"):
        TransientView()(torch.ones(1, 1, 3, 2, 1), frame_labels(torch.tensor([0]), 3))


def test_the_texts_view_of_an_odd_width():
    view = cutmix.thesis_view(8, 33, torch.device("cpu"))  # a half of 16 columns, a delta of 2
    assert (view.low, view.high) == (15, 18) and view.fraction.tolist() == [0.25, 0.5, 0.75]


def test_the_texts_view_moves_one_way_over_all_of_both_clips():
    view = cutmix.thesis_view(8, 32, torch.device("cpu"))
    assert (view.low, view.high) == (15, 18) and view.fraction.tolist() == [0.25, 0.5, 0.75]
    assert view.left[[0, -1]].tolist() == [0, 32 - 18] and view.right[[0, -1]].tolist() == [0, 15]
    clips = torch.arange(32.0).expand(1, 1, 8, 2, 32)
    out, _ = TransientView(cutmix.thesis_view)(clips, frame_labels(torch.tensor([0]), 8))
    assert out[0, 0, 0, 0, :15].tolist() == list(range(15)) and out[0, 0, 0, 0, 18:].tolist() == list(range(3, 17))
    assert out[0, 0, -1, 0, :15].tolist() == list(range(14, 29)) and out[0, 0, -1, 0, 18:].tolist() == list(
        range(18, 32)
    )


def test_the_border_equals_the_texts_mask():
    place, delta = 11, 2
    for width in (32, 47):  # a sixteenth of 47 has the integer part 2
        want = [
            1 if j < place - delta else 0 if j >= place + delta else (place + delta - j) / (2 * delta)
            for j in range(width)
        ]
        assert cutmix.border(torch.tensor(11.0), width).tolist() == pytest.approx(want)


def test_the_window_moves_with_the_ramp_and_labels_weigh_as_areas():
    clips = torch.stack([torch.zeros(1, 8, 2, 32), torch.ones(1, 8, 2, 32)])
    labels = frame_labels(torch.tensor([0, 1]), 8)
    for seed in range(20):  # until the two clips meet each other
        torch.manual_seed(seed)
        out, new = TransientWindow(fixed((0, 6, 3, 8)))(clips, labels)
        if new.classes[1, 0, 0] == 1:
            break
    areas = out[0, 0, :, 0].mean(-1)
    assert areas[:3].tolist() == [0] * 3 and areas[6:].tolist() == [1] * 2
    assert torch.allclose(new.weights[1, 0], areas, atol=1e-6), "the partner is white: its area is its weight"
    # alpha is 0 at the overlap's last frame, but half of the seam is still the first clip's
    assert out[0, 0, 5, 0, :3].tolist() == [0.5, 0.75, 1] and new.weights[0, 0, 5].item() == pytest.approx(0.75 / 32)
    place = round(32 * naive_alpha(6, 3, 5, 4))
    assert torch.allclose(out[0, 0, 3, 0], 1 - cutmix.border(torch.tensor(float(place)), 32))


# --- combining ---


def test_joint_training_switches_for_the_whole_batch():
    shift = lambda by: lambda clips, labels: (clips + by, labels)  # noqa: E731
    clips, labels = torch.zeros(400, 1, 2, 1, 1), frame_labels(torch.zeros(400).long(), 2)
    values = [pretraining.JointBatch((shift(1), shift(10)))(clips, labels)[0].unique().tolist() for _ in range(60)]
    assert all(len(v) == 1 for v in values) and {v[0] for v in values} == {0, 1, 10, 11}
    counts = [values.count([total]) for total in (0, 1, 10, 11)]
    assert all(5 <= count <= 25 for count in counts), "each with probability one half"
    never, always = (pretraining.JointBatch((shift(1),), p)(clips, labels)[0].unique().tolist() for p in (0.0, 1.0))
    assert (never, always) == ([0], [1])


# --- labels and losses ---


def test_frame_labels_repeat_or_stay():
    assert frame_labels(torch.tensor([3, 1]), 2).classes.tolist() == [[[3, 3], [1, 1]]]
    assert frame_labels(torch.tensor([[3, 1]]), 2).classes.tolist() == [[[3, 1]]]
    with pytest.raises(BadInput, match="need"):
        frame_labels(torch.tensor([[3, 1]]), 3)


def example():
    classes = torch.tensor([[[0, BACKGROUND, 2]], [[1, 1, 2]]])
    weights = torch.tensor([[[1.0, 0.25, 0.5]], [[0.0, 0.75, 0.5]]])
    return torch.randn(1, 3, 4), Labels(classes, weights, weights > 0)


def test_background_is_a_zero_vector_or_a_class():
    _, labels = example()
    zero = [[1, 0, 0, 0], [0, 0.75, 0, 0], [0, 0, 1, 0]]
    assert targets(labels, 4)[0].tolist() == zero
    assert targets(labels, 4, background=3)[0].tolist() == [zero[0], [0, 0.75, 0, 0.25], zero[2]]
    assert targets(labels, 4, background=0)[0, 1].tolist() == [0.25, 0.75, 0, 0]


@pytest.mark.parametrize("background", [None, 0, 3])
def test_losses_equal_naive_sums(background):
    scores, labels = example()
    per_source = []
    for m in range(2):
        total, seen = 0.0, 0
        for t in range(3):
            k = labels.classes[m, 0, t].item()
            seen += labels.visible[m, 0, t].item()
            if k == BACKGROUND and background is None:
                continue
            entropy = F.cross_entropy(scores[0, t][None], torch.tensor([background if k == BACKGROUND else k]))
            total += labels.weights[m, 0, t].item() * entropy.item()
        per_source.append(total / seen)
    assert softmax_loss(scores, labels, background).item() == pytest.approx(sum(per_source), abs=1e-5)
    want = F.binary_cross_entropy_with_logits(scores, targets(labels, 4, background))
    assert binary_loss(scores, labels, background).item() == pytest.approx(want.item())


def test_a_source_that_is_never_seen_costs_nothing():
    scores, labels = example()
    gone = Labels(labels.classes, torch.zeros_like(labels.weights), torch.zeros_like(labels.visible))
    assert softmax_loss(scores, gone) == 0


# --- the objective ---


@pytest.mark.parametrize("loss", [softmax_loss, binary_loss])
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_one_call_pretrains_a_backbone(name, loss):
    model = X3D(TINY, 3)

    def batches(step):
        draw = torch.Generator().manual_seed(step)
        return torch.randint(0, 256, (2, 4, 32, 32, 3), dtype=torch.uint8, generator=draw), torch.tensor([0, 2])

    before = model.stages[1][0].conv2.weight.clone()
    settings = TrainSettings(steps=2, batch=2, lr=1e-3, warmup=1)
    history = train(model, batches, settings, 3, objective=DetectionPretraining(AUGMENTATIONS[name], 3, loss))
    assert len(history.loss) == 2 and not torch.equal(before, model.stages[1][0].conv2.weight)


@pytest.mark.parametrize("augmentation", [VolumeMixUp(), VolumeFreeze()])
def test_features_can_be_mixed_at_every_depth(augmentation):
    model, task = Manifold(X3D(TINY, 3, dropout=0.0), augmentation), DetectionPretraining(None, 3)
    x, labels = torch.randn(2, 3, 4, 32, 32), torch.tensor([0, 1])
    depths = []
    for seed in range(12):
        torch.manual_seed(seed)
        depths.append(int(torch.randint(5, ())))
        torch.manual_seed(seed)
        task(model, x, labels).backward()
    assert set(depths) == set(range(5))
    assert all(p.grad is not None for p in model.parameters())


def test_without_change_features_are_the_networks_own():
    net = X3D(TINY, 3, dropout=0.0).eval()
    x = torch.randn(1, 3, 4, 32, 32)
    assert torch.equal(Manifold(net, unchanged)(x, frame_labels(torch.tensor([1]), 4))[0], net(x))


def test_wrong_batches_are_named():
    x, task = torch.randn(1, 3, 4, 32, 32), DetectionPretraining(unchanged, 3)
    for model, clips, label, message in (
        (X3D(TINY, 3), x, 3, "labels from 3 to 3 are not within 3 classes"),
        (X3D(TINY, 3), x, -1, "labels from -1"),
        (X3D(TINY, 3), x[0], 1, "need .b, c, t, h, w"),
        (X3D(TINY, 4), x, 1, r"are \(1, 4, 4\), detection pretraining needs \(1, 4, 3\)"),
        (X3D(TINY, 3, ClipHead), x, 1, "detection pretraining needs"),
    ):
        with pytest.raises(BadInput, match=message):
            task(model, clips, torch.tensor([label]))
    assert DetectionPretraining(VolumeFreeze(), 3, background=3)(X3D(TINY, 4), x, torch.tensor([1])) > 0


# --- counts ---


def test_counts_meet_the_thesis():
    counted, paper = count_all(), claims.load("detection_pretraining")
    counts = [claim for claim in paper.claims if claim.kind == "count"]
    assert {claim.id for claim in counts} == set(counted)
    for claim in counts:
        assert same_count(claim, counted[claim.id]), claim.id
