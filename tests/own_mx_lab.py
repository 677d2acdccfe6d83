"""A signed zone, Postfix on both sides, and the judgements of both on one of our servers.

Run as root in namespaces of its own, where port 53 and /etc/resolv.conf are free:

    unshare --mount --net python tests/own_mx_lab.py FOLDER GROUP

It prints one line of JSON a scenario: its name, what the sender did, and what we say.
"""

from __future__ import annotations

import hashlib
import json
import os
import smtplib
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from servers import NAME, Authority, call, nameserver, nameserver_with_knot, running

from dane_mailgraph.cli import probing
from dane_mailgraph.cli.judgement import judging
from dane_mailgraph.config import load

DELIVERED, UNPROTECTED, DEFERRED = "delivered", "unprotected", "deferred"

ZONE = f"_25._tcp.{NAME}. 60 IN TLSA"


class Key(NamedTuple):
    """A key, its certificate with the chain, and a file of both."""

    key: Path
    certificate: Path
    both: Path

    def digest(self, kind: str = "sha256") -> str:
        public = call("openssl", "x509", "-noout", "-pubkey", "-in", self.certificate)
        der = subprocess.run(
            ["openssl", "pkey", "-pubin", "-outform", "DER"],
            input=public.encode(),
            capture_output=True,
            check=True,
        ).stdout
        return hashlib.new(kind, der).hexdigest()


class Lab:
    """Two keys, and a Postfix that serves files which tests change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(folder)
        self.old, self.new = self.made("old"), self.made("new")
        self.rsa = self.made("rsa", rsa=True)
        self.past = self.made("past", days=-1)
        self.other = self.made("other", name="www.example.test")
        self.served = folder / "served.pem"
        self.state = folder / "state"

    def made(self, stem: str, *, name: str = NAME, days: int = 90, rsa: bool = False) -> Key:
        given = self.folder / f"{stem}.rsa" if rsa else None
        if given:
            call("openssl", "genrsa", "-out", given, "2048")
        key, certificate = self.authority.issue(stem, name, days=days, key=given)
        both = self.folder / f"{stem}.both"
        both.write_text(key.read_text() + certificate.read_text())
        return Key(key, certificate, both)

    def serve(self, *keys: Key) -> None:
        self.served.write_text("".join(each.both.read_text() for each in keys))

    @contextmanager
    def published(
        self, *records: str, host: str = "A 127.0.0.2", validating: bool = True, knot: bool = False
    ) -> Iterator[None]:
        """Publish TLSA records, and what else the host has, by lines."""
        zone = "".join(f"{NAME}. 60 IN {each}\n" for each in host.splitlines())
        zone += "".join(f"{ZONE} {each}\n" for each in records)
        folder = Path(str(self.folder / f"dns{time.monotonic_ns()}"))
        folder.mkdir()
        alias = f"{NAME}.unsigned. 60 IN A 127.0.0.2\n"
        with (
            nameserver_with_knot(folder, zone, alias, port=53)
            if knot
            else nameserver(folder, zone, alias, port=53, validating=validating)
        ):
            yield

    @contextmanager
    def postfix(self, settings: str = "", services: str = "") -> Iterator[Path]:
        """Run the server, and name it as the one of this machine."""
        main = (
            "smtpd_tls_security_level = may\n"
            f"smtpd_tls_chain_files = {self.served}\n"
            "smtpd_peername_lookup = no\n"
            "smtpd_relay_restrictions = permit\n"
            "smtpd_recipient_restrictions = reject\n" + settings
        )
        with running(main, services or "127.0.0.2:25 inet n - n - - smtpd\n") as folder:
            yield folder


_SENDER = f"""
smtp_tls_security_level = dane
smtp_dns_support_level = dnssec
smtp_tls_loglevel = 1
inet_protocols = all
relayhost = [{NAME}]:25
myhostname = sender.example.test
default_destination_concurrency_failed_cohort_limit = 0
smtpd_recipient_restrictions = permit
"""

_SENDS = """
127.0.0.9:2525 inet n - n - - smtpd -o smtpd_tls_security_level=none
smtp unix - - n - - smtp -o max_use=1
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
"""
"""A process of smtp keeps TLSA records for their TTL, so each message has a new one."""


class Sender:
    """A Postfix that sends to our server at the level dane."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "maillog"

    def delivers(self) -> str:
        """Send a message, which the server refuses after the handshake; return what it met."""
        with smtplib.SMTP("127.0.0.9", 2525, timeout=30) as client:
            client.ehlo("client.example.test")
            client.docmd("MAIL", "FROM:<>")
            client.docmd("RCPT", "TO:<postmaster@example.test>")
            _, answer = client.data("Subject: test\r\n\r\n")
        queue_id = answer.decode().rpartition(" ")[2]
        deadline = time.monotonic() + 60
        while True:
            lines = self._log.read_text().splitlines()
            done = [line for line in lines if f" {queue_id}: to=" in line]
            if done:
                break
            assert time.monotonic() < deadline, "\n".join(lines)
            time.sleep(0.1)
        begin = next(at for at, line in enumerate(lines) if f" {queue_id}: " in line)
        if " said: 554 " not in done[0]:
            return f"{DEFERRED}: {done[0].partition('status=')[2]}"
        is_verified = any("Verified TLS connection" in line for line in lines[begin:])
        return DELIVERED if is_verified else UNPROTECTED


def ours(lab: Lab, postfix: Path, **settings: str) -> dict[str, object]:
    """Look, keep it, and read it back as `check --probe` does."""
    os.environ["MAIL_CONFIG"] = str(postfix)
    config = load(os.devnull, {}, {"state_dir": str(lab.state), "own_mx": NAME, **settings})
    now = int(time.time())
    probing.probe(config, now)
    with judging(config, now, ("own_mx", "certificate")) as (_, found):
        return {
            "level": found.level.word,
            "subjects": sorted({each.subject for each in found.conditions}),
            "texts": [each.text for each in found.conditions],
            "steps": [each.next_step for each in found.conditions],
        }


def scenarios(lab: Lab, sender: Sender) -> Iterator[tuple[str, str, dict[str, object]]]:
    old, new = f"3 1 1 {lab.old.digest()}", f"3 1 1 {lab.new.digest()}"
    stale = f"3 1 2 {lab.new.digest('sha512')}"
    issuer = Key(lab.authority.path, lab.authority.path, lab.authority.path)
    anchor, leaf = f"2 1 1 {issuer.digest()}", f"2 1 1 {lab.old.digest()}"
    whole = call("openssl", "x509", "-in", lab.authority.path, "-outform", "PEM")
    der = subprocess.run(
        ["openssl", "x509", "-outform", "DER"],
        input=whole.encode(),
        capture_output=True,
        check=True,
    ).stdout.hex()
    simple: dict[str, tuple[tuple[Key, ...], tuple[str, ...], str]] = {
        "right": ((lab.old,), (old,), ""),
        "right, next key announced": ((lab.old,), (old, new), ""),
        "wrong": ((lab.old,), (new,), ""),
        "anchor": ((lab.old,), (anchor,), ""),
        "anchor at the leaf": ((lab.old,), (leaf,), ""),
        "anchor itself": ((lab.old,), (f"2 0 0 {der}",), ""),
        "anchor, expired": ((lab.past,), (anchor,), ""),
        "anchor, another name": ((lab.other,), (anchor,), ""),
        "expired by key": ((lab.past,), (f"3 1 1 {lab.past.digest()}",), ""),
        "stale digest": ((lab.old,), (old, stale), ""),
        "usage 1 only": ((lab.old,), (f"1 1 1 {lab.old.digest()}",), ""),
        "no record": ((lab.old,), (), ""),
        "STARTTLS refused": ((lab.old,), (old,), "smtpd_tls_CAfile = /none\n"),
        "STARTTLS off": ((lab.old,), (old,), "smtpd_discard_ehlo_keywords = starttls\n"),
        "RSA not published": ((lab.old, lab.rsa), (old,), ""),
    }
    for name, (keys, records, settings) in simple.items():
        lab.serve(*keys)
        with lab.published(*records), lab.postfix(settings) as postfix:
            yield name, sender.delivers(), ours(lab, postfix)

    lab.serve(lab.old)
    with lab.published(old, validating=False), lab.postfix() as postfix:
        yield "no validation", sender.delivers(), ours(lab, postfix)
    yield from sni(lab, sender, old, new)

    # Renewals with another key: first the record, then the key; or the key at once.
    lab.serve(lab.old)
    lab.state = lab.folder / "renewals"
    with lab.postfix() as postfix:
        with lab.published(old):
            yield "renewal: before", sender.delivers(), ours(lab, postfix)
            nexts = {"own_mx_next_cert": str(lab.new.certificate)}
            yield "renewal: next not published", sender.delivers(), ours(lab, postfix, **nexts)
        with lab.published(old, new):
            yield "renewal: next too early", sender.delivers(), ours(lab, postfix, **nexts)
        lab.serve(lab.new)
        with lab.published(old, new):
            yield "renewal: file is there", sender.delivers(), ours(lab, postfix)
        with lab.published(new):
            yield "renewal: not reloaded", sender.delivers(), ours(lab, postfix)
            call("postfix", "-c", postfix, "reload")
            time.sleep(1)
            yield "renewal: reloaded", sender.delivers(), ours(lab, postfix)
        lab.serve(lab.old)
        with lab.published(new):
            yield "renewal: wrong file, not reloaded", sender.delivers(), ours(lab, postfix)


IPV6 = "2001:db8::2"


def addresses(lab: Lab, sender: Sender) -> Iterator[tuple[str, str, dict[str, object]]]:
    """The server has an address of each family, and each serves another key; or IPv6 alone."""
    lab.serve(lab.old)
    old, new = f"3 1 1 {lab.old.digest()}", f"3 1 1 {lab.new.digest()}"
    both, other = f"A 127.0.0.2\nAAAA {IPV6}", f"-o smtpd_tls_chain_files={lab.new.both}"
    services = (
        "127.0.0.2:25 inet n - n - - smtpd\n"
        f"[{IPV6}]:25 inet n - n - - smtpd {other}\n"
        f"[::1]:25 inet n - n - - smtpd {other}\n"
    )
    named = {
        "A and AAAA": (both, (old, new)),
        "A and AAAA, AAAA wrong": (both, (old,)),
        "A and AAAA, A wrong": (both, (new,)),
        "A and AAAA, AAAA is of nobody": ("A 127.0.0.2\nAAAA 2001:db8::3", (old,)),
        "IPv6 only": (f"AAAA {IPV6}", (new,)),
        "IPv6 only, wrong": (f"AAAA {IPV6}", (old,)),
        "::1": ("AAAA ::1", (new,)),
        "::1, wrong": ("AAAA ::1", (old,)),
    }
    with lab.postfix("inet_protocols = all\n", services) as postfix:
        for name, (host, records) in named.items():
            with lab.published(*records, host=host):
                yield name, sender.delivers(), ours(lab, postfix)


def knot(lab: Lab, sender: Sender) -> Iterator[tuple[str, str, dict[str, object]]]:
    """Another name server signs, with NSEC3."""
    lab.serve(lab.old)
    old, new = f"3 1 1 {lab.old.digest()}", f"3 1 1 {lab.new.digest()}"
    malformed, alias = r"\# 5 0301020011", f"CNAME {NAME}.unsigned."
    named: dict[str, tuple[str, tuple[str, ...]]] = {
        "right": ("A 127.0.0.2", (old, new)),
        "wrong": ("A 127.0.0.2", (new,)),
        "malformed beside right": ("A 127.0.0.2", (old, malformed)),
        "malformed only": ("A 127.0.0.2", (malformed,)),
        "no record": ("A 127.0.0.2", ()),
        "alias of what is unsigned": (alias, (new,)),
    }
    with lab.postfix() as postfix:
        for name, (host, records) in named.items():
            with lab.published(*records, host=host, knot=True):
                yield f"knot: {name}", sender.delivers(), ours(lab, postfix)


def sni(
    lab: Lab, sender: Sender, old: str, new: str
) -> Iterator[tuple[str, str, dict[str, object]]]:
    """The certificate for the name comes from a table; another is the default."""
    table, entry = lab.folder / "sni", lab.folder / "entry.pem"
    table.write_text(f"{NAME} {entry}\n")
    entry.write_text(lab.old.both.read_text())
    lab.serve(lab.rsa)
    with lab.postfix(f"tls_server_sni_maps = hash:{table}\n") as postfix:
        make = ("postmap", "-c", postfix, "-F", f"hash:{table}")
        call(*make)
        with lab.published(old):
            yield "SNI: right", sender.delivers(), ours(lab, postfix)
            entry.write_text(lab.new.both.read_text())
            yield "SNI: renewed, record missing", sender.delivers(), ours(lab, postfix)
        with lab.published(new):
            yield "SNI: table is old", sender.delivers(), ours(lab, postfix)
            call(*make)
            call("postfix", "-c", postfix, "reload")
            time.sleep(1)
            yield "SNI: table is made again", sender.delivers(), ours(lab, postfix)


GROUPS = {"scenarios": scenarios, "addresses": addresses, "knot": knot}


def main() -> None:
    folder, group = Path(sys.argv[1]), GROUPS[sys.argv[2]]
    call("ip", "link", "set", "lo", "up")
    call("ip", "address", "add", f"{IPV6}/128", "dev", "lo", "nodad")
    resolv = folder / "resolv.conf"
    resolv.write_text("nameserver 127.0.0.1\noptions trust-ad\n")
    call("mount", "--bind", resolv, "/etc/resolv.conf")
    with running(_SENDER, _SENDS) as sends:
        for name, did, said in group(Lab(folder), Sender(sends)):
            print(json.dumps({"name": name, "sender": did, **said}), flush=True)


if __name__ == "__main__":
    main()
