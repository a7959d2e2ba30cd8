"""The disputed points of the protocol, one switch each.

Nothing here was tried against the live service. Where the documentation is silent or contradicts itself
(cos.md#disputed), the emulator follows the default below, and a test can ask for the other variant: a client has to
work with both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .switches import Switches

__all__ = ["Dialect"]


@dataclass(frozen=True)
class Dialect(Switches):
    r"""How the emulator reads each disputed point of the protocol.

    Every field is one point, with the place of its evidence; of the named values the first is the default.

    Parameters
    ----------
    finish_size : {"declared", "any"}
        ``upload_slice_finish`` has to name the size that init declared, else −175; or it may name any size that the
        slices cover exactly (cos.md#finish-size).
    listparts : {"array", "string", "absent-when-empty"}
        ``listparts`` is a JSON array (the sample); a string that holds JSON (the documentation's type); or an array
        that is left out while it is empty (tolerated by one vendor client) (cos.md#listparts-type).
    session_ttl : float, optional
        Seconds after which an unfinished upload is forgotten. None: never (cos.md#session-expiry).
    reinit : {"refuse", "matching"}
        init at an unfinished upload answers −4019 whatever its parameters; or, when size, sha and slice size are those
        of the unfinished one, code 0 with the same session and ``offset``, the bytes received without a gap
        (cos.md#re-init).
    overwrite_upload : {"replace", "refuse"}
        ``op=upload`` with ``insertOnly=0`` replaces an existing file; or is refused with `exists_code`
        (cos.md#overwrite-unfinished).
    overwrite_unfinished : {"refuse", "replace"}
        upload and init with ``insertOnly=0`` at an unfinished upload answer −4019; or discard it
        (cos.md#overwrite-unfinished).
    slice_overwrite : {"at-finish", "at-init", "refuse"}
        init with ``insertOnly=0`` at an existing file: the old file stays readable until finish; is deleted at once; or
        init is refused with `exists_code` (cos.md#overwrite-unfinished).
    exists_code : {-4018, -177, -178}
        The code for "the file exists" of upload and init (cos.md#exists-code).
    move_signature, copy_signature : {"any", "single", "multi"}
        The kind of signature that move and copy ask for: either; single-use only (−73); multi-effect only (−74)
        (cos.md#move-signature).
    bound_stat : {"accept", "refuse"}
        A multi-effect signature bound to a path is good for stat, create and list; or refused with −63
        (cos.md#bound-signature).
    update_flag : {"ignored", "required"}
        ``flag`` of update is ignored; or −179 unless its bits (0x01 biz_attr, 0x40 custom_headers, 0x80 authority) are
        exactly those of the fields that are sent (cos.md#update-flag).
    custom_headers : {"merge", "replace"}
        update adds to and changes the stored headers; or replaces them all (cos.md#custom-headers).
    double_encoding : {"strict", "lenient"}
        A signature's path is decoded once; or is also accepted raw and decoded twice (cos.md#double-encoding).
    parents : {"implicit", "virtual", "required"}
        Missing parents of a new file become real directories; exist only while something is below them; or the request
        is refused with −197 (cos.md#parents).
    rmdir_nonempty : {"refuse", "ignore"}
        Deleting a directory that holds something answers −173; or success, and nothing happens (cos.md#rmdir-nonempty).
    error_status : {"mapped", "always-400", "always-200"}
        The HTTP status of API errors: the table's; always 400; always 200 (cos.md#http-status).
    not_found_body : {"json", "empty", "html"}
        The body of the 404 for ``upload_slice_list`` at nothing and for downloads of nothing (cos.md#http-status).
    max_list : {1000, 199}
        The largest ``num`` of a list (cos.md#page-limit).
    oversize_list : {"refuse", "clamp"}
        A larger ``num`` is refused (−170 at 1000, −165 at 199); or cut to the maximum (cos.md#page-limit).
    listover : {"finished", "more"}
        ``listover`` is true on the last page; or while there are more (cos.md#listover).
    last_context : {"empty", "kept", "next"}
        ``context`` of the last page is empty; or the one that the page was asked with; or a new one, as that of any
        other page, behind which there is nothing (cos.md#listover).
    dir_slash : bool
        Names of directories in a list end with a slash (cos.md#list).
    short_pages : bool
        A page holds one entry less than was asked for (never less than one) (cos.md#list).
    file_names : {"any", "strict"}
        The characters ``? * : | \ < > "`` are allowed in file names; or refused with −180. They are always refused in
        directory names (cos.md#file-names).
    slice_sha : {"real", "suffixed", "absent", "zeros"}
        ``sha`` of files that were uploaded in slices without a sha: computed; computed with ``_1234`` behind it; left
        out; forty zeros. For the last two nothing is computed at finish (cos.md#stat-sha).
    empty_sha : {"zeros32", "real"}
        ``sha`` of an empty file: 32 zeros (the sample); or the SHA-1 of nothing (cos.md#stat-sha).
    resource_path : {"full", "short"}
        ``resource_path`` is ``/appid/bucket/path``; or ``/path`` (cos.md#resource-path).
    times : {"number", "string"}
        ``ctime`` and ``mtime`` are numbers; or strings (cos.md#times).
    cross_directory_move : {"accept", "refuse"}
        A move to another directory works; or answers −199 (cos.md#move-scope).
    directory_move : {"refuse", "accept"}
        A move of a directory answers −160; or works (cos.md#move-scope).
    download_headers : {"full", "weak", "modified", "bare"}
        Downloads carry ETag, Last-Modified and Accept-Ranges; the same with a weak ETag, made of time and size as web
        servers do; Last-Modified and Accept-Ranges only; or none of them. A weak ETag and Last-Modified stay the same
        when a file is replaced within the second by one of equal size (cos.md#download-headers).
    head : {"accept", "refuse"}
        HEAD works on downloads; or answers 405 (cos.md#download-headers).
    ranges : {"accept", "ignore"}
        Range is honoured; or ignored: 200 with the whole body (cos.md#download-headers).
    bad_range : {"416", "200"}
        A range behind the end answers 416; or 200 with the whole body (cos.md#download-headers).
    instant : {"bucket", "appid", "off"}
        Where instant upload looks for the same content: in the bucket; in all buckets; nowhere (cos.md#instant-scope).
    instant_needs_parts : bool
        Instant upload needs ``uploadparts`` beside ``sha`` (cos.md#instant-scope).
    serial_upload : bool
        init answers ``serial_upload: 1``, and a slice out of order is refused with −290 (cos.md#upload_slice_init).
    slice_size : int, optional
        The slice size in bytes that the server chooses for every upload. None: the client's, if it is one of the
        documented four, else 1 MiB (cos.md#upload_slice_init).
    max_object_size : int, optional
        The largest object in bytes; −285 above. None: no limit (cos.md#size-limits).
    max_name : int, optional
        The longest name of a file or directory in UTF-8 bytes; −180 above. None: no limit (cos.md#size-limits).
    part_content_type : {"keep", "ignore"}
        The Content-Type of the uploaded part becomes the object's; or is ignored (wire.md#upload).
    v1_reply_offset : {"next", "echo"}
        V3 answers a slice with the offset of the next one (the sample); or with its own (the table)
        (cos.md#v3-offset).
    v1_order : {"strict", "any"}
        V3 refuses a slice behind a gap with −290; or takes slices in any order, says so with
        ``serial_upload: 0``, and the one that fills the last gap completes the file (cos.md#v3).
    v1_again : {"accept", "refuse"}
        A slice that v3 has already is taken again; or refused with −4024 (cos.md#v3).
    v1_stat : {"bare", "filelen"}
        V3's stat of a file has no ``filelen`` (the table); or has it as a list has (cos.md#v3).
    v1_resource_path : {"short", "full"}
        ``resource_path`` and the path in ``url`` are ``/path`` (the sample); or ``/appid/bucket/path`` (the table)
        (cos.md#resource-path).
    v1_reinit : {"new", "matching"}
        A control request without a session, at an unfinished upload of the same sha and size, begins anew; or answers
        the session that there is, with the offset to go on from (cos.md#v3).
    """

    finish_size: Literal["declared", "any"] = "declared"
    listparts: Literal["array", "string", "absent-when-empty"] = "array"
    session_ttl: float | None = None
    reinit: Literal["refuse", "matching"] = "refuse"
    overwrite_upload: Literal["replace", "refuse"] = "replace"
    overwrite_unfinished: Literal["refuse", "replace"] = "refuse"
    slice_overwrite: Literal["at-finish", "at-init", "refuse"] = "at-finish"
    exists_code: Literal[-4018, -177, -178] = -4018
    move_signature: Literal["any", "single", "multi"] = "any"
    copy_signature: Literal["any", "single", "multi"] = "any"
    bound_stat: Literal["accept", "refuse"] = "accept"
    update_flag: Literal["ignored", "required"] = "ignored"
    custom_headers: Literal["merge", "replace"] = "merge"
    double_encoding: Literal["strict", "lenient"] = "strict"
    parents: Literal["implicit", "virtual", "required"] = "implicit"
    rmdir_nonempty: Literal["refuse", "ignore"] = "refuse"
    error_status: Literal["mapped", "always-400", "always-200"] = "mapped"
    not_found_body: Literal["json", "empty", "html"] = "json"
    max_list: Literal[1000, 199] = 1000
    oversize_list: Literal["refuse", "clamp"] = "refuse"
    listover: Literal["finished", "more"] = "finished"
    last_context: Literal["empty", "kept", "next"] = "empty"
    dir_slash: bool = False
    short_pages: bool = False
    file_names: Literal["any", "strict"] = "any"
    slice_sha: Literal["real", "suffixed", "absent", "zeros"] = "real"
    empty_sha: Literal["zeros32", "real"] = "zeros32"
    resource_path: Literal["full", "short"] = "full"
    times: Literal["number", "string"] = "number"
    cross_directory_move: Literal["accept", "refuse"] = "accept"
    directory_move: Literal["refuse", "accept"] = "refuse"
    download_headers: Literal["full", "weak", "modified", "bare"] = "full"
    head: Literal["accept", "refuse"] = "accept"
    ranges: Literal["accept", "ignore"] = "accept"
    bad_range: Literal["416", "200"] = "416"
    instant: Literal["bucket", "appid", "off"] = "bucket"
    instant_needs_parts: bool = True
    serial_upload: bool = False
    slice_size: int | None = None
    max_object_size: int | None = None
    max_name: int | None = None
    part_content_type: Literal["keep", "ignore"] = "keep"
    v1_reply_offset: Literal["next", "echo"] = "next"
    v1_order: Literal["strict", "any"] = "strict"
    v1_again: Literal["accept", "refuse"] = "accept"
    v1_stat: Literal["bare", "filelen"] = "bare"
    v1_resource_path: Literal["short", "full"] = "short"
    v1_reinit: Literal["new", "matching"] = "new"
