"""The JSON of a TLS report (RFC 8460), read within bounds: strangers can mail anything."""

from __future__ import annotations

import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from ..times import DAY

MOST_BYTES = 3 << 20
"""Of a report, unpacked."""

_MOST_VALUES = 150_000
"""A report of 10,000 failures has 100,000; parsing one value takes up to 300 bytes."""

_MOST_POLICIES = 1000

_MOST_SESSIONS = 10**12

_LONGEST_DOMAIN = 253
"""Characters of a domain (RFC 1035)."""

_LONGEST_REPORTER = 64
"""Characters of an organization that are kept."""

_GZIP = b"\x1f\x8b"

_MOST_MEMBERS = 16
"""This many gzip members in a row are too many; one fewer is still unpacked."""

_FIRST_DAY = int(datetime(2016, 1, 1, tzinfo=timezone.utc).timestamp())
"""No TLS report is older than this epoch second."""

_DAYS_AHEAD = 2

_MOST_DAYS = 2
"""Days that a report may cover; most cover one."""

_SUCCESSES = {"tlsa": "dane", "sts": "mta_sts", "no-policy-found": "no_policy"}
"""`policy-type` -> the category of its successful sessions."""

OTHER_RESULT = "other"

RESULTS = {
    "starttls-not-supported": "our server did not offer STARTTLS",
    "certificate-host-mismatch": "our certificate does not name the server",
    "certificate-expired": "our certificate had expired",
    "certificate-not-trusted": "our certificate is not from a CA that the sender trusts",
    "validation-failure": "our certificate failed verification",
    "tlsa-invalid": "no TLSA record matched our certificate",
    "dnssec-invalid": "DNSSEC of our domain failed validation",
    "dane-required": "the sender requires DANE, and found no usable TLSA records",
    "sts-policy-fetch-error": "our MTA-STS policy could not be fetched",
    "sts-policy-invalid": "our MTA-STS policy is not valid",
    "sts-webpki-invalid": "the web server of our MTA-STS policy has no valid certificate",
    OTHER_RESULT: "another reason",
}
"""`result-type` of a failure -> what it means."""


class UnusableError(Exception):
    """Why a report, or a part of it, cannot be counted: the rest of a sentence."""


class Origin(NamedTuple):
    """What the mail or the file that brings a report says of it."""

    domain: str = ""
    """The policy domain, where the report itself does not name it."""
    signer: str = ""
    """The domain whose DKIM signature our own server verified; empty where it verified none."""


UNKNOWN_ORIGIN = Origin()


class Failures(NamedTuple):
    """Sessions that failed for one reason at one of our servers."""

    result: str
    """A key of `RESULTS`."""
    mx: str
    """Our server as the reporter names it; empty where it names none."""
    sessions: int


class TlsReport(NamedTuple):
    """What one reporter says of one policy domain on one day."""

    identity: bytes
    """The same for the same organization, report ID and policy domain; 16 bytes."""
    reporter: str
    """Organization that reports, in printable characters."""
    signer: str
    """As in `Origin`."""
    domain: str
    day: int
    """Epoch second in which the day begins, UTC."""
    # Sessions by category of `REACH`:
    dane: int
    mta_sts: int
    no_policy: int
    failed: int
    failures: tuple[Failures, ...]
    """They need not add up to `failed`."""


class Reading(NamedTuple):
    """What a report's JSON holds, and why parts of it cannot be used."""

    reports: tuple[TlsReport, ...]
    unusable: tuple[str, ...] = ()
    """A sentence without its subject for each part."""


def refusal(why: object) -> Reading:
    """Return the reading of a report that cannot be used.

    It keeps the words of an error alone: the error itself would keep all that was unpacked.
    """
    return Reading((), (str(why),))


def unpack(data: bytes, room: int = MOST_BYTES) -> bytes:
    """Return a report as JSON, out of gzip where it is packed; raises UnusableError.

    Args:
        data: What a file or the part of a mail holds.
        room: Bytes that the JSON may have.
    """
    plain = bytearray()
    for _ in range(_MOST_MEMBERS):
        if not data.startswith(_GZIP):
            break
        unpacker = zlib.decompressobj(wbits=31)
        try:
            plain += unpacker.decompress(data, room + 1 - len(plain))
        except zlib.error as error:
            raise UnusableError("its gzip data is damaged") from error
        if len(plain) > room:
            raise _too_large()
        if not unpacker.eof:
            raise UnusableError("its gzip data ends early")
        data = unpacker.unused_data
    else:
        raise UnusableError(f"it has more than {_MOST_MEMBERS - 1} gzip members")
    if plain:
        return bytes(plain)
    if len(data) > room:
        raise _too_large()
    return data


def _too_large() -> UnusableError:
    return UnusableError(f"it has more than {MOST_BYTES >> 20} MiB")


def is_packed(data: bytes) -> bool:
    """Return whether these first bytes are those of gzip."""
    return data.startswith(_GZIP)


def read_report(data: bytes, now: int, origin: Origin = UNKNOWN_ORIGIN) -> Reading:
    """Read the JSON of a report.

    Args:
        data: At most `MOST_BYTES`, unpacked.
        now: Epoch second; a report may be of a day up to two days later.
        origin: What the mail or the file says of it.

    Raises:
        UnusableError: It is no report, or nothing of it can be counted.
    """
    document = _parse_json(data)
    day = _day_of(document.get("date-range"), now)
    reporter = _as_text(document.get("organization-name"))
    report_id = _as_text(document.get("report-id"))
    if not report_id:
        raise UnusableError("it has no report-id to know its copies by")
    policies = document.get("policies")
    if not isinstance(policies, list) or not policies:
        raise UnusableError("it has no policies")
    if len(policies) > _MOST_POLICIES:
        raise UnusableError(f"it has more than {_MOST_POLICIES:,} policies")
    parts, unusable = _by_domain(policies, origin)
    reports = []
    for domain, some in parts.items():
        try:
            counts, failures = _add_up(some)
        except UnusableError as error:
            unusable.append(f"{error} ({domain})")
            continue
        reports.append(
            TlsReport(
                identity=_identity(reporter, report_id, domain),
                reporter=_printable(reporter),
                signer=origin.signer,
                domain=domain,
                day=day,
                dane=counts["dane"],
                mta_sts=counts["mta_sts"],
                no_policy=counts["no_policy"],
                failed=counts["failed"],
                failures=failures,
            )
        )
    if not reports:
        raise UnusableError(unusable[0])
    return Reading(tuple(reports), tuple(dict.fromkeys(unusable)))


# ---- JSON -----------------------------------------------------------------------------------


def _parse_json(data: bytes) -> dict[str, Any]:
    # Before parsing, because an empty list of two bytes takes 64.
    if sum(map(data.count, (b",", b"[", b"{"))) > _MOST_VALUES:
        raise UnusableError("it has too many values")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnusableError("it is not UTF-8") from error
    try:
        document = json.loads(text, parse_int=_bounded_int, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise UnusableError("its JSON is nested too deeply") from error
    except ValueError as error:
        raise UnusableError("it is not JSON") from error
    if not isinstance(document, dict):
        raise UnusableError("it is JSON, but no TLS report")
    return document


def _bounded_int(digits: str) -> int:
    """Read a whole number; those far beyond what is counted become one and the same."""
    return int(digits) if len(digits) < 20 else (-1 if digits.startswith("-") else 10**20)


def _refuse_constant(name: str) -> float:
    raise ValueError(name)


def _as_object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _as_text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _printable(text: str) -> str:
    """Return the beginning of a stranger's text in printable characters, as much as is kept."""
    return "".join(each if each.isprintable() else " " for each in text[:_LONGEST_REPORTER]).strip()


def _identity(*names: str) -> bytes:
    lower = "\0".join(name.casefold() for name in names)
    import hashlib  # it loads OpenSSL, which the counter need not hold

    return hashlib.sha256(lower.encode("utf-8", "surrogatepass")).digest()[:16]


# ---- days -----------------------------------------------------------------------------------

_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,]\d{1,9})?)?"
    r"\s?([Zz]|[+-]\d\d:?\d\d)?)?",
    re.ASCII,
)


def _parse_time(text: str) -> int:
    """Read an ISO 8601 time, UTC where it names no zone; raises UnusableError."""
    found = _TIME.fullmatch(text) if len(text) < 64 else None
    if not found:
        raise UnusableError("it has no readable date-range")
    *numbers, zone = found.groups()
    try:
        year, month, day, hour, minute, second = (int(number or 0) for number in numbers)
        at = datetime(year, month, day, hour, minute, tzinfo=timezone.utc)
        at += timedelta(seconds=second)
        if zone and zone not in "Zz":
            hours, minutes = int(zone[1:3]), int(zone[-2:])
            offset = timedelta(hours=hours, minutes=minutes)
            at += offset if zone.startswith("-") else -offset
        return int(at.timestamp())
    except (ValueError, OverflowError) as error:
        raise UnusableError("it has no readable date-range") from error


def _day_of(value: object, now: int) -> int:
    """Return the UTC day that a report is about, which is that of the middle of its range."""
    span = _as_object(value)
    begin = _parse_time(_as_text(span.get("start-datetime")))
    end_text = _as_text(span.get("end-datetime"))
    end = _parse_time(end_text) if end_text else begin
    if begin < _FIRST_DAY:
        raise UnusableError("it is about a day before 2016")
    if max(begin, end - 1) // DAY > now // DAY + _DAYS_AHEAD:
        raise UnusableError(f"it is about a day more than {_DAYS_AHEAD} days ahead")
    if not 0 <= end - begin <= _MOST_DAYS * DAY:
        raise UnusableError("its date-range is not a day")
    middle = begin + (end - begin) // 2
    return middle - middle % DAY


# ---- policies -------------------------------------------------------------------------------


def domain_name(text: str) -> str:
    """Return a domain in lower case and as DNS has it (`xn--...`); empty where it is none."""
    name = text.strip().rstrip(".").casefold()[: _LONGEST_DOMAIN + 1]
    if not name.isascii():
        try:
            name = name.encode("idna").decode("ascii")
        except UnicodeError:
            return ""
    return name if re.fullmatch(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63}){0,126}", name) else ""


def _by_domain(
    policies: Iterable[object], origin: Origin
) -> tuple[dict[str, list[Mapping[str, Any]]], list[str]]:
    """Return policy domain -> its policies, and why others cannot be used."""
    named = [
        (each, _as_text(_as_object(each.get("policy")).get("policy-domain")))
        for each in map(_as_object, policies)
    ]
    known = {domain_name(name) for _, name in named if name} - {""}
    default = known.pop() if len(known) == 1 else domain_name(origin.domain)
    found: dict[str, list[Mapping[str, Any]]] = {}
    unusable = []
    for policy, name in named:
        domain = domain_name(name) if name else default
        if domain:
            found.setdefault(domain, []).append(policy)
        else:
            unusable.append("a policy names no domain")
    return found, unusable


def _add_up(policies: Iterable[Mapping[str, Any]]) -> tuple[Counter[str], tuple[Failures, ...]]:
    """Add up the sessions of a domain's policies by category, and its failures by reason."""
    counts: Counter[str] = Counter()
    by_reason: Counter[tuple[str, str]] = Counter()
    for policy in policies:
        kind = _as_text(_as_object(policy.get("policy")).get("policy-type")).lower()
        if kind not in _SUCCESSES:
            raise UnusableError("a policy-type is none of tlsa, sts, no-policy-found")
        summary = policy.get("summary")
        if not isinstance(summary, dict):
            raise UnusableError("a policy has no summary")
        counts[_SUCCESSES[kind]] += _parse_count(summary.get("total-successful-session-count"))
        counts["failed"] += _parse_count(summary.get("total-failure-session-count"))
        for result, mx, sessions in _failures(policy.get("failure-details")):
            by_reason[result, mx] += sessions
    if max((*counts.values(), *by_reason.values()), default=0) > _MOST_SESSIONS:
        raise _impossible_count()
    failures = (Failures(*names, sessions) for names, sessions in by_reason.most_common())
    return counts, tuple(failures)


def _failures(details: object) -> Iterator[Failures]:
    for detail in details if isinstance(details, list) else ():
        failed = _as_object(detail)
        if sessions := _parse_count(failed.get("failed-session-count")):
            result = _as_text(failed.get("result-type")).lower()
            mx = _as_text(failed.get("receiving-mx-hostname"))
            yield Failures(result if result in RESULTS else OTHER_RESULT, domain_name(mx), sessions)


def _parse_count(value: object) -> int:
    """Read a count of sessions, 0 where it is left out; raises UnusableError."""
    if value is None or value == "":
        return 0
    if isinstance(value, str):
        value = value.strip()
        is_number = len(value) < 20 and re.fullmatch(r"[0-9]+", value)
        value = int(value) if is_number else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int or not 0 <= value <= _MOST_SESSIONS:
        raise _impossible_count()
    return value


def _impossible_count() -> UnusableError:
    return UnusableError("a count of sessions is not from 0 to 10^12")
