"""The sentence on a lead that changes says what the seeds bear out, and nothing else."""

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


def test_what_no_machine_has_both_of_is_not_called_unmeasured():
    apart = rows([3, 4], [5, 6])
    apart["b/v"] = {seed + 7: value for seed, value in apart["b/v"].items()}
    assert "long not measured by one machine" in leads(PLACES, apart, "V", "F")


def test_a_lead_that_is_not_measured_is_said_to_be():
    assert leads(PLACES, {}, "V", "F") == "V and F are not measured on common seeds of one machine yet."
    half = leads(PLACES, rows([3, 4], []), "V", "F")
    assert "long not measured yet" in half and half.endswith("these rows do not say.")
