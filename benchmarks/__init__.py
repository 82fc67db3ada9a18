"""Benchmarks of throughput, relative to reference environments."""
