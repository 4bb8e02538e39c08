"""The methods, one folder a paper: the method, its counts, variants, experiments and figures."""
