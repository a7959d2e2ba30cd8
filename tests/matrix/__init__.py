"""The dialect matrix: what the client promises, under every reading of the API's disputed points.

``python -m tests.matrix`` runs all of it and prints a table; pytest by itself runs a core under a handful of dialects.
"""
