"""Our own servers: real certificates, a real Postfix that serves them, a real signed zone."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from servers import NAME, Authority, call, configured, free_port, nameserver, needs, running

from dane_mailgraph.dane import certificates, servers
from dane_mailgraph.dane.own_server import NO_STARTTLS, UNREACHABLE
from dane_mailgraph.dane.resolver import ResolvConf
from dane_mailgraph.dane.servers import Target
from dane_mailgraph.dane.verdict import Verdict, judge
from dane_mailgraph.doctor import handshakes, own_mx
from dane_mailgraph.doctor.postconf import Instance, Service
from dane_mailgraph.doctor.served import Served, read_served
from dane_mailgraph.errors import UsageError

HERE = ResolvConf("", "nameserver 127.0.0.1\n")

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


def looked(
    instance: Instance, port: int = 25, name: str = NAME, address: str = "127.0.0.1"
) -> Served | None:
    """What an instance is configured to serve on an address of this machine."""
    found = [
        each
        for service in instance.services
        if (
            each := read_served(
                instance,
                service,
                [address],
                name,
                lambda path, group: certificates.read_chain(path, group, name),
            )
        )
        and service.name.rpartition(":")[2] in ("smtp" if port == 25 else str(port), str(port))
    ]
    return found[0] if found else None


def files(instance: Instance, port: int = 25) -> Served:
    found = looked(instance, port)
    assert found
    return found


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
    assert servers.parse_target(text) == target
    assert servers.parse_target(text).record == f"_{target[1]}._tcp.{target[0]}"


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
def test_a_text_that_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no"):
        servers.parse_target(text)


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
def test_a_service_that_takes_mail_from_others_is_one_of_our_servers(
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
    served = files(receiver(smtpd_tls_cert_file=str(both)))
    (chain,) = served.service.chains

    assert (
        served.offers_tls,
        served.service.unread,
        chain.path,
        chain.names_server,
        chain.leaf_verifies,
    ) == (
        True,
        (),
        str(both),
        True,
        (True, True),
    )
    assert [each.subject for each in chain.certificates] == [f"CN = {NAME}", "CN = Test CA"]
    assert chain.leaf.spki == public_key(path)
    assert chain.leaf.ends - chain.leaf.begins == 90 * 86400
    assert hashlib.sha256(chain.leaf.der).hexdigest() == fingerprint(path)


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
    chains = files(
        receiver(smtpd_tls_chain_files=str(path), smtpd_tls_cert_file="/ignored")
    ).service.chains

    assert [chain.leaf.spki for chain in chains] == [public_key(one), public_key(two)]
    assert [len(chain.certificates) for chain in chains] == [2, 2]


def test_a_key_may_be_in_the_chain_file_before_that_of_its_certificates(
    authority: Authority,
) -> None:
    (key, one), (other, two) = authority.issue("split1"), authority.issue("split2")
    service = files(receiver(smtpd_tls_chain_files=f"{key}, {one} {other} {two}")).service

    assert [each.path for each in service.chains] == [str(one), str(two)]
    assert (service.troubles, service.unread) == ((), ())


def test_a_key_in_a_chain_file_that_is_of_another_certificate_is_named(
    authority: Authority,
) -> None:
    (_, one), (other, _) = authority.issue("fit1"), authority.issue("fit2")
    path = authority.folder / "misfit.pem"
    path.write_text(other.read_text() + one.read_text())
    service = files(receiver(smtpd_tls_chain_files=str(path))).service

    assert service.troubles == (f"the key before the certificate in {path} is another",)


def test_rsa_and_ecdsa_have_files_of_their_own_and_services_may_have_others(
    authority: Authority,
) -> None:
    key, one = authority.issue("rsa")
    other, two = authority.issue("ecdsa")
    instance = receiver(
        ("smtpd_tls_cert_file", str(two)),
        smtpd_tls_cert_file="/none",
        smtpd_tls_eccert_file=str(one),
        smtpd_tls_key_file=str(other),
        smtpd_tls_eckey_file=str(key),
    )
    served = files(instance)

    assert [chain.path for chain in served.service.chains] == [str(two), str(one)]
    assert served.service.troubles == ()
    assert looked(instance, address="192.0.2.1") is None


def test_only_files_of_the_service_on_the_address_count(authority: Authority) -> None:
    _, one = authority.issue("here")
    here = receiver(port="127.0.0.2:smtp", smtpd_tls_cert_file=str(one))
    bound = receiver(inet_interfaces="127.0.0.2", smtpd_tls_cert_file=str(one))

    assert looked(here, address="127.0.0.2") and looked(bound, address="127.0.0.2")
    assert looked(here, address="127.0.0.1") is None
    assert looked(bound, address="127.0.0.1") is None
    assert looked(receiver(inet_interfaces="loopback-only"), address="127.0.0.2") is None


def test_a_key_that_does_not_belong_to_its_certificate_is_seen(authority: Authority) -> None:
    _, path = authority.issue("whose")
    key, _ = authority.issue("others")
    unfit = files(receiver(smtpd_tls_cert_file=str(path), smtpd_tls_key_file=str(key)))
    gone = files(receiver(smtpd_tls_cert_file=str(path), smtpd_tls_key_file="/none.key"))

    assert unfit.service.troubles == (f"{key} is not the key of {path}",)
    assert gone.service.troubles == ("/none.key is gone",)


@needs("postmap", "postconf")
def test_the_table_of_sni_holds_copies_of_what_its_files_held(
    authority: Authority, tmp_path: Path
) -> None:
    key, path = authority.issue("sni")
    configuration = configured(tmp_path / "etc")
    table = tmp_path / "sni"
    table.write_text(f"{NAME} {key} {path}\n")
    call("postmap", "-c", configuration, "-F", f"hash:{table}")
    instance = receiver(
        tls_server_sni_maps=f"hash:{table}", smtpd_tls_cert_file="/not/for/this/name"
    )._replace(directory=str(configuration))
    fresh = files(instance).service
    renewed_key, renewed = authority.issue("sni-renewed")
    path.write_text(renewed.read_text())
    key.write_text(renewed_key.read_text())
    stale = files(instance).service

    assert [each.leaf.spki for each in fresh.chains] == [each.leaf.spki for each in stale.chains]
    assert (fresh.renewed, fresh.troubles) == ((), ())
    assert [each.leaf.spki for each in stale.renewed] == [public_key(renewed)]
    assert stale.remake == f"postmap -c {configuration} -F hash:{table}"


def test_another_name_and_a_date_that_is_past_are_seen(authority: Authority) -> None:
    _, other = authority.issue("other", "www.example.test")
    _, past = authority.issue("past", days=-1)
    first, second = (
        files(receiver(smtpd_tls_cert_file=str(path))).service.chains[0] for path in (other, past)
    )

    assert (first.names_server, first.leaf_verifies) == (False, (True, True))
    assert (second.names_server, second.leaf_verifies) == (True, (False, False))


def test_files_that_cannot_be_read_or_hold_nothing_are_reported(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing\n")
    (tmp_path / "broken.pem").write_text(
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    )
    (tmp_path / "folder.pem").mkdir()
    paths = " ".join(f"{tmp_path}/{each}.pem" for each in ("none", "folder", "empty", "broken"))
    served = files(receiver(smtpd_tls_chain_files=paths))

    assert (served.service.chains, served.service.troubles) == (
        (),
        (f"{tmp_path}/none.pem is gone",),
    )
    assert served.service.unread == (
        f"{tmp_path}/folder.pem cannot be read: Is a directory",
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
def test_tls_is_on_by_its_level_or_by_the_old_setting(
    settings: dict[str, str], offers: bool
) -> None:
    assert files(receiver(**settings)).offers_tls is offers


# ---- the whole ------------------------------------------------------------------------------


class Server(NamedTuple):
    """A Postfix on loopback, and the records that are published for it."""

    target: Target
    certificate: Path
    dns: int
    """Port of the resolver."""

    def verdict(self) -> Verdict:
        return judge(
            own_mx.look_at(self.target, [], HERE._replace(port=self.dns)).server, int(time.time())
        )


@contextmanager
def serving(authority: Authority, folder: Path, settings: str, records: str) -> Iterator[Server]:
    """Run a Postfix at 127.0.0.2 and 127.0.0.3 and a signed zone.

    In the records `{zone}` is the name of the TLSA records, `{key}` and `{ca}` are digests.
    """
    key, path = authority.issue("served")
    together = authority.folder / "served.chain"
    together.write_text(key.read_text() + path.read_text())
    port = free_port()
    words = {
        "zone": f"_{port}._tcp.{NAME}. 60 IN TLSA",
        "key": hashlib.sha256(public_key(path)).hexdigest(),
        "ca": fingerprint(authority.path),
    }
    addresses = f"{NAME}. 60 IN A 127.0.0.2\n{NAME}. 60 IN A 127.0.0.3\n"
    folder.mkdir()
    services = "".join(
        f"127.0.0.{each}:{port} inet n - n - - smtpd -o smtpd_tls_chain_files={together}\n"
        for each in (2, 3)
    )
    tls = "smtpd_tls_security_level = may\n"
    with (
        nameserver(folder, addresses + records.format(**words)) as dns,
        running(tls + settings, services),
    ):
        yield Server(Target(NAME, port), path, dns)


REAL_POSTFIX = needs("postfix", "postconf", root=True)
REAL_ZONE = needs("unbound", "ldns-keygen", "ldns-signzone")


@REAL_POSTFIX
@REAL_ZONE
def test_what_a_real_postfix_serves_is_matched_by_the_records_of_a_real_zone(
    authority: Authority, tmp_path: Path
) -> None:
    records = "{zone} 3 1 1 {key}\n{zone} 2 0 1 {ca}\n"
    with serving(authority, tmp_path / "dns", "", records) as server:
        seen = own_mx.look_at(server.target, [], HERE._replace(port=server.dns)).server
        again = own_mx.look_at(server.target, [], HERE._replace(port=server.dns)).server
    found = judge(seen, int(time.time()))

    zone = seen.published
    assert (zone.host_is_signed, zone.is_signed, zone.validates, zone.ttl) == (True,) * 3 + (60,)
    assert [(each.address, each.keys) for each in seen.handshakes] == [
        (address, keys) for address in ("127.0.0.2", "127.0.0.3") for keys in ("", "ECDSA")
    ]
    assert {each.chain.leaf.spki for each in seen.handshakes if each.chain} == {
        public_key(server.certificate)
    }
    assert (found.findings, found.matches) == ((), 2)
    assert judge(again, int(time.time())) == found


@REAL_POSTFIX
@REAL_ZONE
@pytest.mark.parametrize(
    ("records", "causes"),
    [
        ("{zone} 3 1 1 {ca}\n", ["no_match"]),
        ("{zone} 2 1 1 {key}\n", ["anchor_at_leaf"]),
        ("", ["no_record"]),
    ],
)
def test_what_senders_see_of_a_real_postfix(
    authority: Authority, tmp_path: Path, records: str, causes: list[str]
) -> None:
    with serving(authority, tmp_path / "dns", "", records) as server:
        found = server.verdict()

    assert [each.cause for each in found.findings] == causes
    assert found.findings[0].values.get("places", "127.0.0.2, 127.0.0.3") == "127.0.0.2, 127.0.0.3"


@REAL_POSTFIX
@REAL_ZONE
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("smtpd_discard_ehlo_keywords = starttls\n", "it is not offered"),
        ("smtpd_tls_CAfile = /none\n", "454 4.7.0 TLS not available due to local problem"),
    ],
)
def test_a_postfix_that_refuses_starttls_is_told_from_one_that_is_not_there(
    authority: Authority, tmp_path: Path, settings: str, words: str
) -> None:
    with serving(authority, tmp_path / "dns", settings, "{zone} 3 1 1 {key}\n") as server:
        seen = own_mx.look_at(server.target, [], HERE._replace(port=server.dns)).server

    assert [(each.trouble, each.words) for each in seen.handshakes] == [(NO_STARTTLS, words)] * 2


@REAL_ZONE
def test_the_port_submissions_speaks_tls_at_once(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, path = authority.issue("submissions")
    port = free_port()
    monkeypatch.setattr(handshakes, "SUBMISSIONS", port)
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
                chain := own_mx.look_at(Target(NAME, port), [], HERE._replace(port=dns))
                .server.handshakes[0]
                .chain
            ) is None and time.monotonic() < deadline:
                assert server.poll() is None
        finally:
            server.terminate()

    assert chain and chain.leaf.spki == public_key(path)


@REAL_ZONE
def test_a_server_that_does_not_answer_is_reported(tmp_path: Path) -> None:
    port = free_port()
    with nameserver(tmp_path, f"{NAME}. 60 IN A 127.0.0.1\n") as dns:
        (shaken,) = own_mx.look_at(
            Target(NAME, port), [], HERE._replace(port=dns)
        ).server.handshakes

    assert (shaken.trouble, shaken.words) == (UNREACHABLE, "Connection refused")


ALIASES = """
signed. 60 IN CNAME mail.example.test.
mail.example.test. 60 IN A 127.0.0.1
crossing. 60 IN CNAME mail.unsigned.
_25._tcp.mail.example.test. 60 IN TLSA 3 1 1 {expanded}
_25._tcp.signed. 60 IN TLSA 3 1 1 {own}
_25._tcp.crossing. 60 IN TLSA 3 1 1 {own}
own. 60 IN CNAME bare.example.test.
bare.example.test. 60 IN A 127.0.0.1
_25._tcp.own. 60 IN TLSA 3 1 1 {own}
"""


@REAL_ZONE
@pytest.mark.parametrize(
    ("name", "base", "host_is_signed", "is_signed"),
    [
        ("signed", "mail.example.test", True, True),
        ("own", "own", True, True),
        ("crossing", "crossing", True, True),
        ("mail.unsigned", "mail.unsigned", False, False),
        ("mail.example.test", "mail.example.test", True, True),
    ],
)
def test_an_alias_has_its_records_where_senders_look_for_them(
    tmp_path: Path, name: str, base: str, host_is_signed: bool, is_signed: bool
) -> None:
    records = ALIASES.format(expanded="0" * 64, own="1" * 64)
    unsigned = (
        f"mail.unsigned. 60 IN A 127.0.0.1\n_25._tcp.mail.unsigned. 60 IN TLSA 3 1 1 {'2' * 64}\n"
    )
    with nameserver(tmp_path, records, unsigned) as dns:
        zone = own_mx.look_at(Target(name), [], HERE._replace(port=dns)).server.published

    assert (zone.name, zone.host_is_signed, zone.is_signed) == (
        f"_25._tcp.{base}",
        host_is_signed,
        is_signed,
    )
    assert zone.records and zone.validates


@REAL_ZONE
def test_a_forged_zone_is_a_lookup_that_fails(tmp_path: Path) -> None:
    records = f"{NAME}. 60 IN A 192.0.2.99\n"
    with nameserver(tmp_path, records, forged="192.0.2.66") as dns:
        seen = own_mx.look_at(Target(NAME), [], HERE._replace(port=dns)).server

    (found,) = judge(seen, 0).findings
    assert (found.cause, found.values["words"]) == ("lookup_fails", "SERVFAIL")


@REAL_ZONE
def test_a_resolver_that_does_not_validate_leaves_it_unknown(tmp_path: Path) -> None:
    with nameserver(tmp_path, f"{NAME}. 60 IN A 127.0.0.1\n", validating=False) as dns:
        seen = own_mx.look_at(Target(NAME), [], HERE._replace(port=dns)).server

    assert [each.cause for each in judge(seen, 0).findings] == ["not_validating"]


def test_a_name_without_a_resolver_is_unknown() -> None:
    seen = own_mx.look_at(Target(NAME), [], ResolvConf("", "nameserver nowhere\n")).server

    assert [each.cause for each in judge(seen, 0).findings] == ["no_resolver"]
    assert seen.handshakes == ()
