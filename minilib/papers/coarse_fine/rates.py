"""Rates of learning: the fusion, which is new, at ten times that of the trained rest (thesis, Sec. 3.3.1; the code)."""

from __future__ import annotations

from minilib.study.detection import OnLevels


class FastFusion(OnLevels):
    """A coarse stream on stored levels whose fusion learns at `times` the rate of the rest."""

    times = 10.0

    def parameter_groups(self) -> list[dict]:
        """What `minilib.training.train` gives to the optimiser; vectors do not decay, as in every other model."""
        groups = []
        for scale, fused in ((self.times, True), (1.0, False)):
            for vectors in (True, False):
                chosen = [
                    weight
                    for name, weight in self.named_parameters()
                    if name.startswith("coarse.fusion.") == fused and (weight.ndim <= 1) == vectors
                ]
                groups.append({"params": chosen, "lr_scale": scale} | ({"weight_decay": 0.0} if vectors else {}))
        return groups
