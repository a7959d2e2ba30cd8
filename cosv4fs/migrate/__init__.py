"""Between two filesystems of fsspec, whichever: pairing files, copying, comparing, and large resumable migrations.

Knows nothing of COS: what it does for ``cosv4://`` it does for every protocol. Modules: `places` (a URL as filesystem
and path), `copying` (one file), `plan` (which files go where, and which are there already); `migration` (many files,
over many runs) with `manifest` (what it remembers), `moving` (one file of it) and `cluster` (the same work on dask).
"""
