"""Settings become a log, a ledger and a store, held together to count and to draw."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from ..config import Config
from ..counting import Import, Result, Rules, collect, remarks
from ..errors import BusyError, StoreError, reason
from ..log import FollowedFile, Source
from ..store import RRD, Ledger, Store, replace, unused
from .terminal import progress, tell


@contextmanager
def locked(settings: Config, *, make: bool = True) -> Iterator[Callable[[], bool]]:
    """Be the one writer of this store, as long as what is given back says so; raises BusyError."""
    state_dir = settings.state_dir
    path = os.path.join(state_dir, "lock")
    try:
        if make:
            os.makedirs(state_dir, mode=0o750, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreError(
            f"{state_dir} cannot be written: {reason(error)}; make it a folder of the user that counts."
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError(
                f"{state_dir} is being written by another dane-mailgraph; "
                "let it work, or stop it (`systemctl stop dane-mailgraph`)."
            ) from error
        yield lambda: os.path.exists(path) and os.path.samestat(os.stat(path), os.fstat(descriptor))
    finally:
        os.close(descriptor)


def reading(settings: Config) -> Ledger:
    """The ledger, for whoever only asks it; raises StoreError where nothing has been counted yet."""
    return Ledger(_ledger(settings), writable=False)


def read_only(settings: Config, ledger: Ledger) -> RRD:
    """The RRD, for whoever only asks it: with the steps that it was made with, whatever the setting says."""
    return Store(settings.state_dir, ledger.state.step or settings.step).rrd


@contextmanager
def _writing(settings: Config, path: str = "") -> Iterator[Ledger]:
    path = path or _ledger(settings)
    new = not os.path.exists(path)
    with Ledger(path, writable=True) as ledger:
        ledger.agree(settings.step)
        try:
            yield ledger
        except BaseException:
            # A store that has read nothing yet would answer whoever asks that all is unknown, and not why.
            if new and not ledger.state.log_was_read:
                os.unlink(path)
            raise


def _ledger(settings: Config) -> str:
    return os.path.join(settings.state_dir, "ledger.sqlite")


def _source(settings: Config, alive: Callable[[], None] = lambda: None) -> Source:
    if settings.log != "journal":
        return FollowedFile(settings.log, settings.state_dir)
    from ..log import Journal  # 10 ms that most starts need not spend

    return Journal(alive)


def _rules(settings: Config) -> Rules:
    most, kept = settings.relays_per_day, settings.relays_days
    return Rules(
        settings.step, settings.grace, settings.time_zone, settings.ignore_relays, most, kept
    )


def _reconcile(store: Store, ledger: Ledger) -> None:
    for notice in store.reconcile(ledger):
        tell(notice)


# ---- what is new in the log -----------------------------------------------------------------


class Counter:
    """Everything that counting needs, held together."""

    def __init__(
        self, log: Source, ledger: Ledger, store: Store, rules: Rules, in_place: Callable[[], bool]
    ) -> None:
        self._log, self._ledger, self._store, self._rules = log, ledger, store, rules
        self.in_place = in_place
        """Whether ledger and lock are still the files of their names; whoever finds them gone may make others."""

    @property
    def newest(self) -> int | None:
        """When the newest line was written."""
        return self._ledger.state.newest

    def step(self, now: int, *, count_lines: bool = False) -> Result:
        """Log to ledger to RRD. The ledger counts on where the RRD cannot be written; then raises StoreError."""
        trouble: StoreError | None = None
        try:
            _reconcile(self._store, self._ledger)
        except StoreError as error:
            trouble = error
        step = collect(self._log, self._ledger, self._rules, now, count_lines=count_lines)
        for sentence in (*remarks(step, self._rules.zone), *self._log.notices):
            tell(sentence)
        self._log.notices.clear()
        if trouble:
            raise trouble
        self._store.follow(self._ledger, now, self._rules.grace)
        self._store.take_snapshot(self._ledger, now)
        return step


@contextmanager
def counting(
    settings: Config, *, make: bool = True, alive: Callable[[], None] = lambda: None
) -> Iterator[Counter]:
    """Hold everything that counting needs, as the one writer; raises BusyError, StoreError."""
    with locked(settings, make=make) as held, _writing(settings) as ledger:
        log, store = _source(settings, alive), Store(settings.state_dir, settings.step)
        yield Counter(log, ledger, store, _rules(settings), lambda: held() and ledger.in_place)


# ---- whole logs -----------------------------------------------------------------------------


def import_logs(settings: Config, paths: list[str], year: int | None) -> Result:
    """Count whole logs into the store that is there; for the one who has it `locked`."""
    with _writing(settings) as ledger:
        return _import_into(ledger, settings, paths, year)


def rebuild(settings: Config, paths: list[str], year: int | None) -> Result:
    """Count into a fresh ledger first; when that is whole it takes the old one's place, in one instant."""
    path, store = _ledger(settings), Store(settings.state_dir, settings.step)
    fresh = path + ".new"
    with suppress(FileNotFoundError):
        os.unlink(fresh)
    with _writing(settings, fresh) as ledger:
        step = _import_into(ledger, settings, paths, year, follow=False)
        with ledger.transaction():
            ledger.save(ledger.state._replace(rebuilt=True))
    if os.path.exists(path):
        # A journal that a killed writer left belongs to the old file; it would be played back into the new one.
        with suppress(StoreError), reading(settings):
            pass
        aside = unused(path + ".aside")
        os.link(path, aside)
        if not step.counted and not step.recipients:
            tell(
                f"Nothing in these logs counts, so the new store is empty; the old one is kept as {aside} and the like: "
                "give the files beside it their names back, or rebuild from other logs."
            )
    replace(fresh, path)
    with _writing(settings) as ledger:
        _reconcile(store, ledger)
        store.follow(ledger, int(time.time()), settings.grace)
    return step


def _import_into(
    ledger: Ledger, settings: Config, paths: list[str], year: int | None, *, follow: bool = True
) -> Result:
    now = int(time.time())
    store = Store(settings.state_dir, settings.step)
    if follow:
        _reconcile(store, ledger)
    live = _source(settings)
    run = Import(live, ledger, _rules(settings), now, year=year, progress=progress())
    step = run.count(paths)
    if follow:
        store.follow(ledger, now, settings.grace)
    return step


# ---- the site -------------------------------------------------------------------------------


def draw(settings: Config, now: int) -> str:
    """Draw the site from the store; return the path of the page."""
    from ..site import build  # counting must not pay for loading it

    look = build.Look(
        host=settings.host or build.hostname(),
        zone=settings.time_zone,
        language=settings.language,
        renderer=settings.renderer,
        names_relays=settings.show_destinations,
    )
    rrd, recent = Store(settings.state_dir, settings.step).rrd, build.Recent()
    present = build.present_pictures(settings.output_dir)
    if os.path.exists(_ledger(settings)):
        with reading(settings) as ledger:
            rrd = read_only(settings, ledger)
            if ledger.state.rrd_until is not None and rrd.last is None:
                raise StoreError(
                    f"{rrd.path} is gone, so the page stays as it was; let the counter rebuild it "
                    "from its snapshot, or restore one of the two from a backup."
                )
            recent = build.recent(ledger, now, settings.time_zone)
    site = build.build(rrd, now, look, recent, present)
    return build.publish(site.files, settings.output_dir)
