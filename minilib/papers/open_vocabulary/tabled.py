"""Tables of open-vocabulary localization made from rows, {metric: {replicate: value}}: controls, and every cell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import fmean

from minilib.claims import Claims, Table, means
from minilib.claims.said import shared
from minilib.claims.words import number, several
from minilib.metrics.localization import best, dec_rate, dec_rate_released
from minilib.metrics.named_boxes import NamedBoxes, kinds, shares
from minilib.papers.open_vocabulary.said import Rows
from minilib.papers.open_vocabulary.small import Found, named_boxes
from minilib.world.localization import Localization

CONTROLS = {
    "the true masks, rightly named": "oracle",
    "ours, before joint optimisation": "apart",
    "ours, after": "ours",
    "after, CLIP's own patches": "ours_vanilla",
    "after, words of other shapes": "control/next_words",
    "k-means of the same features, before": "control/feature_clusters_apart",
    "k-means of the same features, after": "control/feature_clusters",
    "k-means of random features, before": "control/random_encoder_clusters_apart",
    "k-means of random features, after": "control/random_encoder_clusters",
    "slots as they start, before": "control/slots_as_they_start_apart",
    "a grid of boxes, before": "control/grid_of_boxes_apart",
    "boxes around the centre, before": "control/central_boxes_apart",
    "our boxes of another clip, after": "control/of_next",
}


FRESH = {  # the same on groups of clips that no trial had used: only these judge
    "the true masks, rightly named": "fresh/oracle",
    "ours, before joint optimisation": "fresh/apart",
    "ours, after": "fresh/ours",
    "after, CLIP's own patches": "fresh/ours_vanilla",
    "after, words of other shapes, one way": "fresh/words_of_later_shapes",
    "after, words of other shapes, the other way": "fresh/words_of_earlier_shapes",
    "k-means of the same features, before": "fresh/control/feature_clusters_apart",
    "k-means of the same features, after": "fresh/control/feature_clusters",
    "k-means of random features, before": "fresh/control/random_encoder_clusters_apart",
    "slots as they start, after": "fresh/control/slots_as_they_start",
    "a grid of boxes, after": "fresh/control/grid_of_boxes",
    "boxes around the centre, after": "fresh/control/central_boxes",
    "our boxes of later clips, after": "fresh/boxes_of_later_clips",
    "our boxes of earlier clips, after": "fresh/boxes_of_earlier_clips",
}
CROPS = {  # how slots get their names: fresh clips
    "the slot's patches, before": "fresh/apart",
    "the slot's patches, after": "fresh/ours",
    "crops of the slot's box, before": "fresh/crops_apart",
    "crops of the slot's box, after": "fresh/crops",
    "crops with all else painted over, before": "fresh/crops_painted_apart",
}
FOUND = {  # of them, what finds objects after joint optimisation, as one picture: label -> (metric, nothing printed)
    label.removesuffix(", after"): (f"shipped/{name}", None)
    for label, name in FRESH.items()
    if "before" not in label and "words" not in label and "CLIP" not in label
}


def controls(rows: Rows, names: Mapping[str, str] = CONTROLS) -> Table:
    """The means of what ours and the controls score, by five metrics, over the groups that all lines share; names:
    line -> variant of the grid "shipped"."""
    parts = ("/cor_loc", "", "/map50", "/named", "/boxes")
    tables = [{label: (f"shipped/{name}{part}", None) for label, name in names.items()} for part in parts]
    columns = [means(table, rows) for table in tables]
    count = several(len(shared(tables[1], rows)), "groups")  # by DecRate, which all have
    lines = [
        (label, *(number(column[label]) if label in column else "not measured" for column in columns))
        for label in names
    ]
    return Table((count, "CorLoc", "DecRate", "mAP50", "shape of what is found", "boxes a frame"), tuple(lines))


def cells(paper: Claims, rows: Rows, metrics: Mapping[str, Iterable[str]]) -> Table:
    """Tables 1-4 cell by cell: the paper's numbers of both data sets, and the small world's mean. metrics: key of the
    printed number of ImageNet-VID -> those of ours; our method stands in Tables 1 and 2 trained beside its rivals, and
    in Tables 3 and 4 as shipped; means over the replicates that all of a recipe share."""
    printed = {claim.id: claim for claim in paper.claims if claim.kind == "magnitude"}
    ours = [metric for each in metrics.values() for metric in each]
    here: dict[str, float] = {}
    for recipe in {metric.partition("/")[0] for metric in ours}:
        here |= means({metric: (metric, None) for metric in ours if metric.startswith(f"{recipe}/")}, rows)
    lines = []
    for key, claim in printed.items():
        if ".yvis." in key:
            continue
        other = printed.get(key.replace(".ivid.", ".yvis."))
        seen = [metric for metric in metrics.get(key, ()) if metric in here]
        words = ", ".join(number(here[each]) + " (shipped)" * each.startswith("shipped/") for each in seen)
        what = claim.statement.replace(" on ImageNet-VID", "").rstrip(".")
        youtube = number(other.paper_value) if other and other is not claim else "-"
        lines.append((claim.source, what, number(claim.paper_value), youtube, words or "not measured"))
    return Table(("where", "what", "ImageNet-VID", "YouTube-VIS", "small world"), tuple(lines))


def both_rules(rows: Rows, table: Mapping[str, tuple[str, float | None]]) -> Table:
    """mAP50 by the released code's rule and by COCO's, whose lines alternate in the table "coco" of the study."""
    found = means(table, rows)
    words = [number(found[label]) if label in found else "not measured" for label in table]
    labels = [label.removesuffix(", released") for label in list(table)[::2]]
    lines = zip(labels, words[::2], words[1::2], strict=True)
    return Table(("fresh clips", "the released code's", "COCO's"), tuple(lines))


def both_readings(groups: Iterable[tuple[Found, Localization]]) -> Table:
    """DecRate by the text and by the released code, and kinds of boxes (Appendix A.2) in both orders of its rules: of
    the same boxes, means over groups of clips in which some box is left."""
    each = [_readings(boxes) for boxes in (named_boxes(*group) for group in groups) if bool(boxes.real.any())]
    names = each[0][0] if each else {}
    lines = [(name, *(number(fmean(readings[k][name] for readings in each)) for k in (0, 1))) for name in names]
    header = ("the same boxes, %", "DecRate of all objects; parts last", "mean over frames; parts first")
    return Table(header, tuple(lines), folded="DecRate by the text and by the code, kinds by both orders of the rules")


def _readings(boxes: NamedBoxes) -> tuple[dict[str, float], dict[str, float]]:
    iou, (found, truth, there) = best(boxes.found, boxes.truth), (boxes.found, boxes.truth, boxes.there)
    text = {"DecRate": dec_rate(iou, there)} | shares(kinds(found, truth, there))
    return text, {"DecRate": dec_rate_released(iou, there)} | shares(kinds(found, truth, there, parts_first=True))
