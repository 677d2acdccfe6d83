"""A second opinion: a slow classifier of single lines, written from the law's words alone.

It shares no pattern with the program. What a delivery went over is not of one line: the invented
servers of test_law_of_sessions.py know that.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
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
    """What a client or the server wrote."""

    at: int
    host: bytes
    name: bytes
    pid: bytes
    text: bytes


def said_in(line: bytes) -> Said | None:
    return said_in_rfc5424(line) if line.startswith(b"<") else said_in_traditional(line)


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
    """A syslog_name, a slash, and the program smtp, lmtp or smtpd."""
    return name.endswith((b"/smtp", b"/lmtp", b"/smtpd")) and all(
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
    if text.startswith(b"[ID "):  # Solaris
        number, space, rest = text[4:].partition(b" ")
        facility, end, said = rest.partition(b"] ")
        if space and end and number and len(number) <= 9 and only(number, DIGITS):
            text = said if facility and b" " not in facility else text
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


# ---- what comes in --------------------------------------------------------------------------

COMMANDS = b"helo ehlo starttls xclient xforward auth mail rcpt data bdat rset noop vrfy etrn quit"


def received(said: Said) -> Opinion:
    """What a line of the server counts as."""
    if b"submission" in said.name or b"smtps" in said.name:
        return NOTHING
    times, text = unwrapped(said.text)
    label, _, rest = text.partition(b" ")
    rest = rest if label in LABELS else text
    if rest.startswith(b"TLS connection established from "):
        return handshake(rest.removeprefix(b"TLS connection established from "), times)
    if not text.startswith(b"disconnect from "):
        return NOTHING
    client, _, rest = text.removeprefix(b"disconnect from ").partition(b"]")
    if "[" not in client.decode("latin-1") or local(client.partition(b"[")[2].decode("latin-1")):
        return NOTHING
    words = rest.split(b" ")
    if words[0] and not (words[0][:1] == b":" and only(words[0][1:], DIGITS)):
        return NOTHING
    counters = dict.fromkeys([*COMMANDS.split(), b"commands"], 0)
    for word in words[1:]:
        name, _, value = word.partition(b"=")
        good, slash, tried = value.partition(b"/")
        if not (good and only(good + tried, DIGITS) and bool(slash) == bool(tried)):
            return NOTHING
        counters[name] = int(good)
    if not words[-1].startswith(b"commands=") or counters[b"auth"]:
        return NOTHING
    messages = counters[b"data"]
    if counters[b"bdat"]:
        messages = messages + 1 if counters[b"mail"] == messages + 1 else 0
    how = "tls" if counters[b"starttls"] else "plaintext"
    return Opinion((f"inbound.{how}",), messages * times) if messages else NOTHING


def handshake(rest: bytes, times: int) -> Opinion:
    """What follows `established from`: the client, its port, the server's name, and the session."""
    client, _, rest = rest.partition(b"]")
    if b" " in client:
        return NOTHING
    name, _, session_of = rest.partition(b": ")
    words = name.split(b" ")
    port = not words[0] or (words[0][:1] == b":" and only(words[0][1:], DIGITS))
    if not port or len(words) not in (1, 3) or (len(words) == 3 and words[1] != b"to"):
        return NOTHING
    found = session(b"Trusted", False, b"x[192.0.2.1]: " + session_of)
    if found is None or local(client.partition(b"[")[2].decode("latin-1")):
        return NOTHING
    return Opinion(tuple(f"inbound_{key}" for key in found.keys[1:]), times)


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


# ---- one line -------------------------------------------------------------------------------


def reference(line: bytes) -> Opinion:
    """What one line counts as, by the words of the law."""
    said = said_in(line)
    if said is None:
        return NOTHING
    if said.name.endswith(b"/smtpd"):
        return received(said)
    times, text = unwrapped(said.text)
    if announced := summary(text):
        return Opinion(announced.keys, times) if announced.outbound else NOTHING
    queued = queue_id(text)
    if queued is None or not queued[1].startswith(b"to=<"):
        return NOTHING
    ways = recipients(queued[1][4:])
    whole = len(text) < 2000  # where Postfix cuts, another way may have been cut off
    if len(ways) < 2 and whole:
        return recipient(ways[0], times) if ways else NOTHING
    if not ways:
        return NOTHING
    # Ambiguous: dropped, or unknown; or what all of its ways say of themselves.
    agreed = {recipient(way, times).keys for way in ways}
    sure = agreed if whole and len(agreed) == 1 and all(way.tls for way in ways) else set()
    return Opinion((UNKNOWN,), times, ((), *sure))


def recipient(way: Recipient, times: int) -> Opinion:
    if is_local(way.relay):
        return NOTHING
    if way.status in (b"deferred", b"bounced", b"SOFTBOUNCE"):
        category = failure(way.reason)
        return Opinion((f"failures.{category}",), times) if category else NOTHING
    if way.status != b"sent":
        return NOTHING
    feature = way.tls.partition(b"/")[0]
    if feature in SENT:
        return Opinion((f"deliveries.{SENT[feature]}",), times)
    before, colon, last = feature.rpartition(b":")
    others = ((f"deliveries.{SENT[last]}",),) if before and colon and last in SENT else ()
    return Opinion((UNKNOWN,), times, others)


UNKNOWN = "deliveries.unknown"
