"""`localize` on videos whose answer is known: slots that see places, a reader that knows the names of colours."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from minilib.errors import BadInput
from minilib.models.videomae import VideoEncoder
from minilib.papers.open_vocabulary import Localizer, Vocabulary, foreground, localize
from minilib.papers.open_vocabulary.method import Tubes

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


def test_another_object_of_the_name_elsewhere_is_a_new_tube():
    moved = video(16)
    moved[8:] = moved[8:].flip(2)
    found = localize(moved, WORDS, localizer())
    assert sorted(tube.name for tube in found) == ["green", "green", "red", "red"]
    assert all(bool(tube.boxes[:8].any()) != bool(tube.boxes[8:].any()) for tube in found)


def test_thresholds_and_bad_input():
    assert len(localize(video(), WORDS, localizer(), threshold=0.9)) == 1  # of columns, green alone is pure
    for frames, said in (
        (video(7), "7 frames: at least 8"),
        (video().float(), "must be uint8"),
        (video()[:, :, :, :2], "must be uint8"),
        (video(), "occurs twice"),
    ):
        with pytest.raises(BadInput, match=said):
            words = Vocabulary(("red", "red")) if said == "occurs twice" else WORDS
            localize(frames, words, localizer())
