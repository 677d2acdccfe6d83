"""TLS reports of others about us (RFC 8460): what they say, as far as it can be believed."""

__all__: list[str] = []
