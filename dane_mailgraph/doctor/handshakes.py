"""What the addresses of our servers show to senders, by openssl(1).

Not by a package: openssl comes with Debian's Postfix (by ssl-cert), Postfix itself checks chains
with it, and `s_client` speaks STARTTLS.
"""

from __future__ import annotations

import re
import socket
from typing import IO, NamedTuple

from ..dane import SUBMISSIONS, certificates, own_server
from ..errors import reason
from ..programs import ask

_PATIENCE = 15
"""Seconds for a live answer: postscreen(8) greets after 6 s (postscreen_greet_wait)."""

_KEYS = {
    "": (),
    "RSA": (
        "-sigalgs",
        "rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:"
        "RSA+SHA256:RSA+SHA384:RSA+SHA512",
        "-cipher",
        "aRSA",
    ),
    "ECDSA": (
        "-sigalgs",
        "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ed25519:ed448",
        "-cipher",
        "aECDSA",
    ),
}
"""Types of keys that a sender knows -> the options of s_client."""

_NOT_OFFERED = "Didn't find STARTTLS"
"""What s_client then says, though it goes on."""

_HUNG_UP = "it hangs up"

_LONGEST_WORDS = 120
"""Characters of what the server said that are kept."""


class Attempt(NamedTuple):
    """A handshake with an address: an `own_server.Handshake` whose chain is not read yet."""

    address: str
    keys: str
    group: tuple[str, ...] = ()
    """The certificates that the server sent, in PEM."""
    trouble: str = ""
    words: str = ""


def try_handshakes(address: str, port: int, name: str) -> list[Attempt]:
    """Connect to an address as senders do that know all types of keys, RSA only, ECDSA only.

    `name` is what they ask for by SNI. A server need not have a key of every type.
    """
    server = _Address(address, port, name)
    first = server.attempt("")
    if not first.group:
        return [first]
    others = [server.attempt(keys) for keys in ("RSA", "ECDSA")]
    return [first, *(each for each in others if each.group)]


class _Address:
    """One address of a server, and the name that senders ask it for."""

    def __init__(self, address: str, port: int, name: str) -> None:
        self._address, self._port, self._name = address, port, name

    def attempt(self, keys: str) -> Attempt:
        """Try a handshake as a sender that knows these types of keys."""
        where = f"[{self._address}]" if ":" in self._address else self._address
        starttls = () if self._port == SUBMISSIONS else ("-starttls", "smtp")
        output = ask(
            "openssl",
            "s_client",
            "-connect",
            f"{where}:{self._port}",
            "-servername",
            self._name,
            *starttls,
            *_KEYS[keys],
            "-showcerts",
            seconds=_PATIENCE,
        )
        if output is None:
            words = "there is no command openssl"
            return Attempt(self._address, keys, (), own_server.UNREACHABLE, words)
        group = tuple(certificates.PEM_CERTIFICATE.findall(output.out))
        if group and _NOT_OFFERED not in output.err:
            return Attempt(self._address, keys, group)
        trouble, words = self._why()
        return Attempt(self._address, keys, (), trouble, " ".join(words.split())[:_LONGEST_WORDS])

    def _why(self) -> tuple[str, str]:
        """Speak as a sender does as far as STARTTLS, and return where it ends."""
        try:
            with (
                socket.create_connection((self._address, self._port), _PATIENCE) as server,
                server.makefile("rw", encoding="latin-1", newline="\r\n") as lines,
            ):
                if self._port == SUBMISSIONS:
                    return own_server.NO_HANDSHAKE, "no certificate"
                return _until_starttls(lines)
        except (OSError, ValueError) as error:
            return own_server.UNREACHABLE, reason(error)


def _until_starttls(lines: IO[str]) -> tuple[str, str]:
    """Speak SMTP up to the answer to STARTTLS; return the trouble and the server's words."""
    code, words = _reply(lines)
    if code != "220":
        return own_server.UNREACHABLE, words or _HUNG_UP
    lines.write(f"EHLO {_own_name()}\r\n")
    lines.flush()
    code, words = _reply(lines)
    if code != "250":
        return own_server.UNREACHABLE, words or _HUNG_UP
    if "STARTTLS" not in words.upper().split():
        return own_server.NO_STARTTLS, "it is not offered"
    lines.write("STARTTLS\r\n")
    lines.flush()
    code, words = _reply(lines)
    if code != "220":
        return own_server.NO_STARTTLS, words or _HUNG_UP
    return own_server.NO_HANDSHAKE, "no certificate"


def _own_name() -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "", socket.gethostname()) or "localhost"


_LONGEST_REPLY, _MOST_LINES = 1000, 100


def _reply(lines: IO[str]) -> tuple[str, str]:
    """Read a reply of SMTP: its code, and all its lines as one; raises ValueError."""
    words: list[str] = []
    for _ in range(_MOST_LINES):
        line = lines.readline(_LONGEST_REPLY)
        words.append(line[4:].strip() if len(words) else line.strip())
        if line[3:4] != "-":
            return line[:3], " ".join(words)
    raise ValueError("its reply does not end")
