"""Everything that the checks look at, gathered in one place."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..config import Config
from ..dane import Answer, ResolvConf, Target, resolver
from ..programs import Account, ask
from . import conditions, log_end, loggers, own_mx, own_state, postconf, unit
from .conditions import Conditions
from .findings import Finding
from .log_end import JOURNAL, LogEnd
from .loggers import Routes
from .own_mx import Mx
from .own_state import OwnState
from .postconf import Instance
from .unit import Unit


class Facts(NamedTuple):
    """Everything the checks look at; None where it could not be determined."""

    now: int
    """Epoch second."""
    is_root: bool
    """The doctor runs as root."""
    instances: Sequence[Instance] | None
    """None where there is no Postfix."""
    resolv: ResolvConf
    probes: Sequence[Answer]
    """The answer of each server to `. NS`, by which Postfix tests validation (dnssec_probe)."""
    chroots: Mapping[str, ResolvConf]
    """Queue directory of an instance whose SMTP clients are chrooted -> the resolv.conf in it."""
    glibc: tuple[int, ...]
    """The version of glibc; empty for another C library."""
    mx: Sequence[Mx]
    log_end: LogEnd
    routes: Routes
    is_our_log: Mapping[str, bool]
    """File into which mail is logged -> whether it is our log."""
    account: Account | None
    """The user that counts."""
    log_is_readable: bool | None
    """Whether that user can read the log; None where only root can find out."""
    unit: Unit | None
    """None where systemd has no unit of ours."""
    store_is_locked: bool | None
    """Whether a process counts into the store now; None where it cannot be seen."""
    unwritable: Sequence[str] | None
    """What of the store the user that counts may not write; None where only root can find out."""
    own_state: OwnState
    conditions: Conditions | None
    """None where nothing has been counted, or it cannot be read."""
    time_zone: str
    """The setting, empty for the system's zone."""
    clock_is_synchronized: bool | None
    """Whether the clock follows a time server; None where it is unknown."""

    @property
    def active_instances(self) -> list[Instance]:
        """The instances that can be read and are not disabled."""
        return postconf.active(self.instances)

    @property
    def counted_ago(self) -> int | None:
        """Seconds since the end of the newest interval in the RRD, negative ahead of the clock."""
        return None if self.own_state.rrd_until is None else self.now - self.own_state.rrd_until

    @property
    def line_age(self) -> int:
        """Seconds since the newest stamp of our log, negative ahead of the clock; 0 without one."""
        return 0 if self.log_end.newest is None else self.now - self.log_end.newest

    @property
    def unread_bytes(self) -> int:
        """Bytes of our log behind the bookmark; negative where the log is shorter than that."""
        bookmark, end = self.own_state.bookmark, self.own_state.end_of_file
        return end.offset - bookmark.offset if bookmark and end else 0

    def of_condition(self, name: str, about: str) -> list[Finding]:
        """Return what a condition says of this file; nothing if it does not hold or is unknown."""
        return self.conditions.findings(name, about) if self.conditions else []


def gather(
    settings: Config,
    targets: Sequence[Target] | None,
    now: int,
    resolv: ResolvConf | None = None,
) -> Facts:
    """Ask Postfix, the resolvers, the loggers, the log and our store.

    Args:
        settings: The settings in force.
        targets: Our own servers; None stands for those that Postfix itself names.
        now: Epoch second.
        resolv: The resolvers to ask; None for those of this machine.
    """
    instances = postconf.instances()
    active = postconf.active(instances)
    resolv = resolv or resolver.read_resolv_conf()
    queues = {
        each.value("queue_directory")
        for each in active
        if any(s.program == "smtp" and s.chroot for s in each.services)
    }
    chroots = {
        queue: resolver.read_resolv_conf(os.path.join(queue, "etc/resolv.conf"))
        for queue in sorted(queues)
    }
    servers = dict.fromkeys(
        server for each in (resolv, *chroots.values()) for server in each.servers
    )
    routes = loggers.find_routes()
    account = unit.counting_account(settings.state_dir)
    files = {*routes.files, *(each.value("maillog_file") for each in active)} - {""}
    return Facts(
        now=now,
        is_root=os.geteuid() == 0,
        instances=instances,
        resolv=resolv,
        probes=[resolver.query(".", "NS", server, resolv.port) for server in servers],
        chroots=chroots,
        glibc=_glibc(),
        mx=own_mx.look_at_all(targets, active, resolv, settings.own_mx_next_cert),
        log_end=log_end.read_end(settings.log, settings.time_zone, settings.ignore_relays, now),
        routes=routes,
        is_our_log={file: _is_same_file(file, settings.log) for file in sorted(files)},
        account=account,
        log_is_readable=unit.can_read(settings.log, account)
        if account and settings.log != JOURNAL
        else None,
        unit=unit.ask_systemd(),
        store_is_locked=unit.is_locked(settings.state_dir),
        unwritable=unit.unwritable(settings.state_dir, account),
        own_state=own_state.read_own_state(
            settings.log, settings.state_dir, settings.output_dir, settings.step
        ),
        conditions=conditions.find_conditions(settings, now),
        time_zone=settings.texts["time_zone"],
        clock_is_synchronized=_clock_is_synchronized(),
    )


def _glibc() -> tuple[int, ...]:
    name, version = platform.libc_ver()
    numbers = version.split(".") if name == "glibc" else ()
    return tuple(int(each) for each in numbers if each.isdecimal())


def _clock_is_synchronized() -> bool | None:
    output = ask("timedatectl", "show", "-p", "NTPSynchronized", "--value")
    return None if output is None or output.status else output.out.strip() == "yes"


def _is_same_file(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return os.path.abspath(one) == os.path.abspath(other)
