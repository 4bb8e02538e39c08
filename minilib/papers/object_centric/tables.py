"""The paper's tables as rows of what is measured here: row -> (measure, the paper's number on motion, SSv2's).

The same tables on appearance and for masks have the paper's numbers on Kinetics-400 and on DAVIS.
"""

from __future__ import annotations

from collections.abc import Mapping

Table = dict[str, tuple[str, float | None]]
_ROWS = {  # arm: row, Something-Something v2, Kinetics-400, DAVIS-2017 (J&F)
    5: {
        "no_losses": ("classification alone", 44.8, 70.4, 27.3),
        "only_obj": ("+ object distillation", 55.2, 80.3, 39.5),
        "only_temp": ("+ temporal reasoning", 52.1, 73.5, 30.5),
        "oca": ("+ both", 71.6, 86.1, 44.7),
    },
    6: {
        "oca": ("4 frames, delta 1", 70.7, 85.4, None),
        "delta2": ("8 frames, delta 2", 71.2, 85.8, None),
        "delta4": ("8 frames, delta 4", 71.1, 85.8, None),
    },
    7: {
        "slots1": ("N = 1, the mean", 44.1, 72.5, None),
        "slots4": ("N = 4", 67.5, 83.1, 37.5),
        "oca": ("N = 8", 71.2, 85.8, 42.7),
        "slots16": ("N = 16", 71.2, 85.9, 43.0),
        "tokens": ("None, all patches", 64.3, 81.1, None),
    },
    8: {
        "delta1": ("delta 1", 70.4, 85.5, 42.7),
        "delta2": ("delta 2", 71.2, 85.9, 42.7),
        "delta3": ("delta 3", 71.1, 85.9, 42.6),
        "delta4": ("delta 4", 70.9, 85.7, 42.7),
        "delta5": ("delta 5", 70.5, 85.5, 42.5),
        "delta6": ("delta 6", 69.6, 85.2, 42.4),
        "delta7": ("delta 7", 69.3, 85.1, 42.4),
        "all_deltas": ("all deltas", 71.2, 85.9, 42.6),
    },
    12: {
        "no_interaction": ("slots alone", 49.1, 77.5, 36.4),
        "oi": ("interaction", 50.0, 79.1, 39.4),
        "ti": ("state changes", 63.9, 83.1, 41.7),
        "ta": ("temporal attention", 57.8, 80.2, 40.0),
        "oca": ("interaction, state changes", 71.6, 86.1, 44.7),
        "oi_ta": ("interaction, temporal attention", 66.8, 85.4, 43.5),
    },
}


_COUNTS = {  # arm: what `object_centric_counts` calls it
    6: {"oca": "t6.4.1", "delta2": "t6.8.2", "delta4": "t6.8.4"},
    7: {"slots1": "t7.1", "slots4": "t7.4", "oca": "t7.8", "slots16": "t7.16", "tokens": "t7.none"},
    8: {f"delta{delta}": f"t8.{delta}" for delta in range(1, 8)} | {"all_deltas": "t8.all"},
    12: {"no_interaction": "t12.none"}
    | {arm: f"t12.{arm}" for arm in ("oi", "ti", "ta", "oi_ta")}
    | {"oca": "t12.oi_ti"},
}


def costs(number: int, counted: Mapping[str, float]) -> dict[str, str]:
    """What a row costs at the paper's size: tunable parameters and operations, in its table's own reading."""
    names = _COUNTS.get(number, {})
    cells = {arm: [counted[f"{name}.{what}"] for what in ("tunable", "gflops")] for arm, name in names.items()}
    return {_ROWS[number][arm][0]: f"{tunable:.1f} M, {gflops:.1f} G" for arm, (tunable, gflops) in cells.items()}


def motion(number: int) -> Table:
    """Top-1 on motion."""
    return {row: (f"grid/{arm}", paper) for arm, (row, paper, _, _) in _ROWS[number].items()}


def appearance(number: int) -> Table:
    """Top-1 on appearance."""
    return {row: (f"grid/appearance/{arm}", paper) for arm, (row, _, paper, _) in _ROWS[number].items()}


def masks(number: int) -> Table:
    """J&F of what was trained on appearance; rows without slots have none."""
    return {row: (f"seg/{arm}", paper) for arm, (row, _, _, paper) in _ROWS[number].items()}


RIVALS: Table = {
    "OCA": ("grid/oca", None),
    "ST-Adapter": ("grid/st_adapter", None),
    "AIM": ("grid/aim", None),
    "EVL": ("grid/evl", None),
    "full fine-tuning": ("grid/full_image", None),
}
RIVALS_APPEARANCE: Table = {
    row: (measure.replace("grid/", "grid/appearance/"), None) for row, (measure, _) in RIVALS.items()
}
NOUNS: Table = {  # Table 3
    row: (RIVALS[row][0].replace("grid/", "grid/noun/"), paper)
    for row, paper in (("OCA", 60.9), ("ST-Adapter", 55.0), ("AIM", None), ("EVL", 51.0), ("full fine-tuning", None))
}
CONTROLS: Table = {
    "OCA": ("grid/oca", None),
    "its order-blind twin": ("grid/order_blind", None),
    "shuffled frames": ("grid/control/shuffled_frames", None),
    "shuffled labels": ("grid/control/shuffled_labels", None),
    "slots frozen as they start": ("grid/control/random_slots", None),
}
SEGMENTATION: Table = {
    "slots, trained on appearance": ("seg/oca", 44.7),
    "slots, trained on motion": ("seg/motion/oca", 41.0),
    "slots frozen as they start": ("seg/control/random_slots", None),
    "k-means of the same features": ("seg/kmeans", None),
    "a fixed grid of boxes": ("seg/control/boxes", None),
    "refined: trained on appearance": ("seg/crf/oca", 49.3),
    "refined: trained on motion": ("seg/motion/crf/oca", None),
    "refined: frozen as they start": ("seg/crf/control/random_slots", None),
    "refined: k-means": ("seg/crf/kmeans", None),
    "refined: boxes": ("seg/crf/control/boxes", None),
}
