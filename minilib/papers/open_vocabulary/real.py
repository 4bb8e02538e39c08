"""Video slots on ImageNet-VID or YouTube-VIS, by `minilib.study.real_localization`.

Rate, warm-up, batch, epochs and clipping are Appendix B.2's, strides the released code's. The text lets the rate decay
exponentially (the released code halves it every 50,000 steps); the suite's loop has a cosine. Without weight decay its
AdamW is Adam. Patch-CLIP is trained elsewhere: its file is given.

Axes: b videos, n clips, t frames, s slots, k names, h and w pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.manifests import resolve
from minilib.models.checkpoints import read_state
from minilib.models.clip import VIT_B16, build, openai_clip
from minilib.models.slots import GaussianSlots
from minilib.models.videomae import VideoEncoder
from minilib.models.videomae_weights import released_encoder
from minilib.papers.open_vocabulary.decoder import ChunkedDecoder
from minilib.papers.open_vocabulary.joint import joint_optimisation, mask_boxes
from minilib.papers.open_vocabulary.localize import Localizer
from minilib.papers.open_vocabulary.method import VideoSlots, clip_features, reconstruction_loss
from minilib.papers.open_vocabulary.naming import PROMPTS, SCALE, Vocabulary, among_stuff, spaced
from minilib.papers.open_vocabulary.patch_clip import PatchClip
from minilib.papers.open_vocabulary.pretrain.shipped import small_localizer
from minilib.papers.open_vocabulary.released import SLOTS, InImageNetStatistics, released_patch_clip, released_slots
from minilib.papers.open_vocabulary.small import sentences
from minilib.study.real_localization import Answer, Run
from minilib.study.real_run import Prepared
from minilib.world.vocabulary import GROUNDS

RECIPE = {
    "lr": 3e-3,
    "weight_decay": 0.0,
    "betas": [0.9, 0.999],
    "batch": 8,  # videos, one a GPU
    "epochs": 300,
    "warmup_epochs": 10.4,  # of ImageNet-VID: 5,000 steps
    "clip_grad": 1.0,
    "smoothing": 0.0,
    "flip": 0.0,
}
TEST_SEED = 287  # the released code's, of the initial slots


class OnVideos(nn.Module):
    """A localizer whose slots train; its encoder and its reader of patches are frozen."""

    def __init__(self, parts: Localizer, vocabulary: Vocabulary):
        super().__init__()
        self.encoder, self.slots, self.reader, self.layer = parts.encoder, parts.slots, parts.reader, parts.layer
        self.targets = len(vocabulary.targets)
        self.slots.requires_grad_(True)
        for frozen in (self.encoder, self.reader, parts.clip):
            frozen.requires_grad_(False)
        self.register_buffer("names", vocabulary.features(parts.clip.eval()), persistent=False)

    def train(self, mode: bool = True) -> OnVideos:
        super().train(mode)
        self.encoder.eval()
        self.reader.eval()
        return self

    def normalise(self, frames: Tensor) -> Tensor:
        return self.encoder.normalise(frames)

    def features(self, pixels: Tensor) -> Tensor:
        """Normalised pixels (b, t, 3, h, w) to what the slots read, without gradient."""
        with torch.no_grad():
            return clip_features(self.encoder, pixels, self.layer)

    @torch.no_grad()
    def locate(self, frames: Tensor) -> Answer:
        """Of a window uint8 (t, h, w, 3); each box has the soft-max of its hundredfold cosines as scores."""
        features = self.features(self.normalise(frames[None]))
        tubes = self.slots(features, torch.Generator().manual_seed(TEST_SEED))
        assigned, count, patches = tubes.assigned, tubes.masks.shape[1], self.reader(frames[None]).float()
        joined = joint_optimisation(assigned, count, patches, self.names, self.targets)
        boxes = self._boxes(joined.tokens, count, len(frames)) * joined.groups[0, None, :, None]
        scores = (SCALE * joined.cosines[0, :, : self.targets]).softmax(-1)
        return Answer(self._boxes(assigned, count, len(frames)), boxes, scores)

    def _boxes(self, assigned: Tensor, slots: int, frames: int) -> Tensor:
        """(t, s, 4) of tokens (1, u, r, c)."""
        masks = assigned[0, :, None] == torch.arange(slots, device=assigned.device).view(-1, 1, 1)
        return mask_boxes(masks, self.encoder.patch).repeat_interleave(frames // len(masks), 0)


def reconstruction(model: OnVideos, pixels: Tensor, _: Tensor) -> Tensor:
    """The loss of clips of one video, normalised pixels (b, n, t, 3, h, w)."""
    features = model.features(pixels.flatten(0, 1))
    return reconstruction_loss(model.slots(features), features)


def prepared(run: Run, classes: Sequence[str]) -> Prepared:
    """The paper's model in the size of the backbone: ViT-B/16, or the small world's shipped encoder and reader with
    slots that start anew. `run.frames` must be whole tubelets."""
    torch.manual_seed(run.seed)
    parts, vocabulary = (_small if run.backbone == "small" else _full)(run, classes)
    if run.frames % parts.encoder.tubelet:
        raise BadInput(f"frames={run.frames}: not a multiple of the encoder's tubelets of {parts.encoder.tubelet}")
    return Prepared("open_vocabulary", OnVideos(parts, vocabulary), run.frames, RECIPE, reconstruction)


def _small(run: Run, classes: Sequence[str]) -> tuple[Localizer, Vocabulary]:
    shipped = small_localizer()
    encoder, grid = shipped.encoder, shipped.encoder.positions.grid
    slots = VideoSlots(GaussianSlots(8, 66), ChunkedDecoder(encoder.width, 66, 8, grid, 384), encoder.width)
    return Localizer(encoder, slots, shipped.reader, shipped.clip), Vocabulary(tuple(classes), GROUNDS, sentences)


def _full(run: Run, classes: Sequence[str]) -> tuple[Localizer, Vocabulary]:
    random = run.weights == "random"
    if run.prompt not in PROMPTS:
        raise BadInput(f"prompt {run.prompt!r}: choose of {', '.join(PROMPTS)}")
    if not run.weights:
        raise BadInput("weights: the paper's are not published; give a file of a video encoder, or weights=random")
    if not random and not run.patch_clip:
        raise BadInput("patch_clip: the paper's is not published; give a file of its block, or patch_clip=random")
    file = resolve("openai_clip_vit_b16", run.data_root) if not random else None
    encoder, slots = (VideoEncoder().eval(), new_slots()) if random else from_file(run.weights)
    clip = (build(VIT_B16) if random else openai_clip(VIT_B16, file)).eval()
    untrained = random or run.patch_clip == "random"
    reader = PatchClip(clip).eval() if untrained else released_patch_clip(run.patch_clip, clip)
    prompts = PROMPTS[run.prompt] if run.dataset == "imagenet_vid" else spaced(PROMPTS[run.prompt])
    vocabulary = among_stuff(classes, prompts)
    return Localizer(encoder, slots, InImageNetStatistics(reader, encoder), clip), vocabulary


def new_slots(width: int = 768) -> VideoSlots:
    """Untrained, in the paper's sizes, for features of that width."""
    return VideoSlots(GaussianSlots(SLOTS, 128), ChunkedDecoder(width), width)


def from_file(path: str) -> tuple[VideoEncoder, VideoSlots]:
    """The encoder of a file, and its slots, or new ones where it has none."""
    if any(name.startswith("grouping.") for name in read_state(path)):
        return released_slots(path)
    encoder = released_encoder(path)
    return encoder, new_slots(encoder.width)
