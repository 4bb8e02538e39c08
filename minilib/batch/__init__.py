"""Running notebooks in batches, and the report of what came out."""
