"""Every number of VicTR's tables that can be counted, on the meta device: `count_all()` gives {metric: value}.

One multiply-add is one, and five for each element of a LayerNorm. A model is the image tower on every frame, the text
tower on one prompt, and the head on *one* video-text pair, as the thesis counts (Sec. 5.4). CLIP's image projection is
left out of the computation and kept in the parameters. The head is counted as the equations read, `DirectWeighting`;
"head.*" puts beside it the same sum in the order of `tokens`, and the cost with all names, which is not printed.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import nn

from minilib.cost import multiply_adds, parameters
from minilib.models.clip import VIT_B16, VIT_L14, without_words
from minilib.papers.victr.method import AffinityWeighting, VicTR
from minilib.papers.victr.variants import DirectWeighting
from minilib.papers.victr.vocabularies import attributes

ARCHITECTURES = {"b16": VIT_B16, "l14": VIT_L14}
PRINTED = {"b16": (16, 32), "l14": (8, 32)}  # frames
VOCABULARIES = {  # classes and sizes of the groups of attributes, as the text counts them
    "kinetics400": (400, (40, 43, 5)),
    "charades": (157, (43, 15, 5, 34)),
}


@cache
def towers(name: str) -> tuple[int, int, int]:
    """Multiply-adds of one frame and of one prompt, and the parameters of all of CLIP."""
    architecture = ARCHITECTURES[name]
    model = without_words(architecture).model
    size = parameters(model)
    with torch.device("meta"):
        prompt = torch.empty(1, architecture.text["context_length"], dtype=torch.int64)
        text = multiply_adds(model.encode_text, prompt)
        model.visual.proj = None
        frame = multiply_adds(model.visual, torch.empty(1, 3, 224, 224))
    return frame, text, size


def head(name: str, frames: int, weighting: type[nn.Module] = DirectWeighting) -> VicTR:
    """The head of Sec. 5.4: four blocks, width and heads of CLIP's joint space."""
    width = ARCHITECTURES[name].embed_dim
    with torch.device("meta"):
        return VicTR(width, width // 64, frames, weighting=weighting)


def head_cost(model: VicTR, classes: int = 1, groups: tuple[int, ...] = ()) -> int:
    """Multiply-adds of the head on one clip."""
    shapes = ((1, model.frames), (classes,), (sum(groups),))
    video, names, others = (torch.empty(*shape, model.width, device="meta") for shape in shapes)
    return multiply_adds(model, video, names, others, groups)


def printed() -> dict[str, float]:
    """The totals of Tables 5.3 and 5.4 and of Sec. 5.6.1, and the parameters of Table 5.8."""
    out = {}
    for name, lengths in PRINTED.items():
        frame, text, size = towers(name)
        for frames in lengths:
            own = head_cost(head(name, frames))
            total = frames * frame + text + own
            out[f"cost.{name}.{frames}.gflops"] = total / 1e9
            out[f"cost.{name}.{frames}.head"] = own / 1e9
            out[f"cost.{name}.{frames}.head_share"] = 100 * own / total
        out[f"cost.{name}.params"] = (size + parameters(head(name, 32))) / 1e6
    return out


def all_names() -> dict[str, float]:
    """10^9 multiply-adds of the head with every class and attribute: as the equations read, and as done here."""
    out = {}
    for name, frames, data in (("b16", 16, "kinetics400"), ("l14", 8, "kinetics400"), ("b16", 32, "charades")):
        classes, groups = VOCABULARIES[data]
        for order, weighting in (("direct", DirectWeighting), ("factored", AffinityWeighting)):
            cost = head_cost(head(name, frames, weighting), classes, groups)
            out[f"head.{data}.{name}.{frames}.{order}"] = cost / 1e9
    return out


def vocabularies() -> dict[str, float]:
    """How many attributes and groups the printed lists have."""
    out = {}
    for data in VOCABULARIES:
        published = attributes(data)
        out[f"vocabulary.{data}"] = len(published.names)
        out[f"vocabulary.{data}.groups"] = len(published.sizes)
        out |= {f"vocabulary.{data}.{group}": len(names) for group, names in published.groups.items()}
    return out


def count_all() -> dict[str, float]:
    """Every countable number; seconds on one core."""
    return printed() | all_names() | vocabularies() | {"vqa.chance": 100 / 5}
