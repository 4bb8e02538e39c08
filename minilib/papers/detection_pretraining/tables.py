"""Chapter 4's tables as data: row -> (measure of ours, the thesis' mAP on Charades); gains are in points."""

from __future__ import annotations

Table = dict[str, tuple[str, float | None]]


def _on(name: str, stream: str = "") -> str:
    return f"grid/{stream}{name}"


TABLE_42A: Table = {
    "classification": (_on("cls"), 17.28),
    "Volume Freeze": (_on("vf"), 18.79),
    "Volume MixUp": (_on("vm"), 19.18),
    "Volume CutMix": (_on("vc"), 18.99),
    "joint training": (_on("joint"), 19.11),
    "ensemble of the three": (_on("ensemble"), 20.50),
}
TABLE_42B: Table = {
    "slow, cls.": (_on("slow/cls"), 17.49),
    "slow, VC": (_on("slow/vc"), 18.60),
    "SlowFast, cls.": (_on("slowfast/cls"), 20.31),
    "SlowFast, VC": (_on("slowfast/vc"), 21.22),
    "coarse, cls.": (_on("coarse/cls"), 18.13),
    "coarse, VC": (_on("coarse/vc"), 18.85),
    "Coarse-Fine, cls.": (_on("coarse_fine/cls"), 23.29),
    "Coarse-Fine, VC": (_on("coarse_fine/vc"), 22.83),
    "coarse VC, fine cls.": (_on("coarse_fine/vc_cls"), 23.57),
    "coarse ensemble, fine cls.": (_on("coarse_fine/ensemble_cls"), 24.29),
    "both ensembles": (_on("coarse_fine/ensemble"), 24.61),
}
# Charades' own protocol there, 25 frames a video and weighted classes
TABLE_41: Table = {
    f"{title}, {how}": (_on(arm, stream), value)
    for title, stream, values in (
        ("X3D", "", (20.66, 22.36, 23.94)),
        ("SlowFast", "slowfast/", (22.80, 24.73, 25.32)),
        ("Coarse-Fine", "coarse_fine/", (25.10, 26.19, 26.95)),
    )
    for how, arm, value in zip(("cls.", "joint", "ensemble"), ("cls", "joint", "ensemble"), values, strict=True)
}
TABLE_44A: Table = {
    "classification": (_on("cls"), 17.28),
    "one frozen segment": (_on("vf"), 18.79),
    "two": (_on("vf_two"), 18.83),
}
TABLE_44B: Table = {
    "hard boundaries": (_on("vm_hard"), 18.86),
    "seamless": (_on("vm"), 19.18),
    "seamless, of features": (_on("vm_manifold"), 19.24),
}
TABLE_44C: Table = {
    "transient window": (_on("vc_window"), 18.89),
    "transient view": (_on("vc"), 18.99),
}
TABLE_44D: Table = {
    "from scratch, cls.": (_on("scratch_cls"), 16.02),
    "from scratch, det.": (_on("scratch_det"), 17.89),
    "from the checkpoint, cls.": (_on("cls"), 17.28),
    "from the checkpoint, det.": (_on("joint"), 19.28),
}
CONTROLS: Table = {
    "joint training": (_on("joint"), None),
    "the same, wrong labels": (_on("control/wrong_labels"), None),
    "classification": (_on("cls"), None),
    "no pretraining": (_on("control/no_pretraining"), None),
}
TABLE_44E: Table = {
    f"{name.upper()}, {title}": (f"gain/{name}/{what}", value)
    for name, values in (
        ("vf", (-0.14, 1.85, 1.41, 1.49)),
        ("vm", (1.30, 2.06, 1.87, 1.94)),
        ("vc", (1.16, 1.86, 1.68, 1.85)),
    )
    for title, what, value in zip(
        ("one action", "several actions", "inside", "near a boundary"),
        ("single", "several", "inside", "boundary"),
        values,
        strict=True,
    )
}
TABLE_45A: Table = {
    f"{name}, {what}": (f"gain/{name}/{what}", value)
    for what, values in (("coarse", (0.85, -0.27, 0.12, -0.14)), ("slow", (0.21, -0.27, -0.01, -0.39)))
    for name, value in zip(("cls", "vf", "vm", "vc"), values, strict=True)
}
TABLE_45B: Table = {
    f"{name}, sigma = T/{width}": (f"gain/{name}/sigma_{width}", value)
    for name, values in (("cls", (0.68, 0.49)), ("vc", (0.14, -0.01)))
    for width, value in zip((16, 8), values, strict=True)
}
