"""A VictoriaMetrics on the network: sends samples to it, and reads back what it holds."""

from __future__ import annotations

import gzip
import json
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

from ..errors import ShipError, reason
from .history import Samples

_TIMEOUT = 60
"""Seconds."""

_LONGEST_ANSWER = 200
"""Characters of an answer that an error repeats."""

_STARTED = re.compile(rb"^vm_app_start_timestamp (\d+)", re.MULTILINE)

_REQUEST = re.compile(r'remoteAddr: "[^"]*"(?:, [^;]*)?; requestURI: [^;]*; ')
"""What stands before the reason in an answer."""


class Access(NamedTuple):
    """Where a database is, and how it lets us in."""

    url: str
    """The base URL, without a slash at its end."""
    tls: ssl.SSLContext | None = None
    authorization: str = ""
    """The header of that name."""


class Stored(NamedTuple):
    """Samples of one series that the database holds; a series may come in several of them."""

    labels: Mapping[str, str]
    samples: list[tuple[int, float]]
    """Epoch second and value."""


class Database:
    """Asks one database, and sends to it; each method raises ShipError."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._place = urlsplit(access.url)
        self.url = access.url
        self.clock: int | None = None
        """The epoch second there at the last answer; None where it does not say."""

    def running_since(self) -> str:
        """Return since when it runs, in its own words; empty where it does not say."""
        with self._request("GET", "/metrics", missing=True) as answer:
            found = _STARTED.search(answer.read()) if answer.status == 200 else None
        return found[1].decode() if found else ""

    def stored(self, selector: str, start: int, until: int) -> Iterator[Stored]:
        """Yield what it holds of these series from `start` to `until`, both included."""
        query = {"match[]": selector, "start": start, "end": until, "max_rows_per_line": 10000}
        path = f"/api/v1/export?{urlencode(query)}"
        with self._request("GET", path, kind="select") as answer:
            try:
                for line in answer:
                    found = json.loads(line)
                    stamps = (each // 1000 for each in found["timestamps"])
                    samples = list(zip(stamps, found["values"], strict=True))
                    yield Stored(found["metric"], samples)
            except (ValueError, KeyError, TypeError) as error:
                raise ShipError(
                    f"{self.url} answers {path.partition('?')[0]} with something else than "
                    "samples; let ship_url be that of a VictoriaMetrics."
                ) from error

    def send(self, samples: Samples) -> None:
        """Hand samples over; the database may accept them and keep none."""
        stamps = [1000 * each for each in samples.stamps]
        lines = (
            json.dumps({"metric": labels, "values": values, "timestamps": stamps})
            for labels, values in samples.series
        )
        body = gzip.compress("\n".join(lines).encode(), 1)
        with self._request("POST", "/api/v1/import", body):
            pass

    def delete(self, selector: str) -> None:
        """Delete the series of a selector."""
        path = f"/api/v1/admin/tsdb/delete_series?{urlencode({'match[]': selector})}"
        with self._request("POST", path, b"", kind="delete"):
            pass

    @contextmanager
    def _request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        kind: str = "insert",
        missing: bool = False,
    ) -> Iterator[HTTPResponse]:
        """Send a request and yield the answer; raises ShipError for a failure.

        `kind` is the part of a cluster that serves it. With `missing` a 4xx is an answer, too.
        """
        where = f"{self.url}{path.partition('?')[0]}"
        headers = {"Accept-Encoding": "identity"}
        if body:
            headers["Content-Encoding"] = "gzip"
        if self._access.authorization:
            headers["Authorization"] = self._access.authorization
        try:
            with closing(self._connection()) as connection:
                connection.request(method, self._prefix(kind) + path, body, headers)
                with connection.getresponse() as answer:
                    self._note_clock(answer)
                    if answer.status // 100 != 2 and not (missing and 400 <= answer.status < 500):
                        raise ShipError(self._refusal(where, answer))
                    yield answer
        except (OSError, HTTPException, ValueError) as error:
            raise ShipError(
                f"{where} cannot be asked: {reason(error)}; see whether it runs, "
                "and look at ship_url and ship_ca_file."
            ) from error

    def _connection(self) -> HTTPConnection:
        host, port = self._place.hostname or "", self._place.port
        if self._place.scheme == "https":
            return HTTPSConnection(host, port, timeout=_TIMEOUT, context=self._access.tls)
        return HTTPConnection(host, port, timeout=_TIMEOUT)

    def _prefix(self, kind: str) -> str:
        """Return the path of the base URL; a cluster has one for each kind of request."""
        return re.sub("/insert/", f"/{kind}/", self._place.path, count=1)

    def _note_clock(self, answer: HTTPResponse) -> None:
        try:
            self.clock = int(parsedate_to_datetime(answer.headers["Date"]).timestamp())
        except (TypeError, ValueError, OverflowError):
            self.clock = None

    def _refusal(self, where: str, answer: HTTPResponse) -> str:
        said = " ".join(answer.read(10 * _LONGEST_ANSWER).decode(errors="replace").split())
        said = "" if said.startswith("<") else _REQUEST.sub("", said)[:_LONGEST_ANSWER]
        said = f"{answer.status} {answer.reason}" + (f" ({said.rstrip('.')})" if said else "")
        if answer.status in (401, 403):
            return f"{where} refuses us: {said}; look at ship_token_file and ship_password_file."
        if answer.status // 100 == 4:
            return (
                f"{where} is not there: {said}; ship_url needs a VictoriaMetrics, or a vmauth that "
                "serves both what is written and what is read."
            )
        return f"{where} cannot take it now: {said}; look at its log and its free space."
