"""TLS reports of others about us (RFC 8460): what they say, as far as it can be believed."""

from .report import RESULTS, Failures, TlsReport

__all__ = ["RESULTS", "Failures", "TlsReport", "files"]
