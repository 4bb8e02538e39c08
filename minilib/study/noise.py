"""The noise floor of a row: how far a run comes out elsewhere if its start is moved by a millionth.

With the same device and number of threads a run comes back bit by bit. With others sums are rounded differently, and a
training may amplify that into points. What a move of that size changes is no effect, whatever its interval. The claims
files derive it, as "noise/<variant>".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import nn

from minilib.study.feeds import Feed
from minilib.study.study import Variant


@dataclass(frozen=True)
class Moved:
    """Builds what `build` builds and multiplies each weight by 1 + `size` times a normal number."""

    build: Callable[[Feed], nn.Module]
    size: float = 1e-6

    @torch.no_grad()
    def __call__(self, inputs: Feed) -> nn.Module:
        model = self.build(inputs)
        for weight in model.parameters():
            weight.mul_(1 + self.size * torch.randn_like(weight))
        return model


def again(variant: Variant) -> Variant:
    """The same variant from a start that is moved by a millionth."""
    return replace(variant, build=Moved(variant.build))
