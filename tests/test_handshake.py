"""A client's text is the summary of a session or nothing, and a summary counts in categories."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dane_mailgraph.categories import CATEGORIES, FAMILIES
from dane_mailgraph.peers import Peer, PeerSet
from dane_mailgraph.postfix.classify import Classifier
from dane_mailgraph.postfix.handshake import Summary, categories, summary, unwrap
from dane_mailgraph.postfix.lines import ClientLine
from dane_mailgraph.postfix.sessions import Sessions

DEFAULT = PeerSet("127.0.0.0/8 ::1 unix")
SUITE = "TLS_AES_256_GCM_SHA384 (256/256 bits)"


def text(
    label: str = "Verified",
    verb: str = "established",
    relay: str = "mx.example.org[192.0.2.10]:25",
    tls: str = f"TLSv1.3 with cipher {SUITE}",
) -> bytes:
    return f"{label} TLS connection {verb} to {relay}: {tls}".encode()


def said(**parts: str) -> Summary:
    found = summary(text(**parts))
    assert found is not None
    return found


def group(name: str) -> str:
    return said(tls=f"TLSv1.3 with cipher {SUITE} key-exchange {name}").key_exchange


def cipher(name: str, protocol: str = "TLSv1.2") -> str:
    return said(tls=f"{protocol} with cipher {name} (256/256 bits)").key_exchange


def keys(found: Summary, ignored: PeerSet = DEFAULT) -> list[str]:
    relay = Peer.parse(found.relay)
    assert relay is not None
    return [] if relay in ignored else [each.key for each in categories(found)]


def why_not(line: bytes, ignored: PeerSet = DEFAULT) -> str:
    """The note of a text that counts nowhere; empty for one that counts."""
    sessions = Sessions()
    service = sessions.service(b"mx1 postfix/smtp")
    written = ClientLine(b"", b"", b"101", b"", b"", b"", b"", b"", text=line)
    outcome = Classifier(ignored, sessions).outcome_in_full(service, written, 1795478818)
    return "" if outcome.indexes else outcome.note


# ---- key exchange ---------------------------------------------------------------------------

GROUPS = {
    "post_quantum": """X25519MLKEM768 x25519mlkem768 SecP256r1MLKEM768 SecP384r1MLKEM1024 MLKEM512
        MLKEM768 MLKEM1024 mlkem768
        X25519Kyber768Draft00 x25519_kyber768 p256_kyber512 SecP256r1Kyber768Draft00 kyber768
        KYBER1024 X448MLKEM768
        p384_mlkem768 curveSM2MLKEM768""",
    "ecdh": """X25519 x25519 X448 x448 ECDHE ECDH secp256r1 SECP256R1 secp384r1 secp521r1 secp256k1
        secp224r1 sect163k1 sect233r1
        sect571k1 P-256 P-384 P-521 B-571 K-283 prime256v1 prime192v1 brainpoolP256r1
        brainpoolP384r1 brainpoolP512r1
        brainpoolP256r1tls13 brainpoolP384r1tls13 brainpoolP512r1tls13 curveSM2 SM2 GC256A GC256B
        GC512A GC512C
        c2pnb163v1 wap-wsg-idm-ecid-wtls7""",
    "dh": "DHE DH dhe ffdhe2048 ffdhe3072 ffdhe4096 ffdhe6144 ffdhe8192 FFDHE2048 "
    "modp_2048 modp_8192",
    "unknown": "FRODO640AES bikel1 hqc128 NEW UNDEF 0x11ec (NONE) ECDHEX DHEX -",
}

CIPHERS = {
    "ecdh": """ECDHE-RSA-AES256-GCM-SHA384 ECDHE-ECDSA-AES256-GCM-SHA384
        ECDHE-RSA-CHACHA20-POLY1305 ECDHE-ECDSA-CHACHA20-POLY1305
        ECDHE-RSA-AES128-GCM-SHA256 ECDHE-RSA-AES256-SHA384 ECDHE-RSA-AES256-SHA
        ECDHE-RSA-DES-CBC3-SHA ECDHE-RSA-RC4-SHA
        ECDHE-RSA-NULL-SHA ECDHE-ECDSA-AES128-CCM8 ECDHE-ECDSA-CAMELLIA256-SHA384
        ECDHE-ARIA256-GCM-SHA384
        ECDHE-PSK-AES128-CBC-SHA256 ECDHE-PSK-CHACHA20-POLY1305 ECDH-RSA-AES256-GCM-SHA384
        ECDH-ECDSA-AES128-SHA
        AECDH-AES256-SHA AECDH-AES128-SHA AECDH-DES-CBC3-SHA AECDH-RC4-SHA AECDH-NULL-SHA""",
    "dh": """DHE-RSA-AES256-GCM-SHA384 DHE-RSA-AES128-SHA DHE-DSS-AES256-SHA256
        DHE-RSA-CHACHA20-POLY1305 DHE-RSA-CAMELLIA256-SHA
        DHE-RSA-SEED-SHA DHE-RSA-AES256-CCM DHE-PSK-AES256-GCM-SHA384 DHE-DSS-RC4-SHA
        DHE-RSA-ARIA256-GCM-SHA384
        DH-RSA-AES256-SHA DH-DSS-AES128-SHA256 EDH-RSA-DES-CBC3-SHA EDH-DSS-DES-CBC-SHA
        ADH-AES256-GCM-SHA384 ADH-AES256-SHA
        ADH-CAMELLIA256-SHA ADH-RC4-MD5 ADH-DES-CBC3-SHA ADH-SEED-SHA EXP-EDH-RSA-DES-CBC-SHA
        EXP-ADH-RC4-MD5
        EXP-ADH-DES-CBC-SHA EXP1024-DHE-DSS-RC4-SHA EXP1024-DHE-DSS-DES-CBC-SHA""",
    "rsa": """AES256-GCM-SHA384 AES128-GCM-SHA256 AES256-SHA256 AES256-SHA AES128-SHA AES128-CCM
        AES256-CCM8 CAMELLIA256-SHA
        CAMELLIA128-SHA256 ARIA256-GCM-SHA384 SEED-SHA IDEA-CBC-SHA DES-CBC3-SHA DES-CBC-SHA
        RC4-SHA RC4-MD5 RC2-CBC-MD5
        NULL-SHA NULL-SHA256 NULL-MD5 EXP-RC4-MD5 EXP-DES-CBC-SHA EXP-RC2-CBC-MD5 EXP1024-RC4-SHA
        EXP1024-DES-CBC-SHA""",
    "unknown": """AES2%56-SHA AES256
        PSK-AES256-GCM-SHA384 PSK-CHACHA20-POLY1305 RSA-PSK-AES256-GCM-SHA384
        SRP-AES-256-CBC-SHA
        SRP-RSA-AES-128-CBC-SHA GOST2012-GOST8912-GOST8912
        GOST2001-GOST89-GOST89 KRB5-RC4-SHA EXP-KRB5-RC4-MD5 (NONE) TLS_AES_256_GCM_SHA384
        CHACHA20-POLY1305 X""",
}


@pytest.mark.parametrize(
    "category, name",
    [(category, name) for category, names in GROUPS.items() for name in names.split()],
)
def test_a_group_of_tls_1_3_is_of_its_category(category: str, name: str) -> None:
    assert group(name) == category
    assert (
        group(f"{name} (2048 bits) server-signature RSA-PSS (2048 bits) server-digest SHA256")
        == category
    )


@pytest.mark.parametrize(
    "category, name",
    [(category, name) for category, names in CIPHERS.items() for name in names.split()],
)
def test_a_cipher_up_to_tls_1_2_is_of_its_category(category: str, name: str) -> None:
    assert {cipher(name, protocol) for protocol in ("SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2")} == {
        category
    }


@pytest.mark.parametrize("curve", ["P-256", "prime256v1", "secp384r1", "X25519"])
def test_a_curve_in_brackets_is_part_of_the_key_exchange(curve: str) -> None:
    assert group(f"ECDHE ({curve})") == "ecdh"


def test_without_a_name_the_key_exchange_of_tls_1_3_is_unknown() -> None:
    assert said().key_exchange == "unknown"
    assert (
        said(tls=f"TLSv1.3 with cipher {SUITE} server-signature RSA-PSS (2048 bits)").key_exchange
        == "unknown"
    )


def test_a_cipher_s_name_says_nothing_about_tls_1_3() -> None:
    assert (
        said(tls="TLSv1.3 with cipher ECDHE-RSA-AES256-SHA (256/256 bits)").key_exchange
        == "unknown"
    )


def test_a_tail_says_nothing_about_tls_1_2() -> None:
    assert (
        said(
            tls="TLSv1.2 with cipher DHE-RSA-AES256-SHA (256/256 bits) key-exchange X25519"
        ).key_exchange
        == "dh"
    )


# ---- sessions -------------------------------------------------------------------------------


@pytest.mark.parametrize("label", ["Verified", "Trusted", "Untrusted", "Anonymous"])
@pytest.mark.parametrize("protocol", ["SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"])
def test_a_new_session_counts_once_in_each_family(label: str, protocol: str) -> None:
    found = categories(said(label=label, tls=f"{protocol} with cipher AES256-SHA (256/256 bits)"))

    assert [each.family for each in found] == list(FAMILIES)[:3]
    assert (found[0].name, found[1].label) == (label.lower(), protocol)


@pytest.mark.parametrize("label", ["Verified", "Trusted", "Untrusted", "Anonymous"])
def test_a_reused_session_counts_as_reused_alone(label: str) -> None:
    assert keys(said(label=label, verb="reused")) == ["connections.reused"]


@pytest.mark.parametrize("times", [1, 2, 17, 999999999])
def test_a_folded_repeat_stands_for_itself_so_often(times: int) -> None:
    assert unwrap(b"message repeated %d times: [ " % times + text() + b"]") == (times, text())


@pytest.mark.parametrize(
    "tail",
    ["", " key-exchange X25519", " key-exchange ECDHE (P-256) server-signature ED25519", " ] ]"],
)
def test_the_bracket_of_a_folded_repeat_is_no_part_of_the_tail(tail: str) -> None:
    plain = text() + tail.encode()

    assert summary(plain) is not None
    assert unwrap(b"message repeated 2 times: [ " + plain + b"]") == (2, plain)


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ("ECDHE (X25519MLKEM768)", "post_quantum"),
        ("ECDHE (x25519_kyber768)", "post_quantum"),
        ("ECDHE (P-256)", "ecdh"),
        ("DHE (2048 bits)", "dh"),
    ],
)
def test_the_name_in_brackets_is_part_of_the_group(group: str, expected: str) -> None:
    said = summary(text() + b" key-exchange " + group.encode())

    assert said is not None
    assert said.key_exchange == expected


def test_the_prefix_of_solaris_is_not_part_of_the_text() -> None:
    assert unwrap(b"[ID 197553 mail.info] " + text()) == (1, text())


@pytest.mark.parametrize(
    "before, after",
    [
        (b" ", b""),
        (b"x ", b""),
        (b"warning: ", b""),
        (b"message repeated 2 times: [ ", b""),
        (b"message repeated 2 times: [", b"]"),
        (b"message repeated 1234567890 times: [ ", b"]"),
        (b"message repeated 2 times: [ message repeated 2 times: [ ", b"]]"),
        (b"", b"x"),
        (b"", b","),
        (b"", b"\r"),
        (b"", b"\n"),
        (b"", b" x\n"),
        (b"", b"\nx"),
    ],
)
def test_a_summary_is_the_whole_text_or_none(before: bytes, after: bytes) -> None:
    assert summary(text()) is not None
    assert summary(unwrap(before + text() + after)[1]) is None


@pytest.mark.parametrize(
    "tail",
    [b" ", b" \xff\xfe", b" \xe2\x80\xa8", b" key-exchange \xff", b" key-exchange  ", b" x" * 990],
)
def test_any_tail_that_begins_with_a_space_is_good(tail: bytes) -> None:
    assert summary(text() + tail) is not None


def test_bytes_of_no_alphabet_in_a_cipher_s_name_are_no_error() -> None:
    found = summary(text(tls="TLSv1.2 with cipher @ (256/256 bits)").replace(b"@", b"\xff\x80"))

    assert found is not None
    assert found.key_exchange == "unknown"


# ---- relays ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "relay",
    [
        "mx.example.org[192.0.2.10]:25",
        "mx.example.org[192.0.2.10]:1",
        "mx.example.org[192.0.2.10]:65535",
        "mx.example.org[192.0.2.10]",
        "mx.example.org[2001:db8::25]:25",
        "mx.example.org[fe80::1%eth0]:25",
        "mx.example.org[fe80::1%br-lan.7]:25",
        "mx.example.org[::]:25",
        "mx.example.org[::2]:25",
        "mx.example.org[::ffff:192.0.2.10]:25",
        "mx.example.org[126.255.255.255]:25",
        "mx.example.org[128.0.0.0]:25",
        "mx.example.org[10.0.0.1]:25",
        "192.0.2.10[192.0.2.10]:25",
        "2001:db8::25[2001:db8::25]:25",
        "[192.0.2.10]:25",
        "localhost[192.0.2.10]:25",
    ],
)
def test_a_relay_elsewhere_is_outbound(relay: str) -> None:
    assert keys(said(relay=relay))


@pytest.mark.parametrize(
    "relay",
    [
        "localhost[127.0.0.1]:10025",
        "localhost[127.1.2.3]:10025",
        "localhost[::1]:10025",
        "localhost[0:0:0:0:0:0:0:1]:25",
        "localhost[0000:0000:0000:0000:0000:0000:0000:0001]:25",
        "localhost[::ffff:127.0.0.1]:25",
        "localhost[::FFFF:7F00:1]:25",
        "localhost[::1%lo]:25",
        "mx.example.org[127.0.0.1]:25",
        "mx.example.org[private/lmtp]",
        "mx.example.org[/var/run/lmtp]",
        "mx.example.org[/]",
        "mx.example.org[public/a.b-c_d@e]",
    ],
)
def test_a_relay_on_this_machine_is_not_outbound(relay: str) -> None:
    found = said(relay=relay)

    assert keys(found) == []
    assert "ignore_relays" in why_not(text(relay=relay))
    assert keys(found, PeerSet(""))


@pytest.mark.parametrize(
    "relay",
    [
        "mx.example.org",
        "mx.example.org:25",
        "mx.example.org[]:25",
        "mx.example.org[192.0.2.10]:",
        "mx.example.org[192.0.2.10]:123456",
        "mx.example.org[192.0.2.10]:x",
        "mx.example.org[mx]:25",
        "mx.example.org[192.0.2.10%]:25",
        "mx.example.org[pri vate/lmtp]",
        "mx.example.org[[192.0.2.10]]:25",
        "mx example.org[192.0.2.10]:25",
        "mx.example.org [192.0.2.10]:25",
        "\u00e9.example[192.0.2.10]:25",
        "x" * 256 + "[192.0.2.10]:25",
    ],
)
def test_what_is_no_relay_makes_no_session(relay: str) -> None:
    assert summary(text(relay=relay)) is None


def test_relays_to_ignore_may_be_networks_of_both_kinds() -> None:
    ours = PeerSet("192.0.2.0/24, 2001:db8::/32")

    assert keys(said(), ours) == []
    assert keys(said(relay="mx[2001:db8:ffff::1]:25"), ours) == []
    assert keys(said(relay="mx[198.51.100.1]:25"), ours)
    assert keys(said(relay="mx[127.0.0.1]:25"), ours)
    assert keys(said(relay="mx[private/lmtp]"), ours)


@pytest.mark.parametrize(
    "words", ["192.0.2.10/24", "300.0.0.1", "::g", "mx/24", "a..b", ".", "[::1]", "mx.example.org."]
)
def test_what_is_neither_network_nor_host_is_refused(words: str) -> None:
    with pytest.raises(ValueError):
        PeerSet(words)


def test_relays_to_ignore_may_be_hosts_and_all_hosts_of_a_domain() -> None:
    ours = PeerSet("mx.example.org .Example.NET localhost amavis fe80")
    names = [
        "mx.example.org",
        "MX.example.org",
        "mx1.example.net",
        "a.b.example.net",
        "localhost",
        "amavis",
        "fe80",
    ]
    others = [
        "mx2.example.org",
        "example.net",
        "badexample.net",
        "mx.example.org.example.com",
        "xmx.example.org",
        "",
        "unix",
        "amavis.example.org",
    ]

    assert [name for name in names + others if Peer(name.lower(), "192.0.2.10") in ours] == names
    assert Peer("mx.example.org", "private/lmtp") in ours


@pytest.mark.parametrize(
    "written, relay",
    [
        (b"mx.example.org[192.0.2.10]:25", Peer("mx.example.org", "192.0.2.10")),
        (b"MX.Example.org[2001:db8::25]:25", Peer("mx.example.org", "2001:db8::25")),
        (b"mx1[private/lmtp]", Peer("mx1", "private/lmtp")),
        (b"[192.0.2.10]:25", Peer("", "192.0.2.10")),
        (b"none", None),
        (b"local", None),
        (b"", None),
        (b"mx.example.org[192.0.2.10]:25 ", None),
        (b"mx.example.org[192.0.2.10]:25\n", None),
    ],
)
def test_a_relay_is_read_as_delivery_lines_name_it(written: bytes, relay: Peer | None) -> None:
    assert Peer.parse(written) == relay


@given(st.binary())
def test_any_bytes_are_a_relay_or_none(written: bytes) -> None:
    relay = Peer.parse(written)

    assert relay is None or (relay.name and relay not in PeerSet(""))


# ---- notes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line, word",
    [
        (
            b"TLS connection established to mx.example.org: TLSv1 with cipher AES256-SHA "
            b"(256/256 bits)",
            "2.5",
        ),
        (b"2CE5121E153: to=<e@example.org>, relay=none", "cut off"),
        (b"4bXYZ12345z: to=<e@example.org>, relay=none", "cut off"),
        (b"2CE5121E153: Server certificate not verified", "message"),
        (b"warning: x", "a warning"),
        (b"fatal: x", "an error"),
        (b"SSL_connect error to mx[192.0.2.10]:25: -1", "failed"),
        (b"mx[192.0.2.10]:25: subject_CN=Verified TLS connection established to x", "quotes"),
        (b"", "not the summary"),
        (b"\xff\x00", "not the summary"),
    ],
)
def test_a_text_that_counts_nowhere_has_its_reason(line: bytes, word: str) -> None:
    assert word in why_not(line)


def test_a_text_that_counts_has_no_reason_not_to() -> None:
    assert why_not(text()) == ""


@given(st.binary())
def test_any_bytes_are_a_session_or_have_a_reason(line: bytes) -> None:
    assert bool(summary(line)) != bool(why_not(line))
    assert unwrap(line)[0] >= 0


def test_every_category_s_source_fits_an_rrd_and_is_its_own() -> None:
    sources = [each.data_source for each in CATEGORIES]

    assert len(set(sources)) == len(sources)
    assert all(
        0 < len(each) <= 19 and each.replace("_", "").isalnum() and each.islower()
        for each in sources
    )
