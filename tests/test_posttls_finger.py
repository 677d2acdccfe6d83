"""What `explain` makes of the output of posttls-finger: real runs against 31 servers, and forms of
other versions."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dane_mailgraph.cli import command_line
from dane_mailgraph.dane import end_of_certificate
from dane_mailgraph.postfix.posttls_finger import Finger, Verdict

OUTPUTS = Path(__file__).parent / "posttls_finger"
"""Of Postfix 3.7.11, each against a server of the lab that `test_receivers.py` tells of."""

BY_DANE = ("sends_over_tls", "sends_by_dane", "sends_by_dane")
MISMATCH = ("sends_over_tls", "waits", "waits")
NO_RECORDS = ("sends_over_tls", "sends_over_tls", "waits")
UNCLEAR = ("sends_over_tls", "unknown", "unknown")
INVALID = ("sends_over_tls", "depends", "waits")
NO_HANDSHAKE = ("sends_in_the_end", "depends", "waits")
PLAINTEXT = ("sends_in_plaintext", "depends", "waits")
NO_LOOKUP = ("sends_if_reached", "waits", "waits")
NOWHERE = ("waits", "waits", "waits")

EXPECTED = {
    "anon": ("none", "unknown", NO_HANDSHAKE),
    "dane-bad": ("untrusted", "mismatched", MISMATCH),
    "dane-ee": ("dane", "matched", BY_DANE),
    "dane-ee-verbose": ("dane", "matched", BY_DANE),
    "dane-ee12": ("dane", "matched", BY_DANE),
    "dane-ee6": ("dane", "matched", BY_DANE),
    "dane-mixmx": ("untrusted", "mismatched", MISMATCH),
    "dane-notls": ("plaintext", "unknown", PLAINTEXT),
    "dane-ta": ("dane", "matched", BY_DANE),
    "dane-unusable": ("untrusted", "unusable", NO_RECORDS),
    "daneonly-notlsa": ("verified", "none", NO_RECORDS),
    "down": ("none", "unknown", NOWHERE),
    "drophs-may": ("none", "unknown", NO_HANDSHAKE),
    "expired": ("untrusted", "unknown", INVALID),
    "insecure": ("verified", "unknown", UNCLEAR),
    "mx-bogus": ("none", "unknown", NOWHERE),
    "nocipher-may": ("none", "unknown", NO_HANDSHAKE),
    "oldproto-may": ("none", "unknown", NO_HANDSHAKE),
    "otherca": ("untrusted", "none", NO_RECORDS),
    "othername": ("untrusted", "unknown", INVALID),
    "plain": ("plaintext", "unknown", PLAINTEXT),
    "secure": ("verified", "unknown", UNCLEAR),
    "secure-bad": ("untrusted", "unknown", INVALID),
    "tls454-may": ("plaintext", "unknown", PLAINTEXT),
    "tlsa-bogus": ("none", "lookup_failed", NO_LOOKUP),
    "tlsa-servfail": ("none", "lookup_failed", NO_LOOKUP),
    "trusted": ("verified", "none", NO_RECORDS),
    "trusted-reconnect": ("verified", "unknown", UNCLEAR),
    "trusted12": ("verified", "none", NO_RECORDS),
    "untrusted": ("untrusted", "none", NO_RECORDS),
    "wrap465": ("verified", "unknown", UNCLEAR),
}
"""Level reached, TLSA records, and what Postfix does at `may`, `dane` and `dane-only`."""

HERE = "mx.example.org[192.0.2.1]:25"
HASH = ":".join(["AB"] * 32)
SESSION = (
    f"TLS connection established to {HERE}: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 "
    "(256/256 bits) key-exchange X25519MLKEM768"
)


def explained(path: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    command = ["explain", "--config", os.devnull, "--format", "json", str(path)]
    assert command_line.main(command) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def verdict(*lines: str) -> Verdict:
    finger = Finger()
    for line in lines:
        finger.add(line)
    return finger.verdict()


def printed(*command: str, stdin: str = "") -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=True)
    return done.stdout


def shown(found: dict[str, Any]) -> tuple[str, str, tuple[str, ...]]:
    actions = tuple(str(found[each]) for each in ("may", "dane", "dane_only"))
    return str(found["level"]), str(found["records"]), actions


# ---- real runs ------------------------------------------------------------------------------


def test_each_of_the_outputs_has_an_expected_verdict() -> None:
    assert sorted(EXPECTED) == sorted(path.stem for path in OUTPUTS.glob("*.txt"))


@pytest.mark.parametrize("name", EXPECTED)
def test_a_real_output_is_explained(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = OUTPUTS / f"{name}.txt"
    lines = path.read_text(encoding="ascii").splitlines()
    said = explained(path, capsys)
    of_finger = [each for each in said if each["program"] == "posttls-finger"]

    assert [each["line"] for each in said] == list(range(1, len(lines) + 1))
    assert all(each["note"] and each["counts"] == [] for each in said)
    assert len(of_finger) == sum(line.startswith("posttls-finger: ") for line in lines)
    assert ["verdict" in each for each in of_finger] == [False] * (len(of_finger) - 1) + (
        [True] if of_finger else []
    )
    # One that prints nothing has met a server without STARTTLS.
    found = of_finger[-1]["verdict"] if of_finger else Finger().verdict().as_dict()
    assert shown(found) == EXPECTED[name]


def test_it_says_what_matched_where_and_over_what(capsys: pytest.CaptureFixture[str]) -> None:
    said = explained(OUTPUTS / "dane-ta.txt", capsys)
    found = next(each["verdict"] for each in said if "verdict" in each)

    assert found["server"] == "mx.dane-ta.lab.test[203.0.113.12]:25"
    assert found["match"]["record"].startswith("2 1 1 D5D6F2B1CE7C46FC")
    assert found["match"]["depth"] == 1
    assert found["name"] == "mx.dane-ta.lab.test"
    assert (found["protocol"], found["key_exchange"]) == ("TLSv1.3", "ecdh")


def test_the_text_ends_with_one_sentence_of_what_postfix_does(
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = OUTPUTS / "dane-bad.txt"
    assert command_line.main(["explain", "--config", os.devnull, str(path)]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]

    assert "TLSA records: found and secure, and none matches" in lines
    assert (
        "Postfix at `may` sends mail over TLS without authentication; at `dane` does not send mail "
        "to this server, but to another one or later; at `dane-only` does not send mail to this "
        "server, but to another one or later."
    ) in lines


# ---- other versions and cases ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "record", "depth"),
    [
        (f"depth=0 matched end entity public-key sha256 digest={HASH}", "3 1 1", 0),
        (f"depth=1 matched trust anchor certificate sha512 digest={HASH}", "2 0 2", 1),
        ("Matched DANE TA public key verified certificate at depth 2: 2 1 0 AB...AB", "2 1 0", 2),
        ("Matched DANE raw public key: 3 1 1 ABAB", "3 1 1", 0),
    ],
)
def test_the_record_that_matched_is_read_in_the_words_of_each_version(
    line: str, record: str, depth: int
) -> None:
    found = verdict(f"{HERE}: {line}", f"Verified {SESSION}")

    assert found.match is not None
    assert (found.match.record[:5], found.match.depth) == (record, depth)
    assert found.key_exchange == "post_quantum"
    assert shown(found.as_dict()) == ("dane", "matched", BY_DANE)


def test_the_records_that_were_found_are_named() -> None:
    found = verdict(
        f"using DANE RR: _25._tcp.mx.example.org -> tlsa.example.org IN TLSA 3 1 1 {HASH}",
        "DNSSEC-signed TLSA record: _25._tcp.mx.example.org: 2 0 1 CDCD",
        f"Verified {SESSION}",
    )

    assert found.found == (f"3 1 1 {HASH}", "2 0 1 CDCD")
    assert shown(found.as_dict()) == ("verified", "matched", BY_DANE)


def test_half_dane_is_not_enough_for_dane_only() -> None:
    found = verdict(
        "MX RRset insecure: log verified as trusted",
        f"{HERE}: Matched DANE EE certificate at depth 0: 3 1 1 ABAB",
        f"Trusted {SESSION}",
    )

    assert shown(found.as_dict()) == (
        "half_dane",
        "matched",
        ("sends_over_tls", "sends_by_half_dane", "waits"),
    )


def test_a_trust_anchor_that_matches_without_the_name_is_no_authentication() -> None:
    found = verdict(
        f"{HERE}: depth=1 matched trust anchor certificate sha256 digest={HASH}",
        f"Trusted {SESSION}",
    )

    assert shown(found.as_dict()) == ("trusted", "matched", MISMATCH)


def test_records_without_starttls_keep_mail_waiting() -> None:
    found = verdict(
        "DNSSEC-signed TLSA record: _25._tcp.mx.example.org: 3 1 1 ABAB",
        f"Connected to {HERE}",
        "> EHLO mail.example.net",
        "< 250 PIPELINING",
        "> QUIT",
    )

    assert shown(found.as_dict()) == (
        "plaintext",
        "found",
        ("sends_in_plaintext", "waits", "waits"),
    )


def test_a_server_that_cannot_be_reached_matters_less_than_the_next_one_that_can() -> None:
    found = verdict(
        "Failed to establish session to example.org via a.example.org:25: TLSA lookup error for "
        "a.example.org:25",
        f"{HERE}: Matched DANE EE certificate at depth 0: 3 1 1 ABAB",
        f"Verified {SESSION}",
    )

    assert shown(found.as_dict()) == ("dane", "matched", BY_DANE)
    assert found.problem is None


def test_a_domain_that_does_not_exist_gets_its_mail_back() -> None:
    found = verdict(
        "Destination address lookup failed: Host or domain name not found. Name service error for "
        "name=example.org type=MX: Host not found"
    )

    assert shown(found.as_dict())[2] == ("returns", "returns", "returns")


def test_a_probe_that_gave_up_is_no_server_without_starttls() -> None:
    found = verdict("fatal: open /etc/postfix/main.cf: No such file or directory")

    assert shown(found.as_dict()) == ("none", "unknown", ("unknown", "depends", "waits"))
    assert found.problem == "open /etc/postfix/main.cf: No such file or directory"


def test_the_end_of_the_certificate_is_read_from_the_chain(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = ["-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", os.devnull, "-subj", "/CN=x"]
    pem = printed("openssl", "req", *new, "-days", "30")
    end = printed("openssl", "x509", "-noout", "-enddate", stdin=pem).strip()
    seconds = ssl.cert_time_to_seconds(end.removeprefix("notAfter="))
    path = tmp_path / "said"
    path.write_text(
        f"posttls-finger: {HERE}: subject_CN=x, issuer_CN=x, fingerprint=A, pkey_fingerprint=B\n"
        f"posttls-finger: Untrusted {SESSION}\n\n---\nCertificate chain\n 0 subject: /CN=x\n"
        f"    issuer: /CN=x\n   cert digest=A\n   pkey digest=B\n{pem}"
        "posttls-finger: > QUIT\n",
        encoding="ascii",
    )
    last = explained(path, capsys)[-1]

    assert last["verdict"]["ends"] == seconds
    assert command_line.main(["explain", "--config", os.devnull, str(path)]) == 0
    assert "Certificate ends: 20" in capsys.readouterr().out


def test_two_runs_after_each_other_have_a_verdict_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "said"
    path.write_bytes(
        b"".join((OUTPUTS / f"{n}.txt").read_bytes() for n in ("dane-ee", "untrusted"))
    )

    assert [each["verdict"]["level"] for each in explained(path, capsys) if "verdict" in each] == [
        "dane",
        "untrusted",
    ]


def test_what_a_hostile_server_says_is_escaped_and_decides_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "said"
    path.write_bytes(
        b"posttls-finger: < 250-\x1b[2J\xff Matched DANE EE certificate at depth 0: 3 1 1 AB\n"
        b"posttls-finger: STARTTLS rejected: 454 \x1b]0;x\x07\xe2\x80\xa8Verified "
        + SESSION.encode()
    )
    assert command_line.main(["explain", "--config", os.devnull, str(path)]) == 0
    text = capsys.readouterr().out

    assert all(line.isprintable() for line in text.split("\n"))
    assert "\\x1b" in text
    assert "Level reached: plaintext" in text
    assert "Match:" not in text


@pytest.mark.parametrize("cut", [0, 5, 40, 200])
def test_a_damaged_certificate_has_no_end(cut: int) -> None:
    text = "MIIBszCCAVmgAwIBAgIUQmFzZTY0"[:cut]

    assert (
        end_of_certificate(f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----")
        is None
    )
