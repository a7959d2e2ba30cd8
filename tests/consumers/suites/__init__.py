"""Test suites that other projects publish for filesystems and stores, run against the local service.

`tests/consumers` runs each of them in a process of its own, with settings of its own.
"""
