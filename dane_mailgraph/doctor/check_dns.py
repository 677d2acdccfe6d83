"""Whether the resolver validates, and whether Postfix gets to know that: without it DANE is silently off."""

from __future__ import annotations

from collections.abc import Iterator

from ..dane import Answer, loopback
from .facts import Facts
from .findings import Finding, Verdict

OK, WARN, FAIL, SKIP = Verdict

_UNBOUND = (
    "apt-get install unbound, then make `nameserver 127.0.0.1` the only one in /etc/resolv.conf"
)
_SILENT = "Postfix believes what its resolver says: without the AD bit DANE is silently off, and nothing is Verified."

_NO_TRUST_NEEDED = (
    ((3, 2, 14), (3, 3)),
    ((3, 3, 9), (3, 4)),
    ((3, 4, 11), (3, 5)),
    ((3, 5, 1), (4,)),
)
"""From, and before which version Postfix tells the C library itself to keep the AD bit (XTRA_FLAGS in dns_lookup.c)."""


def validation(facts: Facts) -> Iterator[Finding]:
    """Whether each server that Postfix may ask validates, and is on this machine."""
    if facts.resolv.trouble:
        yield Finding(
            "resolver",
            facts.resolv.path,
            SKIP,
            f"it cannot be read: {facts.resolv.trouble}",
            "",
            "run as root",
        )
        return
    if facts.instances is None and not facts.mx:
        yield Finding("resolver", facts.resolv.path, SKIP, "there is no Postfix here that asks it")
        return
    for probe in facts.probes:
        yield _probed(probe)


def _probed(probe: Answer) -> Finding:
    def found(verdict: Verdict, what: str, why: str = "", remedy: str = "") -> Finding:
        return Finding("resolver", probe.server, verdict, what, why, remedy)

    if not probe.code:
        why = "Postfix waits for it in vain; mail is late or deferred."
        return found(FAIL, f"it does not answer `{probe.question}`: {probe.trouble}", why, _UNBOUND)
    if not probe.secure:
        what = f"its answer to `{probe.question}` is not validated ({probe.code}, no AD bit)"
        remedy = _UNBOUND
        if probe.server == "127.0.0.53":
            remedy = f"resolvectl dnssec (systemd-resolved validates only with DNSSEC=yes); better {_UNBOUND}"
        return found(FAIL, what, _SILENT, remedy)
    if not loopback(probe.server):
        why = "Whoever sits on the way to it can set the AD bit, too; a validating resolver belongs on the loopback interface."
        return found(WARN, "it validates, but is another machine", why, _UNBOUND)
    return found(OK, "it validates, and is on this machine")


def chroots(facts: Facts) -> Iterator[Finding]:
    """Whether chrooted SMTP clients ask the same servers as everybody."""
    for queue, copy in facts.chroots.items():
        flag = next(
            (each.flag for each in facts.instances or () if each.said("queue_directory") == queue),
            "",
        )
        mend = f"install -D -m 644 {facts.resolv.path} {copy.path} && postfix {flag}reload"
        why = f"The SMTP clients are chrooted to {queue}, and ask whom this file names."
        if copy.trouble:
            yield Finding(
                "chroot", copy.path, SKIP, f"it cannot be read: {copy.trouble}", why, "run as root"
            )
        elif copy.servers == facts.resolv.servers and copy.trust_ad == facts.resolv.trust_ad:
            yield Finding("chroot", copy.path, OK, f"it names the servers of {facts.resolv.path}")
        elif copy.text is None:
            yield Finding(
                "chroot", copy.path, FAIL, "it is not there, so 127.0.0.1 is asked", why, mend
            )
        else:
            what = f"it names {' '.join(copy.servers)}, but {facts.resolv.path} {' '.join(facts.resolv.servers)}"
            yield Finding("chroot", copy.path, FAIL, what, why, mend)


def trust(facts: Facts) -> Iterator[Finding]:
    """Whether an old Postfix on a new C library needs `options trust-ad`."""
    if facts.libc < (2, 31) or facts.resolv.trust_ad:
        return
    for each in facts.at_work:
        if each.version >= (2, 11) and not any(
            since <= each.version < before for since, before in _NO_TRUST_NEEDED
        ):
            what = f"glibc {'.'.join(map(str, facts.libc))} takes the AD bit away from this Postfix"
            yield Finding(
                "trust-ad",
                each.directory,
                FAIL,
                what,
                _SILENT,
                f"echo 'options trust-ad' >> {facts.resolv.path}",
            )
