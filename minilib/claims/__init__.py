"""The papers' claims as data, what was measured, and the verdicts that follow.

claims = load("zeroi2v")                     # the claims file
headlines(claims)                            # before anything is measured
measurements = Measurements("zeroi2v", out_dir, scale="small")
measurements.record("core/zeroi2v", 61.0)    # one row more
table(claims, judge(claims, measurements.rows()))
"""

from minilib.claims.chosen import latest
from minilib.claims.files import load, papers
from minilib.claims.levels import climbing, control, levels
from minilib.claims.measurements import Measurements
from minilib.claims.model import Claim, Claims
from minilib.claims.rows import Row, all_rows, append_rows, read_rows
from minilib.claims.said import beside_noise, difference, lacking, means, noise_line, ranking
from minilib.claims.settings import settings_hash
from minilib.claims.table import Table, count_line, counts, headlines, orderings, table, tally
from minilib.claims.tasks import Pair, Task
from minilib.claims.verdicts import VERDICTS, Verdict, false_calls, judge
from minilib.environment import environment

__all__ = [
    "VERDICTS",
    "Claim",
    "Claims",
    "Measurements",
    "Pair",
    "Row",
    "Table",
    "Task",
    "Verdict",
    "all_rows",
    "append_rows",
    "beside_noise",
    "climbing",
    "control",
    "count_line",
    "counts",
    "difference",
    "environment",
    "false_calls",
    "headlines",
    "judge",
    "lacking",
    "latest",
    "levels",
    "load",
    "means",
    "noise_line",
    "orderings",
    "papers",
    "ranking",
    "read_rows",
    "settings_hash",
    "table",
    "tally",
]
