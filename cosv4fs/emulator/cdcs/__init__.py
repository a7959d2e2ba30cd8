"""Tencent's write-once "Data Coffer" (CDCS, cdcs.md): S3-like requests, COS's signature, JSON bodies."""
