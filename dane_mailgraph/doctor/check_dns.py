"""Whether the resolver validates, and Postfix learns of it: without that DANE is silently off."""

from __future__ import annotations

from collections.abc import Iterator

from ..dane import Answer, ResolvConf, is_loopback
from .facts import Facts
from .findings import FAIL, OK, SKIP, WARN, Finding, Row, always, every, first
from .postconf import Instance

_UNBOUND = (
    "apt-get install unbound, then make `nameserver 127.0.0.1` the only one in /etc/resolv.conf"
)
_SILENT = (
    "Postfix believes what its resolver says: without the AD bit DANE is silently off, and "
    "nothing is Verified."
)
_NOT_VALIDATED = "its answer to `{it.question}` is not validated ({it.code}, no AD bit)"

_SYSTEMD_RESOLVED = "127.0.0.53"
"""The address that systemd-resolved listens on."""

# ---- each server ----------------------------------------------------------------------------

_UNASKED: tuple[Row[Facts], ...] = (
    Row(
        lambda it: it.resolv.trouble,
        SKIP,
        "it cannot be read: {it.resolv.trouble}",
        "",
        "run as root",
    ),
    Row(
        lambda it: it.instances is None and not it.mx,
        SKIP,
        "there is no Postfix here that asks it",
    ),
)

_SERVER: tuple[Row[Answer], ...] = (
    Row(
        lambda it: not it.code,
        FAIL,
        "it does not answer `{it.question}`: {it.trouble}",
        "Postfix waits for it in vain; mail is late or deferred.",
        _UNBOUND,
    ),
    Row(
        lambda it: not it.secure and it.server == _SYSTEMD_RESOLVED,
        FAIL,
        _NOT_VALIDATED,
        _SILENT,
        "resolvectl dnssec (systemd-resolved validates only with DNSSEC=yes); better " + _UNBOUND,
    ),
    Row(lambda it: not it.secure, FAIL, _NOT_VALIDATED, _SILENT, _UNBOUND),
    Row(
        lambda it: not is_loopback(it.server),
        WARN,
        "it validates, but is another machine",
        "Every machine on the way to it can set the AD bit, too; a validating resolver belongs on "
        "the loopback interface.",
        _UNBOUND,
    ),
    Row(always, OK, "it validates, and is on this machine"),
)


def validation(facts: Facts) -> Iterator[Finding]:
    """Check that each server that Postfix may ask validates, and is on this machine."""
    unasked = [row for row in _UNASKED if row.applies(facts)]
    if unasked:
        yield first("resolver", facts.resolv.path, unasked, facts)
        return
    for probe in facts.probes:
        yield first("resolver", probe.server, _SERVER, probe)


# ---- chroots --------------------------------------------------------------------------------

_ASKS = "The SMTP clients are chrooted to {queue}, and ask the servers that this file names."
_COPY = "install -D -m 644 {usual.path} {it.path} && postfix {flag}reload"


def chroots(facts: Facts) -> Iterator[Finding]:
    """Check that chrooted SMTP clients ask the same servers as other programs."""
    usual = facts.resolv
    rows: tuple[Row[ResolvConf], ...] = (
        Row(lambda it: it.trouble, SKIP, "it cannot be read: {it.trouble}", _ASKS, "run as root"),
        Row(
            lambda it: it.servers == usual.servers and it.trust_ad == usual.trust_ad,
            OK,
            "it names the servers of {usual.path}",
        ),
        Row(
            lambda it: it.text is None,
            FAIL,
            "it is not there, so 127.0.0.1 is asked",
            _ASKS,
            _COPY,
        ),
        Row(always, FAIL, "it names {here}, but {usual.path} {there}", _ASKS, _COPY),
    )
    for queue, copy in facts.chroots.items():
        yield first(
            "chroot",
            copy.path,
            rows,
            copy,
            queue=queue,
            usual=usual,
            flag=_flag(facts, queue),
            here=" ".join(copy.servers),
            there=" ".join(usual.servers),
        )


def _flag(facts: Facts, queue: str) -> str:
    """Return the option that names the instance with this queue directory to its commands."""
    flags = (each.flag for each in facts.instances or () if each.value("queue_directory") == queue)
    return next(flags, "")


# ---- the C library --------------------------------------------------------------------------

_REMOVES_AD = (2, 31)
"""From this version on glibc removes the AD bit unless resolv.conf says to trust the server."""

_FIRST_DANE = (2, 11)

_ASKS_FOR_AD = (
    ((3, 2, 14), (3, 3)),
    ((3, 3, 9), (3, 4)),
    ((3, 4, 11), (3, 5)),
    ((3, 5, 1), (4,)),
)
"""From, and before which version Postfix itself asks the C library to keep the AD bit.

XTRA_FLAGS in dns_lookup.c.
"""


def _needs_trust_ad(instance: Instance) -> bool:
    version = instance.version
    asks = any(since <= version < before for since, before in _ASKS_FOR_AD)
    return version >= _FIRST_DANE and not asks


_TRUST: tuple[Row[Instance], ...] = (
    Row(
        _needs_trust_ad,
        FAIL,
        "glibc {version} removes the AD bit from what this Postfix gets",
        _SILENT,
        "echo 'options trust-ad' >> {path}",
    ),
)


def trust_ad(facts: Facts) -> Iterator[Finding]:
    """Check that an old Postfix on a new C library has `options trust-ad`."""
    if facts.glibc < _REMOVES_AD or facts.resolv.trust_ad:
        return
    version, path = ".".join(map(str, facts.glibc)), facts.resolv.path
    for each in facts.active_instances:
        yield from every("trust-ad", each.directory, _TRUST, each, version=version, path=path)
