"""What the benchmarks share: servers, load, figures. Standard library only."""
