"""Real servers on the loopback interface: certificates, a validating resolver, a Postfix."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from dane_mailgraph.dane import resolver

PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))

NAME = "mail.example.test"


def needs(*programs: str, root: bool = False) -> pytest.MarkDecorator:
    """Skip where these programs are not installed, or where only root can start them."""
    missing = [program for program in programs if not shutil.which(program, path=PATH)]
    if not missing and root and os.geteuid():
        return pytest.mark.skip(reason="only root can start it")
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def call(*words: str | Path, cwd: Path | None = None, stdin: str = "") -> str:
    environment = {**os.environ, "PATH": PATH, "LC_ALL": "C"}
    done = subprocess.run(
        [str(word) for word in words],
        input=stdin,
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def free_port() -> int:
    """Return a port that is free for UDP and TCP: a name server needs both."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port: int = tcp.getsockname()[1]
            with suppress(OSError):
                udp.bind(("127.0.0.1", port))
                return port


# ---- certificates ---------------------------------------------------------------------------


class Authority:
    """A certificate authority."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path, self._key = folder, folder / "ca.pem", folder / "ca.key"
        subject = ("-subj", "/CN=Test CA", "-days", "3650")
        call("openssl", "req", "-x509", *_NEW, "-keyout", self._key, "-out", self.path, *subject)
        (folder / "ca.conf").write_text(_CA.format(folder=folder))
        (folder / "ca.index").touch()

    def issue(
        self, stem: str, name: str = NAME, *, days: int = 90, key: Path | None = None
    ) -> tuple[Path, Path]:
        """Return a key and a certificate with the authority's behind it; expired if `days` < 0."""
        private, request, bare, chain = (
            self.folder / f"{stem}.{each}" for each in ("key", "csr", "bare", "pem")
        )
        new = ("-new", "-key", key) if key else (*_NEW, "-keyout", private)
        call(
            "openssl",
            "req",
            *new,
            "-out",
            request,
            "-subj",
            f"/CN={name}",
            "-addext",
            f"subjectAltName=DNS:{name}",
        )
        # `openssl ca` takes two dates in every version, `openssl x509` a past one in some only.
        now = int(time.time())
        begins, ends = (_asn1(min(now, now + (days - 1) * 86400)), _asn1(now + days * 86400))
        signed = ("-config", self.folder / "ca.conf", "-startdate", begins, "-enddate", ends)
        call("openssl", "ca", "-batch", "-notext", *signed, "-in", request, "-out", bare)
        chain.write_text(bare.read_text() + self.path.read_text())
        return key or private, chain


_NEW = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")

_CA = """
[ca]
default_ca = authority
[authority]
certificate = {folder}/ca.pem
private_key = {folder}/ca.key
database = {folder}/ca.index
new_certs_dir = {folder}
default_md = sha256
rand_serial = yes
policy = names
unique_subject = no
copy_extensions = copy
[names]
commonName = supplied
"""


def _asn1(at: int) -> str:
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(at))


# ---- DNS ------------------------------------------------------------------------------------

_SOA = "{zone} 60 IN SOA ns. host. 1 3600 600 86400 60\n{zone} 60 IN NS ns.\n"

_UNBOUND = """
server:
  interface: 127.0.0.1
  port: {port}
  do-daemonize: no
  do-ip6: no
  chroot: ""
  username: ""
  directory: "{folder}"
  pidfile: ""
  use-syslog: no
  module-config: "{modules}"
  trust-anchor-file: "{key}"
  local-zone: "test." nodefault
  do-not-query-localhost: no
remote-control:
  control-enable: no
"""

_ITSELF = """
auth-zone:
  name: "."
  zonefile: "root.signed"
  for-downstream: no
  for-upstream: yes
  fallback-enabled: no
auth-zone:
  name: "unsigned."
  zonefile: "unsigned.zone"
  for-downstream: no
  for-upstream: yes
  fallback-enabled: no
"""

_ASKS = """
stub-zone:
  name: "."
  stub-addr: 127.0.0.1@{port}
"""

_KNOT = """
server:
    rundir: "{folder}"
    listen: 127.0.0.1@{port}
database:
    storage: "{folder}/knot"
log:
  - target: stderr
    any: info
policy:
  - id: policy
    algorithm: ecdsap256sha256
    single-type-signing: on
    nsec3: on
template:
  - id: default
    storage: "{folder}"
    zonefile-sync: -1
    journal-content: none
    dnssec-signing: on
    dnssec-policy: policy
zone:
  - domain: .
    file: root.zone
  - domain: unsigned.
    file: unsigned.zone
    dnssec-signing: off
"""


@contextmanager
def nameserver(
    folder: Path,
    records: str,
    unsigned: str = "",
    *,
    validating: bool = True,
    forged: str = "",
    port: int = 0,
) -> Iterator[int]:
    """Run an unbound that is its own Internet, and yield its port.

    It has a signed root with these records, and `unsigned.` below it.

    Without a `port` it takes a free one.

    The text `forged` is put in place of `ORIGINAL` after signing.
    """
    _write_zones(folder, records, unsigned)
    new = ("ldns-keygen", "-k", "-a", "ECDSAP256SHA256", "-r", "/dev/urandom", ".")
    key = call(*new, cwd=folder).strip()
    call("ldns-signzone", "-o", ".", "-f", "root.signed", "root.zone", key, cwd=folder)
    if forged:
        signed = (folder / "root.signed").read_text()
        assert "192.0.2.99" in signed
        (folder / "root.signed").write_text(signed.replace("192.0.2.99", forged))
    modules = "validator iterator" if validating else "iterator"
    with _unbound(folder, port or free_port(), folder / f"{key}.key", modules, _ITSELF) as own:
        yield own


@contextmanager
def nameserver_with_knot(
    folder: Path, records: str, unsigned: str = "", *, port: int = 0
) -> Iterator[int]:
    """Run a validating unbound before a Knot that signs and serves the same, and yield its port."""
    _write_zones(folder, records, unsigned)
    authority, config, key = free_port(), folder / "knot.conf", folder / "root.ds"
    (folder / "knot").mkdir()
    config.write_text(_KNOT.format(port=authority, folder=folder), encoding="ascii")
    asks = _ASKS.format(port=authority)
    # Knot would make a key by itself, but not always before it answers.
    call("keymgr", "-c", config, ".", "generate", "ksk=yes", "zsk=yes")
    key.write_text(call("keymgr", "-c", config, ".", "ds"))
    with (
        _answering(folder, authority, "knotd", "-c", str(config)),
        _unbound(folder, port or free_port(), key, "validator iterator", asks) as own,
    ):
        yield own


def _write_zones(folder: Path, records: str, unsigned: str) -> None:
    (folder / "root.zone").write_text(
        _SOA.format(zone=".") + "ns. 60 IN A 127.0.0.1\nunsigned. 60 IN NS ns.\n" + records,
        encoding="ascii",
    )
    (folder / "unsigned.zone").write_text(
        _SOA.format(zone="unsigned.") + unsigned, encoding="ascii"
    )


@contextmanager
def _unbound(folder: Path, port: int, key: Path, modules: str, zones: str) -> Iterator[int]:
    """Run an unbound that trusts a key, and yield its port."""
    config = folder / "unbound.conf"
    config.write_text(
        _UNBOUND.format(port=port, folder=folder, key=key, modules=modules) + zones,
        encoding="ascii",
    )
    with _answering(folder, port, "unbound", "-d", "-c", str(config)):
        yield port


@contextmanager
def _answering(folder: Path, port: int, *words: str) -> Iterator[None]:
    """Run a name server."""
    path = folder / f"{words[0]}.log"
    program = shutil.which(words[0], path=PATH) or words[0]
    with path.open("wb") as log:
        server = subprocess.Popen([program, *words[1:]], stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 20
            while not resolver.query("ns", "A", "127.0.0.1", port).is_final:
                assert server.poll() is None and time.monotonic() < deadline, path.read_text()
            yield
        finally:
            server.terminate()
            server.wait(10)


# ---- Postfix --------------------------------------------------------------------------------

MAIN = """
compatibility_level = 3.6
myhostname = mail.example.test
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/maillog
maillog_file_prefixes = {folder}
"""

MASTER = """
smtp unix - - n - - smtp
relay unix - - n - - smtp
tlsmgr unix - - n 1000? 1 tlsmgr
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
"""


def configured(folder: Path, main: str = "", master: str = "") -> Path:
    """A configuration directory of Postfix's; the last of equal settings counts."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "main.cf").write_text(MAIN.format(folder=folder) + main)
    (folder / "master.cf").write_text(MASTER + master)
    for each in ("queue", "data"):
        (folder / each).mkdir(exist_ok=True)
    return folder


@contextmanager
def running(main: str, master: str) -> Iterator[Path]:
    """Run a Postfix in a folder that its processes may enter; give it a port above 1024."""
    with tempfile.TemporaryDirectory(prefix="postfix-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        configured(folder, f"multi_instance_name = postfix-test\n{main}", master)
        shutil.chown(folder / "data", "postfix")
        call("postfix", "-c", folder, "start")
        try:
            yield folder
        finally:
            call("postfix", "-c", folder, "stop")


# ---- VictoriaMetrics ------------------------------------------------------------------------


class VictoriaMetrics:
    """A VictoriaMetrics that can be killed, and started again on what it has written."""

    def __init__(self, folder: Path, *flags: str, scheme: str = "http") -> None:
        self.folder, self.flags = folder, flags
        self.port = free_port()
        self.url = f"{scheme}://localhost:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *flags: str) -> None:
        """Start it; flags in place of those that it was made with."""
        program = shutil.which("victoria-metrics", path=PATH) or "victoria-metrics"
        ours = f"-httpListenAddr=127.0.0.1:{self.port}", f"-storageDataPath={self.folder}"
        with self.folder.with_suffix(".log").open("ab") as log:
            self._process = subprocess.Popen(
                [program, *ours, "-memory.allowedBytes=128MB", *(flags or self.flags)], stderr=log
            )
        wait_for_port(self.port)

    def kill(self) -> None:
        """End it at once: what it has not written is lost."""
        self._end(kill=True)

    def stop(self) -> None:
        """End it as an operator does."""
        self._end(kill=False)

    def _end(self, *, kill: bool) -> None:
        if self._process:
            (self._process.kill if kill else self._process.terminate)()
            self._process.wait(60)
            self._process = None

    def settle(self) -> str:
        """Make readable what was accepted; return a matcher that makes a search a new one.

        VictoriaMetrics remembers for ten seconds that a search found nothing.
        """
        urllib.request.urlopen(f"{self.url}/internal/force_flush", timeout=60).close()
        return f'asked!="{time.time_ns()}"'

    def value(self, query: str, at: int) -> int | None:
        """The value of a query at a moment; None where there is none."""
        asked = urllib.parse.urlencode({"query": query, "time": at})
        with urllib.request.urlopen(f"{self.url}/api/v1/query?{asked}", timeout=60) as answer:
            found = json.load(answer)["data"]["result"]
        return int(float(found[0]["value"][1])) if found else None

    def values(self, query: str, at: int) -> dict[frozenset[tuple[str, str]], float]:
        """The labels of all series of a query at a moment, with their values."""
        asked = urllib.parse.urlencode({"query": query, "time": at})
        with urllib.request.urlopen(f"{self.url}/api/v1/query?{asked}", timeout=60) as answer:
            found = json.load(answer)["data"]["result"]
        return {frozenset(each["metric"].items()): float(each["value"][1]) for each in found}


def wait_for_port(port: int) -> None:
    """Wait until somebody listens there."""
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert time.monotonic() < deadline, f"nobody listens on {port}"
            time.sleep(0.05)
