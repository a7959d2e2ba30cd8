"""Who uses filesystems of fsspec, each tried for real: ``python -m tests.consumers`` writes the table of README.md."""
