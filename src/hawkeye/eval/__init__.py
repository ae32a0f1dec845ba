"""Running benchmarks, scoring predictions, and saying how far a score can be trusted."""
