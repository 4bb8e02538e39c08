"""The methods, one file a paper, with its counts, variants and experiments beside it."""
