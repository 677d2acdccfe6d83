"""pygtail: a guess which file was the log, and an offset file for people.

pygtail finds the file that logrotate or savelog has put in the log's place. Its answer only decides
which file is looked at first, and the bookmark that counts is the ledger's.
"""

from __future__ import annotations

import io
import os
from contextlib import redirect_stderr, suppress

from pygtail.core import Pygtail

from ..errors import StoreError, reason
from ..files import no_link
from .position import Position


class _Pygtail(Pygtail):  # type: ignore[misc]
    """pygtail, asked only where the log went."""

    def __del__(self) -> None:
        """Do not open the file only to close it: it may be gone, or half compressed."""

    @property
    def answer(self) -> str | None:
        """The rotated file; 0.6.1, which Debian has, and 0.14 name it differently."""
        fields = vars(self)
        name = "rotated_logfile" if "rotated_logfile" in fields else "_rotated_logfile"
        path: str | None = fields[name]
        return path


class OffsetFile:
    """pygtail's offset file in `state_dir`: the log's inode and how far it has been read."""

    def __init__(self, log: str, state_dir: str) -> None:
        self._log = log
        self._path = os.path.join(state_dir, os.path.basename(log) + ".offset")

    def write(self, position: Position) -> None:
        """Write a position; raises StoreError."""
        try:
            with open(self._path, "w", encoding="ascii", opener=no_link) as file:
                file.write(f"{position.inode}\n{position.offset}\n")
        except OSError as error:
            raise StoreError(
                f"{self._path} cannot be written: {reason(error)}; "
                "look at its permissions and at the free space."
            ) from error

    def rotated_path(self, position: Position) -> str | None:
        """Return which file pygtail takes for the one of this position, if any."""
        # What it warns of is checked here anyway.
        with (
            redirect_stderr(io.StringIO()),
            suppress(OSError, ValueError, EOFError, StoreError),
        ):
            self.write(position)
            return _Pygtail(self._log, offset_file=self._path, copytruncate=False).answer
        return None
