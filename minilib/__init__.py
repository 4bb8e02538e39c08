"""minilib: the thin library under the notebooks.

Arrows go one way: `papers` use `models`, `video`, `cost`, ..., which know no paper. `study`, `train`, `localize` and
other commands call papers by name; notebooks use everything.
"""

import warnings

__version__ = "0.1.0"

# Libraries that we import load tqdm.auto, which asks for a widget that we do without. This stands where it is run
# before any of them, whatever a page imports first.
warnings.filterwarnings("ignore", "IProgress not found")
