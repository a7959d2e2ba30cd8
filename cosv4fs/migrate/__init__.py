"""Copy and migrate files between any two fsspec filesystems.

Nothing here is specific to COS. Modules:

* `locations`: a URL as filesystem and path; `access` finds out early whether S3 can be used
* `infos`: what filesystems tell about one path
* `trees`: list a tree of `entries`, whose directories `walking` visits in parallel
* `local_trees`, `s3_trees`: list the local disk, and S3
* `sorting`: sort a tree on disk
* `selection`: select files of a tree, with the patterns of `globs`
* `copying`: copy one file; `moving`: copy it, prove the copy, and remove the source
* `metadata`: what copies carry beside the content; `s3_metadata`: how S3 holds it
* `removing`: remove a tree, or selected files of it
* `pairs`: sources with their targets, on disk
* `plan`: the rules by which they are paired
* `checksums`: compare two files by them
* `comparing`: which files of two trees have to be copied
* `checking`: whether two trees are equal, also in the `details` beside the content
* `migration`: resumable migrations of whole trees, with a `report`
* `manifest`: their state, for the `identities` of source and target
* `database`: SQLite
* `migrator`: migrate one file
* `cluster`: migrate on a dask cluster; `dispatcher` gives batches to its `workers`
"""
