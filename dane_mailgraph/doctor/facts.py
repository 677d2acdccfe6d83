"""Everything that the doctor looks at, asked of those who know."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..config import Config
from ..dane import Answer, Resolv, Target, resolver
from ..programs import Account, ask
from . import loggers, own_mx, own_state, postconf
from .loggers import JOURNAL, End, Routes
from .own_mx import Mx
from .own_state import Upkeep
from .postconf import Instance


class Facts(NamedTuple):
    """What is, as far as whoever asks may know it."""

    now: int
    root: bool
    """Asked as root."""
    instances: Sequence[Instance] | None
    """None where there is no Postfix."""
    resolv: Resolv
    probes: Sequence[Answer]
    """What each server says to `. NS`, which is what Postfix asks to see whether they validate (dnssec_probe)."""
    chroots: Mapping[str, Resolv]
    """Queue directory of an instance whose SMTP clients are chrooted -> the resolv.conf in it."""
    libc: tuple[int, ...]
    """The version of glibc; empty for another C library."""
    mx: Sequence[Mx]
    end: End
    routes: Routes
    same: Mapping[str, bool]
    """Files into which mail is logged -> whether our log is that file."""
    account: Account | None
    """Who counts."""
    readable: bool | None
    """Whether that user can read the log; None where only root can tell."""
    upkeep: Upkeep
    time_zone: str
    """The setting, empty for the system's zone."""
    synchronized: bool | None
    """Whether the clock follows a time server; None where nobody knows."""

    @property
    def at_work(self) -> list[Instance]:
        """The instances that can be read and are to be started."""
        return [each for each in self.instances or () if not each.trouble and not each.disabled]

    @property
    def counted_ago(self) -> int | None:
        """Seconds since the end of the newest interval counted, negative ahead of the clock."""
        return None if self.upkeep.written is None else self.now - self.upkeep.written

    @property
    def line_age(self) -> int:
        """Seconds since the newest stamp of our log, negative ahead of the clock; 0 without one."""
        return 0 if self.end.newest is None else self.now - self.end.newest

    @property
    def unread_bytes(self) -> int:
        """Bytes of our log behind the bookmark; negative where the log is shorter than that."""
        place, live = self.upkeep.place, self.upkeep.live
        return live[1] - place[1] if place and live else 0


def gather(
    settings: Config,
    targets: Sequence[Target],
    now: int,
    *,
    resolv_conf: str = resolver.PATH,
    port: int = 53,
) -> Facts:
    """Ask everybody; `targets` are our own servers, or none for those of Postfix itself. `port` is the resolvers'."""
    instances = postconf.instances()
    told = [each for each in instances or () if not each.trouble and not each.disabled]
    resolv = resolver.read(resolv_conf)
    where = {
        each.said("queue_directory")
        for each in told
        if any(s.program == "smtp" and s.chroot for s in each.services)
    }
    chroots = {
        queue: resolver.read(os.path.join(queue, "etc/resolv.conf")) for queue in sorted(where)
    }
    servers = dict.fromkeys(
        server for each in (resolv, *chroots.values()) for server in each.servers
    )
    routes = loggers.routes()
    account = loggers.counter(settings.state_dir)
    files = {*routes.files, *(each.said("maillog_file") for each in told)} - {""}
    return Facts(
        now=now,
        root=os.geteuid() == 0,
        instances=instances,
        resolv=resolv,
        probes=[resolver.ask(".", "NS", server, port) for server in servers],
        chroots=chroots,
        libc=_libc(),
        mx=[own_mx.look(each, told, resolv, port) for each in targets or own_mx.receivers(told)],
        end=loggers.end(settings.log, settings.time_zone, settings.ignore_relays, now),
        routes=routes,
        same={file: _same(file, settings.log) for file in sorted(files)},
        account=account,
        readable=loggers.readable(settings.log, account)
        if account and settings.log != JOURNAL
        else None,
        upkeep=own_state.look(settings.log, settings.state_dir, settings.output_dir, settings.step),
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
    said = ask("timedatectl", "show", "-p", "NTPSynchronized", "--value")
    return None if said is None or said.status else said.out.strip() == "yes"


def _same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return os.path.abspath(one) == os.path.abspath(other)
