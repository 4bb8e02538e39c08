"""The papers' claims as data, what was measured, and the verdicts that follow.

claims = load("zeroi2v")                     # the claims file
table(claims)                                # before anything is measured
measurements = Measurements("zeroi2v", out_dir, scale="small")
measurements.measured_or_run("core/zeroi2v", run)  # a row that is there, or the run that makes it
table(claims, judge(claims, measurements.rows()))
"""

from minilib.claims.environment import environment
from minilib.claims.model import Claim, Claims, Pair, load, papers
from minilib.claims.rows import Measurements, Row, all_rows, append_rows, latest, read_rows, settings_hash
from minilib.claims.table import Table, counts, orderings, table, tally
from minilib.claims.verdicts import VERDICTS, Verdict, judge

__all__ = [
    "VERDICTS",
    "Claim",
    "Claims",
    "Measurements",
    "Pair",
    "Row",
    "Table",
    "Verdict",
    "all_rows",
    "append_rows",
    "counts",
    "environment",
    "judge",
    "latest",
    "load",
    "orderings",
    "papers",
    "read_rows",
    "settings_hash",
    "table",
    "tally",
]
