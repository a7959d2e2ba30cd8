"""The Data Coffer Service (CDCS): write-once storage with uploads in parts, an API of its own.

Modules: `client` (coffers, objects and their ranges), `uploads` (in parts; and how operations become requests),
`signing`, `errors` (codes, and which error a reply is), `replies` (what they say).
"""
