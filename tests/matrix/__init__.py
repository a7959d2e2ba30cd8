"""The dialect matrix: what the client promises, under every variant of the disputed points of the API.

``python -m tests.matrix`` runs all of it and prints a table; pytest by itself runs the core under a few dialects.
"""
