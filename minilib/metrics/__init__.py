"""What the benchmarks measure, one file a measure."""
