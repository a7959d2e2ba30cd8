"""The JSON API of a bucket: v4, under ``/files/v2``, and v3, under ``/files/v1`` (cos.md)."""
