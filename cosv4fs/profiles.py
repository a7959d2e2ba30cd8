"""The profile file: several accounts under names, one section each, in INI form.

::

    [default]
    appid = 1250000000
    secret_id = …
    secret_key = …
    region = gz

    [archive]
    appid = 1250000001
    anon = true
"""

from __future__ import annotations

import configparser
import json
import os
from pathlib import Path
from typing import Any

__all__ = ["FILE_VARIABLE", "PROFILE_VARIABLE", "option_value", "profile_file", "profile_options"]

PROFILE_VARIABLE = "COSV4_PROFILE"
"""The environment variable that names a profile."""

FILE_VARIABLE = "COSV4_PROFILES"
"""The environment variable that names another file."""

_TEXTS = {"appid", "secret_id", "secret_key", "region", "endpoint", "download_endpoint", "security_token"}


def profile_file() -> Path:
    """Return the file: ``$COSV4_PROFILES``, else ``cosv4fs/profiles.ini`` in the user's folder for configuration."""
    named = os.environ.get(FILE_VARIABLE)
    if named:
        return Path(named).expanduser()
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path("~/.config").expanduser()) / "cosv4fs" / "profiles.ini"


def profile_options(name: str) -> dict[str, Any]:
    """Return the options of a profile.

    Raises
    ------
    ValueError
        There is no such profile, or the file cannot be read; names the file, and the profiles that there are.
    """
    file = profile_file()
    parser = configparser.ConfigParser(interpolation=None, default_section="")
    try:
        with file.open(encoding="utf-8") as lines:
            parser.read_file(lines)
    except FileNotFoundError:
        raise ValueError(f"there is no profile {name!r}: the file {file} does not exist") from None
    except (OSError, UnicodeError, configparser.Error) as error:
        # not shown further: the text of the error may quote a line with a secret
        raise ValueError(f"the profile file {file} cannot be read ({type(error).__name__})") from None
    if name not in parser.sections():
        raise ValueError(f"there is no profile {name!r} in {file}; there are: {', '.join(parser.sections()) or 'none'}")
    return {option: text if option in _TEXTS else option_value(text) for option, text in parser[name].items()}


def option_value(text: str) -> Any:
    """Return the value that a text stands for: JSON where it can be read as such, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text
