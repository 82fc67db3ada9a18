"""Throughput, side by side."""
