"""Crashes on purpose: real processes are killed in the middle of their work, and what is left is examined.

``python -m tests.crash uploads`` runs the scenario `uploads`.
"""
