"""Sentences of the page on OCA follow from rows."""

from minilib.papers.object_centric.said import refined

MASKS = {"clusters": "k", "a grid": "g"}


def rows(clusters: tuple[float, ...], grid: tuple[float, ...]) -> dict:
    """Gains of the refined over the plain masks, seed by seed."""
    found = {}
    for metric, gains in (("k", clusters), ("g", grid)):
        found[metric] = dict.fromkeys(range(len(gains)), 30.0)
        found[metric + "_crf"] = {seed: 30.0 + gain for seed, gain in enumerate(gains)}
    return found


def test_a_larger_gain_is_said_only_where_the_seeds_bear_it_out():
    clear = refined(MASKS, rows((10, 11, 12, 11, 10), (1, 2, 1, 2, 1)))
    assert "clusters +10.8, a grid +1.4 (five seeds)." in clear and "not the colours alone" in clear
    unclear = refined(MASKS, rows((10, -9, 12, -8, 5), (1, 2, 1, 2, 1)))
    assert "may be all of it" in unclear and "not the colours alone" not in unclear


def test_what_is_not_measured_is_not_said():
    assert refined(MASKS, {}) == "What the random field adds is not measured yet."
    assert refined(MASKS, rows((3,), (1,))).endswith("(one seed).")
    assert refined(MASKS, rows((1, 1, 1), (4, 5, 4))).endswith("(three seeds).")
