"""What the output of posttls-finger says of a server, and what Postfix would do with mail to it.

posttls-finger probes as Postfix's client does at one level, `dane` where no other is asked for.
Without TLSA records it checks the certificate against the CAs, which Postfix at `dane` does not.
The formats are those of Postfix 2.11 to 3.12. A server chooses what follows `< `, in the
names of its certificate, and in its replies, so patterns match a text from its first character.
"""

from __future__ import annotations

import re
from datetime import tzinfo
from enum import Enum
from typing import NamedTuple

from ..dane import end_of_certificate
from ..times import format_time
from . import handshake

PREFIX = b"posttls-finger: "
"""What its lines begin with; only a printed chain of certificates (option -C) has none."""


class Records(Enum):
    """What became of the TLSA records."""

    MATCHED = "found and secure, and one matches"
    MISMATCHED = "found and secure, and none matches"
    FOUND = "found and secure, but no certificate was compared"
    UNUSABLE = "found and secure, but none is of a usage that works for mail (2 or 3)"
    INSECURE_MX = "not used, because the MX lookup was not secure"
    NONE = "none that are secure"
    LOOKUP_FAILED = "not known, because their lookup failed"
    UNKNOWN = "not shown: run posttls-finger with `-L verbose`"


class Action(Enum):
    """What Postfix does with mail to this server at a level."""

    SENDS_BY_DANE = "sends mail, authenticated by DANE"
    SENDS_BY_HALF_DANE = "sends mail, authenticated by TLSA records, but not the MX lookup"
    SENDS_OVER_TLS = "sends mail over TLS without authentication"
    SENDS_IF_REACHED = "sends mail, over TLS where the server offers that"
    SENDS_IN_PLAINTEXT = "sends mail in plaintext"
    SENDS_IN_THE_END = "tries anonymous ciphers too, waits if TLS fails, and then uses plaintext"
    WAITS = "does not send mail to this server, but to another one or later"
    RETURNS = "returns mail as undeliverable"
    DEPENDS = "does as at `may` without secure TLSA records, and with them does not send"
    UNKNOWN = "does what this output does not show"


class Match(NamedTuple):
    """A TLSA record, and the certificate that it matches."""

    record: str
    """`3 1 1 F8953D...`."""
    depth: int
    """0 is the server's own certificate, 1 its issuer's."""


class Verdict(NamedTuple):
    """All that one run of posttls-finger says."""

    server: str | None
    """`HOST[ADDRESS]:PORT`; None where none was reached."""
    level: str
    """What was reached: `dane`, `half_dane`, a label of a session, `plaintext`, or `none`."""
    records: Records
    found: tuple[str, ...]
    """The TLSA records that it names."""
    match: Match | None
    name: str | None
    """The name of the server that the certificate holds; None where no name is said to match."""
    problem: str | None
    """Why the certificate, the handshake or the connection failed."""
    ends: int | None
    """Epoch second at which the certificate ends; None where it is not shown."""
    protocol: str | None
    key_exchange: str | None
    """A category of the family `key_exchange`."""
    may: Action
    dane: Action
    dane_only: Action

    @property
    def in_one_sentence(self) -> str:
        """What Postfix would do with mail to it."""
        return (
            f"Postfix at `may` {self.may.value}; at `dane` {self.dane.value}; "
            f"at `dane-only` {self.dane_only.value}."
        )

    def as_dict(self) -> dict[str, object]:
        """Return it for JSON."""
        actions = {each: getattr(self, each).name.lower() for each in ("may", "dane", "dane_only")}
        match = self.match._asdict() if self.match else None
        records = self.records.name.lower()
        fields = {"records": records, "match": match, **actions, "text": self.in_one_sentence}
        return self._asdict() | fields

    def as_lines(self, zone: tzinfo | None) -> list[str]:
        """Return it for a person in this zone."""
        session = ", ".join(filter(None, (self.protocol, self.key_exchange)))
        lines = [f"Server: {self.server or 'none was reached'}", f"Level reached: {self.level}"]
        if session:
            lines[-1] += f" ({session})"
        lines.append(f"TLSA records: {self.records.value}")
        lines += [f"    {record}" for record in self.found]
        if self.match:
            lines.append(f"Match: {self.match.record} at depth {self.match.depth}")
        if self.name:
            lines.append(f"Name: the certificate holds {self.name}")
        elif self.match and self.match.record.startswith("3"):
            lines.append("Name: not checked, because a record of usage 3 names the certificate")
        if self.problem:
            lines.append(f"Problem: {self.problem}")
        if self.ends is not None:
            lines.append(f"Certificate ends: {format_time(self.ends, zone, zone_name=True)}")
        return [*lines, self.in_one_sentence]


# ---- its lines ------------------------------------------------------------------------------

_PLACE = r"[^\s\[\]]*\[[^\s\[\]]*\](?::\d+)?"
_TLSA = r"([0-9]{1,3} [0-9]{1,3} [0-9]{1,3} (?:[0-9A-Fa-f:.]+|<[^>]*>.*))"
_FAILED = rf"(?:[a-z]+ )?certificate verification failed for ({_PLACE}): "

_LINES = (
    (
        "match",
        rf"{_PLACE}: Matched DANE (?:[A-Za-z ]+?)(?: at depth (\d+))?: {_TLSA}",
        "a TLSA record that the certificate matches",
    ),
    (
        "old_match",
        rf"{_PLACE}: depth=(\d+) matched(?:=1)? (end entity|trust anchor) "
        r"(public-key|certificate) (\S+) digest=([0-9A-Fa-f:]+)",
        "a TLSA record that the certificate matches",
    ),
    (
        "record",
        rf"(?:DNSSEC-signed TLSA record: .*?: |using DANE RR: \S+(?: -> \S+)? IN TLSA ){_TLSA}",
        "a TLSA record that DNSSEC vouches for",
    ),
    (
        "unusable",
        r"warning: (?:.* )?(?:unsupported TLSA certificate usage|unusable TLSA RR"
        r"|reserved private-use matching type|truncated TLSA RR"
        rf"|unsupported (?:certificate usage|selector|matching type) \d+ in RR)\b(?:: {_TLSA})?",
        "a TLSA record that is of no use for mail",
    ),
    (
        "none_usable",
        rf"(?:warning: {_PLACE}: all TLSA records unusable|no usable TLSA records found)",
        "no TLSA record is of use for mail, so posttls-finger asks the CAs",
    ),
    (
        "no_records",
        r"no TLSA records found, resorting to \"secure\"",
        "there are no TLSA records, so posttls-finger asks the CAs",
    ),
    (
        "lookup_failed",
        r"(?:warning: (?:DANE TLSA lookup problem|DNSSEC status lookup error)"
        r"|Failed to establish session to .* via \S+: (TLSA lookup error for .*))",
        "the lookup of TLSA records failed: at `dane` this server gets no mail",
    ),
    (
        "half_dane",
        r"MX RRset insecure: log verified as trusted",
        "the MX lookup was not secure: at best this is half DANE",
    ),
    (
        "insecure_mx",
        r"(?:TLSA RRs found, MX RRset insecure: just encrypt|MX RRset is insecure: try to encrypt)",
        "the MX lookup was not secure, so TLSA records are not used",
    ),
    (
        "mismatch",
        rf"{_FAILED}(num=65:.*|not trusted by local or TLSA policy)",
        "the certificate matches none of the TLSA records",
    ),
    (
        "unproven",
        rf"{_FAILED}(num=62:.*|certificate has expired|certificate not yet valid)",
        "the certificate is not valid for this name or now",
    ),
    ("refused", rf"{_FAILED}(.*)", "no CA that posttls-finger was given vouches for the server"),
    (
        "name",
        rf"{_PLACE}:? (?:matched peername:|Matched subjectAltName:|Matched CommonName) (\S+)",
        "the certificate holds the server's name",
    ),
    ("", rf"{_PLACE}:? (?:subjectAltName:|CommonName) ", "a name that the certificate holds"),
    (
        "peer",
        rf"({_PLACE}): (?:subject_CN=|pkey_fingerprint=)",
        "names and fingerprints of the certificate",
    ),
    ("fingerprint", rf"{_PLACE}: Matched fingerprint: ", "the certificate has the fingerprint"),
    ("anchor", rf"{_PLACE}: Matched trust anchor ", "a file of trust anchors vouches for it"),
    ("no_handshake", rf"SSL_connect error to ({_PLACE}): (.*)", "the TLS handshake failed"),
    ("library", r"warning: TLS library problem: (.*)", "what OpenSSL says of it"),
    ("no_starttls", r"(STARTTLS rejected: .*)", "the server offers STARTTLS and refuses it"),
    (
        "no_service",
        r"(?:fatal: )?(SMTP service not available: .*|[EL]HLO rejected: .*"
        r"|(?:lost connection|timeout) while .*)",
        "the server broke off before TLS",
    ),
    (
        "no_address",
        r"(Destination address lookup failed: .*|warning: no (?:MX|SRV) host for .*)",
        "the domain has no mail server that can be found",
    ),
    (
        "no_connection",
        r"Failed to establish session to (.*)",
        "this server cannot be reached",
    ),
    ("place", rf"(?:Connected|setting up TLS connection) to ({_PLACE})", "the server was reached"),
    ("starttls", r"< 250[- ]STARTTLS\b", "the server offers STARTTLS"),
    ("greeted", r"> [EL]HLO ", "sent by posttls-finger"),
    ("begun", r"> STARTTLS", "sent by posttls-finger"),
    ("quit", r"> QUIT", "sent by posttls-finger"),
    ("", r"> ", "sent by posttls-finger"),
    ("", r"< ", "said by the server"),
    ("", r"Server is anonymous", "the server has no certificate"),
    (
        "",
        r"warning: DNSSEC validation may be unavailable|warning: reason: dnssec_probe",
        "the resolver does not validate, so there is no DANE: ask one that does",
    ),
    (
        "",
        r"DANE TLS support is not available",
        "this posttls-finger cannot do DANE, so it asks the CAs",
    ),
    (
        "",
        r"(?:Reconnecting|looking (?:for|up) session|reloaded session|Found a previously used"
        rf"|Server declined session caching|Maximum reconnect|{_PLACE}: Reusing old session)",
        "about a second connection to the same server",
    ),
    ("gave_up", r"fatal: (.*)", "posttls-finger gave up"),
)
"""The name of a fact or nothing, the pattern that begins its line, and what it means."""

_PATTERNS = tuple((name, re.compile(pattern), note) for name, pattern, note in _LINES)

_CHAIN = re.compile(
    r"---|(?:Certificate|Untrusted|Trusted) chain| *\d+ subject: .*| +issuer: .*"
    r"| +(?:cert|pkey) digest=.*|-----(?:BEGIN|END) [A-Z ]+-----|[A-Za-z0-9+/=]{4,80}|"
)

_WITHOUT_SESSION = (
    "lookup_failed",
    "no_address",
    "no_connection",
    "no_service",
    "no_starttls",
    "no_handshake",
    "library",
    "gave_up",
)
"""Facts that say why there is no session; the last of them says most."""

_MOST = 1000
"""Facts of one name that are kept, and lines of certificates: servers choose how many come."""


def is_part_of_chain(line: str) -> bool:
    """Return whether a line may be one of the certificates that option -C prints."""
    return _CHAIN.fullmatch(line) is not None


class Finger:
    """Reads the output of one run of posttls-finger, line by line."""

    def __init__(self) -> None:
        self._facts: dict[str, list[re.Match[str]]] = {}
        self._summary: handshake.Summary | None = None
        self._chain: list[str] = []

    def add(self, line: str) -> str:
        """Read a line, without `PREFIX` where it had it; return what it means."""
        if summary := handshake.summary(line.encode("utf-8", "backslashreplace")):
            self._summary = self._summary or summary
            return "the TLS session"
        for name, pattern, note in _PATTERNS:
            if match := pattern.match(line):
                if name:
                    known = self._facts.setdefault(name, [])
                    known.extend([match][: _MOST - len(known)])
                return note
        return "a detail that changes nothing"

    def add_chain(self, line: str) -> str:
        """Read a line of the certificates that option -C prints; return what it means."""
        self._chain.extend([line][: _MOST - len(self._chain)])
        return "the certificates that the server sent"

    # ---- what it says ----

    def verdict(self) -> Verdict:
        """Return what all these lines say together."""
        level, records, match = self._level(), self._records(), self._match()
        summary = self._summary
        may = self._without_dane(level)
        return Verdict(
            server=self._server(),
            level=level,
            records=records,
            found=tuple(dict.fromkeys(self._groups("record", "unusable"))),
            match=match,
            name=next(iter(self._groups("name")), None),
            problem=self._problem(),
            ends=end_of_certificate("\n".join(self._chain)),
            protocol=summary.protocol if summary else None,
            key_exchange=summary.key_exchange if summary else None,
            may=may,
            dane=self._at_dane(may, level, records),
            dane_only=self._at_dane_only(may, level, records),
        )

    def _groups(self, *names: str) -> list[str]:
        """Return the last group of each fact of these names, where it has one."""
        facts = (fact for name in names for fact in self._facts.get(name, ()))
        return [fact[fact.lastindex] for fact in facts if fact.lastindex]

    def _has(self, *names: str) -> bool:
        return any(name in self._facts for name in names)

    def _server(self) -> str | None:
        if self._summary:
            return self._summary.relay.decode("ascii", "backslashreplace")
        for name in ("peer", "mismatch", "unproven", "refused", "no_handshake", "place"):
            if name in self._facts:
                return str(self._facts[name][0][1])
        return None

    def _problem(self) -> str | None:
        said = self._groups("mismatch", "unproven", "refused")
        if not said and not self._has_session:
            said = self._groups(*_WITHOUT_SESSION)
            if not said and self._has_no_starttls:
                return "the server does not offer STARTTLS"
        return said[-1] if said else None

    @property
    def _has_session(self) -> bool:
        return self._summary is not None or self._has("match", "old_match", "peer")

    def _match(self) -> Match | None:
        for fact in self._facts.get("match", ()):
            return Match(fact[2], int(fact[1] or 0))
        for fact in self._facts.get("old_match", ()):
            usage = 3 if fact[2] == "end entity" else 2
            kind = {"sha256": 1, "sha512": 2}.get(fact[4], 0)
            record = f"{usage} {int(fact[3] == 'public-key')} {kind} {fact[5].replace(':', '')}"
            return Match(record, int(fact[1]))
        return None

    def _level(self) -> str:
        label = self._summary.label if self._summary else None
        if self._match() and not self._has("mismatch"):
            if self._has("half_dane"):
                return "half_dane"
            if label in (None, "Verified"):
                return "dane"
        if label:
            return label.lower()
        if self._has("peer"):
            return "untrusted" if self._problem() else "verified"
        return "plaintext" if self._has_no_starttls else "none"

    @property
    def _has_no_starttls(self) -> bool:
        """Whether the server was reached and does no STARTTLS.

        Without the chat (option -c) no line says so: then there is none at all.
        """
        unasked = self._has("quit") and not self._has("begun")
        return not self._facts or self._has("no_starttls") or unasked

    def _records(self) -> Records:
        session, failed = self._has_session, self._has("unproven", "refused")
        by_what_is_said = (
            (self._match() is not None, Records.MATCHED),
            (self._has("mismatch"), Records.MISMATCHED),
            (self._has("lookup_failed") and not session, Records.LOOKUP_FAILED),
            (self._has("insecure_mx"), Records.INSECURE_MX),
            (self._has("none_usable"), Records.UNUSABLE),
            (self._has("no_records"), Records.NONE),
            (self._has("record") and not session, Records.FOUND),
            (self._has("record") and self._level() == "verified", Records.MATCHED),
            (self._has("record"), Records.MISMATCHED),
            (self._has("unusable"), Records.UNUSABLE),
            # Records of usage 2 ask for a valid certificate with the right name, as CAs do.
            (self._has("unproven", "fingerprint", "anchor"), Records.UNKNOWN),
            (failed or self._has("name", "peer"), Records.NONE),
            (self._level() == "anonymous", Records.NONE),
        )
        return next((records for true, records in by_what_is_said if true), Records.UNKNOWN)

    # ---- what Postfix would do ----

    def _without_dane(self, level: str) -> Action:
        if level not in ("none", "plaintext"):
            return Action.SENDS_OVER_TLS
        if level == "plaintext":
            return Action.SENDS_IN_PLAINTEXT
        if self._has("no_handshake"):
            return Action.SENDS_IN_THE_END
        if self._has("no_address"):
            said = self._problem() or ""
            final = said.endswith(("Host not found", "nullMX)")) or "valid address" in said
            return Action.RETURNS if final else Action.WAITS
        if self._has("lookup_failed"):
            return Action.SENDS_IF_REACHED
        if self._has("no_connection", "no_service"):
            return Action.WAITS
        return Action.UNKNOWN

    def _at_dane(self, may: Action, level: str, records: Records) -> Action:
        if may in (Action.WAITS, Action.RETURNS):
            return may
        if records is Records.MATCHED:
            of_level = {
                "dane": Action.SENDS_BY_DANE,
                "verified": Action.SENDS_BY_DANE,
                "half_dane": Action.SENDS_BY_HALF_DANE,
            }
            return of_level.get(level, Action.WAITS)
        if records in (Records.NONE, Records.INSECURE_MX):
            return may
        if records is Records.UNUSABLE:
            return may if may is Action.SENDS_OVER_TLS else Action.WAITS
        if records is Records.UNKNOWN:
            return Action.UNKNOWN if level == "verified" else Action.DEPENDS
        return Action.WAITS

    def _at_dane_only(self, may: Action, level: str, records: Records) -> Action:
        if may is Action.RETURNS:
            return may
        if records is Records.MATCHED and level in ("dane", "verified"):
            return Action.SENDS_BY_DANE
        if records is Records.UNKNOWN and level == "verified":
            return Action.UNKNOWN
        return Action.WAITS
