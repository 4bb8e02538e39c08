"""Sentences about motion say what was measured, and cannot say anything else."""

import torch

from minilib.claims import motion

NAMES = ("right", "left", "clockwise", "anticlockwise")


def scores(right: dict[int, int], clips: int = 100) -> tuple[torch.Tensor, torch.Tensor]:
    """Of each class so many clips (of `clips`) whose own class beats its mirror image."""
    found = torch.zeros(len(NAMES) * clips, len(NAMES))
    labels = torch.arange(len(NAMES)).repeat_interleave(clips)
    for k in range(len(NAMES)):
        for n in range(clips):
            found[k * clips + n, k if n < right[k] else k ^ 1] = 1
    return found, labels


def test_pairs_are_told_apart_only_clear_of_chance():
    within = motion.within_pairs(*scores({0: 90, 1: 94, 2: 52, 3: 54}))
    assert within == {0: (92.0, 200), 2: (53.0, 200)}
    text = motion.told_apart("It", within, NAMES)
    assert text.startswith("It tells the two directions apart in one of two pairs. Not clear of chance: ")
    assert text.endswith(": “clockwise” and “anticlockwise” (53 %).")
    assert "in no of" not in motion.told_apart("It", motion.within_pairs(*scores(dict.fromkeys(range(4), 50))), NAMES)
    swapped = motion.told_apart("It", motion.within_pairs(*scores({0: 5, 1: 5, 2: 52, 3: 50})), NAMES)
    assert "Taken for one another: “right” and “left” (5 %)." in swapped


def test_an_axis_that_chance_finds_as_well_is_not_knowledge():
    found, labels = scores({0: 50, 1: 50, 2: 50, 3: 50})
    assert "100 % of the clips (chance 50 %), so it knows" in motion.axis_found("It", found, labels)
    assert "0 % of the clips (chance 50 %), which a guess" in motion.axis_found("It", found.roll(200, 0), labels)


def test_a_map_follows_what_moves_only_if_it_lies_there_more_than_even_light():
    cells = torch.zeros(8, 2, 4, 4)
    cells[:, :, 0, 0] = 1
    even = torch.ones(8, 2, 4, 4) + 0.2 * torch.rand(8, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    area = motion.attention_on(torch.ones(8, 2, 4, 4), cells)
    assert torch.allclose(area, torch.full((8,), 1 / 16))
    all_of_it = motion.follows("It", motion.attention_on(cells, cells), area)
    assert all_of_it.endswith("16.0 times as much as even light. It follows what moves.")
    assert motion.follows("It", motion.attention_on(even, cells), area).endswith(
        "frame. It does not follow what moves."
    )
    assert motion.follows("It", motion.attention_on(1 - cells, cells), area).endswith("frame. It avoids what moves.")
