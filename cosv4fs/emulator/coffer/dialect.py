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

    Every field is one point; the first value is the default. Numbers in brackets are points of cdcs.md#disputed-list,
    others name its sections.

    Parameters
    ----------
    content_type : {"application/json", "application/xml"}
        [1] The type that answers with JSON bodies declare: the prose's; or that of all the samples.
    error_bodies : {"json", "xml"}
        [12] Errors are JSON; or the XML of the older documentation, which has no ``Resource``.
    signature_names : {"lower", "any"}
        [5] A signature is made over lower-case names; or one over the names as they were sent is accepted too.
    signed_parts : {"parameters", "everything", "nothing"}
        [6] What a signature has to cover: ``host`` and all parameters of the query, as in the samples; also
        ``content-type``, ``content-md5``, ``content-length``, ``date`` and ``x-cdcs-*`` where they are sent, as in the
        prose; or whatever it names.
    signed_host : {"both", "as-sent", "bare"}
        [9] The ``host`` that is signed on another port than the usual one: either form; the header as it is sent; the
        name without the port, as the vendor's clients sign it.
    booleans : {"strings", "json", "upper-strings"}
        [10] Truth in JSON bodies: ``"true"`` (sample); ``true``; ``"TRUE"`` (prose of the upload listing).
    numbers : {"numbers", "strings"}
        [2.3] Numbers in JSON bodies; or text that holds them, as the markers of the part listing.
    empty_fields : {"empty", "omitted"}
        [10] What has no value is ``""`` (samples); or left out (prose).
    next_marker : {"last-key", "empty"}
        [9] ``NextMarker`` of a page that is not the last: its last key; or ``""``, as in one sample.
    listing_lag : int, optional
        [4.4] From how many listings of its coffer, counted by their first pages, a new object is missing;
        ``CofferEmulator.settle`` ends that. None: it is there at once.
    coffer_names : {"short", "long"}
        [20] A coffer's name without the account's number: 1 to 35 of digits, ``a`` to ``z`` and hyphen; or 2 to 50 of
        ASCII letters, digits and other printable signs but the slash.
    object_keys : {"cos", "any"}
        [20] Keys follow COS's rules (at most 850 bytes, no ``/`` or ``\`` in front, no bytes 24 to 27), else
        InvalidObjectKey; or are any text without a zero byte.
    coffer_exists : {"CofferAlreadyOwnedByYou", "CofferAlreadyExists"}
        [4.2] The code for a coffer that is made twice.
    missing_coffer : {"mixed", "CofferNotFound", "NoSuchCoffer"}
        [19] The code for a coffer that is not there: ``NoSuchCoffer`` where a page names it (DeleteCoffer,
        PutCofferLifecycle), else ``CofferNotFound``; or always the one or the other.
    object_exists : {"ObjectAlreadyExistsOwnedByYou", "ObjectAlreadyExists", "ObjectAlreadyUploading"}
        [19] The code for a key that is taken.
    object_uploading : {"ObjectAlreadyExistsOwnedByYou", "ObjectAlreadyExists", "ObjectAlreadyUploading"}
        [19] The code for a key with an unfinished multipart upload.
    empty_objects : {"refuse", "accept"}
        [16] Objects and parts without a byte are refused with ObjectEmpty; or accepted.
    md5_mismatch : {"InvalidArgument", "BadDigest"}
        [18] The code for a body that is not what its ``Content-MD5`` says; the second one is COS's.
    bad_range : {"416", "200"}
        [17] A Range that is malformed or behind the end answers 416 InvalidArgument; or 200 with the whole body.
    open_ranges : {"honour", "ignore", "refuse"}
        [17] A Range with one end only: is honoured; answers 200 with the whole body; or as a malformed one.
    part_etag : {"md5", "sha1", "encrypted"}
        [15] A part's ETag is its MD5 (prose); or has 40 digits (samples); or depends on the encryption, as an object's
        may [2.2], and only looks like an MD5.
    etag_quotes : {"both", "bare", "quoted"}
        [15] The parts' ETags at CompleteMultipartUpload: quoted or not; only without quotes, as in the sample; only
        with them.
    smallest_part : int
        [6.2] Bytes that every part but the last has at least: 1048576 or, if "1 MB" means that, 1000000.
    first_part : {"one", "any"}
        [6.4] The numbers of the parts begin at 1, else InvalidPart; or anywhere.
    complete_whitespace : bool
        [6.4] CompleteMultipartUpload answers 200 in chunks, with blanks in front of its JSON.
    complete_errors : {"status", "late"}
        [27] What is wrong with the parts is told by the status; or within a 200, after such blanks.
    second_complete : {"MultipartAlreadyCompleted", "NoSuchUpload"}
        [9] The code for an upload that is completed again.
    missing_upload : {"NoSuchUpload", "MultipartNotExists"}
        [19] The code for an upload that is not there.
    part_marker : {"exclusive", "inclusive"}
        [14] ListParts begins after ``part-number-marker``; or with it, ``NextPartNumberMarker`` being the next part.
    part_times : {"iso", "asctime"}
        [6.3] ``LastModified`` of parts as everywhere else; or as in the sample.
    upload_id_query : {"exact", "any"}
        [6.3] The parameter is called ``uploadId``; or may be spelled in any case.
    upload_id_field : {"UploadId", "UploadID"}
        [6.6] The name of that field in ListMultipartUploads: the sample's; or the table's.
    upload_marker : {"upload-id", "key"}
        [13] ``upload-id-marker`` is an upload id, and the listing in that order; or an object's key (its description).
    most_uploads_zero : {"refuse", "accept"}
        [23] ``max-uploads=0`` is refused; or gives an empty page.
    unset_lifecycle_status : {404, 400}
        [12] The HTTP status of NoSuchLifecycleConfiguration.
    unset_policy : {"empty", "missing"}
        [12] The policy of a coffer that has none is one without statements; or 404 NoSuchBucketPolicy, COS's code.
    lifecycle_subject : {"objects", "coffer"}
        [21] What goes after the days of the lifecycle: every object, counted from its upload; or the coffer with all
        that is in it, counted from its creation.
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
