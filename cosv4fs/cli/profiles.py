"""Write profiles to the profile file, and keep everything else that is in it."""

from __future__ import annotations

import configparser
import errno
import re
from collections.abc import Mapping
from pathlib import Path

from cosv4fs.config import profile_file
from cosv4fs.localfiles import replacing

_HEADER = re.compile(r"\[(.+)\]")
_OPTION = re.compile(r"([^\s=:#;\[][^=:]*?)\s*[=:]")


def read_profile(name: str) -> dict[str, str]:
    """Return the options of a profile; empty if there is no such profile.

    Raises
    ------
    OSError
        The file cannot be read, or is not a profile file.
    """
    file = profile_file()
    parser = _parsed(_text_of(file), file)
    return dict(parser[name]) if name in parser.sections() else {}


def write_profile(name: str, values: Mapping[str, str | None]) -> Path:
    """Set options of a profile, and return the path of the file, which only the user can read.

    Comments, other options and other profiles stay as they are.

    Parameters
    ----------
    values : mapping
        Texts by the names of options; None removes an option.

    Raises
    ------
    OSError
        The file cannot be read or written, or is not a profile file.
    """
    file = profile_file()
    text = _text_of(file)
    before = {section: dict(options) for section, options in _parsed(text, file).items() if section}
    edited = _edited(text, name, values)
    after = {section: dict(options) for section, options in _parsed(edited, file).items() if section}
    given = {option: value for option, value in values.items() if value is not None}
    kept = {option: value for option, value in before.get(name, {}).items() if option not in values}
    if after != {**before, name: {**kept, **given}}:
        raise OSError(errno.EINVAL, f"its section [{name}] cannot be edited safely: edit it by hand", str(file))
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # the new file gets the permissions of the old one: it must never be readable by others
    file.touch(mode=0o600)
    file.chmod(0o600)
    # a symbolic link stays, as made by people who keep their settings elsewhere
    with replacing(file) as target:
        target.write(edited.encode())
    return file


def _text_of(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise OSError(errno.EINVAL, "it is not a profile file: it is not UTF-8", str(file)) from error


def _parsed(text: str, file: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, default_section="")
    try:
        parser.read_string(text)
    except configparser.Error as error:
        # only its type: the message may quote a line with a secret
        reason = f"it is not a profile file ({type(error).__name__}): correct or move it"
        raise OSError(errno.EINVAL, reason, str(file)) from None
    return parser


def _edited(text: str, name: str, values: Mapping[str, str | None]) -> str:
    """Return the text of a file with options of one section changed."""
    lines, section, drops = [], None, False
    new = [f"{option} = {value}" for option, value in values.items() if value is not None]
    is_written = False
    for line in text.removesuffix("\n").split("\n") if text else ():
        header, option = _HEADER.match(line), _OPTION.match(line)
        if header:
            section, drops = header[1], False
        elif option:
            drops = section == name and option[1].lower() in values
        elif line.strip() and not line[0].isspace():
            # a comment; continued values are indented
            drops = False
        if not drops:
            lines.append(line)
        if header and section == name and not is_written:
            lines += new
            is_written = True
    if not is_written:
        lines += [*([""] if lines and lines[-1].strip() else []), f"[{name}]", *new]
    return "\n".join(lines) + "\n"
