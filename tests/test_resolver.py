"""What a real resolver answers, and whether it vouches for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import free_port, nameserver, needs

from dane_mailgraph.dane import resolver
from dane_mailgraph.dane.resolver import ResolvConf

DIGEST = "a3753df33d4074a625b030b9289c50f72815561a3dc85a6c4f0ff5446e5ad64a"

SIGNED = f"""
mail.example.test. 60 IN A 192.0.2.1
forged.example.test. 60 IN A 192.0.2.99
_25._tcp.mail.example.test. 60 IN TLSA 3 1 1 {DIGEST}
_25._tcp.other.example.test. 60 IN CNAME _25._tcp.mail.example.test.
_443._tcp.mail.example.test. 60 IN TLSA 3 1 0 {DIGEST * 12}
_26._tcp.mail.example.test. 60 IN TYPE52 \\# 35 030101{DIGEST}
_26._tcp.mail.example.test. 60 IN TYPE52 \\# 5 03010200ff
"""
UNSIGNED = f"_25._tcp.mail.unsigned. 60 IN TLSA 3 1 1 {DIGEST}\n"

pytestmark = pytest.mark.server

real = needs("unbound", "ldns-keygen", "ldns-signzone")


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with nameserver(
        tmp_path_factory.mktemp("unbound"), SIGNED, UNSIGNED, forged="192.0.2.66"
    ) as port:
        yield port


@real
def test_a_validating_resolver_vouches_for_the_root(port: int) -> None:
    """That is Postfix's own probe."""
    answer = resolver.query(".", "NS", "127.0.0.1", port)

    assert (answer.code, answer.secure, answer.records, answer.is_final) == (
        "NOERROR",
        True,
        ("ns.",),
        True,
    )


@real
@pytest.mark.parametrize("name", ["mail", "other"])
def test_signed_records_are_secure_through_a_cname_too(name: str, port: int) -> None:
    answer = resolver.query(f"_25._tcp.{name}.example.test", "TLSA", "127.0.0.1", port)

    assert (answer.secure, answer.records) == (True, (f"3 1 1 {DIGEST}",))


@real
def test_an_answer_too_long_for_a_datagram_comes_by_tcp(port: int) -> None:
    answer = resolver.query("_443._tcp.mail.example.test", "TLSA", "127.0.0.1", port)

    assert [each.replace(" ", "") for each in answer.records] == [f"310{DIGEST * 12}"]


@real
def test_a_malformed_record_takes_no_other_with_it(port: int) -> None:
    answer = resolver.query("_26._tcp.mail.example.test", "TLSA", "127.0.0.1", port)

    assert (answer.code, answer.secure, answer.is_final) == ("NOERROR", True, True)
    assert sorted(answer.records) == sorted((f"3 1 1 {DIGEST}", "3 1 2 00ff"))


@real
def test_an_answer_names_the_owner_and_the_time_to_live(port: int) -> None:
    alias = resolver.query("_25._tcp.other.example.test", "TLSA", "127.0.0.1", port)
    none = resolver.query("none", "A", "127.0.0.1", port)

    assert (alias.owner, none.owner) == ("_25._tcp.mail.example.test", "none")
    assert 50 <= alias.ttl <= 60 and none.ttl == 0


@real
def test_unsigned_records_are_there_but_not_secure(port: int) -> None:
    answer = resolver.query("_25._tcp.mail.unsigned", "TLSA", "127.0.0.1", port)

    assert (answer.code, answer.secure, answer.records) == ("NOERROR", False, (f"3 1 1 {DIGEST}",))


@real
def test_an_answer_that_there_are_no_records_is_final_and_secure(port: int) -> None:
    none = resolver.query("none", "A", "127.0.0.1", port)
    empty = resolver.query("mail.example.test", "TLSA", "127.0.0.1", port)

    assert (none.code, none.secure, none.is_final, none.records) == ("NXDOMAIN", True, True, ())
    assert (empty.code, empty.secure, empty.is_final, empty.records) == ("NOERROR", True, True, ())


@real
def test_a_forged_record_is_no_answer(port: int) -> None:
    answer = resolver.query("forged.example.test", "A", "127.0.0.1", port)

    assert (answer.code, answer.is_final, answer.records) == ("SERVFAIL", False, ())


@real
def test_a_resolver_that_does_not_validate_vouches_for_nothing(tmp_path: Path) -> None:
    with nameserver(tmp_path, SIGNED, validating=False) as port:
        answer = resolver.query("_25._tcp.mail.example.test", "TLSA", "127.0.0.1", port)

    assert (answer.secure, answer.records) == (False, (f"3 1 1 {DIGEST}",))


@real
def test_the_next_server_is_asked_where_one_does_not_know(port: int) -> None:
    resolv = ResolvConf("", "nameserver 127.0.0.9\nnameserver 127.0.0.1\n")

    assert resolver.look_up("mail.example.test", "A", resolv._replace(port=port)).records == (
        "192.0.2.1",
    )


def test_a_server_that_does_not_answer_is_reported() -> None:
    answer = resolver.query(".", "NS", "127.0.0.1", free_port())

    assert (answer.code, answer.is_final, answer.secure) == ("", False, False)
    assert answer.trouble


@pytest.mark.parametrize("server", ["ns.example.test", "", "999.1.1.1"])
def test_a_server_that_is_no_address_is_reported(server: str) -> None:
    answer = resolver.query(".", "NS", server)

    assert (answer.is_final, answer.server) == (False, server)
    assert answer.trouble


@pytest.mark.parametrize(
    ("text", "servers", "trusts"),
    [
        ("nameserver 192.0.2.1\nnameserver ::1\n", ("192.0.2.1", "::1"), False),
        (
            "# nameserver 192.0.2.9\n\nsearch x\nnameserver 127.0.0.53\noptions edns0 trust-ad\n",
            ("127.0.0.53",),
            True,
        ),
        (
            "".join(f"nameserver 192.0.2.{n}\n" for n in range(5)),
            ("192.0.2.0", "192.0.2.1", "192.0.2.2"),
            False,
        ),
        ("nameserver\n", ("127.0.0.1",), False),
        ("", ("127.0.0.1",), False),
    ],
)
def test_a_resolv_conf_is_read_as_the_c_library_reads_it(
    text: str, servers: tuple[str, ...], trusts: bool, tmp_path: Path
) -> None:
    (tmp_path / "resolv.conf").write_text(text)
    resolv = resolver.read_resolv_conf(str(tmp_path / "resolv.conf"))

    assert (resolv.servers, resolv.trust_ad, resolv.trouble) == (servers, trusts, "")


def test_a_resolv_conf_that_is_absent_means_this_machine(tmp_path: Path) -> None:
    resolv = resolver.read_resolv_conf(str(tmp_path / "none"))

    assert (resolv.text, resolv.trouble, resolv.servers) == (None, "", ("127.0.0.1",))
    assert resolver.read_resolv_conf(str(tmp_path)).trouble == "Is a directory"


@pytest.mark.parametrize(
    ("server", "here"),
    [
        ("127.0.0.1", True),
        ("127.0.0.53", True),
        ("::1", True),
        ("::1%lo", True),
        ("192.0.2.1", False),
        ("fe80::1%eth0", False),
        ("x", False),
    ],
)
def test_an_address_of_this_machine_is_loopback(server: str, here: bool) -> None:
    assert resolver.is_loopback(server) is here
