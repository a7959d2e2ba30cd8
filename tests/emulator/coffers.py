"""A small client of coffers and a signer, the tests' own: they share nothing with the package."""

import base64
import hashlib
import hmac
import json
from urllib.parse import quote, urlsplit

from .client import NOW, SECRET_ID, SECRET_KEY, exchange

COFFER = "examplecoffer-1250000000"


def md5(content):
    return base64.b64encode(hashlib.md5(content).digest()).decode()


def _hmac(key, text):
    return hmac.new(key.encode(), text.encode(), hashlib.sha1).hexdigest()


def _list(pairs, *, lower=True):
    encoded = sorted((quote(name.lower() if lower else name, "-_.~"), quote(value, "-_.~")) for name, value in pairs)
    return ";".join(name for name, _ in encoded), "&".join(f"{name}={value}" for name, value in encoded)


def authorization(
    method, path, params=(), headers=(), *, span=(NOW - 60, NOW + 600), k=SECRET_ID, secret=SECRET_KEY, lower=True
):
    """Sign as the documentation says: `path` is decoded, and begins with the coffer."""
    time = f"{span[0]};{span[1]}"
    names, values = _list(params, lower=lower)
    header_names, header_values = _list(headers, lower=lower)
    text = f"{method.lower()}\n{path}\n{values}\n{header_values}\n"
    digest = hashlib.sha1(text.encode()).hexdigest()
    signature = _hmac(_hmac(secret, time), f"sha1\n{time}\n{digest}\n")
    return (
        f"q-sign-algorithm=sha1&q-ak={k}&q-sign-time={time}&q-key-time={time}&q-header-list={header_names}"
        f"&q-url-param-list={names}&q-signature={signature}"
    )


class Coffers:
    """Calls an emulator of coffers, one connection per request."""

    def __init__(self, emulator, coffer=COFFER, **identity):
        self.emulator = emulator
        self.coffer = coffer
        self.identity = identity

    def raw(self, method, target, *, body=None, headers=None):
        return exchange(self.emulator, method, target, body=body, headers=headers)

    def call(self, method, path, query=None, *, body=None, headers=None, signed=("host",), host=None, **identity):
        """Send a signed request; `query` is a dict, None in it a name without a value."""
        headers = {"Host": host or urlsplit(self.emulator.endpoint).netloc, **(headers or {})}
        pairs = [(name, "" if value is None else str(value)) for name, value in (query or {}).items()]
        signed_headers = [(name, text) for name, text in headers.items() if name.lower() in signed]
        headers["Authorization"] = authorization(method, path, pairs, signed_headers, **(self.identity | identity))
        text = "&".join(
            name if value is None else f"{quote(name, '')}={quote(str(value), '')}"
            for name, value in (query or {}).items()
        )
        return self.raw(method, quote(path) + ("?" + text if text else ""), body=body, headers=headers)

    def of_coffer(self, method, query=None, *, body=None, coffer=None, **more):
        body = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        return self.call(method, f"/{coffer or self.coffer}", query, body=body, **more)

    def make(self, coffer, **fields):
        return self.of_coffer("PUT", coffer=coffer, body={"Locations": {"Location": ["ap-tianjin"]}, **fields})

    def of_object(self, method, key, query=None, **more):
        return self.call(method, f"/{self.coffer}/{key}", query, **more)

    def put(self, key, content=b"content", **headers):
        headers = {name.replace("_", "-"): text for name, text in headers.items()}
        return self.of_object("PUT", key, body=content, headers=headers)

    def get(self, key, **headers):
        return self.of_object("GET", key, headers=headers)

    def head(self, key):
        return self.of_object("HEAD", key)

    def listed(self, **query):
        return self.of_coffer("GET", {name.replace("_", "-"): value for name, value in query.items()}).json

    def names(self, **query):
        return [entry["Key"] for entry in self.listed(**query)["Contents"]]

    def begin(self, key, **headers):
        return self.of_object("POST", key, {"uploads": None}, headers=headers).json["UploadId"]

    def part(self, key, upload, number, content, **headers):
        headers = {name.replace("_", "-"): text for name, text in headers.items()}
        return self.of_object("PUT", key, {"partNumber": number, "uploadId": upload}, body=content, headers=headers)

    def parts(self, key, upload, **query):
        return self.of_object(
            "GET", key, {"uploadId": upload, **{name.replace("_", "-"): value for name, value in query.items()}}
        )

    def finish(self, key, upload, parts):
        """Complete; `parts` is a list of number and ETag, or what is sent as it is."""
        if isinstance(parts, list):
            named = [{"PartNumber": number, "ETag": etag} for number, etag in parts]
            parts = json.dumps({"Part": named}).encode()
        return self.of_object("POST", key, {"uploadId": upload}, body=parts)

    def abort(self, key, upload):
        return self.of_object("DELETE", key, {"uploadId": upload})

    def uploads(self, **query):
        return self.of_coffer("GET", {"uploads": None, **{k.replace("_", "-"): v for k, v in query.items()}})
