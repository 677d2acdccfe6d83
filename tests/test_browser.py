"""The page in a real browser: nothing fails, nothing leaves, everybody sees everything.

`make test-browser` installs what these tests need; without it they are skipped.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from browser import CHROMIUM, Browser

from dane_mailgraph.answer import Condition, Judgement
from dane_mailgraph.categories import BY_KEY, CATEGORIES
from dane_mailgraph.counts import Interval
from dane_mailgraph.language import load_language
from dane_mailgraph.levels import Level
from dane_mailgraph.site import build
from dane_mailgraph.site.build import Look
from dane_mailgraph.store.ledger import Ledger
from dane_mailgraph.store.relays import RelayCounts, WarningCount
from dane_mailgraph.store.sync import Store
from dane_mailgraph.times import DAY, HOUR

AXE = Path(__file__).parents[1] / "build" / "browser" / "node_modules" / "axe-core" / "axe.min.js"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not CHROMIUM or not AXE.exists(),
        reason="there is no chromium or no axe-core here; `make test-browser` installs both",
    ),
]

NOW = 1795485600
HOST = "<b onmouseover=alert(1)>mail</b>\"'&amp;.example.org"


@pytest.fixture(scope="module")
def www(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site on which everything is shown that can be."""
    folder = tmp_path_factory.mktemp("site")
    one = tuple(
        7 if row.name in ("verified", "dane", "tlsv1_3", "ecdh") else 1 for row in CATEGORIES
    )
    with Ledger(str(folder / "ledger.sqlite"), writable=True) as ledger:
        ledger._db.execute("PRAGMA synchronous = OFF")  # power does not fail here
        with ledger.transaction():
            ledger.add(
                Interval(at, one)
                for at in range(NOW - 3 * DAY, NOW, 600)
                if not 5 * HOUR < NOW - at < 9 * HOUR
            )
            ledger.save(ledger.state._replace(begin=NOW - 3 * DAY, read_until=NOW))
        store = Store(str(folder), 60)
        store.reconcile(ledger)
        store.follow(ledger, NOW + 60, 10)
    names = (
        "mx.plain.example",
        "@no-tlsa.example",
        "<img src=/evil onerror=alert(1)>",
        "a" * 200 + ".example",
    )
    plaintext = {BY_KEY["deliveries.plaintext"]: 3}
    recent = build.Recent(
        newest=NOW - 2 * HOUR,
        relays=tuple(RelayCounts(name, NOW - DAY, NOW, plaintext) for name in names),
        judgement=Judgement(
            (
                Condition(
                    "lost_authentication",
                    "was-good.example",
                    Level.WARNING,
                    NOW - DAY,
                    "was-good.example ist nicht mehr authentifiziert.",
                    "Mit `posttls-finger -t30 -c -l dane '[was-good.example]'` befragen.",
                ),
            )
        ),
        warnings=(
            WarningCount(
                "dnssec", "<script>alert(1)</script>", "The resolver does not validate.", 3, NOW
            ),
        ),
    )
    look = Look(HOST, language=load_language("de"), names_relays=True)
    files = build.build(store.rrd, NOW + 60, look, recent).files
    build.publish(files, str(folder / "www"))
    return folder / "www"


@pytest.fixture(scope="module")
def url(www: Path) -> Iterator[str]:
    """Where a plain web server shows it."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(www))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


def load_all_pictures(browser: Browser) -> list[dict[str, Any]]:
    """Those too that are loaded only when they are scrolled to."""
    found: list[dict[str, Any]] = browser.evaluate(
        """Promise.all([...document.images].map(async image => {
            image.loading = "eager";
            for (let tries = 0; tries < 50; tries++) {
                // An image that is being replaced cannot be decoded.
                try { await image.decode(); break }
                catch { await new Promise(done => setTimeout(done, 100)) }
            }
            const place = image.getBoundingClientRect();
            return {file: image.currentSrc, natural: image.naturalWidth, shown: place.width,
                    ratio: place.height / place.width - image.naturalHeight / image.naturalWidth};
        }))"""
    )
    return found


def nothing_is_wrong(browser: Browser, url: str) -> None:
    requests = [each["request"]["url"] for each in browser.of("Network.requestWillBeSent")]
    answers = [each["response"] for each in browser.of("Network.responseReceived")]

    assert requests and [each for each in requests if not each.startswith(url)] == []
    assert [each["url"] for each in answers if each["status"] != 200] == []
    assert browser.of("Network.loadingFailed") == []
    assert [
        *browser.of("Log.entryAdded"),
        *browser.of("Runtime.consoleAPICalled"),
        *browser.of("Runtime.exceptionThrown"),
    ] == []
    assert browser.of("Page.javascriptDialogOpening") == []


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_picture_loads_nothing_fails_and_nothing_leaves(
    width: int, theme: str, scale: int, browser: Browser, url: str, www: Path
) -> None:
    names = set()
    for page in PAGES:
        browser.show(url + page, width=width, scale=scale, theme=theme)
        pictures = load_all_pictures(browser)
        names |= {Path(each["file"].partition("?")[0]).name for each in pictures}
        assert all(each["natural"] == 1280 and abs(each["ratio"]) < 0.01 for each in pictures)
        nothing_is_wrong(browser, url)

    assert names == {
        path.name
        for path in www.glob("*.png")
        if path.name.endswith("-dark.png") == (theme == "dark")
    }


PAGES = ("", "week.html", "month.html", "year.html")


@pytest.mark.parametrize("page", PAGES[:2])
@pytest.mark.parametrize("width", [3840, 1280, 768, 390, 320])
def test_nothing_is_wider_than_the_screen(
    width: int, page: str, browser: Browser, url: str
) -> None:
    browser.show(url + page, width=width)
    browser.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")

    assert browser.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [1280, 390, 320])
def test_a_command_breaks_between_its_words_and_is_copied_as_it_is(
    width: int, browser: Browser, url: str
) -> None:
    browser.show(url, width=width)
    command = "posttls-finger -t30 -c -l dane '[was-good.example]'"
    lines = browser.evaluate(
        """(() => {
            const found = [...document.querySelectorAll(".need code")]
                .find(each => each.textContent.startsWith("posttls"));
            getSelection().selectAllChildren(found);
            const words = [...found.querySelectorAll("span")];
            return [getSelection().toString(), words.map(each => each.getClientRects().length)];
        })()"""
    )

    assert lines == [command, [1] * len(command.split())]


@pytest.mark.parametrize(("width", "least"), [(3840, 5), (1920, 3), (1280, 2), (390, 1)])
def test_a_wide_screen_shows_more_pictures_beside_each_other(
    width: int, least: int, browser: Browser, url: str
) -> None:
    browser.show(url, width=width)
    columns = browser.evaluate(
        "new Set([...document.querySelectorAll('.pictures figure')]"
        ".map(each => Math.round(each.getBoundingClientRect().left))).size"
    )
    widest = browser.evaluate(
        "Math.max(...[...document.querySelectorAll('p, .need h3, dd')]"
        ".map(each => each.getBoundingClientRect().width))"
    )

    assert columns >= least and widest <= 1120


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_little_is_loaded_before_anybody_scrolls(
    width: int, theme: str, browser: Browser, url: str
) -> None:
    browser.show("about:blank")  # ends what the last page was loading
    browser.show(url, width=width, theme=theme)
    time.sleep(0.5)  # what is loaded late
    browser.evaluate("0")
    loaded = browser.of("Network.loadingFinished")

    assert len(browser.of("Network.requestWillBeSent")) <= 12
    assert sum(each["encodedDataLength"] for each in loaded) <= 250_000


def test_a_forged_name_is_text(browser: Browser, url: str) -> None:
    browser.show(url)

    assert browser.evaluate("document.querySelector('h1 strong').textContent") == HOST
    assert HOST in browser.evaluate("document.title")
    assert (
        browser.evaluate(
            "document.querySelectorAll("
            "'script, b, [onmouseover], [onerror], [src=\"/evil\"]').length"
        )
        == 0
    )
    assert "<img src=/evil onerror=alert(1)>" in browser.evaluate("document.body.textContent")
    nothing_is_wrong(browser, url)


def test_the_policy_is_in_force(browser: Browser, url: str) -> None:
    browser.show(url)
    browser.evaluate(
        "document.body.appendChild(document.createElement('script'))"
        ".textContent = 'document.title = 1'"
    )

    assert browser.evaluate("document.title") != "1"
    assert any(
        "Content Security Policy" in each["entry"]["text"] for each in browser.of("Log.entryAdded")
    )


@pytest.mark.parametrize("page", PAGES[:2])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing(width: int, theme: str, page: str, browser: Browser, url: str) -> None:
    browser.show(url + page, width=width, theme=theme)
    browser.evaluate("document.querySelectorAll('details').forEach((each, i) => each.open = i < 3)")
    browser.evaluate(AXE.read_text(encoding="utf-8") + "; 0")
    # Without `preload` it need not load the stylesheet, which the policy forbids to scripts.
    found = json.loads(
        browser.evaluate("axe.run(document, {preload: false}).then(found => JSON.stringify(found))")
    )

    assert [
        (each["id"], each["impact"], each["nodes"][0]["html"]) for each in found["violations"]
    ] == []
    assert len(found["passes"]) > 20


def test_the_keyboard_reaches_the_numbers(browser: Browser, url: str) -> None:
    def press(key: str, code: int) -> None:
        for kind in ("rawKeyDown", "keyUp"):
            browser.call(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code
            )

    browser.show(url)
    press("Tab", 9)

    assert browser.evaluate("document.activeElement.className") == "skip"
    assert browser.evaluate("document.activeElement.getBoundingClientRect().left >= 0")
    for _ in range(20):
        press("Tab", 9)
        if browser.evaluate("document.activeElement.tagName") == "SUMMARY":
            break
    browser.call(
        "Input.dispatchKeyEvent",
        type="keyDown",
        key="Enter",
        code="Enter",
        windowsVirtualKeyCode=13,
        text="\r",
    )
    assert browser.evaluate("document.activeElement.parentElement.open")


def test_forced_colours_keep_the_legend_and_show_where_the_reader_is(
    browser: Browser, url: str
) -> None:
    browser.show(url)
    browser.call(
        "Emulation.setEmulatedMedia",
        media="",
        features=[{"name": "forced-colors", "value": "active"}],
    )

    def colour(selector: str) -> str:
        style = f"getComputedStyle(document.querySelector('{selector}'))"
        text: str = browser.evaluate(f"{style}.backgroundColor")
        return text

    assert colour("nav a[aria-current]") != colour("nav a:not([aria-current])")
    assert len({colour(f".glossary div:nth-child({n}) i") for n in (1, 2, 3)}) == 3


def test_it_prints_light_without_what_is_only_for_the_screen(browser: Browser, url: str) -> None:
    browser.show(url, theme="dark")
    load_all_pictures(browser)
    browser.call(
        "Emulation.setEmulatedMedia",
        media="print",
        features=[{"name": "prefers-color-scheme", "value": "dark"}],
    )
    for _ in range(50):  # a browser takes its time to choose another file
        if not any("-dark" in each["file"] for each in load_all_pictures(browser)):
            break

    assert not any("-dark" in each["file"] for each in load_all_pictures(browser))
    assert (
        browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    )
    assert browser.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"


def test_from_a_folder_without_a_web_server_it_is_the_same(browser: Browser, www: Path) -> None:
    place = www.as_uri() + "/"
    browser.show(place + "index.html")
    pictures = load_all_pictures(browser)

    assert all(each["natural"] == 1280 for each in pictures)
    assert (
        browser.evaluate("getComputedStyle(document.querySelector('.card')).borderRadius") == "8px"
    )
    assert [
        each for each in browser.of("Log.entryAdded") if each["entry"]["level"] == "error"
    ] == []
