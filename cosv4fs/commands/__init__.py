"""The command ``cosv4fs``: one module per family of subcommands, built with click.

Modules: `session` (options that all share, filesystems, output), `failures` (errors as text and exit codes), `showing`
(``ls``, ``tree``, ``du``, ``stat``, ``cat``, ``sign``), `changing` (``cp``, ``mv``, ``rm``, ``sync``), `migrating`
(``migrate``), `unfinished` (``uploads``), `checking` (``doctor``), `serving` (``emulator``, ``demo``).
"""

from cosv4fs.commands.group import cli

__all__ = ["cli"]
