"""Settings become a log, a ledger and a store, joined to count, to import and to draw."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial

from ..answer import (
    CONDITIONS_OF_OWN_MX,
    NAMES,
    Condition,
    Evidence,
    Judgement,
    after_telling,
    judge_conditions,
    message,
    news,
    observe,
    silence_accepted,
    trial_message,
)
from ..config import Config
from ..counting import How, Import, Pace, Result, Rules, collect, remarks
from ..errors import (
    BusyError,
    ConfigError,
    MailgraphError,
    NothingCountedError,
    SourceError,
    StoreError,
    reason,
)
from ..language import ENGLISH, Language
from ..levels import Level
from ..log import FollowedFile, Source, forms, sought
from ..privileges import act_as_caller, act_as_owner_of
from ..store import (
    RRD,
    Ledger,
    Shipped,
    State,
    Store,
    copy_reports,
    copy_watched,
    holds_reports,
    load_shipped,
    load_told,
    replace,
    save_shipped,
    save_told,
    unused,
)
from ..times import HOUR
from .terminal import progress, tell

_PATIENCE = 0.5
"""Seconds to wait for the lock."""


@contextmanager
def lock(
    settings: Config, name: str = "lock", *, make: bool = True
) -> Iterator[Callable[[], bool]]:
    """Be the only writer of this store, or the only one that does what another lock guards.

    Args:
        settings: Name the store.
        name: Of the lock's file.
        make: Make state_dir where it does not exist.

    Yields:
        A function that returns whether the lock is still the file of that name.

    Raises:
        BusyError: Another process writes to the store.
        StoreError: state_dir cannot be written.
    """
    state_dir = settings.state_dir
    path = os.path.join(state_dir, name)
    act_as_owner_of(state_dir)
    try:
        if make:
            os.makedirs(state_dir, mode=0o750, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise _not_writable(state_dir, error) from error
    try:
        try:
            _take(descriptor)
        except BlockingIOError as error:
            raise BusyError(
                f"{state_dir} is being written by another dane-mailgraph; "
                "let it work, or stop it (`systemctl stop dane-mailgraph`)."
            ) from error
        yield (
            lambda: os.path.exists(path) and os.path.samestat(os.lstat(path), os.fstat(descriptor))
        )
    finally:
        os.close(descriptor)


def _take(descriptor: int) -> None:
    """Take the lock; raises BlockingIOError where another process holds it for longer.

    A writer that was killed while it started journalctl leaves it to that for an instant.
    """
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(0.02)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _not_writable(state_dir: str, error: OSError) -> StoreError:
    return StoreError(
        f"{state_dir} cannot be written: {reason(error)}; make it a folder of the user that counts."
    )


def open_ledger(settings: Config, *, with_counts: bool = True) -> Ledger:
    """Open the ledger to read it; raises StoreError.

    Without `with_counts` a ledger will do that holds only what others report; else that, too, is a
    NothingCountedError.
    """
    act_as_owner_of(settings.state_dir)
    ledger = Ledger(_ledger(settings), writable=False)
    if with_counts:
        try:
            ledger.require_counts()
        except BaseException:
            ledger.close()
            raise
    return ledger


def open_ledger_to_add(settings: Config) -> Ledger:
    """Open the ledger to write what does not wait for the counter; raises StoreError, BusyError.

    It is made where there is none. Only the tables that no counter writes may be changed.
    """
    act_as_owner_of(settings.state_dir)
    try:
        os.makedirs(settings.state_dir, mode=0o750, exist_ok=True)
    except OSError as error:
        raise _not_writable(settings.state_dir, error) from error
    return Ledger(_ledger(settings), writable=True)


def open_rrd(settings: Config, ledger: Ledger) -> RRD:
    """Open the RRD to read it, with the step of its ledger whatever the setting is."""
    return Store(settings.state_dir, ledger.state.step or settings.step).rrd


@contextmanager
def judging(
    settings: Config, now: int, only: Collection[str] | None = None
) -> Iterator[tuple[Ledger | None, Judgement]]:
    """Yield the ledger, and the judgement of `judge`: conditions that hold, and accepted ones.

    A store that is there and cannot be read is a condition, too, and then there is no ledger.
    Raises StoreError where there is none yet, or this user may not read it.
    """
    with_counts = not only or not set(only).issubset(CONDITIONS_OF_OWN_MX)
    try:
        with open_ledger(settings, with_counts=with_counts) as ledger:
            yield ledger, judge(settings, ledger, now, only)
            return
    except StoreError as error:
        if isinstance(error, NothingCountedError) or not os.access(_ledger(settings), os.R_OK):
            raise
        damaged = Condition("store", "", Level.CRITICAL, now, str(error), "")
    yield None, Judgement((damaged,))


def judge(
    settings: Config,
    ledger: Ledger,
    now: int,
    only: Collection[str] | None = None,
    language: Language = ENGLISH,
) -> Judgement:
    """Return the conditions that hold, and which of them the operator has accepted."""
    seen = Evidence(ledger, open_rrd(settings, ledger), now, settings.time_zone, language)
    return silence_accepted(judge_conditions(seen, only or NAMES), settings.ignore_conditions)


def tell_operator(settings: Config, now: int, only: Collection[str] | None = None) -> None:
    """Tell what is new, still so or over, and remember it once the messenger has succeeded.

    Raises MailgraphError; then the next check tries again.
    """
    from . import messengers

    if not settings.tell and not settings.heartbeat:
        raise _nobody()
    with Ledger(_ledger(settings), writable=True) as ledger:
        found = judge(settings, ledger, now, only, settings.language)
        # A store that cannot be written is found out before anything is sent.
        with ledger.transaction():
            told = observe(load_told(ledger), found, only or NAMES, now)
            save_told(ledger, told)
        sent, host = news(told, now), settings.host or hostname()
        written = message(sent, found.conditions, host, settings.language)
        if settings.tell and written:
            messengers.send(settings.tell, written, host, now)
            with ledger.transaction():
                save_told(ledger, after_telling(told, sent, now))
    if settings.heartbeat:
        messengers.run(settings.heartbeat)


def _nobody() -> ConfigError:
    return ConfigError("Nobody is to be told: set `tell = mail:ADDRESS` or `tell = command:/path`.")


def send_test(settings: Config, now: int) -> None:
    """Send a message that says only that messages arrive; raises MailgraphError."""
    from . import messengers

    if not settings.tell:
        raise _nobody()
    host = settings.host or hostname()
    messengers.send(settings.tell, trial_message(host, settings.language), host, now)


@contextmanager
def _writing(settings: Config, path: str = "") -> Iterator[Ledger]:
    path = path or _ledger(settings)
    new = not os.path.exists(path)
    with Ledger(path, writable=True) as ledger:
        ledger.check_times(int(time.time()))
        ledger.agree(settings.step)
        try:
            yield ledger
        except BaseException:
            # An empty store would answer every question with "unknown", and not say why.
            if new and not ledger.state.log_was_read and not holds_reports(ledger):
                os.unlink(path)
            raise


def _ledger(settings: Config) -> str:
    return os.path.join(settings.state_dir, "ledger.sqlite")


def with_log_found(settings: Config, now: int, kept: State | None = None) -> Config:
    """Return the settings with the path of a log that is to be found; raises SourceError.

    With `log = auto` the source of the ledger's state (`kept`) is taken again, without a look at
    the others, while its newest line is less than an hour old.
    """
    if not sought.is_sought(settings.log):
        return settings
    is_fresh = kept and kept.newest and 0 <= now - kept.newest < _SURE
    if settings.log == "auto" and is_fresh and kept and kept.source:
        return settings._replace(log=kept.source)
    return settings._replace(log=sought.find(settings.log, settings.time_zone, now))


LIKELY = "/var/log/mail.log"

_SURE = HOUR
"""Seconds after its newest line for which a source that `log = auto` found is not doubted."""


def with_likely_log(settings: Config, now: int, kept: State | None = None) -> Config:
    """Return the same, but where no log is found, with the place where it most likely will be."""
    try:
        return with_log_found(settings, now, kept)
    except SourceError:
        return settings._replace(log=LIKELY)


def _source(settings: Config, alive: Callable[[], None] = lambda: None) -> Source:
    if settings.log != "journal":
        return FollowedFile(settings.log, settings.state_dir)
    from ..log import Journal  # 10 ms that most starts need not spend

    return Journal(alive, settings.containers)


def _rules(settings: Config) -> Rules:
    most, kept = settings.relays_per_day, settings.relays_days
    return Rules(
        settings.step,
        settings.grace,
        settings.time_zone,
        settings.ignore_relays,
        settings.ignore_clients,
        most,
        kept,
        clock=lambda: int(time.time()),
        hosts=only_hosts(settings),
    )


def only_hosts(settings: Config) -> forms.Hosts | None:
    """Return those whose lines count; None for all."""
    return forms.Hosts(settings.only_hosts) if settings.only_hosts else None


def _reconcile(store: Store, ledger: Ledger, now: int) -> None:
    for notice in store.reconcile(ledger, now):
        tell(notice)


# ---- metrics --------------------------------------------------------------------------------


def metrics(settings: Config, ledger: Ledger, now: int) -> str:
    """Return counts and states in the Prometheus text format."""
    from ..fleet import metrics  # most that count write no file of them

    return metrics.text(ledger, now, judge(settings, ledger, now))


def _publish_metrics(settings: Config, ledger: Ledger, now: int) -> None:
    """Write metrics_file, where one is set; raises StoreError."""
    if settings.metrics_file:
        from ..fleet import metrics

        metrics.write(
            settings.metrics_file, metrics.text(ledger, now, judge(settings, ledger, now))
        )


def send_counts(settings: Config, *, again: bool = False) -> None:
    """Send to ship_url what is not known to be kept there; raises MailgraphError."""
    from ..fleet import metrics, ship, victoriametrics
    from . import shipping

    if not settings.ship_url:
        raise ConfigError("Nothing is to be sent: set `ship_url` to that of a VictoriaMetrics.")
    access, host = shipping.access(settings), settings.host or hostname()
    with open_ledger(settings) as ledger, lock(settings, "ship.lock"):
        rrd, path = open_rrd(settings, ledger), _ledger(settings)
        database = victoriametrics.Database(access)
        shipment = ship.Shipment(database, access.url, host, lambda: int(time.time()))

        def save(mark: Shipped) -> None:
            with Ledger(path, writable=True) as writer, writer.transaction():
                save_shipped(writer, mark)

        with Ledger(path, writable=True) as writer:
            before = load_shipped(writer, access.url, host)
        outcome = shipment.ship(rrd, ledger, before, save, again=again)
        if outcome is None:
            return
        for notice in outcome.notices:
            tell(notice)
        samples = metrics.current(ledger, judge(settings, ledger, int(time.time())))
        shipment.send_states(samples, outcome.shipped, save)


# ---- what is new in the log -----------------------------------------------------------------


class Counter:
    """A log, a ledger and an RRD, and the rules to count from one into the others."""

    def __init__(
        self,
        settings: Config,
        ledger: Ledger,
        in_place: Callable[[], bool],
        alive: Callable[[], None],
    ) -> None:
        self._settings, self._ledger, self._rules = settings, ledger, _rules(settings)
        self._alive = alive
        self._log: Source | None = None
        self._found = ""
        self._not_found: SourceError | None = None
        self._look_again = 0
        """Epoch second from which on the log is looked for again, where its path is to be found."""
        self._store = Store(settings.state_dir, settings.step)
        self._metrics_are_due = True
        self._pace = Pace(settings.step, settings.grace)
        self.in_place = in_place
        """Returns whether ledger and lock are still the files of their names."""

    @property
    def newest(self) -> int | None:
        """Epoch second of the newest line that was read."""
        return self._ledger.state.newest

    def is_due(self, now: int) -> bool:
        """Return whether it is time for a step; raises SourceError."""
        if self._log is None:
            if self._not_found and now < self._look_again:
                raise self._not_found.with_traceback(None)  # it is not over until it is found
            return True
        return self._pace.is_due(now, self._log.look())

    def _source(self, now: int) -> Source:
        """Return the log to read, whose path may be to be found; raises SourceError."""
        is_sought = sought.is_sought(self._settings.log)
        if self._log is None or (is_sought and now >= self._look_again):
            self._look_again = now + (_WAIT_FOR_LOG if self._log is None else _LOOK_FOR_LOG)
            try:
                found = with_log_found(self._settings, now, self._ledger.state)
                if self._log is None or found.log != self._found:
                    self._found, self._log = found.log, _source(found, self._alive)
            except SourceError as error:
                self._not_found = error
                raise
        return self._log

    def step(self, now: int, *, count_lines: bool = False, patient: bool = False) -> Result:
        """Count what is new in the log into the ledger, then bring the RRD up to it.

        `count_lines` and `patient` are those of `How`.

        Raises:
            SourceError: The log cannot be found or read.
            StoreError: The RRD or metrics_file cannot be written; the ledger has counted all the
                same.
        """
        trouble: StoreError | None = None
        try:
            _reconcile(self._store, self._ledger, now)
        except StoreError as error:
            trouble = error
        log = self._source(now)
        seen = log.look()
        how = How(count_lines, patient)
        if not trouble:
            grace = self._rules.grace
            how = how._replace(at_commit=partial(self._store.announce, self._ledger, now, grace))
        result = collect(log, self._ledger, self._rules, now, how)
        for sentence in remarks(result, self._rules.zone):
            tell(sentence)
        if trouble:
            raise trouble
        written = self._store.follow(self._ledger, now, self._rules.grace)
        for sentence in self._store.take_snapshot(self._ledger, now):
            tell(sentence)
        if written or self._metrics_are_due:
            self._metrics_are_due = True
            _publish_metrics(self._settings, self._ledger, now)
            self._metrics_are_due = False
        self._pace.note_reading(now, seen)
        return result


@contextmanager
def open_counter(
    settings: Config, *, make: bool = True, alive: Callable[[], None] = lambda: None
) -> Iterator[Counter]:
    """Open all that counting needs, as the only writer; raises BusyError, StoreError."""
    with lock(settings, make=make) as in_place, _writing(settings) as ledger:
        yield Counter(settings, ledger, lambda: in_place() and ledger.in_place, alive)


_WAIT_FOR_LOG = 3
"""Seconds between two looks for a log where none has been found yet."""

_LOOK_FOR_LOG = 60
"""Seconds between two looks for a log whose path is to be found."""

_LOOK_AT_FILES = 10
"""Seconds between two looks whether ledger and lock are still the files of their names."""


class Service:
    """What `run` repeats: a counter that is opened anew when settings or files change."""

    def __init__(
        self, settings: Config, load: Callable[[], Config], alive: Callable[[], None]
    ) -> None:
        """Count by `settings`; `load` reads them again, `alive` is called while work goes on."""
        self._settings, self._load, self._alive = settings, load, alive
        self._open = ExitStack()
        self._counter: Counter | None = None

    def open(self, *, make: bool = False) -> Counter:
        """Open the counter, after closing the one that was open; raises BusyError, StoreError."""
        self.close()
        opening = open_counter(self._settings, make=make, alive=self._alive)
        self._counter = counter = self._open.enter_context(opening)
        return counter

    def close(self) -> None:
        """Close the counter."""
        self._counter = None
        self._open.close()

    def tick(self, now: int) -> None:
        """Count what is new, if it is time to; raises MailgraphError."""
        counter = self._counter
        look_at_files = now % _LOOK_AT_FILES == 0
        if counter and not counter.is_due(now) and not (look_at_files and not counter.in_place()):
            return
        if counter is None or not counter.in_place():
            counter = self.open()
        counter.step(now, patient=True)

    def finish(self, now: int) -> None:
        """Count what is new, whether it is time to or not; raises MailgraphError."""
        if self._counter:
            self._counter.step(now)

    def reload(self) -> None:
        """Count by the configuration as it is now, or keep the previous one and say why."""
        previous = self._settings
        try:
            self._settings = self._load()
            self.open(make=True)
            tell("Read the configuration again.")
        except MailgraphError as error:
            self._settings = previous  # the next tick opens its store again
            tell(f"{error} Keeping the previous configuration.")


# ---- whole logs -----------------------------------------------------------------------------


def import_logs(settings: Config, paths: list[str], year: int | None) -> Result:
    """Count whole logs into the existing store; the caller has it locked."""
    with _writing(settings) as ledger:
        return _import_into(ledger, settings, paths, year)


def rebuild(settings: Config, paths: list[str], year: int | None) -> Result:
    """Count whole logs into a fresh ledger, then replace the old one by it in one instant.

    The old ledger and its RRD are kept aside; where counting fails they stay. The caller has the
    store locked.
    """
    path, store = _ledger(settings), Store(settings.state_dir, settings.step)
    fresh = path + ".new"
    with suppress(FileNotFoundError):
        os.unlink(fresh)
    with _writing(settings, fresh) as ledger:
        result = _import_into(ledger, settings, paths, year, follow=False)
        with ledger.transaction():
            ledger.save(ledger.state._replace(rebuilt=True))
    if os.path.exists(path):
        _keep_reports(settings, fresh)
        # Opening plays back the journal of a killed writer, which must not meet the new file.
        with suppress(StoreError), open_ledger(settings, with_counts=False):
            pass
        aside = unused(path + ".aside")
        os.link(path, aside, follow_symlinks=False)
        if settings.metrics_file:
            tell("The totals of `metrics` begin anew: whoever collects them sees a counter reset.")
        if not (result.counted or result.recipients or result.received):
            tell(
                f"Nothing in these logs counts, so the new store is empty; the old one is kept as "
                f"{aside} and the like: give those files their names back, or rebuild from other "
                "logs."
            )
    replace(fresh, path)
    with _writing(settings) as ledger:
        _reconcile(store, ledger, int(time.time()))
        store.follow(ledger, int(time.time()), settings.grace)
        _publish_metrics(settings, ledger, int(time.time()))
    return result


def _keep_reports(settings: Config, fresh: str) -> None:
    """Copy what others report into the ledger that replaces this one: no log says it again."""
    with (
        suppress(StoreError),
        open_ledger(settings, with_counts=False) as old,
        Ledger(fresh, writable=True) as new,
        new.transaction(),
    ):
        copy_reports(old, new)
        copy_watched(old, new)


def _import_into(
    ledger: Ledger, settings: Config, paths: list[str], year: int | None, *, follow: bool = True
) -> Result:
    now = int(time.time())
    store = Store(settings.state_dir, settings.step)
    if follow:
        _reconcile(store, ledger, now)
    live = _source(with_likely_log(settings, now, ledger.state))
    run = Import(live, ledger, _rules(settings), now, year=year, progress=progress())
    result = run.count(paths)
    if follow:
        store.follow(ledger, now, settings.grace)
        _publish_metrics(settings, ledger, now)
    return result


def hostname() -> str:
    """Return the name of this machine."""
    # The kernel takes any bytes.
    return os.fsencode(socket.gethostname()).decode("utf-8", "replace")


# ---- the site -------------------------------------------------------------------------------


def draw(settings: Config, now: int) -> str:
    """Draw the site from the store; return the path of the page."""
    from ..site import build  # counting must not pay for loading it

    renderer = build.present_renderer(settings.renderer)
    if renderer != settings.renderer:
        tell(
            f"{settings.renderer} is not installed, so {renderer} draws the pictures: run "
            f"`apt install python3-{settings.renderer}`, or set renderer = {renderer}."
        )
    look = build.Look(
        host=settings.host or hostname(),
        zone=settings.time_zone,
        language=settings.language,
        renderer=renderer,
        names_relays=settings.show_destinations,
        accepted=settings.ignore_conditions,
    )
    present = build.present_pictures(settings.output_dir)
    if os.path.exists(_ledger(settings)):
        with open_ledger(settings, with_counts=False) as ledger:
            rrd = open_rrd(settings, ledger)
            if ledger.state.rrd_until is not None and rrd.last is None:
                raise StoreError(
                    f"{rrd.path} is gone, so the page stays as it was; let the counter rebuild it "
                    "from its snapshot, or restore one of the two from a backup."
                )
            recent = build.recent(ledger, rrd, now, look)
    else:
        rrd, recent = Store(settings.state_dir, settings.step).rrd, build.Recent()
    site = build.build(rrd, now, look, recent, present)
    act_as_caller()
    act_as_owner_of(settings.output_dir)
    return build.publish(site.files, settings.output_dir)
