"""DiST's tables as data: row -> (measure of ours, the paper's top-1 on Something-Something v2 or, for appearance,
Kinetics-400)."""

from __future__ import annotations

Table = dict[str, tuple[str, float | None]]

TABLE_1A: Table = {
    "EVL": ("grid/evl", 61.0),
    "image model only": ("grid/spatial_only", 55.0),
    "+ temporal encoder": ("grid/temporal_only", 63.2),
    "+ integration branch": ("grid/integration_only", 65.9),
    "+ both (DiST)": ("grid/dist", 68.7),
}
TABLE_1B: Table = {
    "no interaction": ("grid/no_interaction", 67.5),
    "integration to temporal": ("grid/to_temporal_only", 67.9),
    "temporal to integration": ("grid/to_integration_only", 67.7),
    "both": ("grid/dist", 68.7),
}
TABLE_1C: Table = {
    "TAdaConv": ("grid/tblock_tada", 67.8),
    "C3D": ("grid/tblock_c3d", 67.8),
    "joint transformer": ("grid/tblock_joint", 67.6),
    "R(2+1)D": ("grid/dist", 68.7),
}
TABLE_1D: Table = {
    f"γ = {gamma}": (f"grid/{arm}", paper)
    for gamma, arm, paper in ((1, "gamma1", 67.9), (2, "dist", 68.7), (4, "gamma4", 69.1), (8, "gamma8", 68.5))
}
TABLE_1E: Table = {
    f"α = {alpha}": (f"grid/{arm}", paper)
    for alpha, arm, paper in (
        ("1/8", "alpha_1_8", 62.6),
        ("1/4", "alpha_1_4", 66.7),
        ("1/2", "dist", 68.7),
        ("1", "alpha_1", 68.7),
    )
}
TABLE_1F: Table = {
    f"β = {beta}": (f"grid/{arm}", paper)
    for beta, arm, paper in (
        ("1/12", "beta_1_12", 67.9),
        ("1/8", "dist", 68.7),
        ("1/6", "beta_1_6", 68.6),
        ("1/4", "beta_1_4", 68.9),
    )
}
TABLE_2: Table = {
    "Ψ: average pooling": ("grid/down_avg", 68.3),
    "Ψ: max pooling": ("grid/down_max", 68.4),
    "Φ: deconvolution": ("grid/up_deconv", 67.8),
    "Φ: trilinear": ("grid/up_trilinear", 68.3),
    "convolution and nearest": ("grid/dist", 68.7),
}
OTHERS: Table = {
    "ST-Adapter": ("grid/st_adapter", None),
    "EVL": ("grid/evl", None),
    "image model, fully trained": ("grid/full_image", None),
    "DiST": ("grid/dist", 68.7),
    "DiST, twice the frames": ("grid/t8", 70.2),
    "DiST, each frame alone": ("grid/order_blind", None),
    "DiST, shuffled frames": ("grid/control/shuffled_frames", None),
    "DiST, shuffled labels": ("grid/control/shuffled_labels", None),
}
NOUNS: Table = {  # Table 5(b); EVL's number is OCA's
    "ST-Adapter": ("grid/noun/st_adapter", 55.0),
    "EVL": ("grid/noun/evl", 51.0),
    "DiST": ("grid/noun/dist", 58.1),
}
_KINETICS = {
    "EVL": 82.9, "image model only": 79.9, "+ temporal encoder": 81.8, "+ integration branch": 83.0,
    "+ both (DiST)": 83.6, "no interaction": 83.0, "integration to temporal": 83.4, "temporal to integration": 83.1,
    "TAdaConv": 82.4, "C3D": 82.6, "joint transformer": 83.5, "γ = 1": 83.4, "γ = 4": 83.3, "γ = 8": 83.6,
    "α = 1/8": 79.0, "α = 1/4": 82.0, "α = 1": 83.3, "β = 1/12": 83.2, "β = 1/6": 83.3, "β = 1/4": 83.4,
}  # fmt: skip
_ROWS = TABLE_1A | TABLE_1B | TABLE_1C | TABLE_1D | TABLE_1E | TABLE_1F
APPEARANCE: Table = {
    row: (_ROWS[row][0].replace("grid/", "grid/appearance/"), paper) for row, paper in _KINETICS.items()
} | {
    "DiST, twice the frames": ("grid/appearance/t8", 84.4),
    "ST-Adapter": ("grid/appearance/st_adapter", None),
    "image model, fully trained": ("grid/appearance/full_image", None),
}
