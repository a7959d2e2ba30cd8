"""The disputed points of CDCS, one switch each.

Nothing here was tried against the live service. Where its documentation is silent or contradicts itself
(cdcs.md#emulator, cdcs.md#disputed), the emulator follows the default below, and a test can ask for the other variant:
a client has to work with both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cosv4fs.emulator.switches import Switches

__all__ = ["CofferDialect"]


@dataclass(frozen=True)
class CofferDialect(Switches):
    r"""How the emulator reads each disputed point of CDCS.

    Every field is one point, with the place of its evidence; of the named values the first is the default.

    Parameters
    ----------
    content_type : {"application/json", "application/xml"}
        The type that answers with JSON bodies declare: the prose's; or that of all the samples (cdcs.md#content-type).
    error_bodies : {"json", "xml"}
        Errors are JSON; or the XML of the older documentation, which has no ``Resource`` (cdcs.md#lifecycle-status).
    signature_names : {"lower", "any"}
        A signature is made over lower-case names; or one over the names as they were sent is accepted too
        (cdcs.md#name-case).
    signed_parts : {"parameters", "everything", "nothing"}
        What a signature has to cover: ``host`` and all parameters of the query, as in the samples; also
        ``content-type``, ``content-md5``, ``content-length``, ``date`` and ``x-cdcs-*`` where they are sent, as in the
        prose; or whatever it names (cdcs.md#signed-headers).
    signed_host : {"both", "as-sent", "bare"}
        The ``host`` that is signed on another port than the usual one: either form; the header as it is sent; the name
        without the port, as the vendor's clients sign it (cdcs.md#emulator).
    booleans : {"strings", "json", "upper-strings"}
        Truth in JSON bodies: ``"true"`` (sample); ``true``; ``"TRUE"`` (prose of the upload listing)
        (cdcs.md#is-truncated).
    numbers : {"numbers", "strings"}
        Numbers in JSON bodies; or text that holds them, as the markers of the part listing (cdcs.md#body-format).
    empty_fields : {"empty", "omitted"}
        What has no value is ``""`` (samples); or left out (prose) (cdcs.md#is-truncated).
    next_marker : {"last-key", "empty"}
        ``NextMarker`` of a page that is not the last: its last key; or ``""``, as in one sample (cdcs.md#next-marker).
    listing_lag : int, optional
        From how many listings of its coffer, counted by their first pages, a new object is missing;
        ``CofferEmulator.settle`` ends that. None: it is there at once (cdcs.md#get-coffer).
    coffer_names : {"short", "long"}
        A coffer's name without the account's number: 1 to 35 of digits, ``a`` to ``z`` and hyphen; or 2 to 50 of ASCII
        letters, digits and other printable signs but the slash (cdcs.md#names).
    object_keys : {"cos", "any"}
        Keys follow COS's rules (at most 850 bytes, no ``/`` or ``\`` in front, no bytes 24 to 27), else
        InvalidObjectKey; or are any text without a zero byte (cdcs.md#names).
    coffer_exists : {"CofferAlreadyOwnedByYou", "CofferAlreadyExists"}
        The code for a coffer that is made twice (cdcs.md#put-coffer).
    missing_coffer : {"mixed", "CofferNotFound", "NoSuchCoffer"}
        The code for a coffer that is not there: ``NoSuchCoffer`` where a page names it (DeleteCoffer,
        PutCofferLifecycle), else ``CofferNotFound``; or always the one or the other (cdcs.md#occupied-codes).
    object_exists : {"ObjectAlreadyExistsOwnedByYou", "ObjectAlreadyExists", "ObjectAlreadyUploading"}
        The code for a key that is taken (cdcs.md#occupied-codes).
    object_uploading : {"ObjectAlreadyExistsOwnedByYou", "ObjectAlreadyExists", "ObjectAlreadyUploading"}
        The code for a key with an unfinished multipart upload (cdcs.md#occupied-codes).
    empty_objects : {"refuse", "accept"}
        Objects and parts without a byte are refused with ObjectEmpty; or accepted (cdcs.md#empty-objects).
    md5_mismatch : {"InvalidArgument", "BadDigest"}
        The code for a body that is not what its ``Content-MD5`` says; the second one is COS's (cdcs.md#content-md5).
    bad_range : {"416", "200"}
        A Range that is malformed or behind the end answers 416 InvalidArgument; or 200 with the whole body
        (cdcs.md#range-forms).
    open_ranges : {"honour", "ignore", "refuse"}
        A Range with one end only: is honoured; answers 200 with the whole body; or as a malformed one
        (cdcs.md#range-forms).
    part_etag : {"md5", "sha1", "encrypted"}
        A part's ETag is its MD5 (prose); or has 40 digits (samples); or depends on the encryption, as an object's may
        [2.2], and only looks like an MD5 (cdcs.md#part-etag).
    etag_quotes : {"both", "bare", "quoted"}
        The parts' ETags at CompleteMultipartUpload: quoted or not; only without quotes, as in the sample; only with
        them (cdcs.md#part-etag).
    smallest_part : int
        Bytes that every part but the last has at least: 1048576 or, if "1 MB" means that, 1000000
        (cdcs.md#upload-part).
    first_part : {"one", "any"}
        The numbers of the parts begin at 1, else InvalidPart; or anywhere (cdcs.md#complete).
    complete_whitespace : bool
        CompleteMultipartUpload answers 200 in chunks, with blanks in front of its JSON (cdcs.md#complete).
    complete_errors : {"status", "late"}
        What is wrong with the parts is told by the status; or within a 200, after such blanks (cdcs.md#late-failure).
    second_complete : {"MultipartAlreadyCompleted", "NoSuchUpload"}
        The code for an upload that is completed again (cdcs.md#emulator).
    missing_upload : {"NoSuchUpload", "MultipartNotExists"}
        The code for an upload that is not there (cdcs.md#occupied-codes).
    part_marker : {"exclusive", "inclusive"}
        ListParts begins after ``part-number-marker``; or with it, ``NextPartNumberMarker`` being the next part
        (cdcs.md#list-parts-marker).
    part_times : {"iso", "asctime"}
        ``LastModified`` of parts as everywhere else; or as in the sample (cdcs.md#list-parts).
    upload_id_query : {"exact", "any"}
        The parameter is called ``uploadId``; or may be spelled in any case (cdcs.md#list-parts).
    upload_id_field : {"UploadId", "UploadID"}
        The name of that field in ListMultipartUploads: the sample's; or the table's (cdcs.md#list-uploads).
    upload_marker : {"upload-id", "key"}
        ``upload-id-marker`` is an upload id, and the listing in that order; or an object's key (its description)
        (cdcs.md#upload-id-marker).
    most_uploads_zero : {"refuse", "accept"}
        ``max-uploads=0`` is refused; or gives an empty page (cdcs.md#max-uploads).
    unset_lifecycle_status : {404, 400}
        The HTTP status of NoSuchLifecycleConfiguration (cdcs.md#lifecycle-status).
    unset_policy : {"empty", "missing"}
        The policy of a coffer that has none is one without statements; or 404 NoSuchBucketPolicy, COS's code
        (cdcs.md#lifecycle-status).
    lifecycle_subject : {"objects", "coffer"}
        What goes after the days of the lifecycle: every object, counted from its upload; or the coffer with all that is
        in it, counted from its creation (cdcs.md#lifecycle-subject).
    """

    content_type: Literal["application/json", "application/xml"] = "application/json"
    error_bodies: Literal["json", "xml"] = "json"
    signature_names: Literal["lower", "any"] = "lower"
    signed_parts: Literal["parameters", "everything", "nothing"] = "parameters"
    signed_host: Literal["both", "as-sent", "bare"] = "both"
    booleans: Literal["strings", "json", "upper-strings"] = "strings"
    numbers: Literal["numbers", "strings"] = "numbers"
    empty_fields: Literal["empty", "omitted"] = "empty"
    next_marker: Literal["last-key", "empty"] = "last-key"
    listing_lag: int | None = None
    coffer_names: Literal["short", "long"] = "short"
    object_keys: Literal["cos", "any"] = "cos"
    coffer_exists: Literal["CofferAlreadyOwnedByYou", "CofferAlreadyExists"] = "CofferAlreadyOwnedByYou"
    missing_coffer: Literal["mixed", "CofferNotFound", "NoSuchCoffer"] = "mixed"
    object_exists: Literal["ObjectAlreadyExistsOwnedByYou", "ObjectAlreadyExists", "ObjectAlreadyUploading"] = (
        "ObjectAlreadyExistsOwnedByYou"
    )
    object_uploading: Literal["ObjectAlreadyExistsOwnedByYou", "ObjectAlreadyExists", "ObjectAlreadyUploading"] = (
        "ObjectAlreadyExistsOwnedByYou"
    )
    empty_objects: Literal["refuse", "accept"] = "refuse"
    md5_mismatch: Literal["InvalidArgument", "BadDigest"] = "InvalidArgument"
    bad_range: Literal["416", "200"] = "416"
    open_ranges: Literal["honour", "ignore", "refuse"] = "honour"
    part_etag: Literal["md5", "sha1", "encrypted"] = "md5"
    etag_quotes: Literal["both", "bare", "quoted"] = "both"
    smallest_part: int = 1048576
    first_part: Literal["one", "any"] = "one"
    complete_whitespace: bool = False
    complete_errors: Literal["status", "late"] = "status"
    second_complete: Literal["MultipartAlreadyCompleted", "NoSuchUpload"] = "MultipartAlreadyCompleted"
    missing_upload: Literal["NoSuchUpload", "MultipartNotExists"] = "NoSuchUpload"
    part_marker: Literal["exclusive", "inclusive"] = "exclusive"
    part_times: Literal["iso", "asctime"] = "iso"
    upload_id_query: Literal["exact", "any"] = "exact"
    upload_id_field: Literal["UploadId", "UploadID"] = "UploadId"
    upload_marker: Literal["upload-id", "key"] = "upload-id"
    most_uploads_zero: Literal["refuse", "accept"] = "refuse"
    unset_lifecycle_status: Literal[404, 400] = 404
    unset_policy: Literal["empty", "missing"] = "empty"
    lifecycle_subject: Literal["objects", "coffer"] = "objects"
