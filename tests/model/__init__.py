"""Random sequences of all public operations, on the filesystem and on a model of it in memory, faults included.

``python -m tests.model --steps 10000 --seed 1`` runs long; the tests beside this file run a few examples.
"""
