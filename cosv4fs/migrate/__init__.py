"""Copy and migrate files between any two fsspec filesystems.

Nothing here is specific to COS. Modules:

* `locations`: a URL as filesystem and path
* `infos`: what filesystems tell about one path
* `trees`: list a tree of `entries`, whose directories `walking` visits in parallel
* `local_trees`, `s3_trees`: list the local disk, and S3
* `sorting`: sort a tree
* `selection`: select files of a tree, with the patterns of `globs`
* `copying`: copy one file
* `removing`: remove selected files of a tree
* `pairs`: sources with their targets, on disk
* `plan`: the rules by which they are paired
* `checksums`: compare two files by them
* `comparing`: which files of two trees have to be copied
* `checking`: whether two trees are equal
* `migration`: resumable migrations of whole trees
* `manifest`: their state
* `database`: SQLite
* `migrator`: migrate one file
* `cluster`: migrate on a dask cluster
"""
