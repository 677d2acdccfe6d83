"""Draw the screenshots of the README anew, from invented logs: `make screenshots`.

On the bad day mail to one server has failed for five hours, and another one lost authentication
two days ago. On the good day nothing is wrong. Both end now, after 100 days in which DANE grew.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from itertools import accumulate
from math import cos, pi
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(HERE), str(HERE / "tests")]

from browser import Browser  # noqa: E402
from PIL import Image  # noqa: E402

from dane_mailgraph.cli import main  # noqa: E402
from dane_mailgraph.times import DAY, HOUR  # noqa: E402

SHOTS = (
    ("bad", "screenshot.png", 1280, 1180, "light"),
    ("good", "dark.png", 1280, 1180, "dark"),
    ("bad", "phone.png", 390, 844, "light"),
)
"""Day, file in docs, width and height in CSS pixels, theme."""

SEEN = """Promise.all([...document.images]
    .filter(each => each.getBoundingClientRect().top < innerHeight).map(each => each.decode()))"""
"""JavaScript: wait for the pictures on the screen; those below it are not loaded."""

DAYS, MAILS, SERVERS = 100, 1500, 160
"""How many of them: mails are those of a working day, more or less."""

NAMES = {0: "mx.bank", 1: "mx1.provider", 2: "mail.kanzlei"}
REFUSED_SINCE, LOST_SINCE = 5 * HOUR, 2.3 * DAY
"""Seconds ago; on the bad day servers 0 and 2 do so."""


def traffic(day: str, now: int) -> Iterator[str]:
    """Yield the lines of a log that ends now."""
    chance = random.Random(day)
    labels = chance.choices(("Trusted", "Untrusted", "Anonymous"), (72, 25, 3), k=SERVERS)
    dane_from = [0 if n in NAMES else chance.random() * 2.4 for n in range(SERVERS)]
    weights = list(accumulate(1 / (1 + n) for n in range(SERVERS)))
    at = float(now - DAYS * DAY)
    while at < now:
        when = datetime.fromtimestamp(at, timezone.utc)
        rhythm = 1 - 0.75 * cos(2 * pi * (when.hour * 60 + when.minute - 120) / 1440)
        at += chance.expovariate(rhythm * (0.45 if when.weekday() > 4 else 1) * MAILS / DAY)
        n = chance.choices(range(SERVERS), cum_weights=weights)[0]
        name = f"{NAMES.get(n, f'mx{n % 3 + 1}.domain{n}')}.example"
        is_refused = day == "bad" and n == 0 and now - at < REFUSED_SINCE
        is_lost = day == "bad" and n == 2 and now - at < LOST_SINCE
        part = 1 - (now - at) / (DAYS * DAY)
        label = "Verified" if part > dane_from[n] and labels[n] != "Anonymous" else labels[n]
        label = "Untrusted" if is_refused else "Trusted" if is_lost else label
        group = "X25519MLKEM768" if chance.random() < part / 2 else "X25519"
        relay, level = f"{name}[192.0.2.{n + 1}]:25", "dane" if label == "Verified" else "may"
        lines = [
            f"{label} TLS connection established to {relay}: TLSv1.3 with cipher "
            f"TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange {group}"
        ]
        end = f"tls={level}, dsn=2.0.0, status=sent (250 2.0.0 Ok)"
        if is_refused:
            end = "dsn=4.7.5, status=deferred (Server certificate not verified)"
        elif n > 3 and chance.random() < 0.05 - 0.035 * part:
            lines, end = [], "tls=none, dsn=2.0.0, status=sent (250 2.0.0 Ok)"
        lines.append(
            f"{int(at * 1000):X}: to=<user@{name.partition('.')[2]}>, relay={relay}, delay=0.9, "
            f"delays=0.2/0/0.4/0.3, {end}"
        )
        stamp, process = when.isoformat(timespec="milliseconds"), chance.randrange(1000, 30000)
        yield from (f"{stamp} mail postfix/smtp[{process}]: {text}\n" for text in lines)


def draw(day: str, folder: Path) -> Path:
    """Count the log of a day and draw its page; return the folder of the page."""
    log, www = folder / "mail.log", folder / "www"
    log.write_text("".join(traffic(day, int(time.time()))), encoding="ascii")
    settings = ["--config", os.devnull, "--state-dir", str(folder / "state")]
    assert main(["import", *settings, str(log)]) == 0
    settings += ["--output-dir", str(www), "--show-destinations", "yes", "--language", "en"]
    assert main(["render", *settings, "--host", "mail.example.org"]) == 0
    return www


def shoot() -> None:
    """Write the pictures into docs."""
    with tempfile.TemporaryDirectory() as name, Browser(Path(name)) as browser:
        pages = {}
        for day in dict.fromkeys(shot[0] for shot in SHOTS):
            folder = Path(name) / day
            folder.mkdir()
            pages[day] = draw(day, folder)
        for day, file, width, height, theme in SHOTS:
            url = (pages[day] / "index.html").as_uri()
            browser.show(url, width=width, height=height, theme=theme)
            browser.evaluate(SEEN)
            browser.screenshot(HERE / "docs" / file)
            Image.open(HERE / "docs" / file).convert("RGB").quantize(256).save(
                HERE / "docs" / file, optimize=True
            )


if __name__ == "__main__":
    shoot()
