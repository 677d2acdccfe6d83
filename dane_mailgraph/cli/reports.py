"""TLS reports of others: read as the caller, written as the owner of the store."""

from __future__ import annotations

from ..config import Config
from ..errors import ReportError, SourceError
from ..privileges import act_as_owner_of
from ..reports import TlsReport, files
from ..store import COPY, add_reports
from . import stores
from .host import host_name

_MOST_SENTENCES = 20
"""Of what cannot be used more is only counted."""

_AT_ONCE = 1000
"""Reports that are written in one transaction."""


class Intake:
    """Counts the reports in files, and says what became of them."""

    def __init__(self, settings: Config) -> None:
        self._settings = settings
        self._waiting: list[tuple[str, TlsReport]] = []
        """Reports that are not written yet, and where they are."""
        self._sentences: list[str] = []
        """What cannot be used."""
        self._unusable = self._copies = self._reports = 0
        self._reporters = set[str]()
        self._sessions = [0, 0, 0, 0]
        """By DANE, by MTA-STS, without a policy, failed."""
        self.status = 0
        """Exit status: 65 where something cannot be used or read."""

    def count_files(self, paths: list[str], now: int) -> None:
        """Count what files hold; raises StoreError, BusyError."""
        # Root opens files, but reads what strangers wrote as the owner of the store.
        act_as_owner_of(self._settings.state_dir)
        host = host_name(self._settings)
        for path in paths:
            try:
                for found in files.read_files(path, now, host):
                    if found.unusable:
                        self._refuse(f"{found.where} cannot be used: {found.unusable}.")
                    self._waiting += [(found.where, each) for each in found.reports]
                    if len(self._waiting) >= _AT_ONCE:
                        self._write()
            except SourceError as error:
                self._refuse(str(error))
        if self._waiting:
            self._write()

    def _refuse(self, sentence: str) -> None:
        self._unusable += 1
        if len(self._sentences) < _MOST_SENTENCES:
            self._sentences.append(sentence)
        self.status = ReportError.status

    def _write(self) -> None:
        waiting, self._waiting = self._waiting, []
        reports = [report for _, report in waiting]
        while True:
            with stores.open_ledger_to_add(self._settings) as ledger:
                refusals = add_reports(ledger, reports)
                # Where it was rebuilt meanwhile, they may have come too late for the new one.
                if ledger.in_place:
                    break
        for (where, report), refusal in zip(waiting, refusals, strict=True):
            if refusal == COPY:
                self._copies += 1
            elif refusal:
                self._refuse(f"{where} cannot be used: {refusal}.")
            else:
                self._reports += 1
                self._reporters.add(report.reporter)
                counts = report.dane, report.mta_sts, report.no_policy, report.failed
                self._sessions = [a + b for a, b in zip(self._sessions, counts, strict=True)]

    def unusable(self) -> list[str]:
        """Return a sentence about each that cannot be used, or how many more there are."""
        more = self._unusable - len(self._sentences)
        return self._sentences + ([f"{more:,} more cannot be used."] if more else [])

    def in_words(self) -> str:
        """Return what was counted, a sentence without its full stop."""
        dane, mta_sts, no_policy, failed = (f"{count:,}" for count in self._sessions)
        counted = f"counted {_many(self._reports, 'report')}"
        if self._reports:
            counted += (
                f" of {_many(len(self._reporters), 'organization')}: {dane} sessions by DANE, "
                f"{mta_sts} by MTA-STS, {no_policy} without a policy, {failed} failed"
            )
        return counted + (f"; {self._copies:,} counted before" if self._copies else "")


def _many(count: int, unit: str) -> str:
    return f"{count:,} {unit}{'' if count == 1 else 's'}"
