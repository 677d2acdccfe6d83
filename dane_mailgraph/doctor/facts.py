"""Everything that the checks look at, gathered in one place."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..config import Config
from ..dane import Answer, ResolvConf, Target, resolver
from ..programs import Account, ask
from . import judged, loggers, own_mx, own_state, postconf, unit
from .findings import Finding
from .judged import Judged
from .loggers import JOURNAL, End, Routes
from .own_mx import Mx
from .own_state import OwnState
from .postconf import Instance
from .unit import Unit


class Facts(NamedTuple):
    """Everything the checks look at; None where it could not be determined."""

    now: int
    root: bool
    """The doctor runs as root."""
    instances: Sequence[Instance] | None
    """None where there is no Postfix."""
    resolv: ResolvConf
    probes: Sequence[Answer]
    """The answer of each server to `. NS`, by which Postfix tests validation (dnssec_probe)."""
    chroots: Mapping[str, ResolvConf]
    """Queue directory of an instance whose SMTP clients are chrooted -> the resolv.conf in it."""
    libc: tuple[int, ...]
    """The version of glibc; empty for another C library."""
    mx: Sequence[Mx]
    end: End
    routes: Routes
    same: Mapping[str, bool]
    """File into which mail is logged -> whether it is our log."""
    account: Account | None
    """The user that counts."""
    readable: bool | None
    """Whether that user can read the log; None where only root can find out."""
    unit: Unit | None
    """None where systemd has no unit of ours."""
    locked: bool | None
    """Whether a process counts into the store now; None where it cannot be seen."""
    unwritable: Sequence[str] | None
    """What of the store the user that counts may not write; None where only root can find out."""
    own: OwnState
    judged: Judged | None
    """None where nothing has been counted, or it cannot be read."""
    time_zone: str
    """The setting, empty for the system's zone."""
    synchronized: bool | None
    """Whether the clock follows a time server; None where it is unknown."""

    @property
    def at_work(self) -> list[Instance]:
        """The instances that can be read and are not disabled."""
        return [each for each in self.instances or () if not each.trouble and not each.disabled]

    def passed_on(self, condition: str, about: str) -> list[Finding]:
        """What a condition says of this file; nothing where it does not hold or is unknown."""
        return self.judged.findings(condition, about) if self.judged else []

    @property
    def counted_ago(self) -> int | None:
        """Seconds since the end of the newest interval in the RRD, negative ahead of the clock."""
        return None if self.own.written is None else self.now - self.own.written

    @property
    def line_age(self) -> int:
        """Seconds since the newest stamp of our log, negative ahead of the clock; 0 without one."""
        return 0 if self.end.newest is None else self.now - self.end.newest

    @property
    def unread_bytes(self) -> int:
        """Bytes of our log behind the bookmark; negative where the log is shorter than that."""
        position, live = self.own.position, self.own.live
        return live[1] - position[1] if position and live else 0


def gather(
    settings: Config,
    targets: Sequence[Target] | None,
    now: int,
    *,
    resolv_conf: str = resolver.PATH,
    port: int = 53,
) -> Facts:
    """Ask Postfix, the resolvers, the loggers, the log and our store.

    Args:
        settings: The settings in force.
        targets: Our own servers; None stands for those that Postfix itself names.
        now: Epoch second.
        resolv_conf: The file that names the resolvers.
        port: The port of the resolvers.
    """
    instances, next_cert = postconf.instances(), settings.own_mx_next_cert
    active = [each for each in instances or () if not each.trouble and not each.disabled]
    resolv = resolver.read_resolv_conf(resolv_conf)
    where = {
        each.value("queue_directory")
        for each in active
        if any(s.program == "smtp" and s.chroot for s in each.services)
    }
    chroots = {
        queue: resolver.read_resolv_conf(os.path.join(queue, "etc/resolv.conf"))
        for queue in sorted(where)
    }
    servers = dict.fromkeys(
        server for each in (resolv, *chroots.values()) for server in each.servers
    )
    routes = loggers.routes()
    account = loggers.counter(settings.state_dir)
    files = {*routes.files, *(each.value("maillog_file") for each in active)} - {""}
    return Facts(
        now=now,
        root=os.geteuid() == 0,
        instances=instances,
        resolv=resolv,
        probes=[resolver.query(".", "NS", server, port) for server in servers],
        chroots=chroots,
        libc=_libc(),
        mx=[
            own_mx.look(each, active, resolv, port, next_cert)
            for each in (own_mx.receivers(active) if targets is None else targets)
        ],
        end=loggers.end(settings.log, settings.time_zone, settings.ignore_relays, now),
        routes=routes,
        same={file: _same(file, settings.log) for file in sorted(files)},
        account=account,
        readable=loggers.readable(settings.log, account)
        if account and settings.log != JOURNAL
        else None,
        unit=unit.look(),
        locked=unit.is_locked(settings.state_dir),
        unwritable=unit.unwritable(settings.state_dir, account),
        own=own_state.look(settings.log, settings.state_dir, settings.output_dir, settings.step),
        judged=judged.judge(settings, now),
        time_zone=settings.texts["time_zone"],
        synchronized=_synchronized(),
    )


def _libc() -> tuple[int, ...]:
    name, version = platform.libc_ver()
    return (
        tuple(int(each) for each in version.split(".") if each.isdecimal())
        if name == "glibc"
        else ()
    )


def _synchronized() -> bool | None:
    output = ask("timedatectl", "show", "-p", "NTPSynchronized", "--value")
    return None if output is None or output.status else output.out.strip() == "yes"


def _same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return os.path.abspath(one) == os.path.abspath(other)
