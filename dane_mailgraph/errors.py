"""The errors an operator can act on, each with its exit status.

MailgraphError      1  unexpected
  UsageError        2  the command line
  ReportError      65  a TLS report of others
  SourceError      66  a log or a certificate
  TellError        69  a messenger
  ShipError        74  a database of others
  StoreError       74  the ledger, the RRD, output_dir, standard output
  BusyError        75  another process writes to the store
  ConfigError      78  a setting
"""

from __future__ import annotations


class MailgraphError(Exception):
    """One sentence for the operator: the thing, the reason, the next step."""

    status = 1


class UsageError(MailgraphError):
    """The command line asks for something that cannot be done."""

    status = 2


class ReportError(MailgraphError):
    """A TLS report of others cannot be used (EX_DATAERR)."""

    status = 65


class SourceError(MailgraphError):
    """The log, or a certificate, cannot be read (EX_NOINPUT of sysexits.h)."""

    status = 66


class MissingError(SourceError):
    """There is no log of that name; between the two steps of a rotation that is so for seconds."""


class TellError(MailgraphError):
    """No messenger took the message for the operator (EX_UNAVAILABLE)."""

    status = 69


class ShipError(MailgraphError):
    """The counts could not be sent, or are not there (EX_IOERR)."""

    status = 74


class StoreError(MailgraphError):
    """The ledger, the RRD or the output directory cannot be read or written (EX_IOERR)."""

    status = 74


class NothingCountedError(StoreError):
    """There is no ledger yet, or it holds only what others report."""


class BusyError(MailgraphError):
    """Another process writes to this store (EX_TEMPFAIL)."""

    status = 75


class ConfigError(MailgraphError):
    """The configuration is wrong (EX_CONFIG)."""

    status = 78


def reason(error: Exception) -> str:
    """Return what the system says as part of a sentence: `Permission denied`, not `[Errno 13]`."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).rstrip(".")
