"""The disputed points of the protocols, one switch each: `Dialect` for the JSON API, `CofferDialect` for CDCS.

Nothing here was tried against the live service. Where the documentation is silent or contradicts itself
(cos.md#disputed, cdcs.md#disputed), the emulator follows the default, and a test can choose another variant: a client
has to work with all of them. A new switch is a field with its values, the default first, and a docstring that says what
each value does and where the evidence is; the code that does it reads ``dialect.<name>``.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from typing_extensions import Self

_known_hints: dict[type, dict[str, Any]] = {}


@dataclass(frozen=True)
class _Switches:
    """A set of switches: every field has a fixed set of values, or is a positive number or None.

    Raises
    ------
    ValueError
        A value is not one of its switch's.
    """

    def __post_init__(self) -> None:
        hints = _hints(type(self))
        for field in dataclasses.fields(self):
            _check(field.name, getattr(self, field.name), hints[field.name])

    @classmethod
    def parse(cls, settings: list[str]) -> Self:
        """Return the dialect that a list of ``NAME=VALUE`` texts describes.

        Parameters
        ----------
        settings : list of str
            For example ``["parents=required", "slice_size=65536", "session_ttl=none"]``.

        Raises
        ------
        ValueError
            A name is unknown or a value is not one of the switch's; the message names the allowed ones.
        """
        hints = _hints(cls)
        values: dict[str, Any] = {}
        for setting in settings:
            name, sign, text = setting.partition("=")
            name = name.strip().replace("-", "_")
            if not sign:
                raise ValueError(f"dialect setting {setting!r} is not NAME=VALUE")
            if name not in hints:
                raise ValueError(f"unknown dialect switch {name!r}; there are: {', '.join(hints)}")
            values[name] = _read(text.strip(), hints[name])
        return cls(**values)

    @classmethod
    def choices(cls) -> dict[str, tuple[object, ...]]:
        """Return the values of every switch with a fixed set of them, by name, the default first."""
        fixed = {name: _allowed(hint) for name, hint in _hints(cls).items()}
        return {
            field.name: (field.default, *(value for value in fixed[field.name] if value != field.default))
            for field in dataclasses.fields(cls)
            if fixed[field.name]
        }


@dataclass(frozen=True)
class Dialect(_Switches):
    """How the emulator treats each disputed point of the JSON API."""

    finish_size: Literal["declared", "any"] = "declared"
    """``upload_slice_finish`` has to name the size that init declared, else −175; or it may name any size that the
    slices cover exactly (cos.md#finish-size)."""
    listparts: Literal["array", "string", "absent-when-empty"] = "array"
    """``listparts`` is a JSON array (the sample); a string that holds JSON (the documentation's type); or an array that
    is left out while it is empty (tolerated by one vendor client) (cos.md#listparts-type)."""
    session_ttl: float | None = None
    """Seconds after which an unfinished upload is removed. None: never (cos.md#session-expiry)."""
    reinit: Literal["refuse", "matching"] = "refuse"
    """init at an unfinished upload answers −4019 whatever its parameters; or, when size, sha and slice size are those
    of the unfinished one, code 0 with the same session and ``offset``, the bytes received without a gap
    (cos.md#re-init)."""
    overwrite_upload: Literal["replace", "refuse"] = "replace"
    """``op=upload`` with ``insertOnly=0`` replaces an existing file; or is refused with `exists_code`
    (cos.md#overwrite-unfinished)."""
    overwrite_unfinished: Literal["refuse", "replace"] = "refuse"
    """upload and init with ``insertOnly=0`` at an unfinished upload answer −4019; or discard it
    (cos.md#overwrite-unfinished)."""
    slice_overwrite: Literal["at-finish", "at-init", "refuse"] = "at-finish"
    """init with ``insertOnly=0`` at an existing file: the old file stays readable until finish; is deleted at once; or
    init is refused with `exists_code` (cos.md#overwrite-unfinished)."""
    exists_code: Literal[-4018, -177, -178] = -4018
    """The code for "the file exists" of upload and init (cos.md#exists-code)."""
    move_signature: Literal["any", "single", "multi"] = "any"
    """The kind of signature that move asks for: either; single-use only (−73); multi-effect only (−74)
    (cos.md#move-signature)."""
    copy_signature: Literal["any", "single", "multi"] = "any"
    """The kind of signature that copy asks for: either; single-use only (−73); multi-effect only (−74)
    (cos.md#move-signature)."""
    delete_signature: Literal["single", "any", "multi"] = "single"
    """The kind of signature that delete asks for: single-use only (−73); either; multi-effect only (−74)
    (cos.md#delete-signature)."""
    update_signature: Literal["single", "any", "multi"] = "single"
    """The kind of signature that update asks for: single-use only (−73); either; multi-effect only (−74)
    (cos.md#delete-signature)."""
    bound_stat: Literal["accept", "refuse"] = "accept"
    """A multi-effect signature bound to a path is good for stat, create and list; or refused with −63
    (cos.md#bound-signature)."""
    update_flag: Literal["ignored", "required"] = "ignored"
    """``flag`` of update is ignored; or −179 unless its bits (0x01 biz_attr, 0x40 custom_headers, 0x80 authority) are
    exactly those of the fields that are sent (cos.md#update-flag)."""
    custom_headers: Literal["merge", "replace"] = "merge"
    """update adds to and changes the stored headers; or replaces them all (cos.md#custom-headers)."""
    double_encoding: Literal["lenient", "strict"] = "lenient"
    """The path in the signature of a move or copy may be encoded once or twice; or once only, else −63
    (cos.md#double-encoding)."""
    parents: Literal["implicit", "virtual", "required"] = "implicit"
    """Missing parents of a new file become real directories; exist only while something is below them; or the request
    is refused with −197 (cos.md#parents)."""
    rmdir_nonempty: Literal["refuse", "ignore"] = "refuse"
    """Deleting a directory that is not empty answers −173; or success, and nothing happens (cos.md#rmdir-nonempty)."""
    error_status: Literal["mapped", "always-400", "always-200"] = "mapped"
    """The HTTP status of API errors: the table's; always 400; always 200 (cos.md#http-status)."""
    not_found_body: Literal["json", "empty", "html"] = "json"
    """The body of the 404 for ``upload_slice_list`` at nothing and for downloads of nothing (cos.md#http-status)."""
    max_list: Literal[1000, 199] = 1000
    """The largest ``num`` of a list (cos.md#page-limit)."""
    oversize_list: Literal["refuse", "clamp"] = "refuse"
    """A larger ``num`` is refused (−170 at 1000, −165 at 199); or cut to the maximum (cos.md#page-limit)."""
    listover: Literal["finished", "more"] = "finished"
    """``listover`` is true on the last page; or while there are more (cos.md#listover)."""
    last_context: Literal["empty", "kept", "next"] = "empty"
    """``context`` of the last page is empty; or the one of the request; or a new one, as that of any
    other page, behind which there is nothing (cos.md#listover)."""
    context: Literal["name", "position"] = "name"
    """The next page begins behind the last name of this one; or after as many entries as were listed so far, so that
    removing some of them hides others (cos.md#context)."""
    dir_slash: bool = False
    """Names of directories in a list end with a slash (cos.md#list)."""
    short_pages: bool = False
    """A page holds one entry less than requested (never less than one) (cos.md#list)."""
    file_names: Literal["any", "strict"] = "any"
    r"""The characters ``? * : | \ < > "`` are allowed in file names; or refused with −180. They are always refused in
    the path of a directory that is created (cos.md#file-names)."""
    parent_names: Literal["as-file", "as-directory"] = "as-file"
    """Directories in the path of a new file may have the characters that its own name may have, by `file_names`; or
    are checked as directories that are created (cos.md#file-names)."""
    final_slashes: Literal["refuse", "fold"] = "refuse"
    """Two slashes or more at the end of a path are an empty name (−180, −197); or one slash (cos.md#final-slashes)."""
    slice_sha: Literal["real", "suffixed", "absent", "zeros", "other"] = "real"
    """``sha`` of files that were uploaded in slices without a sha: computed; computed with ``_1234`` behind it; left
    out; forty zeros; that of something else. For the last three nothing is computed at finish (cos.md#stat-sha)."""
    empty_sha: Literal["zeros32", "real"] = "zeros32"
    """``sha`` of an empty file: 32 zeros (the sample); or the SHA-1 of nothing (cos.md#stat-sha)."""
    resource_path: Literal["full", "short"] = "full"
    """``resource_path`` is ``/appid/bucket/path``; or ``/path`` (cos.md#resource-path)."""
    times: Literal["number", "string"] = "number"
    """``ctime`` and ``mtime`` are numbers; or strings (cos.md#times)."""
    missing_mtime: bool = False
    """No reply has an ``mtime``, be it of a file, a directory, an upload or the bucket (cos.md#missing-mtime)."""
    cross_directory_move: Literal["accept", "refuse"] = "accept"
    """A move to another directory works; or answers −199 (cos.md#move-scope)."""
    directory_move: Literal["refuse", "accept"] = "refuse"
    """A move of a directory answers −160; or works (cos.md#move-scope)."""
    download_headers: Literal["full", "weak", "modified", "bare"] = "full"
    """Downloads carry ETag, Last-Modified and Accept-Ranges; the same with a weak ETag, made of time and size as web
    servers do; Last-Modified and Accept-Ranges only; or none of them. A weak ETag and Last-Modified stay the same when
    a file is replaced within the second by one of equal size (cos.md#download-headers)."""
    head: Literal["accept", "refuse"] = "accept"
    """HEAD works on downloads; or answers 405 (cos.md#download-headers)."""
    ranges: Literal["accept", "ignore"] = "accept"
    """Range is honoured; or ignored: 200 with the whole body (cos.md#download-headers)."""
    bad_range: Literal["416", "200"] = "416"
    """A range behind the end answers 416; or 200 with the whole body (cos.md#download-headers)."""
    instant: Literal["bucket", "appid", "off"] = "bucket"
    """Where instant upload looks for the same content: the bucket; all buckets; nowhere (cos.md#instant-scope)."""
    instant_needs_parts: bool = True
    """Instant upload needs ``uploadparts`` beside ``sha`` (cos.md#instant-scope)."""
    serial_upload: bool = False
    """init answers ``serial_upload: 1``, and a slice out of order is refused with −290 (cos.md#upload_slice_init)."""
    slice_size: int | None = None
    """The slice size in bytes that the server chooses for every upload. None: the client's, if it is one of the
    documented four, else 1 MiB (cos.md#upload_slice_init)."""
    max_object_size: int | None = None
    """The largest object in bytes; −285 above. None: no limit (cos.md#size-limits)."""
    max_name: int | None = None
    """The longest name of a file or directory in UTF-8 bytes; −180 above. None: no limit (cos.md#size-limits)."""
    part_content_type: Literal["keep", "ignore"] = "keep"
    """The Content-Type of the uploaded part becomes the object's; or is ignored (wire.md#upload)."""
    v1_reply_offset: Literal["next", "echo"] = "next"
    """V3 answers a slice with the next one's offset (the sample); or with its own (the table) (cos.md#v3-offset)."""
    v1_order: Literal["strict", "any"] = "strict"
    """V3 refuses a slice behind a gap with −290; or takes slices in any order, says so with ``serial_upload: 0``, and
    the one that fills the last gap completes the file (cos.md#v3)."""
    v1_again: Literal["accept", "refuse"] = "accept"
    """A slice that v3 has already is taken again; or refused with −4024 (cos.md#v3)."""
    v1_stat: Literal["bare", "filelen"] = "bare"
    """V3's stat of a file has no ``filelen`` (the table); or has it as a list has (cos.md#v3)."""
    v1_resource_path: Literal["short", "full"] = "short"
    """``resource_path`` and the path in ``url`` are ``/path`` (the sample); or ``/appid/bucket/path`` (the table)
    (cos.md#resource-path)."""
    v1_reinit: Literal["new", "matching"] = "new"
    """A control request without a session, at an unfinished upload of the same sha and size, begins again; or answers
    the existing session, with the offset to continue from (cos.md#v3)."""


@dataclass(frozen=True)
class CofferDialect(_Switches):
    """How the emulator treats each disputed point of CDCS."""

    content_type: Literal["application/json", "application/xml"] = "application/json"
    """The Content-Type of replies with JSON: the prose's; or that of all samples (cdcs.md#content-type)."""
    error_bodies: Literal["json", "xml"] = "json"
    """Errors are JSON; or the XML of the older documentation, which has no ``Resource`` (cdcs.md#lifecycle-status)."""
    signature_names: Literal["lower", "any"] = "lower"
    """A signature is made over lower-case names; or one over the names as they were sent is accepted too
    (cdcs.md#name-case)."""
    signed_parts: Literal["parameters", "everything", "nothing"] = "parameters"
    """What a signature has to cover: ``host`` and all parameters of the query, as in the samples; also
    ``content-type``, ``content-md5``, ``content-length``, ``date`` and ``x-cdcs-*`` where they are sent, as in the
    prose; or whatever it names (cdcs.md#signed-headers)."""
    signed_host: Literal["both", "as-sent", "bare"] = "both"
    """The ``host`` that is signed on another port than the usual one: either form; the header as it is sent; the name
    without the port, as the vendor's clients sign it (cdcs.md#emulator)."""
    booleans: Literal["strings", "json", "upper-strings"] = "strings"
    """Truth in JSON bodies: ``"true"`` (sample); ``true``; ``"TRUE"`` (prose of the upload listing)
    (cdcs.md#is-truncated)."""
    numbers: Literal["numbers", "strings"] = "numbers"
    """Numbers in JSON bodies; or text that holds them, as the markers of the part listing (cdcs.md#body-format)."""
    empty_fields: Literal["empty", "omitted"] = "empty"
    """What has no value is ``""`` (samples); or left out (prose) (cdcs.md#is-truncated)."""
    next_marker: Literal["last-key", "empty"] = "last-key"
    """``NextMarker`` of a page with more behind it: its last key; or ``""``, as in one sample (cdcs.md#next-marker)."""
    listing_lag: int | None = None
    """From how many listings of its coffer, counted by their first pages, a new object is missing;
    ``CofferEmulator.settle`` ends that. None: it is listed at once (cdcs.md#get-coffer)."""
    coffer_names: Literal["short", "long"] = "short"
    """A coffer's name without the account's number: 1 to 35 of digits, ``a`` to ``z`` and hyphen; or 2 to 50 of ASCII
    letters, digits and other printable signs but the slash (cdcs.md#names)."""
    object_keys: Literal["cos", "any"] = "cos"
    r"""Keys follow COS's rules (at most 850 bytes, no ``/`` or ``\`` in front, no bytes 24 to 27), else
    InvalidObjectKey; or are any text without a zero byte (cdcs.md#names)."""
    coffer_exists: Literal["CofferAlreadyOwnedByYou", "CofferAlreadyExists"] = "CofferAlreadyOwnedByYou"
    """The code for a coffer that is made twice (cdcs.md#put-coffer)."""
    missing_coffer: Literal["mixed", "CofferNotFound", "NoSuchCoffer"] = "mixed"
    """The code for a coffer that is not there: ``NoSuchCoffer`` where a page names it (DeleteCoffer,
    PutCofferLifecycle), else ``CofferNotFound``; or always the one or the other (cdcs.md#occupied-codes)."""
    object_exists: Literal["ObjectAlreadyExistsOwnedByYou", "ObjectAlreadyExists", "ObjectAlreadyUploading"] = (
        "ObjectAlreadyExistsOwnedByYou"
    )
    """The code for a key that is taken (cdcs.md#occupied-codes)."""
    object_uploading: Literal["ObjectAlreadyExistsOwnedByYou", "ObjectAlreadyExists", "ObjectAlreadyUploading"] = (
        "ObjectAlreadyExistsOwnedByYou"
    )
    """The code for a key with an unfinished multipart upload (cdcs.md#occupied-codes)."""
    empty_objects: Literal["refuse", "accept"] = "refuse"
    """Objects and parts without a byte are refused with ObjectEmpty; or accepted (cdcs.md#empty-objects)."""
    md5_mismatch: Literal["InvalidArgument", "BadDigest"] = "InvalidArgument"
    """The code for a body that is not what its ``Content-MD5`` says; the second one is COS's (cdcs.md#content-md5)."""
    bad_range: Literal["416", "200"] = "416"
    """A Range that is malformed or behind the end answers 416 InvalidArgument; or 200 with the whole body
    (cdcs.md#range-forms)."""
    open_ranges: Literal["honour", "ignore", "refuse"] = "honour"
    """A Range with one end only: is honoured; answers 200 with the whole body; or as a malformed one
    (cdcs.md#range-forms)."""
    part_etag: Literal["md5", "sha1", "encrypted"] = "md5"
    """A part's ETag is its MD5 (prose); or has 40 digits (samples); or depends on the encryption, as an object's may
    [2.2], and only looks like an MD5 (cdcs.md#part-etag)."""
    etag_quotes: Literal["both", "bare", "quoted"] = "both"
    """The parts' ETags at CompleteMultipartUpload: quoted or not; only without quotes, as in the sample; only with them
    (cdcs.md#part-etag)."""
    smallest_part: int = 1048576
    """The least bytes of every part but the last: 1048576 or, if "1 MB" means that, 1000000 (cdcs.md#upload-part)."""
    first_part: Literal["one", "any"] = "one"
    """The numbers of the parts begin at 1, else InvalidPart; or anywhere (cdcs.md#complete)."""
    complete_whitespace: bool = False
    """CompleteMultipartUpload answers 200 in chunks, with blanks in front of its JSON (cdcs.md#complete)."""
    complete_errors: Literal["status", "late"] = "status"
    """Invalid parts are reported by the status; or within a 200, after such blanks (cdcs.md#late-failure)."""
    second_complete: Literal["MultipartAlreadyCompleted", "NoSuchUpload"] = "MultipartAlreadyCompleted"
    """The code for an upload that is completed again (cdcs.md#emulator)."""
    missing_upload: Literal["NoSuchUpload", "MultipartNotExists"] = "NoSuchUpload"
    """The code for an upload that is not there (cdcs.md#occupied-codes)."""
    part_marker: Literal["exclusive", "inclusive"] = "exclusive"
    """ListParts begins after ``part-number-marker``; or with it, ``NextPartNumberMarker`` being the next part
    (cdcs.md#list-parts-marker)."""
    part_times: Literal["iso", "asctime"] = "iso"
    """``LastModified`` of parts as everywhere else; or as in the sample (cdcs.md#list-parts)."""
    upload_id_query: Literal["exact", "any"] = "exact"
    """The parameter is called ``uploadId``; or may be spelled in any case (cdcs.md#list-parts)."""
    upload_id_field: Literal["UploadId", "UploadID"] = "UploadId"
    """The name of that field in ListMultipartUploads: the sample's; or the table's (cdcs.md#list-uploads)."""
    upload_marker: Literal["upload-id", "key"] = "upload-id"
    """``upload-id-marker`` is an upload id, and the listing in that order; or an object's key (its description)
    (cdcs.md#upload-id-marker)."""
    most_uploads_zero: Literal["refuse", "accept"] = "refuse"
    """``max-uploads=0`` is refused; or gives an empty page (cdcs.md#max-uploads)."""
    unset_lifecycle_status: Literal[404, 400] = 404
    """The HTTP status of NoSuchLifecycleConfiguration (cdcs.md#lifecycle-status)."""
    unset_policy: Literal["empty", "missing"] = "empty"
    """The policy of a coffer that has none is one without statements; or 404 NoSuchBucketPolicy, COS's code
    (cdcs.md#lifecycle-status)."""
    lifecycle_subject: Literal["objects", "coffer"] = "objects"
    """What goes after the days of the lifecycle: every object, counted from its upload; or the coffer with all that is
    in it, counted from its creation (cdcs.md#lifecycle-subject)."""


def _hints(cls: type) -> dict[str, Any]:
    if cls not in _known_hints:
        # resolving them costs more than everything else that a new service does
        _known_hints[cls] = get_type_hints(cls)
    return _known_hints[cls]


def _allowed(hint: object) -> tuple[object, ...]:
    if get_origin(hint) is Literal:
        return get_args(hint)
    return (False, True) if hint is bool else ()


def _check(name: str, value: object, hint: object) -> None:
    allowed = _allowed(hint)
    if allowed:
        if not any(value == choice and type(value) is type(choice) for choice in allowed):
            raise ValueError(f"dialect switch {name} is one of {', '.join(map(str, allowed))}, not {value!r}")
    elif value is None and hint is not int:
        return
    elif isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        kind = "a" if hint is int else "None or a"
        raise ValueError(f"dialect switch {name} is {kind} positive number, not {value!r}")
    elif isinstance(value, float) and float not in get_args(hint):
        raise ValueError(f"dialect switch {name} is a whole number, not {value!r}")


def _read(text: str, hint: object) -> object:
    """Return the value that a text stands for; the text itself when there is none, which is then refused."""
    if allowed := _allowed(hint):
        return next((choice for choice in allowed if str(choice).lower() == text.lower()), text)
    if text.lower() in {"none", ""}:
        return None
    try:
        return float(text) if float in get_args(hint) else int(text)
    except ValueError:
        return text
