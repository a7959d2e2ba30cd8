"""The tests; ``python -m tests`` runs them, and lint and types before them."""
