"""Graphs of the TLS and DANE outcome of Postfix's outbound connections."""

__version__ = "1.0.0"
