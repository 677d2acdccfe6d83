"""Certificates in PEM files and the chains they form, read by openssl(1)."""

from __future__ import annotations

import binascii
import os
import re
import ssl
import tempfile
from collections.abc import Iterable
from typing import NamedTuple

from ..errors import SourceError, reason
from ..programs import ask
from .tlsa import Certificate, Chain

PEM_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\s[^-]*-----END CERTIFICATE-----")
_BLOCK = re.compile(rf"-----BEGIN [A-Z ]*(PRIVATE KEY)-----|({PEM_CERTIFICATE.pattern})")

_KEY_OR_CERTIFICATE = re.compile(
    rf"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?-----END \1-----|{PEM_CERTIFICATE.pattern}", re.DOTALL
)

_SUBJECT_FORMAT = "oneline,-esc_msb"
"""For `-nameopt`: `CN = x` from every version; the default is `CN=x` from OpenSSL 3.2 on."""


def pem_groups(text: str, *, with_keys: bool) -> list[list[str]]:
    """Return the PEM certificates of a file, chain by chain.

    With keys, as in a file of smtpd_tls_chain_files, each private key begins another chain.
    """
    groups: list[list[str]] = [[]]
    for block in _BLOCK.finditer(text):
        if block[2]:
            groups[-1].append(block[2])
        elif with_keys:
            groups.append([])
    return [group for group in groups if group]


class KeyedGroup(NamedTuple):
    """A private key and the certificates behind it, the leaf first."""

    key: str
    """As PEM; empty where none stands before them."""
    path: str
    """The file that holds the leaf."""
    certificates: list[str]


def keyed_groups(texts: Iterable[tuple[str, str]]) -> list[KeyedGroup]:
    """Return the keys with their certificates of smtpd_tls_chain_files: files, path and text.

    They are read as one: a key may be in the file before that of its certificates.
    """
    groups: list[KeyedGroup] = []
    key, begins = "", True
    for path, text in texts:
        for block in _KEY_OR_CERTIFICATE.finditer(text):
            if block[1]:
                key, begins = block[0], True
            elif begins:
                groups.append(KeyedGroup(key, path, [block[0]]))
                begins = False
            else:
                groups[-1].certificates.append(block[0])
    return groups


def read_chains(path: str, name: str) -> list[Chain]:
    """Read the chains in a PEM file for a server of this name; raises SourceError.

    There is one; or several where the file begins with a key, as for smtpd_tls_chain_files.
    """
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            text = file.read()
    except OSError as error:
        raise SourceError(
            f"{path} cannot be read: {reason(error)}; name the file of a certificate."
        ) from error
    first = _BLOCK.search(text)
    groups = pem_groups(text, with_keys=bool(first and first[1]))
    if first and not groups:
        raise SourceError(
            f"{path} holds a private key and no certificate; "
            "name the file of the certificate, with its chain."
        )
    chains = [each for each in (read_chain(path, group, name) for group in groups) if each]
    if not chains and ask("openssl", "version") is None:
        raise SourceError(f"{path} cannot be read: there is no command openssl; install it.")
    # A block that is cut off is in no group, and the next one would pass for the leaf.
    is_cut = sum(map(len, groups)) < text.count("-----BEGIN CERTIFICATE-----")
    if not chains or len(chains) < len(groups) or is_cut:
        raise SourceError(
            f"{path} is damaged or not a PEM file of certificates; "
            "see what `openssl x509 -noout -text` says of it."
        )
    return chains


def read_chain(
    path: str,
    group: list[str],
    name: str,
    domains: Iterable[str] = (),
    issuers: Iterable[bytes] = (),
) -> Chain | None:
    """Read the chain of these PEM certificates, the leaf first; None where one cannot be read.

    Args:
        path: The file that holds them, or the server that sent them.
        group: The certificates.
        name: Name of the server.
        domains: Domains of recipients that the leaf may be for instead.
        issuers: DER of certificates that the server does not send and that may be its issuers.
    """
    certificates = [each for each in map(_certificate, group) if each]
    if len(certificates) < len(group):
        return None
    names_server = _is_for(group[0], name)
    ders = list(issuers)
    verifies = _leaf_verifies(group, [ssl.DER_cert_to_PEM_cert(der) for der in ders])
    unsent = {der for der, verified in zip(ders, verifies, strict=True) if verified}
    return Chain(
        path,
        tuple(certificates),
        names_server,
        tuple(_leaf_verifies(group, group)),
        () if names_server else tuple(each for each in domains if _is_for(group[0], each)),
        frozenset(unsent - {certificates[0].der}),
    )


def _is_for(pem: str, name: str) -> bool:
    """Return whether a certificate is for this name."""
    checked = ask("openssl", "x509", "-noout", "-checkhost", name, stdin=pem)
    return checked is not None and "does match" in checked.out


def _certificate(pem: str) -> Certificate | None:
    options = "-noout", "-subject", "-issuer", "-nameopt", _SUBJECT_FORMAT, "-dates", "-pubkey"
    answer = ask("openssl", "x509", *options, stdin=pem)
    if answer is None or answer.status:
        return None
    fields = dict(
        re.findall(r"^(subject|issuer|notBefore|notAfter)=\s*(.*)$", answer.out, re.MULTILINE)
    )
    spki = _public_key(answer.out)
    if not spki or len(fields) < 4:
        return None
    begins, ends = (ssl.cert_time_to_seconds(fields[each]) for each in ("notBefore", "notAfter"))
    return Certificate(
        ssl.PEM_cert_to_DER_cert(pem.replace("\r", "")),
        spki,
        fields["subject"],
        begins,
        ends,
        fields["issuer"],
    )


def read_public_key(path: str) -> bytes:
    """Return the SubjectPublicKeyInfo of the first private key in a file; empty where unreadable.

    A key with a passphrase is unreadable: smtpd, too, has no one to ask for it.
    """
    return _public_key_of("-in", path)


def public_key_of(pem: str) -> bytes:
    """Return the SubjectPublicKeyInfo of a private key, as `read_public_key` does."""
    return _public_key_of(stdin=pem)


def _public_key_of(*words: str, stdin: str = "") -> bytes:
    answer = ask("openssl", "pkey", *words, "-pubout", "-passin", "pass:", stdin=stdin)
    return _public_key(answer.out) if answer and not answer.status else b""


def _public_key(text: str) -> bytes:
    """Return the public key that openssl printed in PEM; empty where there is none."""
    key = re.search(r"-----BEGIN PUBLIC KEY-----([^-]*)-----END", text)
    return binascii.a2b_base64(key[1]) if key else b""


def _leaf_verifies(group: list[str], anchors: list[str]) -> list[bool]:
    """Return for each anchor whether openssl verifies the leaf of a chain up to it.

    The leaf itself may be one: openssl accepts it, though no sender does.
    """
    if not anchors:
        return []
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, str(number)) for number in range(len(anchors))]
        leaf, together = os.path.join(folder, "leaf"), os.path.join(folder, "all")
        for path, pem in [
            *zip(paths, anchors, strict=True),
            (leaf, group[0]),
            (together, "\n".join(group)),
        ]:
            with open(path, "w", encoding="ascii") as file:
                file.write(pem + "\n")
        verify = ("openssl", "verify", "-partial_chain", "-purpose", "sslserver", "-untrusted")
        answers = [ask(*verify, together, "-trusted", each, leaf) for each in paths]
    return [each is not None and each.status == 0 for each in answers]
