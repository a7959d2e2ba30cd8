"""Many threads against one service for minutes: is everything right, and does nothing grow?

``python -m tests.load --threads 64 --minutes 10 --seed 1``
"""
