"""Our own servers: real certificates, a real Postfix that serves them, a real signed zone."""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import NAME, Authority, call, free_port, nameserver, needs, running

from dane_mailgraph.dane import servers, tlsa
from dane_mailgraph.dane.resolver import Resolv
from dane_mailgraph.dane.servers import Target
from dane_mailgraph.dane.tlsa import Tlsa
from dane_mailgraph.doctor import own_mx
from dane_mailgraph.doctor.own_mx import Mx
from dane_mailgraph.doctor.postconf import Instance, Service
from dane_mailgraph.errors import UsageError

HERE = Resolv("", "nameserver 127.0.0.1\n")

pytestmark = [pytest.mark.server, needs("openssl")]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def public_key(path: Path) -> bytes:
    """The DER of the public key of a certificate, by another way than the one under test."""
    text = call(
        "openssl",
        "pkey",
        "-pubin",
        "-outform",
        "PEM",
        stdin=call("openssl", "x509", "-noout", "-pubkey", "-in", path),
    )
    return base64.b64decode(re.sub("-----.*-----", "", text))


def receiver(
    *overrides: tuple[str, str], port: str = "smtp", program: str = "smtpd", **settings: str
) -> Instance:
    """An instance that takes mail on a port."""
    told = {
        "smtpd_tls_security_level": "may",
        "myhostname": NAME,
        "inet_interfaces": "all",
        **settings,
    }
    return Instance("/etc/postfix", told, (Service(port, "inet", program, False, dict(overrides)),))


def looked(instance: Instance, port: int = 25, name: str = NAME) -> Mx:
    """What is told of an instance; nobody answers the questions of the resolver."""
    return own_mx.look(Target(name, port), [instance], Resolv("", "nameserver nowhere\n"))


# ---- names ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("mail.example.org", ("mail.example.org", 25)),
        ("MAIL.example.org.:465", ("mail.example.org", 465)),
        ("mx_1.example:1", ("mx_1.example", 1)),
    ],
)
def test_a_name_and_a_port_are_read(text: str, target: tuple[str, int]) -> None:
    assert servers.target(text) == target
    assert servers.target(text).record == f"_{target[1]}._tcp.{target[0]}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":25",
        "a b",
        "mail:0",
        "mail:65536",
        "mail:",
        "-x.example",
        "-connect",
        "a..b",
        "[192.0.2.1]:25",
        "x" * 64 + ".y" * 100,
    ],
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no"):
        servers.target(text)


@pytest.mark.parametrize(
    ("instance", "names"),
    [
        (receiver(), [NAME]),
        (receiver(port="25", program="postscreen"), [NAME]),
        (receiver(port="192.0.2.1:smtp"), [NAME]),
        (receiver(port="127.0.0.1:smtp"), []),
        (receiver(port="localhost:10025"), []),
        (receiver(port="submission"), []),
        (receiver(inet_interfaces="loopback-only"), []),
        (receiver(inet_interfaces="127.0.0.1, [::1]"), []),
        (receiver(inet_interfaces="127.0.0.1, 192.0.2.1"), [NAME]),
    ],
)
def test_who_takes_mail_from_others_is_one_of_our_servers(
    instance: Instance, names: list[str]
) -> None:
    assert own_mx.receivers([instance, instance]) == [Target(name) for name in names]


# ---- files ----------------------------------------------------------------------------------


def test_a_certificate_file_gives_the_chain_with_its_key_name_and_dates(
    authority: Authority,
) -> None:
    key, path = authority.issue("plain")
    both = path.with_suffix(".both")
    both.write_text(path.read_text() + key.read_text())
    (served,) = looked(receiver(smtpd_tls_cert_file=str(both))).served
    (chain,) = served.chains

    assert (served.offers, served.troubles, chain.path, chain.named, chain.anchors) == (
        True,
        (),
        str(both),
        True,
        (True, True),
    )
    assert [each.subject for each in chain.certificates] == [f"CN = {NAME}", "CN = Test CA"]
    assert chain.own.spki == public_key(path)
    assert chain.own.ends - chain.own.begins == 90 * 86400
    assert hashlib.sha256(chain.own.der).hexdigest() == fingerprint(path)


def fingerprint(path: Path) -> str:
    return (
        call("openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", path)
        .partition("=")[2]
        .strip()
        .replace(":", "")
        .lower()
    )


def test_chain_files_hold_several_keys_with_their_chains(authority: Authority) -> None:
    (key, one), (other, two) = authority.issue("one"), authority.issue("two")
    path = authority.folder / "chains.pem"
    path.write_text("".join(each.read_text() for each in (key, one, other, two)))
    (served,) = looked(
        receiver(smtpd_tls_chain_files=str(path), smtpd_tls_cert_file="/ignored")
    ).served

    assert [chain.own.spki for chain in served.chains] == [public_key(one), public_key(two)]
    assert [len(chain.certificates) for chain in served.chains] == [2, 2]


def test_rsa_and_ecdsa_have_files_of_their_own_and_services_may_have_others(
    authority: Authority,
) -> None:
    _, one = authority.issue("rsa")
    _, two = authority.issue("ecdsa")
    instance = receiver(
        ("smtpd_tls_cert_file", str(two)),
        smtpd_tls_cert_file="/none",
        smtpd_tls_eccert_file=str(one),
    )
    (served,) = looked(instance).served

    assert [chain.path for chain in served.chains] == [str(two), str(one)]
    assert looked(instance, port=465).served == ()


def test_another_name_and_a_date_that_is_past_are_seen(authority: Authority) -> None:
    _, other = authority.issue("other", "www.example.test")
    _, past = authority.issue("past", days=-1)
    (first,), (second,) = (
        looked(receiver(smtpd_tls_cert_file=str(path))).served[0].chains for path in (other, past)
    )

    assert (first.named, first.anchors) == (False, (True, True))
    assert (second.named, second.anchors) == (True, (False, False))


def test_files_that_cannot_be_read_or_hold_nothing_are_reported(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing\n")
    (tmp_path / "broken.pem").write_text(
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    )
    files = f"{tmp_path}/none.pem, {tmp_path}/empty.pem {tmp_path}/broken.pem"
    (served,) = looked(receiver(smtpd_tls_chain_files=files)).served

    assert served.chains == ()
    assert served.troubles == (
        f"{tmp_path}/none.pem cannot be read: No such file or directory",
        f"{tmp_path}/empty.pem holds no certificate that openssl can read",
        f"{tmp_path}/broken.pem holds no certificate that openssl can read",
    )


@pytest.mark.parametrize(
    ("settings", "offers"),
    [
        ({}, True),
        ({"smtpd_tls_security_level": "none"}, False),
        ({"smtpd_tls_security_level": ""}, False),
        ({"smtpd_tls_security_level": "", "smtpd_use_tls": "yes"}, True),
        ({"smtpd_tls_security_level": "none", "smtpd_use_tls": "yes"}, False),
    ],
)
def test_whether_tls_is_on(settings: dict[str, str], offers: bool) -> None:
    assert looked(receiver(**settings)).served[0].offers is offers


# ---- the whole ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(authority: Authority) -> Iterator[tuple[Target, Path, int]]:
    """A Postfix on loopback and a signed zone: its name and port, certificate, the zone's port."""
    key, path = authority.issue("served")
    together = authority.folder / "served.chain"
    together.write_text(key.read_text() + path.read_text())
    port = free_port(socket.SOCK_STREAM)
    records = (
        f"{NAME}. 60 IN A 127.0.0.1\n"
        f"_{port}._tcp.{NAME}. 60 IN TLSA 3 1 1 {hashlib.sha256(public_key(path)).hexdigest()}\n"
        f"_{port}._tcp.{NAME}. 60 IN TLSA 2 0 1 {fingerprint(authority.path)}\n"
    )
    folder = authority.folder / "unbound"
    folder.mkdir()
    tls = f"smtpd_tls_security_level = may\nsmtpd_tls_chain_files = {together}\n"
    with (
        nameserver(folder, records) as dns,
        running(tls, f"127.0.0.1:{port} inet n - n - - smtpd\n"),
    ):
        yield Target(NAME, port), path, dns


@needs("postfix", "postconf", root=True)
@needs("unbound", "ldns-keygen", "ldns-signzone")
def test_what_a_real_postfix_serves_is_matched_by_the_records_of_a_real_zone(
    served: tuple[Target, Path, int],
) -> None:
    target, path, dns = served
    mx = own_mx.look(target, [], HERE, dns)
    records = [tlsa.read(each) for each in mx.records.records]

    assert (mx.address.secure, mx.address.records, mx.records.secure, mx.no_answer) == (
        True,
        ("127.0.0.1",),
        True,
        "",
    )
    assert mx.live and mx.live.own.spki == public_key(path)
    assert (mx.live.named, mx.live.anchors) == (True, (True, True))
    assert sorted(each[0] for each in records if each) == [2, 3]
    assert all(tlsa.matches(each, mx.live) for each in records if each)
    assert not tlsa.matches(Tlsa(3, 1, 1, bytes(32)), mx.live)


@needs("unbound", "ldns-keygen", "ldns-signzone")
def test_the_port_submissions_speaks_tls_at_once(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, path = authority.issue("submissions")
    port = free_port(socket.SOCK_STREAM)
    monkeypatch.setattr(own_mx, "SUBMISSIONS", port)
    words = [
        "openssl",
        "s_server",
        "-accept",
        f"127.0.0.1:{port}",
        "-key",
        str(key),
        "-cert",
        str(path),
        "-quiet",
    ]
    with (
        nameserver(tmp_path, f"{NAME}. 60 IN A 127.0.0.1\n") as dns,
        subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as server,
    ):
        try:
            deadline = time.monotonic() + 20
            while (
                mx := own_mx.look(Target(NAME, port), [], HERE, dns)
            ).live is None and time.monotonic() < deadline:
                assert server.poll() is None
        finally:
            server.terminate()

    assert mx.live and mx.live.own.spki == public_key(path)


@needs("unbound", "ldns-keygen", "ldns-signzone")
def test_a_server_that_does_not_answer_is_reported(tmp_path: Path) -> None:
    port = free_port(socket.SOCK_STREAM)
    with nameserver(tmp_path, f"{NAME}. 60 IN A 127.0.0.1\n") as dns:
        mx = own_mx.look(Target(NAME, port), [], HERE, dns)

    assert (mx.live, mx.no_answer) == (
        None,
        f"127.0.0.1:{port} gives no certificate: Connection refused",
    )


def test_a_name_without_an_address_is_not_asked() -> None:
    assert looked(receiver()).no_answer == f"{NAME} has no address"
