"""What a real Postfix says of its configuration: instances, settings, overrides in master.cf."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from servers import configured, needs
from test_checks import HEALTHY

from dane_mailgraph.doctor import check_postfix, postconf
from dane_mailgraph.doctor.findings import Finding, Grade

pytestmark = [pytest.mark.server, needs("postconf")]


@pytest.fixture
def first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration that Postfix's commands find."""
    monkeypatch.setenv("MAIL_CONFIG", str(tmp_path / "postfix"))
    return configured(tmp_path / "postfix")


def test_an_instance_tells_its_version_its_settings_and_its_services(first: Path) -> None:
    (instance,) = postconf.instances() or []

    assert (instance.directory, instance.trouble) == (str(first), "")
    assert instance.version >= (2, 11) and instance.value("mail_version").startswith(
        ".".join(map(str, instance.version))
    )
    assert instance.value("myhostname") == "mail.example.test"
    assert instance.value("smtp_tls_loglevel") == "0"
    assert [each.label for each in instance.services][:3] == [
        "smtp/unix",
        "relay/unix",
        "tlsmgr/unix",
    ]


def test_what_postfix_does_not_know_is_absent_and_not_empty(first: Path) -> None:
    (instance,) = postconf.instances() or []

    assert ("smtp_log_tls_feature_status" in instance.parameters) is (instance.version >= (3, 11))


def test_overrides_of_master_cf_are_seen_in_every_spelling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAIL_CONFIG", str(tmp_path))
    master = """
bulk unix - - y - - smtp -o smtp_tls_loglevel=0
  -o { smtp_tls_security_level = may } -o syslog_name=postfix/$service_name
slow unix - - - - - smtp
  -o smtp_tls_loglevel=$smtp_tls_level_of_ours
"""
    configured(tmp_path, "smtp_tls_level_of_ours = 2\n", master)
    (instance,) = postconf.instances() or []
    bulk, slow = instance.services[-2:]

    assert bulk.overrides == {
        "smtp_tls_loglevel": "0",
        "smtp_tls_security_level": "may",
        "syslog_name": "postfix/bulk",
    }
    assert (bulk.chroot, slow.chroot) == (True, False)
    assert instance.value("smtp_tls_loglevel", slow) == "2"
    assert instance.value("smtp_tls_loglevel") == "0"


def test_every_instance_is_asked(first: Path, tmp_path: Path) -> None:
    out = configured(
        tmp_path / "out", "multi_instance_name = postfix-out\nmyhostname = out.example.test\n"
    )
    configured(first, f"multi_instance_directories = {out} {tmp_path / 'none'}\n")
    one, two, three = postconf.instances() or []

    assert (one.directory, two.directory, three.directory) == (
        str(first),
        str(out),
        str(tmp_path / "none"),
    )
    assert two.value("syslog_name") == "postfix-out"
    assert two.value("myhostname") == "out.example.test"
    assert "No such file or directory" in three.trouble and not three.services
    assert two.flag == f"-c {out} "
    assert (one.disabled, two.disabled) == (False, True)

    configured(out, "multi_instance_name = postfix-out\nmulti_instance_enable = yes\n")
    assert [each.disabled for each in postconf.instances() or []] == [False, False, False]


def test_without_postfix_there_are_no_instances(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("dane_mailgraph.programs._SBIN", ())
    monkeypatch.setenv("PATH", str(tmp_path))

    assert postconf.instances() is None


def test_the_commands_that_the_doctor_names_mend_a_real_postfix(first: Path) -> None:
    """All of them, until nothing is left to say of a setting but what only a person can."""
    configured(
        first,
        "smtp_dns_support_level = disabled\nsmtp_host_lookup = native\n"
        "disable_dns_lookups = yes\ndnssec_probe =\n"
        "tls_dane_digests = sha512\nsmtp_tls_dane_insecure_mx_policy = may\n"
        "ignore_mx_lookup_error = yes\n",
        "bulk unix - - n - - smtp -o smtp_tls_loglevel=0\n",
    )
    found = list(_findings())
    assert len(found) > 9

    for each in found:
        change, and_then, reload = each.remedy.partition(" && ")
        assert (and_then, reload) == (" && ", f"postfix -c {first} reload")
        assert os.system(change) == 0  # as an operator does, who copies it into a shell

    assert list(_findings()) == []


def _findings() -> list[Finding]:
    facts = HEALTHY._replace(instances=postconf.instances())
    checks = (
        check_postfix.presence,
        check_postfix.parameters,
        check_postfix.authorities,
        check_postfix.tags,
    )
    return [each for check in checks for each in check(facts) if each.grade is not Grade.OK]
