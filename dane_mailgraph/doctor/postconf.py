"""The configuration of each instance of Postfix, main.cf and master.cf, by postconf(1)."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ..programs import Output, ask

USUAL = "/etc/postfix"
"""The configuration directory that is built into nearly every Postfix."""

PARAMETERS = (
    "mail_version",
    "compatibility_level",
    "config_directory",
    "multi_instance_name",
    "multi_instance_enable",
    "multi_instance_directories",
    "queue_directory",
    "mydestination",
    "mydomain",
    "myhostname",
    "inet_interfaces",
    "syslog_name",
    "maillog_file",
    "default_transport",
    "relay_domains",
    "relay_transport",
    "disable_dns_lookups",
    "ignore_mx_lookup_error",
    "info_log_address_format",
    "dnssec_probe",
    "tls_append_default_CA",
    "tls_dane_digests",
    "tls_server_sni_maps",
    "smtp_dns_resolver_options",
    "smtp_dns_support_level",
    "smtp_host_lookup",
    "smtp_log_tls_feature_status",
    "smtp_tls_CAfile",
    "smtp_tls_CApath",
    "smtp_tls_connection_reuse",
    "smtp_tls_dane_insecure_mx_policy",
    "smtp_tls_loglevel",
    "smtp_tls_policy_maps",
    "smtp_tls_security_level",
    "lmtp_tls_loglevel",
    "lmtp_tls_security_level",
    "smtpd_tls_cert_file",
    "smtpd_tls_chain_files",
    "smtpd_tls_dcert_file",
    "smtpd_tls_dkey_file",
    "smtpd_tls_eccert_file",
    "smtpd_tls_eckey_file",
    "smtpd_tls_key_file",
    "smtpd_tls_loglevel",
    "smtpd_tls_security_level",
    "smtpd_use_tls",
    "virtual_alias_domains",
    "virtual_mailbox_domains",
)
"""The parameters that are asked for; postconf leaves out those that its version does not know."""


class Service(NamedTuple):
    """A line of master.cf."""

    name: str
    type: str
    program: str
    chroot: bool
    overrides: Mapping[str, str]
    """Its `-o name=value`."""

    @property
    def label(self) -> str:
        """As `postconf -M` and `-P` call it: `relay/unix`."""
        return f"{self.name}/{self.type}"


class Instance(NamedTuple):
    """An instance of Postfix: one configuration directory."""

    directory: str
    parameters: Mapping[str, str]
    """Each of `PARAMETERS` that this version knows -> its value in main.cf, or the default."""
    services: tuple[Service, ...]
    trouble: str = ""
    """Why it cannot be read; then there are no services."""
    disabled: bool = False
    """It is one of several and is not started (multi_instance_enable = no)."""

    @property
    def version(self) -> tuple[int, ...]:
        """`(3, 7, 11)`; of a snapshot such as 3.12-20260821 only `(3, 12)`."""
        release = self.parameters.get("mail_version", "").partition("-")[0]
        return tuple(map(int, re.findall(r"\d+", release)))

    @property
    def flag(self) -> str:
        """The option that names it to its commands: `-c DIRECTORY `; empty for the usual one."""
        return "" if self.directory in ("", USUAL) else f"-c {shlex.quote(self.directory)} "

    def value(self, name: str, service: Service | None = None) -> str:
        """Return the value in force, of a service or of all; empty if Postfix does not know it."""
        overridden = service.overrides.get(name) if service else None
        return self.parameters.get(name, "") if overridden is None else overridden


def active(instances: Iterable[Instance] | None) -> list[Instance]:
    """Return the instances that can be read and are not disabled."""
    return [each for each in instances or () if not each.trouble and not each.disabled]


def instances() -> list[Instance] | None:
    """Return all instances, the default one first (MAIL_CONFIG respected).

    None where there is no Postfix.
    """
    first = _instance("")
    if first is None:
        return None
    others = first.parameters.get("multi_instance_directories", "").replace(",", " ").split()
    more = [each for each in map(_instance, others) if each]
    return [
        first,
        *(each._replace(disabled=each.value("multi_instance_enable") == "no") for each in more),
    ]


def _instance(directory: str) -> Instance | None:
    output = _ask(directory, "-x", *PARAMETERS)
    if output is None:
        return None
    settings = dict(_pairs(output.out))
    if output.status:
        return Instance(
            directory,
            settings,
            (),
            output.err.rpartition("fatal: ")[2] or f"status {output.status}",
        )
    services, overrides = _ask(directory, "-M"), _ask(directory, "-x", "-P")
    found = tuple(
        _services(services.out if services else "", overrides.out if overrides else "", settings)
    )
    return Instance(directory or settings.get("config_directory", ""), settings, found)


def _ask(directory: str, *words: str) -> Output | None:
    return ask("postconf", *(("-c", directory) if directory else ()), *words)


def _pairs(text: str) -> list[tuple[str, str]]:
    """Return name and value of each line `name = value`."""
    pairs = (line.partition("=") for line in text.split("\n"))
    return [(name.strip(), value.strip()) for name, equals, value in pairs if equals]


def _services(lines: str, overrides: str, settings: Mapping[str, str]) -> list[Service]:
    of_service: dict[str, dict[str, str]] = {}
    for key, value in _pairs(overrides):
        service, _, name = key.rpartition("/")
        of_service.setdefault(service, {})[name] = value
    default = "y" if settings.get("compatibility_level", "0") in ("", "0") else "n"
    services = []
    for line in lines.split("\n"):
        fields = line.split(None, 7)
        if len(fields) == 8:
            name, kind, chroot, program = fields[0], fields[1], fields[4], fields[7].split()[0]
            chrooted = (default if chroot == "-" else chroot) == "y"
            services.append(
                Service(name, kind, program, chrooted, of_service.get(f"{name}/{kind}", {}))
            )
    return services
