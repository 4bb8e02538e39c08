"""The sentence on a lead that changes says what the seeds bear out, and nothing else."""

from minilib.claims.chosen import Seeds
from minilib.claims.leads import leads

PLACES = {"short": ("a/v", "a/f"), "long": ("b/v", "b/f")}


def rows(short: list[float], long: list[float]) -> dict[str, dict[int, float]]:
    """Leads of v over f, by seed, at two places."""
    level = {"a/f": dict.fromkeys(range(len(short)), 50.0), "b/f": dict.fromkeys(range(len(long)), 50.0)}
    ours = {f"{at}/v": {s: 50 + lead for s, lead in enumerate(found)} for at, found in (("a", short), ("b", long))}
    return {metric: found for metric, found in (level | ours).items() if found}


def test_a_lead_rises_or_falls_only_clear_of_the_seeds():
    say = leads(PLACES, rows([-20, -21, -20, -21, -20], [1, 0, 1, 2, 1]), "V", "F")
    assert say.startswith("V minus F, in points: short -20.4 (five seeds), long +1.0 (five seeds).")
    assert "it rises (98 % interval +" in say and "five seeds" in say
    assert "it falls" in leads(PLACES, rows([1, 0, 1], [-20, -21, -20]), "V", "F")
    assert "do not tell from none" in leads(PLACES, rows([-9, 4, 1], [1, 2, -3]), "V", "F")


HERE, THERE = ("cpu", "float32", 1), ("cuda", "float32", 1)


def on(**machines: dict[int, float]) -> Seeds:
    """Values by seed of one machine or of two, of which the later one was measured last."""
    setups = {{"here": HERE, "there": THERE}[name]: values for name, values in machines.items()}
    newest = {seed: value for values in setups.values() for seed, value in values.items()}
    return Seeds(newest, setups, {setup: place for place, setup in enumerate(setups)})


def test_what_no_machine_has_both_of_is_not_called_unmeasured():
    """The same seeds, on two machines."""
    found = {metric: on(here=values) for metric, values in rows([3, 4], [5, 6]).items()}
    assert "long +5.5 (two seeds)" in leads(PLACES, found, "V", "F")
    apart = found | {"b/v": on(there=dict(found["b/v"]))}
    assert "long not measured by one machine" in leads(PLACES, apart, "V", "F")
    assert "short +3.5 (two seeds)" in leads(PLACES, apart, "V", "F")
    again = found | {"b/v": on(here=dict(found["b/v"]), there={0: 99.0, 1: 99.0})}
    assert leads(PLACES, again, "V", "F") == leads(PLACES, found, "V", "F"), "what another machine has of one changes"
    none = {metric: on(here=v) if metric.endswith("v") else on(there=v) for metric, v in rows([3], [5]).items()}
    assert leads(PLACES, none, "V", "F") == "V and F are not measured on common seeds of one machine yet."


def test_a_lead_that_is_not_measured_is_said_to_be():
    assert leads(PLACES, {}, "V", "F") == "V and F are not measured on common seeds of one machine yet."
    half = leads(PLACES, rows([3, 4], []), "V", "F")
    assert "long not measured yet" in half and half.endswith("these rows do not say.")
