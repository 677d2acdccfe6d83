"""What can be wrong; `check`, mails, page and the bare command speak from it.

A new condition is one row of `CONDITIONS`, and the function that finds it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import date, tzinfo
from functools import cached_property
from typing import NamedTuple

from ..categories import BY_KEY, CATEGORIES, HANDSHAKES, Category
from ..dane import SMTP, verdict
from ..errors import StoreError
from ..language import ENGLISH, Language
from ..levels import Level, worst
from ..omissions import OMISSIONS
from ..peers import domain_of
from ..store import (
    RRD,
    DeliveriesOfDay,
    Ledger,
    RefusalTable,
    RelayTable,
    State,
    Watched,
    load_watched,
)
from ..times import DAY, HOUR, MINUTE, day_of, format_time, midnight
from . import refusals, shares
from .attention import probe_command
from .authentication import FORGOTTEN_AFTER, LostAuthentication, lost_authentication
from .failing import Failing, failing
from .own_mx import described, trouble
from .silence import HISTORY, is_known, silence

NOT_COUNTING = 15 * MINUTE
"""Seconds without counting after which the counter is reported as stopped."""

MANY = 5
"""Relays at once from which on the cause is more likely here than there."""


def level_in_words(level: int, language: Language) -> str:
    """Write how bad something is for people."""
    if level == Level.UNKNOWN:
        return language.say("Unknown")
    return language.say("Critical") if level == Level.CRITICAL else language.say("Warning")


class Condition(NamedTuple):
    """A condition that holds."""

    name: str
    subject: str
    """A relay or the like; empty where it is about the whole server."""
    level: Level
    since: int
    """Epoch second."""
    text: str
    """What is wrong, in a sentence."""
    next_step: str
    """What to do, in a sentence with a command."""

    def for_json(self) -> dict[str, object]:
        """Return it as JSON has it, with the level as a word."""
        return self._asdict() | {"level": self.level.word}


class _Finding(NamedTuple):
    """What a judge finds."""

    level: Level
    since: int
    text: str
    subject: str = ""
    next_step: str | None = None
    """In place of the one in the table."""


class Evidence:
    """What is known when conditions are judged."""

    def __init__(
        self,
        ledger: Ledger,
        rrd: RRD,
        now: int,
        zone: tzinfo | None,
        language: Language = ENGLISH,
    ) -> None:
        self.ledger, self.rrd, self.now, self.zone = ledger, rrd, now, zone
        self.language, self.say = language, language.say
        self.relays = RelayTable(ledger)

    @cached_property
    def state(self) -> State:
        """How far counting is."""
        return self.ledger.state

    @cached_property
    def lost(self) -> tuple[LostAuthentication, ...]:
        """The relays that lost authentication."""
        return lost_authentication(self.relays, self.now, self.zone)

    @cached_property
    def failing(self) -> tuple[Failing, ...]:
        """The relays to which mail fails now."""
        return failing(self.relays, self.now, self.zone)

    @cached_property
    def deliveries(self) -> list[tuple[int, DeliveriesOfDay]]:
        """How many days ago, and the deliveries of a relay then; `shares.ALIKE` are one day."""
        today = _ordinal(day_of(self.now, self.zone))
        alike = _day(today - shares.ALIKE[-1]), _day(today - shares.ALIKE[0])
        found = self.relays.deliveries(_day(today - shares.DAYS), alike)
        ago = {day: max(0, today - _ordinal(day)) for day in {each.day for each in found}}
        return [(ago[each.day], each) for each in found]

    @cached_property
    def rhythm(self) -> list[tuple[int, int]]:
        """Events and longest pause of each of the last days with any."""
        since = day_of(self.now - HISTORY * DAY, self.zone)
        return self.ledger.read("SELECT events, longest_pause FROM rhythm WHERE day >= ?", since)

    @property
    def knows_rhythm(self) -> bool:
        """Whether enough was counted to tell a silent log from a quiet one."""
        return is_known(self.rhythm)

    @cached_property
    def watched(self) -> list[Watched]:
        """What the last look at our own servers found."""
        return load_watched(self.ledger)

    @cached_property
    def refusing(self) -> refusals.Refusing | None:
        """Whether more senders than before refuse our certificate; our own probes are none."""
        begin = self.state.begin
        if begin is None:
            return None
        rows = RefusalTable(self.ledger).by_domain(self.now - refusals.LOOKED_BACK)
        ours = {domain_of(each.target.name) for each in self.watched}
        return refusals.refusing((row for row in rows if row[0] not in ours), begin, self.now)

    @property
    def refused(self) -> str:
        """The same as a sentence; empty where it is not so."""
        found = self.refusing
        if found is None:
            return ""
        return self.say(
            "Senders refuse our certificate again and again: {senders} since {time}, in {count} "
            "connections, by an alert or by leaving right after STARTTLS, as where no TLSA record "
            "matches; in the {days} days before, {before}.",
            time=self.time(found.since),
            senders=self.number(found.senders),
            count=self.number(found.times),
            days=self.number(found.days),
            before=self.number(found.before),
        )

    def time(self, at: int) -> str:
        """Write a time for the operator."""
        return format_time(at, self.zone)

    def number(self, count: float) -> str:
        """Write a number."""
        return self.language.number(count)


def _ordinal(day: int) -> int:
    return date(day // 10000, day // 100 % 100, day % 100).toordinal()


def _day(ordinal: int) -> int:
    day = date.fromordinal(ordinal)
    return day.year * 10000 + day.month * 100 + day.day


# ---- is it counted --------------------------------------------------------------------------


def _not_counting(evidence: Evidence) -> Iterator[_Finding]:
    state = evidence.state
    if state.read_at is None:
        if state.read_until is not None and evidence.now - state.read_until > DAY:
            yield _Finding(
                Level.WARNING,
                state.read_until,
                evidence.say(
                    "No log is followed: what was imported ends at {time}.",
                    time=evidence.time(state.read_until),
                ),
                next_step=evidence.say(
                    "Start the counter with `systemctl enable --now dane-mailgraph`."
                ),
            )
        return
    read_at = state.read_at
    if evidence.now - read_at > NOT_COUNTING:
        yield _Finding(
            Level.CRITICAL if evidence.now - read_at > HOUR else Level.WARNING,
            read_at,
            evidence.say(
                "Nothing has been counted for {duration}: the counter is not running, or cannot "
                "read the log or write its store.",
                duration=evidence.language.duration(evidence.now - read_at),
            ),
        )


def _log_silent(evidence: Evidence) -> Iterator[_Finding]:
    # A log that is not read is not known to be silent.
    read_at = min(evidence.now, evidence.state.read_at or 0)
    found = silence(evidence.rhythm, evidence.state.newest, evidence.state.last_event, read_at)
    if found is None:
        return
    duration = evidence.language.duration
    values = {
        "duration": duration(read_at - found.since),
        "longest": duration(max(found.longest, MINUTE)),
    }
    if found.has_lines:
        text = evidence.say(
            "The log has lines, but no connection or delivery for {duration}; the longest pause in "
            "four weeks was {longest}.",
            **values,
        )
    else:
        text = evidence.say(
            "The log has been silent for {duration}; the longest pause in four weeks was "
            "{longest}.",
            **values,
        )
    yield _Finding(Level.CRITICAL if found.is_critical else Level.WARNING, found.since, text)


_LEAST_OMITTED, _OMITTED_SHARE, _CRITICAL_SHARE = 5, 0.01, 0.2


def _omissions(evidence: Evidence) -> Iterator[_Finding]:
    since = evidence.now - DAY
    by_name = evidence.ledger.hours(since, evidence.now + 1)
    omitted = {each: by_name.get(each.name, 0) for each in OMISSIONS if each.is_loss}
    count = sum(omitted.values())
    totals = evidence.ledger.totals(since - since % HOUR, evidence.now + 1)
    lines = count + sum(
        totals[each] or 0
        for each in CATEGORIES
        if each.family in ("connections", "deliveries", "failures")
    )
    if count >= _LEAST_OMITTED and count >= _OMITTED_SHARE * lines:
        most = max(omitted, key=lambda each: omitted[each])
        yield _Finding(
            Level.CRITICAL if count >= _CRITICAL_SHARE * lines else Level.WARNING,
            since,
            evidence.say(
                "{count} of {lines} lines of the last 24 hours were not counted as they should "
                "have been; {most} of them are {name}.",
                count=evidence.number(count),
                lines=evidence.number(lines),
                most=evidence.number(omitted[most]),
                name=most.name,
            ),
        )


def _store(evidence: Evidence) -> Iterator[_Finding]:
    state = evidence.state
    try:
        last = evidence.rrd.last
    except StoreError as error:
        yield _Finding(Level.CRITICAL, state.rrd_until or evidence.now, str(error))
        return
    if state.rrd_until is not None and last is None:
        yield _Finding(
            Level.CRITICAL,
            state.rrd_until,
            evidence.say(
                "{path} is gone, and the counter has not made it anew.", path=evidence.rrd.path
            ),
        )
    elif (
        state.read_until is not None
        and state.begin is not None
        and state.read_until - (state.rrd_until or state.begin) > NOT_COUNTING + evidence.rrd.step
    ):
        yield _Finding(
            Level.CRITICAL,
            state.rrd_until or state.begin,
            evidence.say(
                "{path} is not written: it ends at {time}, and counting goes on.",
                path=evidence.rrd.path,
                time=evidence.time(state.rrd_until or state.begin),
            ),
        )


# ---- is DANE at work here -------------------------------------------------------------------

DANE_IS_OFF = (
    "dnssec_unavailable",
    "dnssec_disabled",
    "library",
    "mx_errors_ignored",
    "resolver_options",
)
"""Warnings after which nothing is authenticated by DANE."""


def _last(evidence: Evidence, *categories: Category) -> int | None:
    return evidence.ledger.last_interval(categories, evidence.now - DAY - HOUR)


def _no_dnssec(evidence: Evidence) -> Iterator[_Finding]:
    warnings = [
        each for each in evidence.relays.warnings(evidence.now - DAY) if each.name in DANE_IS_OFF
    ]
    if warnings:
        warning, step = warnings[0], evidence.rrd.step
        verified = _last(evidence, BY_KEY["connections.verified"])
        if verified is None or verified + step <= warning.last:
            yield _Finding(
                Level.CRITICAL,
                warning.last if verified is None else verified + step,
                evidence.say(
                    "Postfix cannot use DANE, and no connection has been Verified since its last "
                    "warning at {time}: {meaning}.",
                    time=evidence.time(warning.last),
                    meaning=evidence.say(warning.meaning),
                ),
            )


def _own_tls(evidence: Evidence) -> Iterator[_Finding]:
    failed = _last(evidence, BY_KEY["failures.local"])
    if failed is not None and evidence.now - failed <= DAY:
        connected = _last(evidence, *HANDSHAKES)
        if connected is None or connected < failed:
            yield _Finding(
                Level.CRITICAL,
                failed,
                evidence.say(
                    "Postfix's own TLS does not work: mail fails for it, last at {time}, and no "
                    "TLS connection has been made since.",
                    time=evidence.time(failed),
                ),
            )


# ---- to whom --------------------------------------------------------------------------------


def _lost_authentication(evidence: Evidence) -> Iterator[_Finding]:
    failed, is_ours = {each.relay for each in evidence.failing}, _most_are_lost(evidence)
    for each in evidence.lost:
        is_critical = is_ours or each.relay in failed or each.is_plaintext
        values = {
            "relay": each.relay,
            "time": evidence.time(each.since),
            "good": evidence.number(each.good),
            "of": evidence.number(each.of),
            "good_before": evidence.number(each.good_before),
            "of_before": evidence.number(each.of_before),
            "days": evidence.number(each.days),
        }
        if each.is_plaintext:
            text = evidence.say(
                "Mail to {relay} has gone unencrypted since {time}: {good} of {of} times it was "
                "authenticated; before, {good_before} of {of_before} on {days} days.",
                **values,
            )
        else:
            text = evidence.say(
                "{relay} has not been authenticated since {time}: {good} of {of} connections; "
                "before, {good_before} of {of_before} on {days} days.",
                **values,
            )
        yield _Finding(
            Level.CRITICAL if is_critical else Level.WARNING,
            each.since,
            text,
            each.relay,
            _look_here_first(evidence) if is_ours else None,
        )


def _look_here_first(evidence: Evidence) -> str:
    return evidence.say(
        "Look at your own resolver and its DNSSEC first (`dane-mailgraph doctor`): most servers "
        "that were authenticated are not any more."
    )


def _most_are_lost(evidence: Evidence) -> bool:
    """Return whether so many relays are lost that the cause is more likely here than there."""
    lost = evidence.lost
    if len(lost) < MANY:
        return False
    latest = max(each.since for each in lost)
    day = day_of(
        max(min(each.since for each in lost), evidence.now - FORGOTTEN_AFTER), evidence.zone
    )
    return len(lost) >= evidence.relays.authenticated_since(day, latest)


def _failing(evidence: Evidence) -> Iterator[_Finding]:
    many = len(evidence.failing) >= MANY
    for each in evidence.failing:
        yield _Finding(
            Level.CRITICAL if many or evidence.now - each.since >= DAY else Level.WARNING,
            each.since,
            evidence.say(
                "Mail to {relay} has failed since {time}: {count} attempts, none got through; the "
                "last at {last}: {reason}.",
                relay=each.relay.removeprefix("@"),
                time=evidence.time(each.since),
                count=evidence.number(each.attempts),
                last=evidence.time(each.last),
                reason=evidence.say(each.reason.meaning),
            ),
            each.relay,
        )


def _share_fell(evidence: Evidence) -> Iterator[_Finding]:
    days = shares.Deliveries(
        (of.relay, ago, of.number, of.authenticated) for ago, of in evidence.deliveries
    )
    if shift := shares.fell(days):
        yield _Finding(
            Level.CRITICAL if 2 * shift.actual <= shift.expected else Level.WARNING,
            midnight(evidence.now, evidence.zone, days=1 - shift.days),
            evidence.say(
                "Of {count} mails to servers you know, {expected} should have been authenticated "
                "as in the last four weeks; {actual} were.",
                count=evidence.number(shift.deliveries),
                expected=evidence.number(round(shift.expected)),
                actual=evidence.number(shift.actual),
            ),
        )


def _plaintext(evidence: Evidence) -> Iterator[_Finding]:
    days = shares.Deliveries(
        (of.relay, ago, of.number, of.plaintext) for ago, of in evidence.deliveries
    )
    if shift := shares.rose(days):
        points = (shift.actual - shift.expected) / shift.deliveries
        yield _Finding(
            Level.CRITICAL if points >= 0.2 else Level.WARNING,
            midnight(evidence.now, evidence.zone, days=1 - shift.days),
            evidence.say(
                "Of {count} mails to servers you know, {actual} went unencrypted; as in the last "
                "four weeks it should have been {expected}.",
                count=evidence.number(shift.deliveries),
                actual=evidence.number(shift.actual),
                expected=evidence.number(round(shift.expected)),
            ),
        )


# ---- do others reach us ----------------------------------------------------------------------


def _own_servers(condition: str) -> Callable[[Evidence], Iterator[_Finding]]:
    def judge(evidence: Evidence) -> Iterator[_Finding]:
        refused = evidence.refused if condition == verdict.OWN_MX else ""
        for each in evidence.watched:
            found = trouble(each, condition, evidence.language, evidence.zone, evidence.now)
            if found:
                text = found.text
                if refused and each.target.port == SMTP:
                    text, refused = f"{text} {refused}", ""
                yield _Finding(found.level, found.since, text, str(each.target), found.next_step)
        if refused and evidence.refusing:
            # Which of several servers they came to, the log does not say.
            on_smtp = [each for each in evidence.watched if each.target.port == SMTP]
            (one,) = on_smtp if len(on_smtp) == 1 else (None,)
            looked = described(one, evidence.language, evidence.zone, evidence.now) if one else ""
            subject, text = str(one.target) if one else "", f"{refused} {looked}".rstrip()
            yield _Finding(Level.WARNING, evidence.refusing.since, text, subject)

    return judge


# ---- the table ------------------------------------------------------------------------------


class Rule(NamedTuple):
    """How one condition is found, and what to do about it."""

    name: str
    subject: str
    """What its subjects are: `relay`, `server` of our own, or empty for none."""
    judge: Callable[[Evidence], Iterable[_Finding]]
    next_step: str
    """English, with `{command}`, the command that probes a relay."""
    summary: str = ""
    """The text for several where no relay may be named: English, with `{count}`."""


CONDITIONS = (
    Rule(
        "store",
        "",
        _store,
        "Look at the free space, the permissions and `systemctl status dane-mailgraph`.",
    ),
    Rule("not_counting", "", _not_counting, "See `systemctl status dane-mailgraph`."),
    Rule(
        "log_silent",
        "",
        _log_silent,
        "See whether Postfix runs (`postfix status`) and where it logs (`dane-mailgraph doctor`).",
    ),
    Rule("no_dnssec", "", _no_dnssec, "See `dane-mailgraph doctor`."),
    Rule("own_tls", "", _own_tls, "Look at smtp_tls_* with `postconf -n`, and at Postfix's log."),
    Rule(
        "own_mx",
        "server",
        _own_servers("own_mx"),
        "See `dane-mailgraph check --probe --only own_mx,certificate`.",
    ),
    Rule(
        "certificate",
        "server",
        _own_servers("certificate"),
        "See `dane-mailgraph check --probe --only own_mx,certificate`.",
    ),
    Rule(
        "failing",
        "relay",
        _failing,
        "Ask the server with `{command}`; what waits is in `postqueue -p`.",
        "Servers to which mail fails: {count}.",
    ),
    Rule(
        "lost_authentication",
        "relay",
        _lost_authentication,
        "Ask the server with `{command}`, and tell its postmaster.",
        "Servers that are not authenticated any more: {count}.",
    ),
    Rule(
        "share_fell",
        "",
        _share_fell,
        "See `dane-mailgraph relays --only unauthenticated --since 7d` and `dane-mailgraph "
        "doctor`.",
    ),
    Rule("plaintext", "", _plaintext, "See `dane-mailgraph relays --only plaintext --since 7d`."),
    Rule("omissions", "", _omissions, "See `dane-mailgraph doctor`."),
)
"""Within one level the first is the most urgent."""

NAMES = tuple(rule.name for rule in CONDITIONS)

_UNSAFE_COMMAND = "dane-mailgraph relays"
"""Instead of a command with a name that a stranger has chosen to be no host name."""


def judge_conditions(evidence: Evidence, only: Collection[str] = NAMES) -> list[Condition]:
    """Return the conditions that hold, of these names: critical ones first, then as in the table.

    Raises StoreError where the store cannot be read.
    """
    found = [
        Condition(
            rule.name,
            each.subject,
            each.level,
            each.since,
            each.text,
            _next_step(rule, each, evidence),
        )
        for rule in CONDITIONS
        if rule.name in only
        for each in rule.judge(evidence)
    ]
    return sorted(found, key=lambda each: -each.level.urgency)


def _next_step(rule: Rule, finding: _Finding, evidence: Evidence) -> str:
    if finding.next_step:
        return finding.next_step
    command = probe_command(finding.subject) if finding.subject else None
    return evidence.say(rule.next_step, command=command or _UNSAFE_COMMAND)


class Judgement(NamedTuple):
    """What holds, and what of it the operator has accepted."""

    conditions: tuple[Condition, ...]
    silenced: tuple[Condition, ...] = ()

    @property
    def level(self) -> Level:
        """The worst of what is not accepted."""
        return worst(each.level for each in self.conditions)


ALL_IS_WELL = Judgement(())


def condensed(conditions: Iterable[Condition], most: int) -> list[Condition]:
    """Merge conditions of one name into one that counts them, if there are more than `most`.

    Where all of them have one next step, it is in the text.
    """
    by_name: dict[str, list[Condition]] = {}
    for each in conditions:
        by_name.setdefault(each.name, []).append(each)
    result = []
    for some in by_name.values():
        if len(some) > most:
            (one,) = without_names(some, ENGLISH)
            steps = {each.next_step for each in some}
            result.append(
                one._replace(text=" ".join([one.text, *(steps if len(steps) == 1 else ())]))
            )
        else:
            result += some
    return result


def without_names(conditions: Iterable[Condition], language: Language) -> tuple[Condition, ...]:
    """Return conditions that name no relay: those of one name become one, with their number."""
    rules = {rule.name: rule for rule in CONDITIONS if rule.summary}
    by_name: dict[str, list[Condition]] = {}
    for each in conditions:
        by_name.setdefault(each.name, []).append(each)
    return tuple(
        each._replace(
            subject="",
            level=max(one.level for one in some),
            since=min(one.since for one in some),
            text=language.say(rules[name].summary, count=language.number(len(some))),
            next_step=language.say("`dane-mailgraph` names them."),
        )
        if name in rules
        else each
        for name, some in by_name.items()
        for each in (some[:1] if name in rules else some)
    )


def silence_accepted(found: Iterable[Condition], accepted: Collection[str]) -> Judgement:
    """Set aside what `ignore_conditions` names: NAME, or NAME:SUBJECT."""
    conditions: list[Condition] = []
    silenced: list[Condition] = []
    for each in found:
        is_accepted = each.name in accepted or f"{each.name}:{each.subject}" in accepted
        (silenced if is_accepted else conditions).append(each)
    return Judgement(tuple(conditions), tuple(silenced))
