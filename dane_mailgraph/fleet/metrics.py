"""Table 6: counters and gauges, in the text format of Prometheus.

No label holds a relay, a domain or an address: the values are names of our tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from .. import __version__
from ..answer import CONDITIONS, Judgement
from ..categories import CATEGORIES, HAS_TLS_FIELD, ONLY_BY_TLS_FIELD, Category, unknown_categories
from ..errors import StoreError, reason
from ..files import write_anew
from ..levels import Level, worst
from ..postfix_warnings import BY_NAME
from ..store import Ledger, RelayTable, Row, load_watched, totals

PREFIX = "dane_mailgraph_"

OBSERVED = "observed_seconds_total"

FAMILY_METRICS = {
    "connections": ("connections_total", "trust"),
    "protocols": ("protocol_connections_total", "protocol"),
    "key_exchange": ("key_exchange_connections_total", "key_exchange"),
    "deliveries": ("deliveries_total", "security"),
    "failures": ("failures_total", "reason"),
    "inbound": ("inbound_messages_total", "security"),
    "inbound_protocols": ("inbound_protocol_sessions_total", "protocol"),
    "inbound_key_exchange": ("inbound_key_exchange_sessions_total", "key_exchange"),
}
"""Family -> the name of its counter, and of the label that holds the category."""

_REUSED = "reused_connections_total"

HELP = {
    "connections_total": "TLS handshakes of Postfix's client with remote relays.",
    _REUSED: "Deliveries over a TLS connection that was open already.",
    "protocol_connections_total": "TLS handshakes by protocol.",
    "key_exchange_connections_total": "TLS handshakes by key exchange.",
    "deliveries_total": "Recipients whose mail was handed over, by security of the session.",
    "failures_total": "Recipients deferred or bounced for a TLS or DANE reason.",
    "inbound_messages_total": "Messages of other servers that Postfix accepted.",
    "inbound_protocol_sessions_total": "TLS handshakes of Postfix's server by protocol.",
    "inbound_key_exchange_sessions_total": "TLS handshakes of Postfix's server by key exchange.",
    OBSERVED: "Seconds whose log was read.",
    "postfix_warnings_total": "Warnings of Postfix about its own TLS or DANE.",
    "omitted_lines_total": "Lines that were not counted as they should have been.",
    "counted_until_timestamp_seconds": "End of the newest interval in the counters.",
    "newest_line_timestamp_seconds": "When the newest line of the log was written.",
    "lost_authentication_relays": "Relays that lost authentication in the last 30 days.",
    "condition": "0 where it does not hold, 1 warning, 2 critical; accepted: 0; unknown: absent.",
    "own_mx_tlsa_matches": "TLSA records that match what our server shows.",
    "own_mx_certificate_expiry_timestamp_seconds": "When our server's certificate ends.",
    "build_info": "The version of dane-mailgraph.",
}
"""Name, without the prefix -> what it is. Names that end in `_total` are counters."""


class Sample(NamedTuple):
    """One value of one metric."""

    name: str
    """Without the prefix."""
    labels: Mapping[str, str]
    value: int

    def series(self, host: str) -> dict[str, str]:
        """Return the labels of its series at a database, with `__name__` and `host`."""
        return {"__name__": PREFIX + self.name, "host": host, **self.labels}


def metric_of(category: Category) -> tuple[str, dict[str, str]]:
    """Return the name and the labels of a category's counter."""
    if category.key == "connections.reused":
        return _REUSED, {}
    name, label = FAMILY_METRICS[category.family]
    return name, {label: category.name}


def known_totals(ledger: Ledger, until: int) -> Row:
    """Return the running totals of the ledger; None for categories that the log never showed."""
    row = totals(ledger)
    never_known = _never_known(ledger, row, until)
    return row._replace(
        counts=tuple(
            None if category in never_known else count
            for category, count in zip(CATEGORIES, row.counts, strict=True)
        )
    )


def counter_samples(row: Row) -> Iterator[Sample]:
    """Yield the running totals that grow by intervals; those never known are left out."""
    yield Sample(OBSERVED, {}, row.observed)
    for category, count in zip(CATEGORIES, row.counts, strict=True):
        if count is not None and category.family in FAMILY_METRICS:
            yield Sample(*metric_of(category), count)


def state_samples(ledger: Ledger, found: Judgement) -> Iterator[Sample]:
    """Yield the samples without a history: gauges, and counters that have no intervals."""
    table, state = RelayTable(ledger), ledger.state
    warned = {each.name: each.times for each in table.warnings(0)}
    for name in BY_NAME:
        yield Sample("postfix_warnings_total", {"warning": name}, warned.get(name, 0))
    for name, count in ledger.omitted(for_good=True).items():
        yield Sample("omitted_lines_total", {"reason": name}, count)
    if state.rrd_until is not None:
        yield Sample("counted_until_timestamp_seconds", {}, state.rrd_until)
    if state.newest is not None:
        yield Sample("newest_line_timestamp_seconds", {}, state.newest)
    holding = (*found.conditions, *found.silenced)
    lost = sum(each.name == "lost_authentication" for each in holding)
    yield Sample("lost_authentication_relays", {}, lost)
    for row in CONDITIONS:
        levels = [each.level for each in found.conditions if each.name == row.name]
        if (level := worst(levels)) is not Level.UNKNOWN:
            yield Sample("condition", {"name": row.name}, int(level))
    for each in load_watched(ledger):
        labels = {"mx": each.target.name, "port": str(each.target.port)}
        if each.matches is not None:
            yield Sample("own_mx_tlsa_matches", labels, each.matches)
        if each.ends is not None:
            yield Sample("own_mx_certificate_expiry_timestamp_seconds", labels, each.ends)
    yield Sample("build_info", {"version": __version__}, 1)


def as_text(ledger: Ledger, now: int, found: Judgement) -> str:
    """Write all metrics in the Prometheus text format."""
    groups: dict[str, list[Sample]] = {}
    for sample in (*counter_samples(known_totals(ledger, now + 1)), *state_samples(ledger, found)):
        groups.setdefault(sample.name, []).append(sample)
    lines = []
    for name, samples in groups.items():
        kind = "counter" if name.endswith("_total") else "gauge"
        lines += [f"# HELP {PREFIX}{name} {HELP[name]}", f"# TYPE {PREFIX}{name} {kind}"]
        lines += [f"{PREFIX}{name}{_braces(each.labels)} {each.value}" for each in samples]
    return "\n".join(lines) + "\n"


def _never_known(ledger: Ledger, row: Row, until: int) -> set[Category]:
    """Return the categories that no line of the log has ever shown."""
    hours, counts = ledger.hours(0, until), dict(zip(CATEGORIES, row.counts, strict=True))
    needs_field = () if HAS_TLS_FIELD in hours else ONLY_BY_TLS_FIELD
    return unknown_categories(hours, counts) | {each for each in needs_field if not counts[each]}


def _braces(labels: Mapping[str, str]) -> str:
    inside = ",".join(f'{name}="{value}"' for name, value in labels.items())
    return f"{{{inside}}}" if inside else ""


def write(path: str, content: str) -> None:
    """Replace metrics_file atomically by one that all may read; raises StoreError.

    A symbolic link in its place is replaced, too.
    """
    try:
        write_anew(path, content.encode())
    except OSError as error:
        raise StoreError(
            f"metrics_file {path} cannot be written: {reason(error)}; let the user that counts "
            "write into its folder, and name that folder in ReadWritePaths= of the unit."
        ) from error
