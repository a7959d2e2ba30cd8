"""Benchmarks: ``python -m tests.benchmarks --help``. Not run by the test-suite."""
