"""Uploads and downloads of contents.

`transfers` is the entry point. `download` and `readahead` read ranges. `writer` uploads what is written incrementally,
and `upload` a source that can be read again; both send pieces through an upload of the service (`v4`, `v3`, `coffers`),
which its `uploader` makes. Small objects go in one request (`single`).
"""
