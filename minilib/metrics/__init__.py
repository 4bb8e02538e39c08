"""What benchmarks measure, beyond accuracy."""
