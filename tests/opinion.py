"""A second opinion: a slow classifier of whole logs, written from the law's words alone.

It shares no pattern and no rule of thumb with the program. Where the law leaves open what a
delivery went over, it says which
answers are right.
"""

from __future__ import annotations

import ipaddress
import itertools
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

UTC = timezone.utc


class Opinion(NamedTuple):
    keys: tuple[str, ...] = ()
    times: int = 0
    others: tuple[tuple[str, ...], ...] = ()
    """What would be right as well."""

    @property
    def counts(self) -> Counter[str]:
        return +Counter(dict.fromkeys(self.keys, self.times))

    @property
    def all(self) -> tuple[tuple[str, ...], ...]:
        return (self.keys, *self.others)


NOTHING = Opinion()
LABELS = (b"Verified", b"Trusted", b"Untrusted", b"Anonymous")
PROTOCOLS = {
    b"SSLv3": "sslv3",
    b"TLSv1": "tlsv1",
    b"TLSv1.1": "tlsv1_1",
    b"TLSv1.2": "tlsv1_2",
    b"TLSv1.3": "tlsv1_3",
}
MONTHS = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
DIGITS = b"0123456789"
BLANKS = b" \t\r\f\v\n"


def only(text: bytes, allowed: bytes) -> bool:
    return all(c in allowed for c in text)


def number(text: bytes, length: int) -> bool:
    return len(text) == length and only(text, DIGITS)


class Said(NamedTuple):
    """What a client wrote."""

    at: int
    host: bytes
    name: bytes
    pid: bytes
    text: bytes


def said_in(line: bytes) -> Said | None:
    return said_in_rfc5424(line) if line.startswith(b"<") else said_in_traditional(line)


def reference(line: bytes) -> Opinion:
    """What one line counts as, by the words of the law."""
    (opinion,) = references([line])
    return opinion


def said_in_traditional(line: bytes) -> Said | None:
    if line[3:4] == b" ":
        stamp, rest = line[:15], line[15:]
        at = traditional_stamp(stamp)
    else:
        stamp, space, rest = line.partition(b" ")
        rest = space + rest
        at = rfc3339_stamp(stamp)
    if at is None or not rest.startswith(b" "):
        return None
    host, _, rest = rest[1:].partition(b" ")
    tag, space, text = rest.partition(b" ")
    # The tag is the first token with `[pid]:`, and no host ends with a colon.
    if not host or host.endswith(b":") or not space or not tag.endswith(b"]:"):
        return None
    name, bracket, pid = tag.removesuffix(b"]:").partition(b"[")
    return (
        Said(at, host, name, pid, text)
        if bracket and pid and only(pid, DIGITS) and client(name)
        else None
    )


def said_in_rfc5424(line: bytes) -> Said | None:
    priority, _, rest = line[1:].partition(b">")
    if not 1 <= len(priority) <= 3 or not only(priority, DIGITS) or not rest.startswith(b"1 "):
        return None
    fields = rest[2:].split(b" ", 5)
    if len(fields) < 6:
        return None
    stamp, host, name, process, message, rest = fields
    at = rfc3339_stamp(stamp)
    if at is None or not host or host.endswith(b":") or not client(name):
        return None
    if any(not each or any(c in BLANKS for c in each) for each in (process, message)):
        return None
    text = after_structured_data(rest)
    if text is None or not text.startswith(b" "):
        return None
    return Said(at, host, name, process, text[1:].removeprefix(b"\xef\xbb\xbf").removeprefix(b" "))


def after_structured_data(rest: bytes) -> bytes | None:
    if rest.startswith(b"-"):
        return rest[1:]
    if not rest.startswith(b"["):
        return None
    while rest.startswith(b"["):
        end = 1
        while end < len(rest) and rest[end] not in b' ]"':
            end += 1
        if end == 1:
            return None
        rest = rest[end:]
        while rest.startswith(b" "):
            name, equals, value = rest[1:].partition(b'="')
            if not equals or not name or any(c in b' =]"' for c in name):
                return None
            end = 0
            while end < len(value) and value[end] not in b'"]':
                end += 2 if value[end] == 0x5C else 1
            if value[end : end + 1] != b'"':
                return None
            rest = value[end + 1 :]
        if not rest.startswith(b"]"):
            return None
        rest = rest[1:]
    return rest


def client(name: bytes) -> bool:
    """A syslog_name, a slash, and the program smtp or lmtp."""
    return name.endswith((b"/smtp", b"/lmtp")) and all(
        c > 32 and c not in (0x5B, 0x7F) for c in name
    )


def traditional_stamp(stamp: bytes) -> int | None:
    day = stamp[4:6].replace(b" ", b"0") if stamp[4:5] == b" " else stamp[4:6]
    shape = number(day, 2) and stamp[6:7] == b" " and stamp[9:10] == b":" and stamp[12:13] == b":"
    if (
        stamp[:3] not in MONTHS
        or not shape
        or not all(number(stamp[at : at + 2], 2) for at in (7, 10, 13))
    ):
        return None
    try:
        # In which year is not said; all logs here are of one, and in UTC.
        at = datetime(
            2024,
            1 + MONTHS.index(stamp[:3]),
            int(day),
            int(stamp[7:9]),
            int(stamp[10:12]),
            tzinfo=UTC,
        )
    except ValueError:
        return None
    return int(at.timestamp()) + min(int(stamp[13:15]), 59)


def rfc3339_stamp(stamp: bytes) -> int | None:
    date, time, rest = stamp[:10], stamp[11:19], stamp[19:]
    if stamp[10:11] not in (b"T", b"t") or [date[4:5], date[7:8], time[2:3], time[5:6]] != [
        b"-",
        b"-",
        b":",
        b":",
    ]:
        return None
    if not number(date[:4], 4) or not all(
        number(each, 2) for each in (date[5:7], date[8:], time[:2], time[3:5], time[6:])
    ):
        return None
    if rest[:1] in (b".", b","):
        fraction = len(rest[1:]) - len(rest[1:].lstrip(DIGITS))
        if not fraction:
            return None
        rest = rest[1 + fraction :]
    east = timedelta()
    if rest[:1] in (b"+", b"-"):
        digits = rest[1:3] + rest[-2:]
        if (
            not number(digits, 4)
            or len(rest) not in (5, 6)
            or (len(rest) == 6 and rest[3:4] != b":")
        ):
            return None
        east = timedelta(hours=int(digits[:2]), minutes=int(digits[2:])) * (
            1 if rest[:1] == b"+" else -1
        )
    elif rest not in (b"", b"Z", b"z"):
        return None
    try:
        at = datetime(
            int(date[:4]),
            int(date[5:7]),
            int(date[8:]),
            int(time[:2]),
            int(time[3:5]),
            tzinfo=timezone(east),
        )
    except ValueError:
        return None
    if not datetime(2000, 1, 1, tzinfo=UTC) <= at < datetime(9999, 1, 1, tzinfo=UTC):
        return None
    return int(at.timestamp()) + min(int(time[6:]), 59)


def unwrapped(text: bytes) -> tuple[int, bytes]:
    """How often a text stands for itself, and what Postfix wrote."""
    if text.startswith(b"message repeated "):
        count, words, rest = text[17:].partition(b" times: [ ")
        if words and count and len(count) <= 9 and only(count, DIGITS) and rest.endswith(b"]"):
            return int(count), rest[:-1]
    return 1, text


class Announced(NamedTuple):
    """A TLS session, as its summary line says."""

    label: bytes
    reused: bool
    relay: bytes
    outbound: bool
    keys: tuple[str, ...]


def summary(text: bytes) -> Announced | None:
    label, _, rest = text.partition(b" ")
    if label in LABELS:
        for verb in (b"established", b"reused"):
            words = b"TLS connection " + verb + b" to "
            if rest.startswith(words):
                return session(label, verb == b"reused", rest[len(words) :])
    return None


def server(text: bytes) -> tuple[bytes, str, bytes] | None:
    """The relay that a text begins with, its address, and what follows."""
    host, bracket, rest = text.partition(b"[")
    address, closing, rest = rest.partition(b"]")
    # `:` is not in the law's list of characters, but its remark on names has IPv6 literals.
    if not bracket or not closing or len(host) > 255 or not only(host, LETTERS + DIGITS + b"._-:"):
        return None
    place, percent, zone = address.partition(b"%")
    zoned = not percent or (zone and only(zone, LETTERS + DIGITS + b"._-"))
    if not (zoned and address_like(place)) and (
        b"/" not in address or any(c in BLANKS + b"[" for c in address)
    ):
        return None
    if rest.startswith(b":") and not rest.startswith(b": "):
        port, colon, rest = rest[1:].partition(b":")
        rest = colon + rest
        if not 1 <= len(port) <= 5 or not only(port, DIGITS):
            return None
    return text[: len(text) - len(rest)], address.decode("latin-1"), rest


def session(label: bytes, reused: bool, rest: bytes) -> Announced | None:
    found = server(rest)
    if found is None:
        return None
    relay, address, rest = found
    if not rest.startswith(b": "):
        return None
    protocol, words, rest = rest[2:].partition(b" with cipher ")
    cipher, space, rest = rest.partition(b" ")
    bits, words2, tail = rest.partition(b" bits)")
    used, slash, all_bits = bits.removeprefix(b"(").partition(b"/")
    if (
        protocol not in PROTOCOLS
        or not words
        or not space
        or not cipher
        or any(c in BLANKS for c in cipher)
    ):
        return None
    if not (
        bits.startswith(b"(")
        and words2
        and slash
        and used
        and all_bits
        and only(used + all_bits, DIGITS)
    ):
        return None
    if tail and not tail.startswith(b" "):
        return None
    if local(address):
        return Announced(label, reused, relay, False, ())
    if reused:
        return Announced(label, reused, relay, True, ("connections.reused",))
    if protocol == b"TLSv1.3":
        named = tail.startswith(b" key-exchange ")
        exchange = by_group(tail.split(b" ")[2].decode("latin-1")) if named else "unknown"
    else:
        exchange = by_cipher(cipher.decode("latin-1"))
    keys = (
        f"connections.{label.decode().lower()}",
        f"protocols.{PROTOCOLS[protocol]}",
        f"key_exchange.{exchange}",
    )
    return Announced(label, reused, relay, True, keys)


def address_like(text: bytes) -> bool:
    return bool(text) and only(text, DIGITS + b"abcdefABCDEF.:")


def local(address: str) -> bool:
    if "/" in address:
        return True
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return ip.is_loopback


ECDH = """
    ecdhe ecdh x25519 x448 secp256r1 secp384r1 secp521r1 p-256 p-384 p-521 prime256v1 sect571r1
    brainpoolp384r1tls13
    curvesm2 sm2 gc256a gc512a c2pnb163v1 wap-wsg-idm-ecid-wtls12
"""
DH = "dhe dh ffdhe2048 ffdhe3072 ffdhe4096 modp_4096"


def by_group(name: str) -> str:
    name = name.lower()
    if "mlkem" in name or "kyber" in name:
        return "post_quantum"
    return "ecdh" if name in ECDH.split() else "dh" if name in DH.split() else "unknown"


def by_cipher(name: str) -> str:
    words = name.split("-")
    if words[0] in ("EXP", "EXP1024"):
        words = words[1:]
    if words[0] in ("ECDHE", "ECDH", "AECDH"):
        return "ecdh"
    if words[0] in ("DHE", "DH", "EDH", "ADH"):
        return "dh"
    carried = words[0].rstrip("0123456789") in (
        "AES",
        "CAMELLIA",
        "ARIA",
        "SEED",
        "IDEA",
        "DES",
        "RC",
        "NULL",
    )
    return "rsa" if carried and len(words) > 1 else "unknown"


# ---- recipients -----------------------------------------------------------------------------

SHORT = b"0123456789ABCDEF"
LONG = bytes(
    each
    for each in b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    if each not in b"AEIOUaeiou"
)

SENT = {
    b"dane": "dane",
    b"dane-only": "dane",
    b"halfdane": "half_dane",
    b"dane:halfdane": "half_dane",
    b"secure": "verified",
    b"verify": "verified",
    b"fingerprint": "verified",
    b"may": "encrypted",
    b"encrypt": "encrypted",
    b"dane:encrypt": "encrypted",
    b"none": "plaintext",
    b"may:none": "plaintext",
}

BY_LABEL = ("deliveries.trusted", "deliveries.untrusted", "deliveries.anonymous")

REUSED = {
    (b"dane?", "deliveries.verified"): "deliveries.dane",
    (b"dane-only?", "deliveries.verified"): "deliveries.dane",
    (b"halfdane?", "deliveries.trusted"): "deliveries.half_dane",
}

FAILED = (
    ("certificate", b"Server certificate not verified", b"Server certificate not trusted"),
    ("dane_lookup", b"TLSA lookup error for "),
    (
        "dane_required",
        b"no TLSA records found",
        b"non DNSSEC destination",
        b"TLSA records unusable",
    ),
    ("dane_required", b"Verification not possible, MX RRset is insecure"),
    ("starttls", b"TLS is required, but was not offered by host "),
    ("handshake", b"Cannot start TLS: handshake failure"),
    ("requiretls", b"Sender requested REQUIRETLS, but"),
    (
        "local",
        b"TLS is required, but our TLS engine is unavailable",
        b"TLS is required, but unavailable",
    ),
    ("local", b"client TLS configuration problem"),
)


class Recipient(NamedTuple):
    """One way to read a line about a recipient."""

    relay: bytes
    uses: int
    took: float
    """Seconds since the request was handed to the process."""
    tls: bytes
    status: bytes
    reason: bytes


def queue_id(text: bytes) -> tuple[bytes, bytes] | None:
    """The queue id that a text begins with, and what follows."""
    queue, colon, rest = text.partition(b": ")
    known = (len(queue) >= 5 and only(queue, SHORT)) or (len(queue) >= 10 and only(queue, LONG))
    return (queue, rest) if colon and known else None


def recipients(rest: bytes) -> list[Recipient]:
    """All ways to read what follows `QID: to=<`."""
    after = past_address(rest)
    if after is None:
        return []
    at = len(rest) - len(after)
    head, original, behind = after.partition(b">, orig_to=<")
    if original and not any(c in BLANKS + b'"<>' for c in head):
        tail = past_address(behind)
        if tail is None:
            return []
        at = len(rest) - len(tail)
    found = []
    while (at := rest.find(b">, relay=", at)) >= 0:
        at += len(b">, relay=")
        if one := fields(rest[at:]):
            found.append(one)
    return found


def past_address(text: bytes) -> bytes | None:
    """What follows a quoted string, all of what is not quoted; None where the quote does not
    end."""
    if not text.startswith(b'"'):
        return text
    at = 1
    while at < len(text):
        if text[at] == 0x5C:
            at += 2
        elif text[at] == 0x22:
            return text[at + 1 :] if text[at + 1 : at + 2] in (b"@", b">") else None
        else:
            at += 1
    return None


def fields(text: bytes) -> Recipient | None:
    """`RELAY[, conn_use=N], delay=D[, delays=A/B/C/D][, tls=T][, dsn=X.Y.Z], status=S (REASON)`."""
    found: dict[bytes, bytes] = {}
    relay, _, text = cut_at(text)
    for name, digits in (
        (b"conn_use", DIGITS),
        (b"delay", NUMBER),
        (b"delays", NUMBER + b"/"),
        (b"tls", None),
        (b"dsn", NUMBER),
    ):
        if text.startswith(name + b"="):
            found[name], comma, text = cut_at(text[len(name) + 1 :])
            if (
                not comma
                or not found[name]
                or (digits is not None and not only(found[name], digits))
            ):
                return None
    status, words, reason = text.removeprefix(b"status=").partition(b" (")
    if (
        not relay
        or any(c in BLANKS for c in relay)
        or b"delay" not in found
        or not text.startswith(b"status=")
        or not words
    ):
        return None
    if (
        not status
        or not only(status, LETTERS + b"-")
        or any(c in BLANKS for c in found.get(b"tls", b""))
    ):
        return None
    if len(found.get(b"conn_use", b"")) > 9:
        return None
    delays = found.get(b"delays", b"///").split(b"/")
    if len(delays) != 4 or (b"delays" in found and not all(delays)):
        return None
    try:
        took = float(delays[2]) + float(delays[3])
    except ValueError:
        took = float("inf")
    return Recipient(
        relay, int(found.get(b"conn_use", b"1")), took, found.get(b"tls", b""), status, reason
    )


NUMBER = DIGITS + b"."


def cut_at(text: bytes) -> tuple[bytes, bytes, bytes]:
    """Up to the next comma, which is followed by a space."""
    value, comma, rest = text.partition(b",")
    return (value, comma, rest[1:]) if rest.startswith(b" ") else (value, b"", rest)


def is_local(relay: bytes) -> bool:
    found = server(relay)
    return found is not None and not found[2] and local(found[1])


def failure(reason: bytes) -> str | None:
    words, refused, _ = reason.partition(b" refused to start TLS")
    if (
        refused
        and words.startswith(b"TLS is required, but host ")
        and words.count(b" ") == 5
        and not words.endswith(b" ")
    ):
        return "starttls"
    return next((name for name, *begins in FAILED if reason.startswith(tuple(begins))), None)


# ---- the order of lines ---------------------------------------------------------------------


class Holds(NamedTuple):
    """What a process holds: law, section 4.1."""

    session: Announced
    at: int
    queue: bytes


VAGUE = b"TLS connection established to ", b"TLS connection reused to "

BREAKS = (
    b"lost connection with ",
    b"local data error while talking to ",
    b"Cannot start TLS: handshake failure",
)


def breaks(rest: bytes) -> bool:
    timeout = rest.startswith(b"conversation with ") and rest[18:].partition(b" ")[2].startswith(
        b"timed out while "
    )
    return rest.startswith(BREAKS) or timeout


def references(lines: Iterable[bytes]) -> list[Opinion]:
    """What the lines of a log count as, each with what was written before it in mind."""
    return Reader().read(lines)


class Reader:
    def __init__(self) -> None:
        self.first: int | None = None
        self.started: list[tuple[bytes, bytes]] = []
        """Host and syslog name of what was started since lines were lost."""
        self.quoting: set[tuple[bytes, bytes]] = set()
        """Host and syslog name of what has been seen to be Postfix 3.5 or later, which quotes
        addresses."""
        self.eleven: set[tuple[bytes, bytes]] = set()
        """Services that have written the field tls, as Postfix 3.11 and later do."""
        self.holds: dict[tuple[bytes, bytes, bytes], Holds] = {}
        self.tell: set[tuple[bytes, bytes]] = set()
        """The services that are known to log handshakes: host and tag."""
        self.uses: set[tuple[bytes, bytes]] = set()
        """Services that have been seen to write conn_use; of the others a reused line is believed
        without it."""

        self.reloads: dict[tuple[bytes, bytes], int] = {}
        """Host and syslog name -> when it was reloaded, perhaps with another smtp_tls_loglevel."""
        self.silent: Counter[tuple[bytes, bytes]] = Counter()
        """Host and place -> connections of tlsproxy that it has not logged a handshake of."""

    def tlsproxy(self, rest: bytes) -> None:
        host, _, text = rest.partition(b" ")
        tag, _, text = text.partition(b" ")
        if not tag.endswith(b"]:") or not tag.partition(b"[")[0].endswith(b"/tlsproxy"):
            return
        if text.startswith(b"CONNECT to ["):
            self.silent[host, text.removeprefix(b"CONNECT to ")] += 1
        elif b" TLS connection established to " in text[:45]:
            place = b"[" + text.partition(b"[")[2].partition(b": ")[0]
            self.silent[host, place] = max(0, self.silent[host, place] - 1)

    def reloaded(self, host: bytes, name: bytes) -> int | None:
        mine = (where == host and name.startswith(each) for where, each in self.reloads)
        return max(itertools.compress(self.reloads.values(), mine), default=None)

    def proves(self, said: Said, relay: bytes) -> bool:
        """Whether a handshake shows that its service logs all of them."""
        place = said.host, b"[" + relay.partition(b"[")[2]
        if self.silent[place]:
            self.silent[place] -= 1
            return False
        reloaded = self.reloaded(said.host, said.name)
        return reloaded is None or said.at > reloaded + 5

    def read(self, lines: Iterable[bytes]) -> list[Opinion]:
        return [self.one(line) for line in lines]

    # The law's questions in the law's order, so that it can be held beside the page.
    def one(self, line: bytes) -> Opinion:  # noqa: C901
        stamp = line[:15] if line[3:4] == b" " else line.partition(b" ")[0]
        at = traditional_stamp(stamp) if line[3:4] == b" " else rfc3339_stamp(stamp)
        said = said_in(line)
        if self.first is None:
            self.first = at if at is not None else said.at if said else None
        if b"/master[" in line and b"]: daemon started " in line:
            host, _, tag = line[len(stamp) + 1 :].partition(b" ")
            name = tag.partition(b"/master[")[0]
            self.started.append((host, name + b"/"))
            major, _, minor = line.partition(b" -- version ")[2].partition(b",")[0].partition(b".")
            late = (int(major), int(minor.partition(b".")[0])) >= (3, 5)
            (self.quoting.add if late else self.quoting.discard)((host, name + b"/"))
            for process in [
                each for each in self.holds if each[0] == host and each[1].startswith(name + b"/")
            ]:
                if (
                    process[1].count(b"/") > name.count(b"/") + 1
                ):  # perhaps of another Postfix, that goes on
                    holds = self.holds[process]
                    self.holds[process] = holds._replace(session=holds.session._replace(label=b""))
                else:
                    del self.holds[process]
        if b"/master[" in line and b"]: reload -- version " in line:
            host, _, tag = line[len(stamp) + 1 :].partition(b" ")
            name = tag.partition(b"/master[")[0] + b"/"
            self.reloads[host, name] = at or 0
            gone = {each for each in self.tell if each[0] == host and each[1].startswith(name)}
            self.tell -= gone
        if b"/tlsproxy[" in line:
            self.tlsproxy(line[len(stamp) + 1 :])
        if said is None:
            daemon = line[len(stamp) + 1 :].partition(b" ")[2]
            lost = daemon.startswith(b"rsyslogd: ") and daemon.endswith(b" due to rate-limiting")
            if lost or (daemon.startswith(b"systemd-journald[") and b": Suppressed " in daemon):
                self.first = at
                self.started.clear()
                self.holds.clear()
            return NOTHING
        times, text = unwrapped(said.text)
        process = said.host, said.name, said.pid
        if announced := summary(text):
            self.holds[process] = Holds(announced, said.at, b"")
            if not announced.reused and self.proves(said, announced.relay):
                self.tell.add(process[:2])
            return Opinion(announced.keys, times) if announced.outbound else NOTHING
        if text.startswith(VAGUE) or text.partition(b" ")[2].startswith(VAGUE):
            self.holds[process] = Holds(
                Announced(b"", b"reused to" in text[:40], b"", True, ()), said.at, b""
            )
            self.tell.add(process[:2])
        queued = queue_id(text)
        if queued is None:
            return NOTHING
        queue, rest = queued
        if not rest.startswith(b"to=<"):
            if breaks(rest):
                self.holds.pop(process, None)
            return NOTHING
        ways = recipients(rest[4:])
        if not ways:
            # Which request it is of is all that is known.
            if process in self.holds and not self.holds[process].queue:
                self.holds[process] = self.holds[process]._replace(queue=queue)
            return NOTHING
        quotes = process[:2] in self.eleven or any(
            said.host == host and said.name.startswith(name) for host, name in self.quoting
        )
        if quotes or (
            len(ways) == 1 and len(text) < 2000
        ):  # where Postfix cuts, another way may have been cut off
            if len(ways) == 1 and ways[0].tls:
                self.eleven.add(process[:2])
            return self.recipient(said, process, queue, ways[0], times)
        # Ambiguous: dropped, or unknown; or what all of its ways say of themselves.
        held = self.holds.get(process)
        opinions = [self.recipient(said, process, queue, way, times) for way in ways if way.tls]
        if held is not None:
            self.holds[process] = held if held.queue else held._replace(queue=queue)
        agreed = (
            {each.keys for each in opinions}
            if len(opinions) == len(ways) and len(text) < 2000
            else set()
        )
        sure = agreed if len(agreed) == 1 else set()
        if any(key in BY_LABEL for keys in sure for key in keys):
            sure = sure | {("deliveries.encrypted",)}  # whose session it is need not be sure
        return Opinion(("deliveries.unknown",), times, ((), *sure))

    def recipient(
        self,
        said: Said,
        process: tuple[bytes, bytes, bytes],
        queue: bytes,
        way: Recipient,
        times: int,
    ) -> Opinion:
        carried = self.carried(said, process, queue, way)
        if is_local(way.relay):
            return NOTHING
        if way.status in (b"deferred", b"bounced", b"SOFTBOUNCE"):
            category = failure(way.reason)
            return Opinion((f"failures.{category}",), times) if category else NOTHING
        if way.status != b"sent":
            return NOTHING
        feature = way.tls.partition(b"/")[0]
        if feature in SENT and SENT[feature] == "encrypted":
            labels = [each if each in BY_LABEL else "deliveries.encrypted" for each in carried]
            return Opinion((labels[0],), times, tuple((each,) for each in labels[1:]))
        if feature in SENT:
            return Opinion((f"deliveries.{SENT[feature]}",), times)
        first, *others = [REUSED.get((feature, each), each) for each in carried]
        more = [
            f"deliveries.{SENT[each]}"
            for each in (feature.rpartition(b":")[2],)
            if each in SENT and b":" in feature
        ]
        return Opinion((first,), times, tuple((each,) for each in (*others, *more)))

    def carried(
        self, said: Said, process: tuple[bytes, bytes, bytes], queue: bytes, way: Recipient
    ) -> list[str]:
        """What a delivery went over, as far as TLS lines tell: the right answers."""
        if way.uses >= 2:
            self.uses.add(process[:2])
        holds = self.holds.get(process)
        if holds is not None:
            session, at, known = holds
            label = f"deliveries.{session.label.decode().lower()}"
            begun = said.at - way.took
            uses = (way.uses >= 2) == session.reused or (
                session.reused and process[:2] not in self.uses
            )
            if not session.label and known in (b"", queue) and begun - 10 <= at <= said.at + 10:
                return ["deliveries.unknown", "deliveries.plaintext"]
            if session.relay == way.relay and known in (b"", queue) and uses:
                if begun - 2 <= at <= said.at + 2:
                    self.holds[process] = Holds(session, at, queue)
                    return [label]
                if begun - 10 <= at <= said.at + 10:  # stamps have seconds, and delays two digits
                    self.holds[process] = Holds(session, at, queue)
                    return [label, *self.without(said, process, way)]
            del self.holds[process]
        return self.without(said, process, way)

    def without(self, said: Said, process: tuple[bytes, bytes, bytes], way: Recipient) -> list[str]:
        clear, unknown = "deliveries.plaintext", "deliveries.unknown"
        begun = said.at - way.took
        fresh = any(
            process[0] == host and process[1].startswith(name) for host, name in self.started
        )
        assert self.first is not None
        reloaded = self.reloaded(*process[:2])
        if reloaded is not None and (process[:2] not in self.tell or begun <= reloaded + 5):
            return [unknown, clear] if begun > reloaded + 4 else [unknown]
        if not self.tell or (begun < self.first - 1 and not fresh):
            return [unknown]  # loglevel 0, or the beginning of the log
        if (
            process[:2] not in self.tell
            or way.took > 1700
            or (begun < self.first + 3 + way.took / 10 and not fresh)
        ):
            return [unknown, clear]
        return [clear, unknown] if way.took > 900 else [clear]
