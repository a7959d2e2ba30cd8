"""The profile file: the options of several accounts, one section each, in INI form.

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
import os
from pathlib import Path

FILE_VARIABLE = "COSV4_PROFILES"
"""The environment variable that names another file."""


def profile_file() -> Path:
    """Return the file: ``$COSV4_PROFILES``, else ``cosv4fs/profiles.ini`` in the user's configuration folder."""
    named = os.environ.get(FILE_VARIABLE)
    if named:
        return Path(named).expanduser()
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path("~/.config").expanduser()) / "cosv4fs" / "profiles.ini"


def profile_options(name: str) -> dict[str, str]:
    """Return the options of a profile, as text.

    Raises
    ------
    ValueError
        The profile does not exist, or the file cannot be read; names the file and the existing profiles.
    """
    file = profile_file()
    parser = configparser.ConfigParser(interpolation=None, default_section="")
    try:
        with file.open(encoding="utf-8") as lines:
            parser.read_file(lines)
    except FileNotFoundError:
        raise ValueError(f"there is no profile {name!r}: the file {file} does not exist") from None
    except (OSError, UnicodeError, configparser.Error) as error:
        # only its type: the message may quote a line with a secret
        raise ValueError(f"the profile file {file} cannot be read ({type(error).__name__})") from None
    if name not in parser.sections():
        raise ValueError(f"there is no profile {name!r} in {file}; there are: {', '.join(parser.sections()) or 'none'}")
    return dict(parser[name])
