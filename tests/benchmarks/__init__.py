"""Benchmarks: ``python -m tests.benchmarks --help``. The test suite does not measure anything."""
