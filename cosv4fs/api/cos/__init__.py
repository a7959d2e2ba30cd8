"""The COS JSON API, v4 and v3.

`client` has the operations that both have, `v4` and `v3` their own; `listing` lists directories. `envelope` tells which
error a reply is, `replies` what it says; `signing` signs.
"""
