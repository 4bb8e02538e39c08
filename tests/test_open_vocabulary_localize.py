"""`localize` on videos whose answer is known: slots that see places, a reader that knows the names of colours."""

from dataclasses import fields, replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from minilib.errors import BadInput
from minilib.models.videomae import VideoEncoder
from minilib.papers.open_vocabulary import Localizer, Vocabulary, foreground, localize
from minilib.papers.open_vocabulary.localize import Track, linked, settled
from minilib.papers.open_vocabulary.method import Tubes
from minilib.papers.open_vocabulary.pipelines import OURS, SETTLED, boxed, content_of, patch_clip, patches_of
from minilib.papers.open_vocabulary.pipelines import test_clips as clips_of
from minilib.papers.open_vocabulary.pretrain.shipped import small_localizer
from minilib.papers.open_vocabulary.proposals import Proposal
from minilib.papers.open_vocabulary.small import OBJECTS

WORDS = Vocabulary(("red", "green"), ("grey",))


class Words(nn.Module):
    """A CLIP's text side: one unit vector a colour."""

    def text_features(self, sentences):
        return torch.eye(3)[[["red", "green", "grey"].index(sentence.split()[-1]) for sentence in sentences]]


class Colours(nn.Module):
    """Patches of 8 pixels, named by their middle: red, green or grey."""

    def forward(self, frames):
        middle = frames[..., 4::8, 4::8, :].float()
        grey = 100 * (middle.amax(-1) < 100)
        return F.normalize(torch.stack([middle[..., 0], middle[..., 1], grey], -1) + 1e-3, dim=-1)


class Features(VideoEncoder):
    def __init__(self, tubelet):
        super().__init__(6, 1, 1, 8, tubelet, 16 // tubelet, (4, 4))

    def features(self, pixels, layers):
        """The colours themselves."""
        return [pixels[:, :: self.tubelet, :, 4::8, 4::8].movedim(2, -1)]


class OneSlotAColumn(nn.Module):
    """Slots by place: objects that stay in a half are split into its columns. The numbers turn from call to call."""

    calls = 0

    def forward(self, features, generator):
        self.calls += 1
        b, u, r, c, _ = features.shape
        column = ((torch.arange(c) + self.calls) % c).expand(b, u, r, c)
        masks = F.one_hot(column, c).movedim(-1, 1).float()
        return Tubes(torch.zeros(b, c, 2), masks, masks, features)


def video(frames=8):
    """A red object in the upper left, two columns wide, and a green one on the right, on grey."""
    out = torch.full((frames, 32, 32, 3), 50, dtype=torch.uint8)
    out[:, :16, :16] = torch.tensor([255, 0, 0], dtype=torch.uint8)
    out[:, :, 24:] = torch.tensor([0, 255, 0], dtype=torch.uint8)
    return out


def localizer(tubelet=1):
    return Localizer(Features(tubelet), OneSlotAColumn(), Colours(), Words())


@pytest.mark.parametrize("frames", [8, 16, 19])
@pytest.mark.parametrize("tubelet", [1, 2])
def test_finds_names_merges_and_links(frames, tubelet):
    red, green = sorted(localize(video(frames), WORDS, localizer(tubelet)), key=lambda tube: tube.name != "red")
    assert (red.name, green.name) == ("red", "green")
    assert red.boxes.tolist() == [[0, 0, 16, 32]] * frames  # two slots, one object: columns reach to the ground
    assert green.boxes.tolist() == [[24, 0, 32, 32]] * frames and green.score == pytest.approx(1, abs=1e-2)
    assert red.masks.shape == (frames, 32, 32) and red.masks[:, :, :16].all() and not red.masks[:, :, 16:].any()
    assert torch.equal(foreground([red, green]), red.masks | green.masks)
    assert torch.equal(foreground([red, green], "green"), green.masks)
    with pytest.raises(BadInput, match="'blue'"):
        foreground([red, green], "blue")


class OneSlotAColour(nn.Module):
    """Slots by colour, wherever it is. The numbers turn from call to call."""

    calls = 0

    def forward(self, features, generator):
        self.calls += 1
        _, colour = features.flatten(0, 3).unique(dim=0, return_inverse=True)
        slot = (colour.view(features.shape[:4]) + self.calls) % 5
        masks = F.one_hot(slot, 5).movedim(-1, 1).float()
        return Tubes(torch.zeros(len(features), 5, 2), masks, masks, features)


def test_objects_of_one_name_keep_their_tubes_through_seven_windows():
    """Two red ones pass each other, a green one waits; one red one leaves the picture in frame 30."""
    frames, patches = 40, torch.full((40, 4, 12, 3), 50, dtype=torch.uint8)
    where = {"there": [], "back": [], "waits": [(2, 11)] * frames}
    for t in range(frames):
        where["there"].append((0, t // 4))
        where["back"].append((2, 9 - t // 4) if t < 30 else None)
        for name, colour in (("there", [255, 0, 0]), ("back", [255, 0, 40]), ("waits", [0, 255, 0])):
            if where[name][t]:
                patches[t][where[name][t]] = torch.tensor(colour, dtype=torch.uint8)
    clip = patches.repeat_interleave(8, 1).repeat_interleave(8, 2)
    parts = Localizer(Features(2), OneSlotAColour(), Colours(), Words())
    found = localize(clip, WORDS, parts)
    assert sorted(tube.name for tube in found) == ["green", "red", "red"] and parts.slots.calls == 7
    boxes = [[box_of(at) for at in each] for each in where.values()]
    assert sorted(tube.boxes.tolist() for tube in found) == sorted(boxes)


def box_of(place):
    """Of a patch, (row, column)."""
    return [0, 0, 0, 0] if place is None else [8 * place[1], 8 * place[0], 8 * place[1] + 8, 8 * place[0] + 8]


def track(name, *places, score=0.5, frames=10, size=8):
    """A tube of squares of 4 pixels, at (t, x) for each place."""
    masks, boxes = torch.zeros(frames, size, 2 * size, dtype=torch.bool), torch.zeros(frames, 4, dtype=torch.int64)
    for t, x in places:
        masks[t, :4, x : x + 4], boxes[t] = True, torch.tensor([x, 0, x + 4, 4])
    return Track(masks, boxes, ((name, score),))


def seen(track):
    return [(t, int(box[0])) for t, box in enumerate(track.boxes) if box[2] > 0]


def test_links_are_one_to_one_and_the_best_in_sum():
    """The first of two neighbours fits the second one's continuation best, and its own nearly as well."""
    old = [track("red", (2, 2), (3, 2)), track("red", (2, 4), (3, 4))]
    new = [track("red", (3, 3), (4, 3)), track("red", (3, 1), (4, 1))]
    first, second = linked(old, new, 3, 4)  # IoU 0.6 with both, 0.6 with one: greedy would leave one over
    assert (seen(first), seen(second)) == ([(2, 2), (3, 2), (4, 1)], [(2, 4), (3, 4), (4, 3)])
    apart = linked(old[:1], [track("red", (3, 6), (4, 6))], 3, 4)  # of the name, but elsewhere
    assert [seen(each) for each in apart] == [[(2, 2), (3, 2)], [(4, 6)]]
    assert linked(old, [track("red", (3, 8))], 3, 4) == old  # nothing new beyond the shared frame


def test_pairs_that_are_too_unlike_take_no_link_from_others():
    """0.3 links the first pair; two pairs of a sixth would be more in sum, and neither is enough."""
    old = [track("red", (3, 4)), track("red", (3, 7))]
    new = [track("green", (3, 5), (4, 5)), track("green", (3, 2), (4, 2))]
    assert [seen(each) for each in linked(old, new, 3, 4)] == [[(3, 4), (4, 5)], [(3, 7)], [(4, 2)]]


def test_a_window_that_errs_in_the_name_is_outvoted():
    (both,) = linked([track("red", (2, 2), (3, 2))], [track("green", (3, 2), (4, 2), score=0.4)], 3, 4)
    assert seen(both) == [(2, 2), (3, 2), (4, 2)] and (both.tube().name, both.tube().score) == ("red", 0.5)
    (all_three,) = linked([both], [track("green", (4, 2), (5, 2), score=0.3)], 4, 5)
    assert all_three.name == "green" and all_three.tube().score == pytest.approx(0.35)
    moved = linked([track("red", (2, 2), (3, 2))], [track("green", (3, 3), (4, 3))], 3, 4)
    assert len(moved) == 1  # 0.6 counts half, 0.3
    assert len(linked([track("red", (3, 2))], [track("green", (3, 4), (4, 4))], 3, 4)) == 2
    assert len(linked([track("red", (3, 2))], [track("red", (3, 4), (4, 4))], 3, 4)) == 1  # a third


def test_neighbours_are_those_that_the_localizer_names():
    assert len(localize(video(), WORDS, localizer())) == 2  # red's two columns are one
    in_time_alone = replace(localizer(), offsets=((1, 0, 0),))
    assert len(localize(video(), WORDS, in_time_alone)) == 3


def test_the_shipped_localizer_keeps_and_merges_as_the_measured_one():
    shipped = small_localizer()
    assert (shipped.offsets, shipped.likeness, shipped.content is not None) == (
        OURS.offsets,
        OURS.likeness,
        OURS.content,
    )


def test_thresholds_and_bad_input():
    assert len(localize(video(), WORDS, localizer(), threshold=0.9)) == 1  # of columns, green alone is pure
    for frames, said in (
        (video(7), "7 frames: at least 8"),
        (video().float(), "must be uint8"),
        (video()[:, :, :, :2], "must be uint8"),
        (video()[:, :0], "must be uint8"),
        (video(), "occurs twice"),
    ):
        with pytest.raises(BadInput, match=said):
            words = Vocabulary(("red", "red")) if said == "occurs twice" else WORDS
            localize(frames, words, localizer())
    for words, said in ((["red", " "], "' ' is no name"), ([1], "1 is no name"), ([], "it is empty")):
        with pytest.raises(BadInput, match=said):
            localize(video(), words, localizer())
    with pytest.raises(BadInput, match="at least one is needed"):
        settled(localizer(), 0)
    silent = Vocabulary(("red", "sand"), (), lambda name: ["red"] if name == "red" else [])
    with pytest.raises(BadInput, match="no prompt for 'sand'"):
        silent.features(localizer().clip)


@pytest.mark.parametrize(("how", "rules"), [(lambda same: same, OURS), (settled, SETTLED)])
def test_a_window_of_the_shipped_localizer_has_the_measured_boxes_and_scores(how, rules):
    which = 5, "val", "seen"
    clips, patches, content = clips_of(*which), patches_of(patch_clip, *which), content_of(*which)
    generator = torch.Generator().manual_seed(287)  # what `localize` draws, for one clip
    shipped = how(small_localizer())
    features = shipped.encoder.features(shipped.encoder.normalise(clips.frames[:1]), (shipped.layer,))[0]
    tubes = shipped.slots(features, generator)
    first = replace(clips, **{f.name: getattr(clips, f.name)[:1] for f in fields(clips)})
    own = Proposal(tubes.assigned, tubes.masks.shape[1])
    found, _ = boxed(first, own, patches[:1], OBJECTS, rules, content[:1])
    answered = localize(clips.frames[0], OBJECTS, shipped)
    there = (found.boxes[0, :, :, 2] > 0).any(0).nonzero().flatten()
    weights = torch.ones(len(there)) if found.weights is None else found.weights[0, there]
    scores = found.cosines[0, there, found.names[0, there]] * weights
    assert [tube.score for tube in answered] == pytest.approx(sorted(scores.tolist(), reverse=True), abs=1e-4)
    expected = [found.boxes[0, :, slot] for slot in there[scores.argsort(descending=True)]]
    assert all(torch.equal(tube.boxes, boxes) for tube, boxes in zip(answered, expected, strict=True))
