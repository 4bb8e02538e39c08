"""minilib: the thin library under the notebooks.

Arrows go one way: `papers` use `clip`, `video`, `cost`, ...; those know no paper; notebooks use everything.
"""

__version__ = "0.1.0"
