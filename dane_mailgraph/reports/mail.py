"""Mails that bring TLS reports: their parts, read within bounds and without copies of the whole."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from .report import (
    MOST_BYTES,
    Origin,
    Reading,
    UnusableError,
    is_packed,
    read_report,
    refusal,
    unpack,
)

MOST_MAIL_BYTES = 5 << 20
"""Of a mail: base64 makes `MOST_BYTES` a third longer."""

_DEEPEST = 8
"""Levels of parts within parts."""

_MOST_PARTS = 100

_MOST_HEADER_BYTES = 64 << 10

_LONGEST_HEADER = 4096

_MOST_REPORTS = 10
"""Parts of one mail that are read as reports."""


class _Part(NamedTuple):
    """A part of a mail that holds no other parts."""

    headers: Mapping[str, str]
    mail_headers: Mapping[str, str]
    """Those of the mail that it is in, which may itself be attached to the mail."""
    is_attached: bool
    """It is in a mail that is attached to the mail."""
    begin: int
    end: int
    """Its body is `mail[begin:end]`."""


class _Waiting(NamedTuple):
    """A part whose own parts are still to be found."""

    begin: int
    end: int
    mail_headers: Mapping[str, str] | None = None
    """As in `_Part`; None for a mail, whose headers are its own."""
    is_attached: bool = False
    depth: int = 0


def read_mail(mail: bytes, now: int, host: str, name: str = "") -> list[Reading]:
    """Read the reports that a mail brings.

    Args:
        mail: At most `MOST_MAIL_BYTES`.
        now: Epoch second.
        host: Our own server; only its `Authentication-Results` say who signed a report.
        name: Name of the file that the mail is in; it may name the policy domain.

    Raises:
        UnusableError: The mail brings no report.
    """
    signer = verified_signer(_headers(mail, 0, len(mail))[0], host)
    room, found = MOST_BYTES, list[Reading]()
    for part in _parts(mail):
        if not _may_be_report(part.headers):
            continue
        content = _decode(mail[part.begin : part.end], part.headers)
        if not (is_packed(content) or content.lstrip()[:1] == b"{"):
            if _media_type(part.headers).startswith("application/tlsrpt"):
                found.append(refusal("its part of the type tlsrpt is neither gzip nor JSON"))
            continue
        if len(found) == _MOST_REPORTS:
            raise UnusableError(f"it brings more than {_MOST_REPORTS} reports")
        try:
            content = unpack(content, room)
            room -= len(content)
            found.append(read_report(content, now, _origin(part, signer, name)))
        except UnusableError as error:
            found.append(refusal(error))
    if not found:
        raise UnusableError("it is a mail without a TLS report")
    return found


def _origin(part: _Part, signer: str, name: str) -> Origin:
    domain = (
        part.mail_headers.get("tls-report-domain", "")
        or domain_in_name(_file_name(part.headers))
        or domain_in_name(name)
    )
    return Origin(domain, "" if part.is_attached else signer)


def domain_in_name(name: str) -> str:
    """Return the policy domain in the name of a file: `SUBMITTER!DOMAIN!BEGIN!END...`."""
    fields = name.rpartition("/")[2].split("!")
    is_report = len(fields) >= 4 and fields[2].isdecimal() and fields[3].split(".")[0].isdecimal()
    return fields[1] if is_report else ""


# ---- headers --------------------------------------------------------------------------------


def begins_like_mail(data: bytes) -> bool:
    """Return whether these first bytes may be the headers of a mail."""
    return bool(re.match(rb"[!-9;-~]{1,80}[ \t]*:", data))


def _headers(mail: bytes, begin: int, end: int) -> tuple[dict[str, str], int]:
    """Return the first header of each name, in lower case, and where the body begins."""
    limit = min(end, begin + _MOST_HEADER_BYTES)
    found: dict[str, str] = {}
    name = ""
    while begin < limit:
        stop = mail.find(b"\n", begin, limit)
        stop = limit if stop < 0 else stop + 1
        line = mail[begin:stop].decode("latin-1").rstrip("\r\n")
        begin = stop
        if not line:
            break
        if line[0] in " \t":
            if name and len(found[name]) < _LONGEST_HEADER:
                found[name] += line
        else:
            before, colon, text = line.partition(":")
            name = before.strip().lower() if colon else ""
            if name in found:  # a further one
                name = ""
            elif name:
                found[name] = text
    return {each: text.strip()[:_LONGEST_HEADER] for each, text in found.items()}, begin


_PARAMETER = re.compile(r';\s*([\w-]+)(?:\*\d{0,2}\*?)?\s*=\s*(?:"([^"]*)"|([^\s;"]+))', re.ASCII)


def _parameter(header: str, wanted: str) -> str:
    """Return a parameter of a header, also one that is written in pieces (RFC 2231)."""
    value = "".join(
        quoted or plain
        for name, quoted, plain in _PARAMETER.findall(header)
        if name.lower() == wanted
    )
    return unquote(value.rpartition("''")[2]) if "''" in value else value


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _file_name(headers: Mapping[str, str]) -> str:
    return _parameter(headers.get("content-disposition", ""), "filename") or _parameter(
        headers.get("content-type", ""), "name"
    )


_RESULT = re.compile(r"\s*dkim\s*=\s*pass\b", re.IGNORECASE)
_SIGNER = re.compile(
    r"\bheader\.(?:d\s*=\s*\"?|i\s*=\s*\"?[^\s@;\"]{0,64}@)([a-z0-9._-]{1,253})", re.IGNORECASE
)


def verified_signer(headers: Mapping[str, str], host: str) -> str:
    """Return the domain whose DKIM signature our own server verified; empty where there is none.

    The topmost `Authentication-Results` is ours if it names our server: a server that verifies
    signatures removes such headers of strangers (RFC 8601, section 5).
    """
    header = headers.get("authentication-results", "")
    for _ in range(3):
        header = re.sub(r"\([^()]*\)", " ", header)
    server, *results = header.split(";")
    words = server.replace('"', " ").split()
    if not host or not words or words[0].lower().rstrip(".") != host.lower().rstrip("."):
        return ""
    for result in results:
        if _RESULT.match(result) and (found := _SIGNER.search(result)):
            return found[1].lower().rstrip(".")
    return ""


# ---- parts ----------------------------------------------------------------------------------


def _parts(mail: bytes) -> Iterator[_Part]:
    """Yield the parts that hold no others, in order; raises UnusableError for too many."""
    waiting = [_Waiting(0, len(mail))]  # the next one last
    count = 0
    while waiting:
        begin, end, mail_headers, is_attached, depth = waiting.pop()
        headers, body = _headers(mail, begin, end)
        if mail_headers is None:
            mail_headers = headers
        media_type = _media_type(headers)
        boundary = _parameter(headers.get("content-type", ""), "boundary")
        if media_type.startswith("multipart/") and boundary:
            inside = _split(mail, boundary.encode("latin-1"), body, end)
            waiting += [
                _Waiting(*place, mail_headers, is_attached, depth + 1) for place in reversed(inside)
            ]
        elif media_type == "message/rfc822":
            waiting.append(_Waiting(body, end, None, True, depth + 1))
        else:
            yield _Part(headers, mail_headers, is_attached, body, end)
        count += 1
        if count + len(waiting) > _MOST_PARTS or depth > _DEEPEST:
            raise UnusableError("it has too many parts")


def _split(mail: bytes, boundary: bytes, begin: int, end: int) -> list[tuple[int, int]]:
    """Return begin and end of the parts of a multipart; raises UnusableError for too many."""
    found: list[tuple[int, int]] = []
    start: int | None = None
    at = begin - 1  # a delimiter may be the first line of the body
    for _ in range(2 * _MOST_PARTS):
        at = mail.find(b"\n--" + boundary, at, end)
        stop = end if at < 0 else at
        if at < 0:
            break
        line_end = mail.find(b"\n", at + 1, end)
        line_end = end if line_end < 0 else line_end
        rest = mail[at + 3 + len(boundary) : min(line_end, at + 100 + len(boundary))].strip()
        if rest in (b"", b"--"):
            if start is not None:
                found.append((start, stop))
            start = line_end + 1 if rest == b"" else None
            if rest == b"--":
                return found
        at = line_end
    else:
        raise UnusableError("it has too many parts")
    if start is not None and start < end:  # the mail is cut off
        found.append((start, end))
    return found


def _may_be_report(headers: Mapping[str, str]) -> bool:
    is_application = _media_type(headers).startswith("application/")
    return is_application or _file_name(headers).lower().endswith((".json", ".gz"))


def _decode(body: bytes, headers: Mapping[str, str]) -> bytes:
    """Undo the Content-Transfer-Encoding of a part."""
    encoding = headers.get("content-transfer-encoding", "").strip().lower()
    if encoding == "quoted-printable":
        return binascii.a2b_qp(body)
    if encoding != "base64":
        return body
    # A gateway may have added lines of its own, or the end may be cut off.
    lines = _DIGITS.match(body)
    digits = b"".join(lines[0].split()).partition(b"=")[0] if lines else b""
    whole = digits[: -1 if len(digits) % 4 == 1 else None]
    return binascii.a2b_base64(whole + b"=" * (-len(whole) % 4))


_DIGITS = re.compile(rb"(?:[A-Za-z0-9+/=]*[ \t\r]*\n)*(?:[A-Za-z0-9+/=]*[ \t\r]*\Z)?")
"""The lines of base64 at the beginning of a body; a line of text has a blank or a full stop."""
