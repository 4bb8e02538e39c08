"""ZeroI2V's published settings (Tables 11 and 12) and the model that they make, ready to train on real videos.

`minilib.study.real.run(settings, out_dir, published.zeroi2v)` trains it on a data set or on a folder of one's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
import yaml
from torch import nn

from minilib.errors import BadInput
from minilib.models.classifier import VideoClassifier, train_only
from minilib.papers.zeroi2v import FOUR, SIX, STDHA, Adaptation, Adapter
from minilib.papers.zeroi2v.variants import Adapted
from minilib.study.real import Prepared, Run, image_text

TABLES = yaml.safe_load((Path(__file__).parent / "published.yaml").read_text(encoding="utf-8"))


def settings(run: Run) -> tuple[Adaptation, dict]:
    """What is attached and the recipe; one's own data or backbone gets those of the nearest one."""
    name = run.dataset if run.dataset in TABLES["table_11"] else "kinetics400"
    entries = TABLES["table_11"][name]["vit_l14" if run.backbone == "vit_l14" else "vit_b16"]
    if run.frames not in entries:
        raise BadInput(f"frames={run.frames}: Table 11 has settings for {', '.join(map(str, entries))} frames")
    entry, recipe = entries[run.frames], TABLES["table_12"][name]
    adapter = partial(Adapter, scale=recipe["adapter_scale"], dropout=recipe["adapter_dropout"])
    places = SIX if entry["adapters"] == 6 else FOUR
    return Adaptation(run.frames, STDHA(tuple(entry["offsets"])), places, adapter=adapter), recipe


class ReleasedGroups(VideoClassifier):
    """The classifier whose new parts in the image model learn at `backbone_rate` times the rate of the head. As in the
    released configurations biases decay like weights, and the temporal embedding does not; nor do norms."""

    def __init__(self, backbone: nn.Module, classes: int, dropout: float, backbone_rate: float):
        super().__init__(backbone, classes, dropout)
        self.backbone_rate = backbone_rate

    def parameter_groups(self) -> list[dict]:
        """What `minilib.training.train` gives to the optimiser."""
        visual = self.backbone
        still = {id(p) for p in (*visual.ln_pre.parameters(), *visual.ln_post.parameters())}
        new = [p for p in visual.parameters() if p.requires_grad]
        return [
            {"params": list(self.head.parameters())},
            {"params": [p for p in new if id(p) not in still], "lr_scale": self.backbone_rate},
            {"params": [p for p in new if id(p) in still], "lr_scale": self.backbone_rate, "weight_decay": 0.0},
        ]


def zeroi2v(run: Run, classes: Sequence[str]) -> Prepared:
    """ZeroI2V as published."""
    adaptation, recipe = settings(run)
    visual = image_text(run).visual
    torch.manual_seed(run.seed)
    new = Adapted(adaptation)(visual)
    model = ReleasedGroups(visual, len(classes), recipe["head_dropout"], recipe["backbone_rate"].get(run.backbone, 1.0))
    return Prepared("zeroi2v", train_only(model, [*new, *model.head.parameters()]), run.frames, recipe)
