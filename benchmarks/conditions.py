"""How often conditions are wrong, and how late: servers are simulated, hour by hour.

Run `python benchmarks/conditions.py` (some minutes): it prints the numbers of
docs/operations.md. Events of one hour are not independent: a flaky relay fails for whole hours, and
an own resolver that is off fails for all.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from statistics import median, quantiles
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from dane_mailgraph.answer import refusals
from dane_mailgraph.answer.authentication import find_losses
from dane_mailgraph.answer.failing import find_failing
from dane_mailgraph.answer.shares import Deliveries, fell, rose
from dane_mailgraph.answer.silence import silence
from dane_mailgraph.categories import BY_KEY
from dane_mailgraph.counts import SinceGood
from dane_mailgraph.store import RelayDay
from dane_mailgraph.times import DAY, HOUR, MINUTE

GOOD, BAD = BY_KEY["connections.verified"], BY_KEY["connections.untrusted"]
START = 1_700_006_400
"""A midnight, UTC."""

SIZES = {"5 a day": (5, 10), "50": (50, 40), "2,000": (2000, 300), "100,000": (100_000, 1000)}
"""Server -> mails a day, relays."""

OFFICE = np.array([0.1] * 7 + [1.5] * 11 + [0.3] * 6)


class Hours(NamedTuple):
    """What was counted of one relay, hour by hour."""

    good: NDArray[Any]
    bad: NDArray[Any]


def rates(per_day: float, relays: int) -> NDArray[Any]:
    """Return mails a day of each relay, by Zipf's law."""
    weights = 1 / np.arange(1, relays + 1)
    shares: NDArray[Any] = per_day * weights / weights.sum()
    return shares


def events(random: Generator, rate: float, days: int) -> NDArray[Any]:
    """Return the number of events of each hour: office hours, and little at weekends."""
    week = np.array([1.2] * 5 + [0.5] * 2)
    profile = np.repeat(week[np.arange(days) % 7], 24) * np.tile(OFFICE / OFFICE.mean(), days)
    count: NDArray[Any] = random.poisson(rate / 24 * profile)
    return count


def split(count: NDArray[Any], is_bad: NDArray[Any]) -> Hours:
    """Return hours that are bad as a whole, and good ones."""
    return Hours(np.where(is_bad, 0, count), np.where(is_bad, count, 0))


def outages(random: Generator, days: int) -> NDArray[Any]:
    """Return the hours in which our own resolver is off: four times a year, up to three hours."""
    off = np.zeros(days * 24, dtype=bool)
    for at in random.integers(0, days * 24 - 3, max(1, 4 * days // 365)):
        off[at : at + random.integers(1, 4)] = True
    return off


class Days:
    """The rows of one relay as the ledger keeps them, made from its hours."""

    def __init__(self, hours: Hours) -> None:
        self._hours = hours
        self._whole: dict[int, RelayDay | None] = {}

    def until(self, hour: int) -> list[RelayDay]:
        """Return the rows of the days up to this hour, of 120 days."""
        today = hour // 24
        rows = [self._day(day) for day in range(max(0, today - 120), today)]
        return [row for row in (*rows, self._row(today, hour + 1)) if row]

    def _day(self, day: int) -> RelayDay | None:
        if day not in self._whole:
            self._whole[day] = self._row(day, day * 24 + 24)
        return self._whole[day]

    def _row(self, day: int, until: int) -> RelayDay | None:
        good, bad = (each[day * 24 : until] for each in self._hours)
        seen = np.flatnonzero(good + bad)
        if not len(seen):
            return None
        # In an hour of both, the good ones come first in every second.
        times_good = [self._at(day, hour, 20 if hour % 2 else 50) for hour in np.flatnonzero(good)]
        bads = np.flatnonzero(bad)
        times_bad = [self._at(day, hour, 35) for hour in bads]
        last_good = max(times_good, default=0)
        after = [
            (at, int(bad[hour])) for at, hour in zip(times_bad, bads, strict=True) if at > last_good
        ]
        return RelayDay(
            "mx",
            day,
            self._at(day, int(seen[0]), 0),
            self._at(day, int(seen[-1]), 59),
            {GOOD: int(good.sum()), BAD: int(bad.sum())},
            SinceGood(
                last_good,
                sum(count for _, count in after),
                after[0][0] if after else 0,
                max(times_bad, default=0),
            ),
        )

    @staticmethod
    def _at(day: int, hour: int | np.integer[Any], minute: int) -> int:
        return START + day * DAY + int(hour) * HOUR + minute * MINUTE


def states(hours: Hours, since: int, until: int) -> Iterator[tuple[int, bool]]:
    """Iterate over the hours in which the judgement may change, and whether a loss holds."""
    days, holds = Days(hours), False
    for hour in range(since, until):
        if hours.bad[hour] or (holds and (hours.good[hour] or hour % 6 == 0)):
            holds = bool(find_losses(days.until(hour), START + (hour + 1) * HOUR))
            yield hour, holds


def onsets(changes: Iterator[tuple[int, bool]]) -> int:
    """Return how often a loss begins."""
    count, before = 0, False
    for _, holds in changes:
        count, before = count + (holds and not before), holds
    return count


def false_losses(random: Generator) -> None:
    """Print false alarms a year: a third is authenticated, a fifth of those flaky."""
    days = 365
    print("| server | false alarms a year |\n|---|---|")
    for name, (per_day, relays) in SIZES.items():
        off, count = outages(random, days), 0
        for rate in random.permutation(rates(per_day, relays))[: relays // 3]:
            flaky = random.random() < 0.2
            chance = 10 ** random.uniform(-4, -1.7) if flaky else 0
            is_bad = off | (random.random(days * 24) < chance)
            count += onsets(states(split(events(random, rate, days), is_bad), 24, days * 24))
        print(f"| {name} | {count} |")


RATES = {"1 a week": 1 / 7, "1 a day": 1, "5": 5, "50": 50, "1,000": 1000}


def delays(random: Generator, repeats: int) -> None:
    """Print how late lasting losses are found, and how late they are over."""
    print("| mails to the relay | found after, median | 90 % | over after, median | 90 % |")
    print("|---|---|---|---|---|")
    for name, rate in RATES.items():
        days, turn = 200 if rate < 1 else 90, (120 if rate < 1 else 40) * 24
        lasts = (28 if rate < 1 else 20) * 24
        found, over = [], []
        for _ in range(repeats):
            begin = turn + int(random.integers(0, 168))
            hour = np.arange(days * 24)
            count = events(random, rate, days)
            hours = split(count, (hour >= begin) & (hour < begin + lasts))
            first = end = None
            held = False
            for at, holds in states(hours, begin, days * 24):
                if holds and first is None:
                    first = at
                if held and at >= begin + lasts and not holds:
                    end = at
                    break
                held = holds
            if first is not None:
                found.append(first + 1 - begin)
            if end is not None:
                over.append(end + 1 - begin - lasts)
        texts = (
            f"{median(each):.0f} h | {quantiles(each, n=10)[-1]:.0f} h" for each in (found, over)
        )
        print(f"| {name} | {' | '.join(texts)} | ({len(found)} of {repeats} found)")


def strays(random: Generator, repeats: int) -> None:
    """Print how often a loss with 4 % good connections begins in 30 days."""
    for name, rate in RATES.items():
        if rate < 5:
            continue
        counts = []
        for _ in range(repeats):
            count = events(random, rate, 100)
            good = random.binomial(count, np.where(np.arange(2400) < 960, 1, 0.04))
            counts.append(onsets(states(Hours(good, count - good), 960, 1680)))
        print(f"with 4 % good, {name}: it begins {np.mean(counts):.1f} times in 30 days")


def silences(random: Generator) -> None:
    """Print false alarms of a silent log a year, and how late a real one is found."""
    print("| server | false a year | found after, median |\n|---|---|---|")
    for per_day in (5, 50, 2000, 100_000):
        days = 365
        office = events(random, per_day, days)
        for name, count in (("office", office), ("round", random.poisson(per_day / 24, days * 24))):
            seen = np.flatnonzero(count)
            pauses = {int(b): int(b - a) for a, b in pairwise(seen)}
            false, held, late = 0, False, []
            for hour in range(29 * 24, days * 24):
                now = START + hour * HOUR
                day = hour // 24
                rhythm = [
                    (
                        int(count[d * 24 : d * 24 + 24].sum()),
                        HOUR
                        * max((pauses.get(h, 0) for h in range(d * 24, d * 24 + 24)), default=0),
                    )
                    for d in range(day - 28, day)
                ]
                rhythm = [each for each in rhythm if each[0]]
                newest = START + int(seen[seen < hour][-1]) * HOUR
                holds = bool(silence(rhythm, newest, newest, now))
                false, held = false + (holds and not held), holds
                if hour % 97 == 0:
                    late.append(
                        next(
                            h
                            for h in range(1, 1000)
                            if silence(rhythm, newest, newest, now + h * HOUR)
                        )
                    )
            print(f"| {per_day:,} {name} | {false} | {median(late):.0f} h |")


class Traffic(NamedTuple):
    """Deliveries of each day to each relay, and once a week a newsletter to strangers."""

    table: NDArray[Any]
    strangers: int

    def rows(
        self, day: int, kind: NDArray[Any], broken: int = 10**9
    ) -> Iterator[tuple[str, int, int, int]]:
        """Return what the judgement of a day sees; from `broken` on nothing is of the kind."""
        for ago in range(36):
            at = day - ago
            for relay in np.flatnonzero(self.table[at]):
                n = int(self.table[at, relay])
                yield str(relay), ago, n, n if kind[relay] and at < broken else 0
            if at % 7 == 0:
                yield from ((f"{at}-{each}", ago, 1, 0) for each in range(self.strangers))


def deliveries(rows: Iterable[tuple[str, int, int, int]]) -> Deliveries:
    """Return what the judgement asks, from rows of relay, days ago, deliveries, those of a kind."""
    kept = list(rows)

    def added_up(days: range) -> Iterator[tuple[str, int, int]]:
        sums: dict[str, tuple[int, int]] = {}
        for relay, ago, n, x in kept:
            if ago in days:
                so_far = sums.get(relay, (0, 0))
                sums[relay] = so_far[0] + n, so_far[1] + x
        return ((relay, n, x) for relay, (n, x) in sums.items())

    return Deliveries(added_up)


def shares(random: Generator) -> None:
    """Print false shifts a year, with a newsletter a week, and when the loss of all is found."""
    print("| server | share_fell, false a year | plaintext | all lost: found on day |")
    print("|---|---|---|---|")
    for name, (per_day, relays) in SIZES.items():
        days = 365
        is_good, is_plain = random.random(relays) < 0.33, random.random(relays) < 0.1
        traffic = Traffic(
            random.poisson(rates(per_day, relays), (days, relays)), min(per_day, 5000)
        )
        false, found = [], []
        for judge, kind in ((fell, is_good), (rose, is_plain)):
            held = [
                bool(judge(deliveries(traffic.rows(day, kind))))
                for day in range(40, days, 1 if relays <= 300 else 7)
            ]
            false.append(sum(now and not before for before, now in pairwise([False, *held])))
        for day in range(60, 300, 24):
            for n in range(7):
                if fell(deliveries(traffic.rows(day + n, is_good, day))):
                    found.append(n + 1)
                    break
        text = f"{median(found):.0f} ({len(found)} of 10)" if found else "never"
        print(f"| {name} | {false[0]} | {false[1]} | {text} |")


def attempts(
    random: Generator, per_day: float, is_bad: NDArray[Any], chance: float = 0
) -> list[tuple[int, bool]]:
    """Return the attempts to deliver to one relay: epoch second, and whether it failed.

    `is_bad` are the minutes in which all fail; in the others one fails by `chance`. What fails is
    tried again as Postfix does, for five days.
    """
    found, days = [], len(is_bad) * MINUTE // DAY
    for first in random.uniform(0, days * DAY, random.poisson(per_day * days)):
        at, pause = first, 300.0
        while at < min(days * DAY, first + 5 * DAY):
            failed = bool(is_bad[int(at) // MINUTE] or random.random() < chance)
            found.append((START + int(at), failed))
            if not failed:
                break
            at, pause = at + pause + random.uniform(0, 300), min(4000, 2 * pause)
    return sorted(found)


def times_failing(tried: list[tuple[int, bool]]) -> Iterator[tuple[int, int]]:
    """Yield from when to when a relay is judged to fail; it is looked at every five minutes."""
    begun = first = count = 0
    for (at, failed), (then, _) in pairwise([*tried, (tried[-1][0] + 3 * HOUR, False)]):
        if not failed:
            if begun:
                yield begun, at
            begun = first = count = 0
            continue
        first, count = first or at, count + 1
        row = RelayDay("mx", 0, first, at, {}, handover=SinceGood(0, count, first, at))
        for now in range(at, then, 5 * MINUTE):
            holds = bool(find_failing([row], now))
            if begun and not holds:
                yield begun, now
            begun = (begun or now) if holds else 0


def hiccups(random: Generator, relays: int) -> None:
    """Print how often in a year mail is judged to fail that only waits for a moment."""
    print("| mails a day | bursts of an hour: false in a year | of half an hour | 5 % at random |")
    print("|---|---|---|---|")
    for per_day in (2, 20, 200):
        false = []
        for minutes, chance in ((60, 0.0), (30, 0.0), (0, 0.05)):
            count, years = 0, max(4, relays * 2 // per_day)
            for _ in range(years):
                is_bad = np.zeros(365 * DAY // MINUTE, dtype=bool)
                for hour in np.flatnonzero(random.random(365 * 24) < 0.003):
                    is_bad[hour * 60 : hour * 60 + minutes] = True
                count += sum(1 for _ in times_failing(attempts(random, per_day, is_bad, chance)))
            false.append(f"{count / years:.2g}")
        print(f"| {per_day} | {' | '.join(false)} |")


def outages_elsewhere(random: Generator, repeats: int) -> None:
    """Print how late it is found that no mail gets through for four days, and that it does."""
    print("| mails a day | found after, median | 90 % | over after, median | begins |")
    print("|---|---|---|---|---|")
    begin, end = 3 * DAY, 7 * DAY
    for per_day in (2, 20, 200):
        found, over, count = [], [], 0
        for _ in range(repeats):
            is_bad = np.zeros(10 * DAY // MINUTE, dtype=bool)
            is_bad[begin // MINUTE : end // MINUTE] = True
            times = list(times_failing(attempts(random, per_day, is_bad)))
            found.append((times[0][0] - START - begin) / HOUR)
            over.append((times[-1][1] - START - end) / HOUR)
            count += len(times)
        late = f"{median(found):.1f} h | {quantiles(found, n=10)[-1]:.1f} h"
        print(f"| {per_day} | {late} | {median(over):.1f} h | {count / repeats:.2g} times |")


Refusals = Counter[tuple[str, int]]
"""Sender and hour -> connections that it ended."""


def troubles(random: Generator, traffic: NDArray[Any], days: int) -> Refusals:
    """Return what senders refuse while our certificate is right.

    One connection of 10,000 breaks behind STARTTLS, and one sender of a hundred is a year in
    trouble of its own, for 3 to 72 hours.
    """
    refused: Refusals = Counter()
    for sender, rate in enumerate(traffic):
        broken = random.integers(0, days * 24, random.poisson(rate * days * 1e-4))
        refused.update((str(sender), int(hour)) for hour in broken)
        for begin in random.integers(0, days * 24, random.poisson(days / 36500)):
            hours = np.arange(begin, min(days * 24, begin + random.integers(3, 73)))
            counts = random.poisson(3 * rate / 24, len(hours))
            for hour, count in zip(hours, counts, strict=True):
                refused[str(sender), int(hour)] += int(count)
    return +refused


def wrong_record(random: Generator, traffic: NDArray[Any], begin: int) -> Refusals:
    """Return what a wrong TLSA record lets be refused: by one sender of five, and Postfix retries.

    The hours are those of five days from `begin` on.
    """
    refused: Refusals = Counter()
    does_dane = random.random(len(traffic)) < 0.2
    does_dane[random.integers(0, len(traffic))] = True
    for sender in np.flatnonzero(does_dane):
        for first in random.uniform(0, 120, min(200, random.poisson(5 * traffic[sender]))):
            at, pause = first, 300.0
            while at < 120:
                refused[str(sender), begin + int(at)] += 1
                at, pause = at + pause / HOUR, min(4000, 2 * pause)
    return refused


def is_refused(refused: Refusals, hour: int) -> bool:
    """Return whether the condition holds at the beginning of an hour."""
    rows = sorted(
        (sender, START + at * HOUR, count)
        for (sender, at), count in refused.items()
        if hour - refusals.LOOKED_BACK // HOUR <= at < hour
    )
    return bool(refusals.refusing(rows, START, START + hour * HOUR))


def certificates(random: Generator, repeats: int) -> None:
    """Print false alarms a year about refused certificates, and how late a wrong record is found.

    Of scanners there is none: they send no mail.
    """
    print("| server | refused, false a year | wrong record: found after, median | 90 % |")
    print("|---|---|---|---|")
    for name, (per_day, _) in SIZES.items():
        traffic = rates(per_day, max(3, per_day // 20))
        years, false, found = max(2, min(20, 40_000 // per_day)), 0, []
        for _ in range(years):
            refused = troubles(random, traffic, 365)
            held = [is_refused(refused, hour) for hour in range(28 * 24, 365 * 24, 8)]
            false += sum(now and not before for before, now in pairwise([False, *held]))
        for _ in range(repeats):
            begin = 40 * 24
            refused = troubles(random, traffic, 46) + wrong_record(random, traffic, begin)
            hours = (h for h in range(1, 121) if is_refused(refused, begin + h))
            found += [first for first in [next(hours, None)] if first]
        text = f"{median(found):.0f} h | {quantiles(found, n=10)[-1]:.0f} h"
        print(f"| {name} | {false / years:.2g} | {text} | ({len(found)} of {repeats} found)")


if __name__ == "__main__":
    seed = default_rng(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    false_losses(seed)
    delays(seed, 40)
    strays(seed, 10)
    silences(seed)
    shares(seed)
    hiccups(seed, 40)
    outages_elsewhere(seed, 40)
    certificates(seed, 30)
