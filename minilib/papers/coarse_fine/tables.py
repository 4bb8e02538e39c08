"""The thesis' tables as data: row -> (measure of ours, the thesis' mAP on Charades over every frame)."""

from __future__ import annotations

Table = dict[str, tuple[str, float | None]]

TABLE_32: Table = {  # its mAP is of 25 frames a video
    "X3D": ("grid/x3d", 18.87),
    "X3D-L": ("grid/x3d_l", 20.03),
    "SlowFast_det": ("grid/slowfast", 22.31),
    "Fine-Fine": ("grid/fine_fine", 24.43),
    "Coarse-Fine": ("grid/coarse_fine", 25.10),
}
TABLE_33A: Table = {
    "late": ("grid/fine_fine_late", 21.84),
    "one-to-one": ("grid/fine_fine_one_to_one", 22.50),
    "multi-stage": ("grid/fine_fine", 22.65),
}
TABLE_33B: Table = {
    "C": ("grid/fine_fine_c", 18.11),
    "CHW": ("grid/fine_fine_chw", 19.86),
    "CTHW": ("grid/fine_fine", 22.65),
}
TABLE_33C: Table = {
    "late, no mask": ("grid/fine_fine_late_no_mask", 20.59),
    "late, mask": ("grid/fine_fine_late", 21.84),
    "multi-stage, no mask": ("grid/fine_fine_no_mask", 21.42),
    "multi-stage, mask": ("grid/fine_fine", 22.65),
}
TABLE_33D: Table = {
    '64 frames, "1/8" (1/16)': ("grid/grid_sixteenth", 11.88),
    "64 frames, 1/8": ("grid/grid_eighth", None),
    "64 frames, 1/4": ("grid/grid_pool", 18.12),
    '128 frames, "1/8" (1/16)': ("grid/dense_grid_sixteenth", 15.56),
    "128 frames, 1/4": ("grid/dense_grid_pool", 18.16),
}
TABLE_33E: Table = {
    "max": ("grid/max_pool", 16.21),
    "average": ("grid/average_pool", 16.64),
    "stride": ("grid/striding", 17.49),
    "Grid Pool": ("grid/grid_pool", 18.12),
}
TABLE_33F: Table = {
    "SlowFast_det": ("grid/slowfast", 20.61),
    "+ Grid Pool": ("grid/slowfast_grid", 20.82),
    "+ fusion": ("grid/slowfast_fusion", 22.79),
    "+ both: Coarse-Fine": ("grid/coarse_fine", 23.24),
}
TABLE_34: Table = {
    "+ reconstruction": ("grid/grid_pool_reconstruction", 15.28),
    "+ flow": ("grid/grid_pool_flow", 15.89),
    "classification and localisation": ("grid/grid_pool", 18.12),
}
CONTROLS: Table = {
    "Grid Pool": ("grid/grid_pool", None),
    "a grid from noise": ("grid/control/noise_grid", None),
    "shuffled frames": ("grid/control/shuffled_frames", None),
}
SAMPLES: Table = {  # correlation with the informative frames
    "Grid Pool": ("samples/grid_pool", None),
    "+ reconstruction": ("samples/grid_pool_reconstruction", None),
    "+ flow": ("samples/grid_pool_flow", None),
    "within Coarse-Fine": ("samples/coarse_fine", None),
    "a grid from noise": ("samples/control/noise_grid", None),
}
