"""The COS JSON API, v4 and v3.

`client` has the operations that both have, `v4` and `v3` their own; `calls` makes requests of them and reads the
envelopes of replies, `listing` lists directories; `replies` and `signing` are the formats on the wire.
"""
