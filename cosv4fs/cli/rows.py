"""Print any number of rows, as lines or as one JSON document, while the command works."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from cosv4fs.cli.failures import error_row
from cosv4fs.cli.output import JsonWriter, printing
from cosv4fs.cli.process import is_output_broken
from cosv4fs.cli.session import Session

if TYPE_CHECKING:
    from typing_extensions import Self


class RowPrinter:
    """Prints rows as lines, or with ``--json`` as lists in one object; a context manager.

    An exception of the block becomes part of the object, with what `cosv4fs.cli.failures.error_row` returns, so that
    the output is valid JSON after Ctrl-C, too.

    Parameters
    ----------
    session : Session
        Says whether to print JSON.
    lists : sequence of str
        The names of the lists, in their order in the object.
    needs_reader : bool
        Whether the command ends when nobody reads its output any more, as with ``| head``; one that changes files
        goes on.
    """

    def __init__(self, session: Session, lists: Sequence[str], *, needs_reader: bool) -> None:
        self._session, self._lists, self._needs_reader = session, list(lists), needs_reader
        self._open = ""
        self._out = JsonWriter(self._printing)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        # an error before the first row is the whole answer
        is_due = self._session.has_answered and not self._out.is_complete
        if is_due and error is not None and not is_output_broken(error):
            self._end(error_row(error))

    def row(self, name: str, row: Callable[[], Any], line: str = "") -> None:
        """Print a row of a list, which is made only for JSON, or its line; none if that is empty."""
        if not self._session.as_json:
            if line:
                with self._watching():
                    self._session.say(line)
            return
        if self._open != name:
            self._begin(name)
        self._out.add(row())

    def finish(self, values: dict[str, Any]) -> None:
        """End the JSON object with the lists that had no rows, and further values."""
        if self._session.as_json:
            self._end(values)

    def _begin(self, name: str) -> None:
        """Begin a list, after those before it."""
        if not self._out.is_open:
            self._session.has_answered = True
            self._out.begin("{", "}")
        while self._lists and self._open != name:
            self._out.close(1)
            self._open = self._lists.pop(0)
            self._out.begin("[", "]", self._open)

    def _end(self, values: dict[str, Any]) -> None:
        if self._lists:
            self._begin(self._lists[-1])
        self._out.close(1)
        for name, value in values.items():
            self._out.add(value, name)
        self._out.close()

    @contextmanager
    def _printing(self) -> Iterator[Callable[[str], object]]:
        with self._watching(), printing() as put:
            yield put

    @contextmanager
    def _watching(self) -> Iterator[None]:
        """Discard what is printed when there is no reader any more."""
        try:
            yield
        except OSError as error:
            if self._needs_reader or not is_output_broken(error):
                raise
            sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the end of the process
