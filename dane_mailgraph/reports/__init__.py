"""TLS reports of others about us (RFC 8460): what they say, as far as it can be believed."""

from .files import read_files
from .report import RESULTS, TlsReport

__all__ = ["RESULTS", "TlsReport", "read_files"]
