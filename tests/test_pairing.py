"""Every sentence that compares two metrics does so within one setup: a difference of methods, never of machines."""

import pytest

from minilib.claims import Claims, Row, judge, levels
from minilib.claims.chosen import Seeds
from minilib.claims.compute import same_compute
from minilib.claims.leads import leads
from minilib.claims.said import difference
from minilib.claims.scorecard import Card
from minilib.papers.coarse_fine.said import controls, live
from minilib.papers.comparison.figures import Need, advice
from minilib.papers.long_video.said import unchanged
from minilib.papers.object_centric.said import changes, refined
from minilib.papers.object_centric_diffusion.figures import baseline_line, ratio_line, share_left
from minilib.papers.open_vocabulary.said import against, share_of, shuffled

HERE, THERE = ("cpu", "float32", 1), ("cuda", "float32", 1)


def seeds(**at: dict[int, float]) -> Seeds:
    """Values by seed: those measured here, and those measured there and last."""
    setups = {setup: at[name] for name, setup in (("here", HERE), ("there", THERE)) if name in at}
    newest = {seed: value for values in setups.values() for seed, value in values.items()}
    return Seeds(newest, setups, {setup: place for place, setup in enumerate(setups)})


SENTENCES = {
    "difference": lambda a, b: difference({"x": ("a", None), "y": ("b", None)}, {"a": a, "b": b}, "x", "y"),
    "leads": lambda a, b: leads({"place": ("a", "b")}, {"a": a, "b": b}, "A", "B"),
    "live": lambda a, b: live({"a": [9.0], "b": [8.0]}, {"a": a, "b": b}, ("a", "A"), ("b", "B"), ("a", "b")),
    "controls": lambda a, b: controls({"a": a, "b": b}, "a", "b"),
    "unchanged": lambda a, b: unchanged({"a": a, "b": b}, "a", "b", "Both"),
    "changes": lambda a, b: changes("masks", a, b, 2.0),
    "refined": lambda a, b: refined({"slots": "m"}, {"m": b, "m_crf": a}),
    "baseline": lambda a, b: baseline_line({"edits/shape/fatezero": a, "edits/shape/unedited": b}, "shape"),
    "ratio": lambda a, b: ratio_line({"cost/a": a, "cost/b": b}, "a", "b", "Editing"),
    "against": lambda a, b: against({"a": a, "b": b}, "a", "b", "boxes", ""),
    "shuffled": lambda a, b: shuffled({"a": a, "b": b}, "a", "b", 10),
}
NOT = ("not measured", "not timed", "not compared", "cannot be said yet", "here yet")


@pytest.mark.parametrize("name", SENTENCES)
def test_metrics_of_two_machines_are_not_compared(name):
    apart = SENTENCES[name](seeds(here={0: 5.0, 1: 6.5}), seeds(there={0: 4.0, 1: 5.0}))
    assert any(word in apart.lower() for word in NOT), apart
    alone = SENTENCES[name](seeds(here={0: 5.0, 1: 6.5}), seeds(here={0: 4.0, 1: 5.0}))
    both = SENTENCES[name](seeds(here={0: 5.0, 1: 6.5}, there={2: 70.0}), seeds(here={0: 4.0, 1: 5.0}, there={1: 90.0}))
    assert alone == both, "only what one machine has of both counts"


def test_halves_are_compared_with_ends_of_their_own_machine():
    def line(end, half):
        return levels({"x": ("m/x", None)}, {"m/x": end, "m.half/x": half}).rows[0][3:-1]

    assert line(seeds(here={0: 5.0, 1: 6.5}), seeds(there={0: 4.0, 1: 5.0})) == ()
    alone = line(seeds(here={0: 5.0, 1: 6.5}), seeds(here={0: 4.0, 1: 5.0}))
    assert alone == ("4.5 to 5.8, two seeds",)
    assert alone == line(seeds(here={0: 5.0, 1: 6.5}, there={2: 70.0}), seeds(here={0: 4.0, 1: 5.0}, there={1: 90.0}))


CLAIM = {"id": "x", "source": "T", "statement": "A beats B.", "kind": "ordering", "headline": True, "task": "t"}
CLAIM |= {"pairs": [{"better": "m/a", "worse": "m/b"}]}
TASKS = {"t": {"chance": 0, "oracle": 100}}


def trained(**sides: Seeds) -> Card:
    """A paper whose one headline compares m/a with m/b, trained as these rows say."""
    claims = Claims.model_validate({"paper": "toy", "experiment": 1, "tasks": TASKS, "claims": [CLAIM]})
    rows = [
        Row(metric=f"m/{side}{part}", value=value, seed=seed, device=device, commit="a" * 40, seconds=1.0)
        for side, values in sides.items()
        for (device, _, _), each in values.setups.items()
        for seed, value in each.items()
        for part in ("", "/curve/area", "/curve/end")
    ]
    return Card(claims, judge(claims, rows), rows)


def test_leads_at_the_same_compute_are_of_one_machine():
    assert not same_compute([trained(a=seeds(here={0: 5.0}), b=seeds(there={0: 4.0}))])[1].rows
    here = same_compute([trained(a=seeds(here={0: 5.0, 1: 6.5}), b=seeds(here={0: 4.0, 1: 5.0}))])[1].rows
    assert here[0][1:3] == ("a over b", "+1.2")
    more = trained(a=seeds(here={0: 5.0, 1: 6.5}, there={2: 70.0}), b=seeds(here={0: 4.0, 1: 5.0}))
    assert same_compute([more])[1].rows[0][1:5] == here[0][1:5], "what only one side has elsewhere changes nothing"


def test_shares_are_of_one_machine():
    a, b = seeds(here={0: 4.0, 1: 6.0}, there={0: 80.0}), seeds(here={0: 10.0, 1: 10.0})
    assert share_of({"a": a, "b": b}, "a", "b") == 50
    assert share_of({"a": seeds(there={0: 4.0}), "b": b}, "a", "b") is None
    rows = {"edits/shape/x": seeds(here={0: 90.0}, there={0: 10.0}), "edits/shape/unedited": seeds(here={0: 80.0})}
    assert share_left(rows, "shape", "x") == 0.5


def test_advice_puts_no_method_behind_another_by_two_machines():
    def line(**other):
        rows = {"tuned/few/a": seeds(here={0: 90.0, 1: 91.0}), "tuned/few/b": seeds(**other)}
        costs = {f"cost/memory.{name}": {0: 1.0} for name in "ab"}
        return advice(rows | costs, "ab", [Need("few", "few")]).rows[0]

    assert line(here={0: 10.0, 1: 11.0})[3] == "no other", "a gap of 80 points with the same seeds of one machine"
    assert line(there={0: 10.0, 1: 11.0})[1] == "a" and line(there={0: 10.0, 1: 11.0})[3] == "b"
