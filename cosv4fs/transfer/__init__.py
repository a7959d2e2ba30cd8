"""Uploads and downloads of contents.

`upload` uploads a source that can be read again, and `writer` what is written incrementally; how each service takes an
object is in `v4`, `v3` (both on `slices`) and `coffers`. `download` and `readahead` read ranges.
"""
