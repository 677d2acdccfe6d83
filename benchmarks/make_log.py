"""Writes a realistic Postfix log, and the counts that are right for it: same arguments, same bytes.

python benchmarks/make_log.py --size 1000000000 mail.log truth.json
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import time
from calendar import timegm
from collections import Counter, deque

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

FAMILIES = {
    "connections": "verified trusted untrusted anonymous reused",
    "protocols": "tlsv1_3 tlsv1_2 tlsv1_1 tlsv1 sslv3",
    "key_exchange": "post_quantum ecdh dh rsa unknown",
    "deliveries": "dane half_dane verified trusted untrusted anonymous encrypted plaintext unknown",
    "failures": "certificate dane_lookup dane_required starttls handshake requiretls local",
}

# Weights of the jobs: one line in 17 is then an established line.
JOBS = {
    "tls": 60,
    "plain": 5,
    "refused": 5,
    "failed": 2,
    "hostile": 1,
    "inbound": 28,
    "imap": 60,
    "scan": 25,
}

LABELS = {"Verified": 14, "Trusted": 62, "Untrusted": 19, "Anonymous": 5}

# What follows `HOST[ADDR]:25: `, its protocol and key exchange, its weight.
TLS_1_3 = "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange "
TLS_1_2 = "TLSv1.2 with cipher "
TAILS = (
    (
        TLS_1_3 + "X25519 server-signature RSA-PSS (2048 bits) server-digest SHA256",
        "tlsv1_3",
        "ecdh",
        40,
    ),
    (
        TLS_1_3 + "X25519MLKEM768 server-signature ECDSA (prime256v1) server-digest SHA256",
        "tlsv1_3",
        "post_quantum",
        12,
    ),
    (
        TLS_1_3 + "ECDHE (P-256) server-signature RSA-PSS (4096 bits) server-digest SHA256",
        "tlsv1_3",
        "ecdh",
        8,
    ),
    (TLS_1_3 + "X25519", "tlsv1_3", "ecdh", 5),
    (TLS_1_2 + "ECDHE-RSA-AES256-GCM-SHA384 (256/256 bits)", "tlsv1_2", "ecdh", 25),
    (TLS_1_2 + "DHE-RSA-AES256-SHA (256/256 bits)", "tlsv1_2", "dh", 3),
    (TLS_1_2 + "AES256-SHA (256/256 bits)", "tlsv1_2", "rsa", 2),
    ("TLSv1 with cipher ECDHE-RSA-AES256-SHA (256/256 bits)", "tlsv1", "ecdh", 1),
)

REASONS = (
    ("certificate", "Server certificate not verified"),
    ("dane_lookup", "TLSA lookup error for {host}:25"),
    ("starttls", "TLS is required, but was not offered by host {host}[{address}]"),
    ("handshake", "Cannot start TLS: handshake failure"),
)

USERS = (
    "info",
    "anna",
    "hans.mueller",
    "buchhaltung",
    "no-reply",
    "newsletter",
    "office",
    "support",
)


class Processes:
    """PIDs in turn, so that each idles for long before it works again; now and then a new one."""

    def __init__(self, rng: random.Random, size: int) -> None:
        self.rng = rng
        self.pids = [rng.randrange(1000, 4_000_000) for _ in range(size)]
        self.at = 0

    def next(self) -> int:
        self.at = (self.at + 1) % len(self.pids)
        if self.rng.random() < 0.02:
            self.pids[self.at] = self.rng.randrange(1000, 4_000_000)
        return self.pids[self.at]


def address(n: int) -> str:
    """Return an address that no other relay has; each fifth is of IPv6."""
    if n % 5 == 0:
        return f"2001:db8:{n >> 16:x}:{n & 65535:x}::25" if n > 65535 else f"2001:db8:{n:x}::25"
    return f"{203 + (n >> 16)}.{n >> 8 & 255}.{n & 255}.25"


class Mailserver:
    """Starts jobs; a job's lines go into the seconds in which they would be written."""

    def __init__(self, seed: int, relays: int) -> None:
        self.rng = rng = random.Random(seed)
        self.seconds: deque[list[str]] = deque([] for _ in range(8))
        self.counts: Counter[str] = Counter()
        self.smtp = Processes(rng, 600)
        self.others = Processes(rng, 600)
        self.seen: set[int] = set()
        self.job = 0
        # The first twenty destinations get half of the mail.
        self.relays = [
            (
                f"mx{n % 3}.{rng.choice(['firma', 'verein', 'shop', 'praxis'])}{n}.example",
                address(n),
                rng.choices(list(LABELS), list(LABELS.values()))[0],
                rng.choices(TAILS, [tail[-1] for tail in TAILS])[0],
            )
            for n in range(relays)
        ]

    def write(self, second: int, text: str) -> None:
        self.seconds[second].append(text)

    def start(self, kind: str) -> None:
        self.job += 1
        user, number = self.rng.choice(USERS), self.rng.randrange(1 << 32)
        if kind == "imap":
            self.imap(user, number)
        elif kind == "scan":
            self.scan(number)
        elif kind == "inbound":
            self.inbound(user, number)
        else:
            self.outbound(kind, user, number)

    def imap(self, user: str, number: int) -> None:
        who = f"{user}@kunde{number % 97}.example"
        self.write(
            0,
            f"dovecot: imap-login: Login: user=<{who}>, method=PLAIN, "
            f"rip=198.51.100.{number % 251}, lip=192.0.2.10, "
            f"mpid={number % 99991}, TLS, session=<{number:016x}>",
        )
        self.write(
            number % 8,
            f"dovecot: imap({who})<{number % 99991}><{number:016x}>: Disconnected: Logged out "
            f"in={number % 9973} out={number % 99991} deleted=0 expunged=0 trashed=0 "
            f"hdr_count={number % 97} hdr_bytes={number % 9973} body_count=0 body_bytes=0",
        )

    def scan(self, number: int) -> None:
        peer, pid = (
            f"45.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
            self.others.next(),
        )
        self.write(0, f"postfix/smtpd[{pid}]: connect from unknown[{peer}]")
        self.write(
            1,
            f"postfix/smtpd[{pid}]: NOQUEUE: reject: RCPT from unknown[{peer}]: 554 5.7.1 "
            f"Service unavailable; Client host [{peer}] blocked; from=<a@b.example> "
            "to=<info@firma.example> proto=ESMTP helo=<User>",
        )
        self.write(
            1,
            f"postfix/smtpd[{pid}]: disconnect from unknown[{peer}] "
            "ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4",
        )

    def received(self, peer: str, queue: str, user: str, number: int, tail: str) -> None:
        """Return what smtpd, cleanup and qmgr say of a mail that comes in."""
        pid = self.others.next()
        self.write(0, f"postfix/smtpd[{pid}]: connect from {peer}")
        self.write(
            0, f"postfix/smtpd[{pid}]: Anonymous TLS connection established from {peer}: {tail}"
        )
        self.write(1, f"postfix/smtpd[{pid}]: {queue}: client={peer}")
        self.write(
            1,
            f"postfix/cleanup[{self.others.next()}]: {queue}: "
            f"message-id=<{number:08x}.{self.job:x}@{user}.example>",
        )
        sender = f"{user}@kunde{number % 97}.example"
        self.write(
            1,
            f"postfix/qmgr[911]: {queue}: from=<{sender}>, size={number % 90001}, "
            "nrcpt=1 (queue active)",
        )
        self.write(
            2,
            f"postfix/smtpd[{pid}]: disconnect from {peer} "
            "ehlo=2 starttls=1 mail=1 rcpt=1 data=1 quit=1 commands=7",
        )

    def inbound(self, user: str, number: int) -> None:
        host, address, _, tail = self.relays[number % len(self.relays)]
        queue = f"4{self.job:010X}"
        self.received(f"{host}[{address}]", queue, user, number, tail[0])
        self.write(
            3,
            f"postfix/lmtp[{self.others.next()}]: {queue}: to=<{user}@firma.example>, "
            "relay=mail.firma.example[private/dovecot-lmtp], delay=0.4, delays=0.3/0/0/0.1, "
            f"dsn=2.0.0, status=sent (250 2.0.0 <{user}@firma.example> {number:08x} Saved)",
        )
        self.write(3, f"postfix/qmgr[911]: {queue}: removed")

    def outbound(self, kind: str, user: str, number: int) -> None:
        rng, counts = self.rng, self.counts
        popular = 20 if number & 1 else len(self.relays)
        host, address, label, (tail, protocol, key_exchange, _) = self.relays[
            rng.randrange(popular)
        ]
        queue, pid = f"4{self.job:010X}", self.smtp.next()
        tag = "postfix/relay/smtp" if number % 50 == 0 else "postfix/smtp"
        client = f"{tag}[{pid}]: {queue}"
        self.received(
            f"pool-{number % 9973}.isp.example[198.51.100.{number % 251}]",
            queue,
            user,
            number,
            TAILS[0][0],
        )
        if pid not in self.seen:
            # The log cannot say whether a process that it has not named yet holds a session.
            self.seen.add(pid)
            kind = "tls"
        second = 2 + (number >> 8) % 4
        if kind == "failed":
            category, reason = REASONS[number % len(REASONS)]
            counts[f"failures.{category}"] += 1
            relay = "none" if category == "dane_lookup" else f"{host}[{address}]:25"
            status = f"4.7.5, status=deferred ({reason.format(host=host, address=address)})"
            self.delivery(second, client, f"{user}@{host}", relay, status)
            return
        if kind == "plain":
            host, relay = (
                f"old{number % 29}.example",
                f"old{number % 29}.example[192.0.2.{100 + number % 29}]:25",
            )
            category = "plaintext"
        else:
            relay, reused = f"{host}[{address}]:25", number % 50 == 1
            text = (
                f"{label} TLS connection {'reused' if reused else 'established'} to {relay}: {tail}"
            )
            self.write(second, f"{tag}[{pid}]: {text}")
            if reused:
                counts["connections.reused"] += 1
            else:
                counts[f"connections.{label.lower()}"] += 1
                counts[f"protocols.{protocol}"] += 1
                counts[f"key_exchange.{key_exchange}"] += 1
            if kind == "refused":
                said = (
                    f"451 4.7.1 <{user}@{host}>: Recipient address rejected: Greylisted "
                    "(in reply to RCPT TO command)"
                )
                status = f"4.7.1, status=deferred (host {host}[{address}] said: {said})"
                self.delivery(second + 1, client, f"{user}@{host}", relay, status)
                return
            category = label.lower()
            # The line of a connection that is used again says how often it is.
            relay += ", conn_use=2" if reused else ""
            if kind == "hostile":
                counts[f"deliveries.{category}"] += 1
                # A server may say anything: our words, with our tag, as a whole line.
                quoted = (
                    text,
                    f"postfix/smtp[{pid}]: {text}",
                    f"Jan  5 08:32:02 mx postfix/smtp[{pid}]: {text}",
                )[number % 3]
                status = f"2.0.0, status=sent (250 {quoted})"
                self.delivery(second + 1, client, f"{user}@{host}", relay, status)
                self.write(second + 1, f"postfix/qmgr[911]: {queue}: removed")
                return
        for _ in range(1 if number & 3 else 2):
            status = f"2.0.0, status=sent (250 2.0.0 Ok: queued as {number:010X})"
            counts[f"deliveries.{category}"] += 1
            self.delivery(second + 1, client, f"{user}@{host}", relay, status)
            user += "2"
        self.write(second + 1, f"postfix/qmgr[911]: {queue}: removed")

    def delivery(self, second: int, client: str, recipient: str, relay: str, rest: str) -> None:
        head = f"{client}: to=<{recipient}>, relay={relay}"
        self.write(second, f"{head}, delay=1.2, delays=0.2/0.01/0.6/0.4, dsn={rest}")


def make_log(
    log: str, truth: str, size: int, server: Mailserver, rfc3339: bool, start: str
) -> None:
    rng, kinds, weights = server.rng, list(JOBS), list(JOBS.values())
    first = second = timegm(time.strptime(start, "%Y-%m-%dT%H:%M:%S"))
    written = lines = 0
    due = 0.0
    with open(log, "w", encoding="ascii", buffering=1 << 20) as out:
        while written < size or any(server.seconds):
            if written < size:
                due += 9 * (1 + 0.7 * math.sin((second - first) / 86400 * 2 * math.pi))
                for kind in rng.choices(kinds, weights, k=int(due)):
                    server.start(kind)
                due -= int(due)
            texts = server.seconds.popleft()
            server.seconds.append([])
            now = time.gmtime(second)
            if rfc3339:
                stamp = time.strftime("%Y-%m-%dT%H:%M:%S", now)
                block = "".join(
                    [f"{stamp}.{n * 1000:06d}+00:00 mx {text}\n" for n, text in enumerate(texts)]
                )
            else:
                stamp = f"{MONTHS[now.tm_mon - 1]} {time.strftime('%e %H:%M:%S', now)} mx "
                block = "".join([f"{stamp}{text}\n" for text in texts])
            out.write(block)
            written += len(block)
            lines += len(texts)
            second += 1
    # A stamp without a year takes it from here.
    os.utime(log, (second, second))
    counts = {
        family: {name: server.counts[f"{family}.{name}"] for name in names.split()}
        for family, names in FAMILIES.items()
    }
    facts = {
        "since": first - first % 60,
        "until": second - second % -60,
        "bytes": written,
        "lines": lines,
        "counts": counts,
    }
    with open(truth, "w", encoding="ascii") as out:
        json.dump(facts, out, indent=1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("log")
    parser.add_argument("truth")
    parser.add_argument("--size", type=int, default=1_000_000_000, help="about so many bytes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--rfc3339",
        action="store_true",
        help="stamps with year and zone instead of the traditional ones",
    )
    parser.add_argument("--relays", type=int, default=600)
    parser.add_argument("--start", default="2026-01-05T00:00:00", help="UTC")
    args = parser.parse_args()
    server = Mailserver(args.seed, args.relays)
    make_log(args.log, args.truth, args.size, server, args.rfc3339, args.start)


if __name__ == "__main__":
    main()
