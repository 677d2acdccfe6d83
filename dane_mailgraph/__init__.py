"""Graphs of the TLS and DANE outcome of Postfix's outbound connections."""

__version__ = "0.1.0"
