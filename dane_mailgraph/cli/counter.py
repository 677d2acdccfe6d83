"""Counts what is new in the log: one step, and the service that repeats it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from ..config import Config
from ..counting import How, Pace, Result, collect, remarks
from ..errors import MailgraphError, SourceError, StoreError
from ..log import Source, sought
from ..store import Ledger, Store
from .logs import rules, source, with_log_found
from .stores import lock, open_ledger_to_count, reconcile
from .terminal import tell


class Counter:
    """A log, a ledger and an RRD, and the rules to count from one into the others."""

    def __init__(
        self,
        settings: Config,
        ledger: Ledger,
        in_place: Callable[[], bool],
        alive: Callable[[], None],
        watch: Callable[[str], None],
    ) -> None:
        self._settings, self._ledger, self._rules = settings, ledger, rules(settings)
        self._alive, self._watch = alive, watch
        self._log: Source | None = None
        self._log_path = ""
        self._search_error: SourceError | None = None
        self._search_at = 0
        """Epoch second of the next search, where the settings do not name the path of the log."""
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
            if self._search_error and now < self._search_at:
                raise self._search_error.with_traceback(None)  # it is not over until it is found
            return True
        return self._pace.is_due(now, self._log.look())

    def _source(self, now: int) -> Source:
        """Return the log to read, which may have to be searched for; raises SourceError."""
        is_sought = sought.is_sought(self._settings.log)
        if self._log is None or (is_sought and now >= self._search_at):
            self._search_at = now + (_SEARCH_EVERY if self._log is None else _SEARCH_AGAIN)
            try:
                found = with_log_found(self._settings, now, self._ledger.state)
                if self._log is None or found.log != self._log_path:
                    self._log_path, self._log = found.log, source(found, self._alive)
                    self._watch(self._log.directory)
            except SourceError as error:
                self._search_error = error
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
            reconcile(self._store, self._ledger, now)
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
            publish_metrics(self._settings, self._ledger, now)
            self._metrics_are_due = False
        self._pace.note_reading(now, seen)
        return result


def publish_metrics(settings: Config, ledger: Ledger, now: int) -> None:
    """Write metrics_file, where one is set; raises StoreError."""
    if settings.metrics_file:
        from ..fleet import metrics  # most that count write no file of them
        from . import judgement

        metrics.write(settings.metrics_file, judgement.metrics(settings, ledger, now))


@contextmanager
def open_counter(
    settings: Config,
    *,
    make: bool = True,
    alive: Callable[[], None] = lambda: None,
    watch: Callable[[str], None] = lambda directory: None,
) -> Iterator[Counter]:
    """Open all that counting needs, as the only writer; raises BusyError, StoreError.

    `alive` is called while work goes on, `watch` with the directory in which the log is rotated.
    """
    with lock(settings, make=make) as in_place, open_ledger_to_count(settings) as ledger:
        yield Counter(settings, ledger, lambda: in_place() and ledger.in_place, alive, watch)


_SEARCH_EVERY = 3
"""Seconds between two searches while no log is found."""

_SEARCH_AGAIN = 60
"""Seconds between two searches once a log is found: another may have become the newest."""

_LOOK_AT_FILES = 10
"""Seconds between two looks whether ledger and lock are still the files of their names."""


class ReopeningCounter:
    """What `run` repeats: a counter that is opened again when settings or files change."""

    def __init__(
        self,
        settings: Config,
        load: Callable[[], Config],
        alive: Callable[[], None],
        watch: Callable[[str], None] = lambda directory: None,
    ) -> None:
        """Count by `settings`; `load` reads them again. `alive` and `watch` as `open_counter`."""
        self._settings, self._load, self._alive, self._watch = settings, load, alive, watch
        self._open = ExitStack()
        self._counter: Counter | None = None

    @property
    def intervals(self) -> tuple[int, int]:
        """Their length, and after how long they are closed, in seconds."""
        return self._settings.step, self._settings.grace

    def open(self, *, make: bool = False) -> Counter:
        """Open the counter, after closing the one that was open; raises BusyError, StoreError."""
        self.close()
        opening = open_counter(self._settings, make=make, alive=self._alive, watch=self._watch)
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
