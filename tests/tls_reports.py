"""Samples of TLS reports, as real senders write them: JSON, gzip, mails, an mbox."""

from __future__ import annotations

import base64
import gzip
import json

TLSA = {
    "policy-type": "tlsa",
    "policy-string": ["3 1 1 " + "ab" * 32],
    "policy-domain": "example.org",
    "mx-host": ["mail.example.org"],
}
STS = {
    "policy-type": "sts",
    "policy-string": ["version: STSv1", "mode: enforce", "mx: mail.example.org", "max_age: 86400"],
    "policy-domain": "example.org",
    "mx-host": ["mail.example.org"],
}


def report(organization: str, report_id: str, end: str, *policies: object) -> dict[str, object]:
    """Return a report of 2026-11-24."""
    return {
        "organization-name": organization,
        "date-range": {"start-datetime": "2026-11-24T00:00:00Z", "end-datetime": end},
        "contact-info": "tls-reports@reporter.example",
        "report-id": report_id,
        "policies": list(policies),
    }


def policy(
    about: object, successful: object, failed: object, details: object = None
) -> dict[str, object]:
    """Return a policy with its sessions."""
    counts = {
        "total-successful-session-count": successful,
        "total-failure-session-count": failed,
    }
    return {"policy": about, "summary": counts, "failure-details": details}


def detail(result: str, sessions: object, **more: object) -> dict[str, object]:
    """Return a row of `failure-details`."""
    about = {"result-type": result, "receiving-mx-hostname": "mail.example.org"}
    return about | {"failed-session-count": sessions} | more


BIG = report(
    "Big Mail Inc.",
    "2026-11-24T00:00:00Z_example.org",
    "2026-11-24T23:59:59Z",
    policy(STS, 120, 3, [detail("certificate-expired", 3, **{"sending-mta-ip": "192.0.2.9"})]),
)
OFFICE = report(
    "Office Cloud Corporation",
    "134085110000000000+example.org+",
    "2026-11-24T23:59:59Z",
    policy(TLSA, 40, 2, [detail("tlsa-invalid", 2), "no detail"]),
    policy(STS, 41, 0, []),
)
SMALL = report(
    "small.example",
    "2026-11-24-small.example",
    "2026-11-24T23:59:59Z",
    policy({"policy-type": "no-policy-found"}, 7, 0),
)
NORTH = report(
    "North Mail",
    "20261124-north",
    "2026-11-25T00:00:00Z",
    policy(
        TLSA | {"policy-domain": "Example.ORG."},
        "11",
        "1",
        [
            detail("validation-failure", "1", **{"receiving-ip": ""}),
            detail("starttls-not-supported", 1, **{"failure-reason-code": ""}),
        ],
    ),
)


def base64_lines(data: bytes) -> str:
    """Return data as lines of base64."""
    return base64.encodebytes(data).decode()


def packed(document: object) -> bytes:
    """Return a report as gzip, the same each time."""
    return gzip.compress(json.dumps(document).encode(), mtime=0)


MAIL = """Return-Path: <reports@reporter.example>
Received: from out.reporter.example (out.reporter.example [192.0.2.9])
\tby mail.example.org (Postfix) with ESMTPS id 4ABC
\tfor <tls@example.org>; Wed, 25 Nov 2026 01:00:00 +0000 (UTC)
{headers}From: <reports@reporter.example>
To: tls@example.org
Subject: Report Domain: example.org Submitter: reporter.example
\tReport-ID: <1@reporter.example>
TLS-Report-Domain: example.org
TLS-Report-Submitter: reporter.example
MIME-Version: 1.0
Content-Type: multipart/report; report-type="tlsrpt";
\tboundary="=_outer_7"

This is a report in several parts.
--=_outer_7
Content-Type: multipart/alternative; boundary=inner

--inner
Content-Type: text/plain

[External Email] A report on TLS.
From here on it is attached.
--inner
Content-Type: text/html

<b>A report on TLS</b>
--inner--
--=_outer_7
Content-Type: application/tlsrpt+{kind}
Content-Transfer-Encoding: base64
Content-Disposition: attachment;
\tfilename="reporter.example!example.org!1795478400!1795564799!001.json{suffix}"

{content}
--=_outer_7--
"""
SIGNED = """Authentication-Results: mail.example.org;
\tdkim=pass (2048-bit key; unprotected) header.d=office.example header.i=@office.example;
\tdmarc=pass (p=reject) header.from=office.example
Authentication-Results: mail.example.org; dkim=pass header.d=forged.example
"""


def mail(document: object, headers: str = "", *, plain: bool = False) -> bytes:
    """Return a mail that brings a report, with these headers above it."""
    content = json.dumps(document).encode() if plain else packed(document)
    text = MAIL.format(
        headers=headers,
        kind="json" if plain else "gzip",
        suffix="" if plain else ".gz",
        content=base64_lines(content),
    )
    return text.encode()


SEPARATOR = b"From reports@reporter.example  Wed Nov 25 01:00:00 2026\n"


def mbox(*mails: bytes) -> bytes:
    """Return mails as an mbox."""
    return b"".join(SEPARATOR + each + b"\n" for each in mails)


def samples() -> dict[str, bytes]:
    """Return name of each sample -> its content."""
    mails = [mail(OFFICE, SIGNED), mail(SMALL, plain=True)]
    return {
        "big.json": json.dumps(BIG, indent=1).encode(),
        "north.example!example.org!1795478400!1795564800.json.gz": packed(NORTH),
        "office.eml": mails[0].replace(b"\n", b"\r\n"),
        "small.eml": mails[1],
        "both.mbox": mbox(*mails),
    }
