"""Names for slots (Sec. 4 and 5): the mean of a slot's patch features against the sentences of a vocabulary.

Axes: b clips, s slots, u steps, r rows and c columns of patches, e joint embedding, k names (targets first), p prompts
of a name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
import yaml
from torch import Tensor

from minilib.errors import BadInput
from minilib.models.clip import ImageText

SCALE = 100.0  # of the cosines, before a soft-max
CONTENT = 0.7  # of uniform: Eq. 1's mean weight in a slot that is kept, where it is asked for


def photo(name: str) -> list[str]:
    """The released code's prompt, without an article (Appendix D prints "a photo of a [CLASS]")."""
    return [f"a photo of {name}"]


def photo_of_a(name: str) -> list[str]:
    """Appendix D's prompt."""
    return [f"a photo of a {name}"]


def photo_with_synonyms(name: str) -> list[str]:
    """The released code's prompt of a name and of its synonyms in Appendix D, which the paper tried and left out."""
    return [sentence for each in (name, *_words()["synonyms"].get(name, ())) for sentence in photo(each)]


def spaced(prompts: Callable[[str], Sequence[str]]) -> Callable[[str], Sequence[str]]:
    """The same of names without underscores: the released list has YouTube-VIS's so, and ImageNet-VID's as they are."""
    return lambda name: prompts(name.replace("_", " "))


# --- a name with several prompts: cosines (..., k, p) to one for each name, (..., k) ----------------------------------


def best(cosine: Tensor) -> Tensor:
    """A name is as similar as its best prompt; synonyms are prompts, too."""
    return cosine.amax(-1)


def mean(cosine: Tensor) -> Tensor:
    """A name is as similar as its prompts in the mean."""
    return cosine.mean(-1)


def fitting(cosine: Tensor, sharpness: float = 20.0) -> Tensor:
    """For names whose prompts are the same sentences but for the name: a sentence counts by how well it fits whatever
    the name. Among "a small red ...", "a large blue ...", what the slot looks like is settled before what it is."""
    return (cosine * (sharpness * cosine.mean(-2, keepdim=True)).softmax(-1)).sum(-1)


@dataclass(frozen=True)
class Vocabulary:
    """Names to look for and names of backgrounds. The paper has one prompt a name; where there are several, `over`
    makes one similarity of theirs.

    Raises BadInput where there is nothing to look for, or a name occurs twice.
    """

    targets: tuple[str, ...]
    background: tuple[str, ...] = ()
    prompts: Callable[[str], Sequence[str]] = photo
    over: Callable[[Tensor], Tensor] = best

    def __post_init__(self):
        for part in ("targets", "background"):
            if isinstance(names := getattr(self, part), str):
                raise BadInput(f"vocabulary: {part} is the text {names!r}, give a list of names")
            object.__setattr__(self, part, tuple(names))
        if not self.targets:
            raise BadInput("vocabulary: it is empty, name at least one thing to look for")
        wrong = [name for name in self.names if not isinstance(name, str) or not name.strip()]
        if wrong:
            raise BadInput(f"vocabulary: {wrong[0]!r} is no name, give words")
        twice = [name for i, name in enumerate(self.names) if name in self.names[:i]]
        if twice:
            raise BadInput(f"vocabulary: {twice[0]!r} occurs twice")

    @property
    def names(self) -> tuple[str, ...]:
        return self.targets + self.background

    @torch.no_grad()
    def features(self, clip: ImageText) -> Tensor:
        """Unit vectors of the names' prompts, (k, p, e); where a name has fewer prompts, its first is repeated."""
        sentences = [list(self.prompts(name)) for name in self.names]
        if not all(sentences):
            raise BadInput(f"vocabulary: no prompt for {self.names[sentences.index([])]!r}")
        most = max(len(each) for each in sentences)
        padded = [each + each[:1] * (most - len(each)) for each in sentences]
        flat = [sentence for each in padded for sentence in each]
        found = torch.cat([clip.text_features(flat[at : at + 2048]) for at in range(0, len(flat), 2048)])
        return found.unflatten(0, (len(padded), most))


def slot_sums(patches: Tensor, assigned: Tensor, slots: int) -> Tensor:
    """Sums of the patch features in each slot, un-normalised (the released form; its direction is the mean's).

    patches (b, t, r', c', e), assigned (b, u, r, c): (b, s, e). A step of several frames counts for each of them, and a
    grid that is not the patches' is read at theirs: the share of each slot in each patch.
    """
    t, *grid = patches.shape[1:4]
    steps = assigned.shape[1]
    if t % steps:
        raise BadInput(f"{t} frames of patches for {steps} steps of slots: the steps must divide the frames")
    shares = F.one_hot(assigned, slots).movedim(-1, 2).to(patches.dtype)  # (b, u, s, r, c)
    if tuple(shares.shape[-2:]) != tuple(grid):
        shares = F.interpolate(shares.flatten(0, 1), tuple(grid), mode="area").unflatten(0, shares.shape[:2])
    shares = shares.repeat_interleave(t // steps, 1)
    return torch.einsum("btsrc,btrce->bse", shares, patches)


def slot_means(values: Tensor, assigned: Tensor, slots: int) -> Tensor:
    """Means of the patches' values (b, t, r', c', e) in each slot, (b, s, e); 0 in a slot without a patch."""
    ones = torch.ones_like(values[..., :1])
    return slot_sums(values, assigned, slots) / slot_sums(ones, assigned, slots).clamp(min=1e-6)


def cosines(sums: Tensor, names: Tensor, over: Callable[[Tensor], Tensor] = best) -> Tensor:
    """Slots (b, s, e) against names (k, p, e): (b, s, k), over the prompts of each. A slot without a patch has cosine 0
    with everything."""
    return over((F.normalize(sums, dim=-1) @ names.flatten(0, 1).T).unflatten(-1, names.shape[:2]))


def wanted(
    cosine: Tensor, targets: int, threshold: float = 0.0, content: Tensor | None = None, least: float = CONTENT
) -> Tensor:
    """Which slots are kept, bool (b, s): the best of all names is a target, and its cosine exceeds lambda, `threshold`.

    content (b, s), this suite's: Eq. 1's mean weight in each slot, of which more than `least` is asked. What CLIP says
    of a picture lies in its objects, so no names of backgrounds are needed. Of a clip in which no slot is kept, the one
    of the best target is, as released; where there is one with content, the best of those.
    """
    best = cosine.argmax(-1)
    target = cosine[..., :targets].amax(-1)
    kept = (best < targets) & (target > threshold)
    if content is not None:
        kept = kept & (content > least)
        target = target - 2.0 * (content <= least)  # two cosines differ by less
    fallback = F.one_hot(target.argmax(-1), cosine.shape[1]).bool()
    return torch.where(kept.any(1, keepdim=True), kept, fallback)


def stuff_name(name: str) -> str:
    """A stuff class as it is said: "wall-concrete" is "concrete wall" (Appendix D), "sky-other" is "sky"."""
    thing, _, kind = name.partition("-")
    return thing if kind in ("", "other", "stuff") else f"{kind} {thing}"


def real_vocabulary(dataset: str, prompts: Callable[[str], Sequence[str]] = photo) -> Vocabulary:
    """The names of "imagenet_vid" or "youtube_vis", and COCO-stuff's as backgrounds. Raises BadInput for another name.

    Stuff that a data set looks for itself is no background. The released list also holds "__background__" among the
    targets' names, and never keeps it; here backgrounds are stuff alone.
    """
    if dataset not in ("imagenet_vid", "youtube_vis"):
        raise BadInput(f"vocabulary {dataset!r}: there are imagenet_vid and youtube_vis")
    return among_stuff(_words()[dataset], prompts)


def among_stuff(targets: Sequence[str], prompts: Callable[[str], Sequence[str]] = photo) -> Vocabulary:
    """Names to look for, and COCO-stuff's others as backgrounds."""
    stuff = dict.fromkeys(stuff_name(name) for name in _words()["coco_stuff"])
    return Vocabulary(tuple(targets), tuple(name for name in stuff if name not in targets), prompts)


PROMPTS = {"photo": photo, "photo_of_a": photo_of_a, "synonyms": photo_with_synonyms}


@cache
def _words() -> dict:
    return yaml.safe_load(Path(__file__).with_name("vocabularies.yaml").read_text(encoding="utf-8"))
