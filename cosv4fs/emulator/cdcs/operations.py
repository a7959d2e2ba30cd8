"""The table of operations of CDCS: the 18 of cdcs.md#service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cosv4fs.emulator.api import Operation
from cosv4fs.emulator.errors import ApiError

from . import coffers, multipart, objects
from .call import CofferCall
from .service import CofferService

if TYPE_CHECKING:
    from collections.abc import Mapping

CofferOperation = Operation[CofferService, CofferCall]

OPERATIONS: Mapping[str, CofferOperation] = {
    "GetService": Operation(coffers.get_service, ("GET",), "service"),
    "PutCoffer": Operation(coffers.put_coffer, ("PUT",), "coffer"),
    "DeleteCoffer": Operation(coffers.delete_coffer, ("DELETE",), "coffer", status=204),
    "GetCoffer": Operation(coffers.get_coffer, ("GET",), "coffer"),
    "PutCofferLifecycle": Operation(coffers.put_lifecycle, ("PUT",), "coffer", "lifecycle"),
    "GetCofferLifecycle": Operation(coffers.get_lifecycle, ("GET",), "coffer", "lifecycle"),
    "PutCofferPolicy": Operation(coffers.put_policy, ("PUT",), "coffer", "policy"),
    "GetCofferPolicy": Operation(coffers.get_policy, ("GET",), "coffer", "policy"),
    "DeleteCofferPolicy": Operation(coffers.delete_policy, ("DELETE",), "coffer", "policy"),
    "PutObject": Operation(objects.put_object, ("PUT",), "object", stored=True, claims=True),
    "GetObject": Operation(objects.get_object, ("GET",), "object"),
    "HeadObject": Operation(objects.head_object, ("HEAD",), "object"),
    "InitiateMultipartUpload": Operation(multipart.initiate, ("POST",), "object", "uploads", claims=True),
    "UploadPart": Operation(multipart.upload_part, ("PUT",), "object", "uploadId", stored=True),
    "ListParts": Operation(multipart.list_parts, ("GET",), "object", "uploadId"),
    "CompleteMultipartUpload": Operation(multipart.complete, ("POST",), "object", "uploadId"),
    "AbortMultipartUpload": Operation(multipart.abort, ("DELETE",), "object", "uploadId", status=204),
    "ListMultipartUploads": Operation(multipart.list_uploads, ("GET",), "coffer", "uploads"),
}
"""The operations by their names in the documentation."""

_BY_REQUEST: dict[tuple[str, str, str], str] = {
    (method, operation.path, operation.query): name
    for name, operation in OPERATIONS.items()
    for method in operation.methods
}
_UNSUPPORTED = frozenset({"acl", "append", "cors", "delete", "restore", "tagging", "versioning", "versions", "copy"})
_COPIES = ("x-cdcs-copy-source", "x-cos-copy-source")


def find_operation(call: CofferCall) -> str:
    """Return the name of the operation of a request (cdcs.md#service and cdcs.md#emulator).

    Raises
    ------
    ApiError
        MethodNotAllowed for everything that CDCS does not have.
    """
    names = {name for name, _ in call.pairs}
    selector = ""
    if not call.coffer:
        kind = "service" if not call.key else ""
    elif call.key:
        kind = "object"
        selector = "uploads" if "uploads" in names else "uploadId" if call.text("uploadId") is not None else ""
    else:
        kind = "coffer"
        selector = next((name for name in ("lifecycle", "policy", "uploads") if name in names), "")
    found = _BY_REQUEST.get((call.head.method, kind, selector))
    is_unsupported = not names.isdisjoint(_UNSUPPORTED) or any(name in call.head.headers for name in _COPIES)
    if found is None or (is_unsupported and kind != "service"):
        what = f"a {kind}" if kind in {"coffer", "object"} else "the service"
        raise ApiError("MethodNotAllowed", f"{what} has no such operation")
    return found
