"""From store to the monitoring of others: metrics, and what is sent to their engine."""

__all__ = ["metrics", "ship", "victoriametrics"]
