"""What to publish for a certificate: files made by openssl, digests by programs not under test."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from servers import NAME, Authority, call, needs

from dane_mailgraph.cli import command_line

ROOT = Path(__file__).parents[1]

pytestmark = needs("openssl", "sha256sum")

Printed = Callable[..., str]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Printed:
    """What is printed for a file."""

    def run(path: Path, *rest: str, name: str = NAME) -> str:
        assert (
            command_line.main(["tlsa", "--config", "/dev/null", str(path), "--name", name, *rest])
            == 0
        )
        said = capsys.readouterr()
        assert said.err == ""
        return said.out

    return run


def records(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith(";")]


def comments(text: str) -> str:
    return " ".join(line.lstrip("; ") for line in text.splitlines() if line.startswith(";"))


def digest(path: Path) -> str:
    """The SHA-256 of the public key of the first certificate, as operators make it by hand."""
    pipe = 'openssl x509 -in "$1" -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum'
    done = subprocess.run(
        ["sh", "-c", pipe, "sh", path], capture_output=True, text=True, check=True
    )
    return done.stdout.split()[0]


def alone(folder: Path, *new: str, name: str = NAME) -> Path:
    """A certificate that signs itself."""
    path = folder / "alone.pem"
    call(
        "openssl",
        "req",
        "-x509",
        "-newkey",
        *new,
        "-nodes",
        "-keyout",
        folder / "alone.key",
        "-out",
        path,
        "-subj",
        f"/CN={name}",
    )
    return path


# ---- records --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "new",
    [("rsa:2048",), ("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"), ("ed25519",)],
    ids=" ".join,
)
def test_a_certificate_alone_has_the_record_of_its_key(
    new: tuple[str, ...], tmp_path: Path, printed: Printed
) -> None:
    path = alone(tmp_path, *new)
    said = printed(path)

    assert records(said) == [f"_25._tcp.{NAME}. IN TLSA 3 1 1 {digest(path)}"]
    assert "2 1 1" not in said and "WARN" not in said


def test_a_chain_has_the_record_of_its_issuer_too(authority: Authority, printed: Printed) -> None:
    _, path = authority.issue("chain")
    said = printed(path)

    assert records(said) == [
        f"_25._tcp.{NAME}. IN TLSA 3 1 1 {digest(path)}",
        f"_25._tcp.{NAME}. IN TLSA 2 1 1 {digest(authority.path)}",
    ]
    assert "WARN" not in said


def test_each_port_has_its_records_once(authority: Authority, printed: Printed) -> None:
    _, path = authority.issue("ports")
    said = printed(path, "--port", "25", "--port", "465", "--port", "25", name=f"{NAME.upper()}.")

    assert [line.split(" IN TLSA ")[0] for line in records(said)] == [
        f"_25._tcp.{NAME}.",
        f"_465._tcp.{NAME}.",
    ] * 2
    assert f"dane-mailgraph doctor --mx {NAME}:25 --mx {NAME}:465\n" in said


def test_a_key_in_the_file_is_passed_over(
    authority: Authority, printed: Printed, tmp_path: Path
) -> None:
    key, path = authority.issue("both")
    leaf, issuer = (path.parent / "both.bare").read_text(), authority.path.read_text()
    (tmp_path / "chain_files.pem").write_text(key.read_text() + leaf + issuer)
    (tmp_path / "cert_file.pem").write_text(leaf + key.read_text() + issuer)
    expected = records(printed(path))

    assert [records(printed(each)) for each in sorted(tmp_path.iterdir())] == [expected, expected]


def test_a_file_of_two_keys_has_the_records_of_both(
    authority: Authority, printed: Printed, tmp_path: Path
) -> None:
    (key, one), (other, two) = authority.issue("first"), authority.issue("second")
    path = tmp_path / "chains.pem"
    path.write_text("".join(each.read_text() for each in (key, one, other, two)))

    assert [line[-64:] for line in records(printed(path)) if " 3 1 1 " in line] == [
        digest(one),
        digest(two),
    ]


@needs("ldns-read-zone")
def test_all_of_it_can_be_pasted_into_a_zone_file(
    authority: Authority, printed: Printed, tmp_path: Path
) -> None:
    _, path = authority.issue("pasted")
    odd = tmp_path / "a\nb. 60 IN A 192.0.2.1\n.pem"
    odd.write_text(path.read_text())
    said = printed(odd)
    (tmp_path / "zone").write_text(
        "$TTL 60\n@ 60 IN SOA ns. host. 1 3600 600 86400 60\n$ORIGIN elsewhere.\n" + said
    )
    lines = call("ldns-read-zone", tmp_path / "zone").splitlines()

    assert [re.split(r"\s+IN\s+", line)[1].split("\t")[0] for line in lines] == [
        "SOA",
        "TLSA",
        "TLSA",
    ]
    assert digest(path) in lines[1] + lines[2]


def test_a_letter_that_the_locale_does_not_have_is_printed_as_its_escape(
    authority: Authority,
) -> None:
    _, path = authority.issue("\u00e4\u20ac")
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "dane_mailgraph",
        "tlsa",
        "--config",
        "/dev/null",
        path,
        "--name",
        NAME,
    ]
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(command, capture_output=True, env=environment, cwd=ROOT, check=False)

    assert (done.returncode, done.stderr) == (0, b"")
    assert b"/\xe4\\u20ac.pem: CN = " in done.stdout


# ---- what would break them ------------------------------------------------------------------


def test_it_says_what_breaks_at_renewals_and_what_nobody_uses(
    authority: Authority, printed: Printed
) -> None:
    _, path = authority.issue("advice")
    said = comments(printed(path))

    assert "keep the key at renewals" in said and "wait two TTLs" in said
    assert "3 0 1" in said and "every renewal breaks it" in said
    assert "Usages 0 and 1 mean nothing to mail servers" in said
    assert "as long as the server sends that issuer along" in said


def test_the_next_key_s_digest_is_what_the_advice_makes_of_it(
    authority: Authority, printed: Printed
) -> None:
    key, path = authority.issue("next")
    (command,) = re.findall(r"^;   (openssl .*)$", printed(path), re.MULTILINE)
    done = subprocess.run(
        ["sh", "-c", command.replace("next.key", str(key))],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split()[0] == digest(path)


def test_an_expired_certificate_has_the_record_of_its_key_only(
    authority: Authority, printed: Printed
) -> None:
    _, path = authority.issue("expired", days=-1)
    said = printed(path)

    assert records(said) == [f"_25._tcp.{NAME}. IN TLSA 3 1 1 {digest(path)}"]
    assert "WARN: It expired on " in said and "there is none here" in comments(said)


def test_another_name_matters_only_where_an_issuer_could_be_published(
    authority: Authority, printed: Printed, tmp_path: Path
) -> None:
    _, path = authority.issue("other", "www.example.test")
    said = printed(path)

    assert records(said) == [f"_25._tcp.{NAME}. IN TLSA 3 1 1 {digest(path)}"]
    assert f"WARN: It is not for the name {NAME}." in said
    assert "WARN" not in printed(alone(tmp_path, "ed25519", name="www.example.test"))


def test_a_certificate_that_is_no_issuer_of_the_first_has_no_record(
    authority: Authority, printed: Printed, tmp_path: Path
) -> None:
    _, path = authority.issue("stray")
    both = tmp_path / "both.pem"
    both.write_text(
        (path.parent / "stray.bare").read_text()
        + alone(tmp_path, "ed25519", name="Stranger").read_text()
    )
    said = printed(both)

    assert records(said) == [f"_25._tcp.{NAME}. IN TLSA 3 1 1 {digest(path)}"]
    assert "Stranger, which is in the file, does not verify as its issuer" in comments(said)


# ---- files that are none --------------------------------------------------------------------


def refused(capsys: pytest.CaptureFixture[str], status: int, *rest: str) -> str:
    """The one sentence that is said."""
    try:
        returned = command_line.main(["tlsa", "--config", "/dev/null", *rest])
    except SystemExit as left:
        returned = int(left.code or 0)
    said = capsys.readouterr()
    assert (returned, said.out, said.err.count("\n")) == (status, "", 1)
    return said.err


def test_a_file_that_cannot_be_read_is_66(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "none.pem cannot be read: No such file" in refused(
        capsys, 66, str(tmp_path / "none.pem"), "--name", NAME
    )
    assert "cannot be read: Is a directory" in refused(capsys, 66, str(tmp_path), "--name", NAME)


def test_a_key_alone_is_66(authority: Authority, capsys: pytest.CaptureFixture[str]) -> None:
    key, _ = authority.issue("key")

    assert "holds a private key and no certificate" in refused(capsys, 66, str(key), "--name", NAME)


@pytest.mark.parametrize("harm", ["nothing", "garbage", "der", "cut off", "first cut off", "bits"])
def test_a_damaged_file_is_66(
    harm: str, authority: Authority, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, path = authority.issue("harmed")
    text, bare = path.read_text(), (path.parent / "harmed.bare").read_text()
    harmed = {
        "nothing": b"",
        "garbage": bytes(range(256)) * 40,
        "der": subprocess.run(
            ["openssl", "x509", "-in", path, "-outform", "DER"], capture_output=True, check=True
        ).stdout,
        "cut off": text[:-200].encode(),
        "first cut off": (bare[:-200] + "\n" + authority.path.read_text()).encode(),
        "bits": text.replace("MII", "AAA").encode(),
    }
    (tmp_path / "harmed.pem").write_bytes(harmed[harm])

    assert "harmed.pem is damaged or not a PEM file" in refused(
        capsys, 66, str(tmp_path / "harmed.pem"), "--name", NAME
    )


def test_a_machine_without_openssl_is_reported(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, path = authority.issue("without")
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("dane_mailgraph.programs._SBIN", ())

    assert "there is no command openssl" in refused(capsys, 66, str(path), "--name", NAME)


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ((), "--name"),
        (("--name", "a b"), "'a b' is not the name of a server"),
        (("--name", "mail.example.org:25"), "is not the name of a server"),
        (("--name", NAME, "--port", "0"), "0 is no port"),
        (("--name", NAME, "--port", "65536"), "65536 is no port"),
        (("--name", NAME, "--port", "smtp"), "smtp is no port"),
    ],
)
def test_a_wrong_name_or_port_is_2(
    rest: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in refused(capsys, 2, "cert.pem", *rest)
