"""What a file looks like that is no log of Postfix's."""

from __future__ import annotations

import re

_TAR = 257
"""Byte at which a tar archive says that it is one."""

_PACKED = (
    (re.compile(rb"\xff\xfe|\xfe\xff|(?:\0?[\t -~]\0){8}"), "text in UTF-16", "iconv"),
    (re.compile(rb"PK\x03\x04"), "a zip archive", "unzip"),
    (re.compile(rb"\x1f\x8b|BZh\d|\xfd7zXZ\0|\x28\xb5\x2f\xfd"), "compressed twice", "unpack"),
    (re.compile(rb"7z\xbc\xaf|Rar!"), "an archive", "unpack"),
    (re.compile(rb".{%d}ustar" % _TAR, re.DOTALL), "a tar archive", "tar -xf"),
    (re.compile(rb"%PDF-"), "a PDF", ""),
    (re.compile(rb"SQLite format 3\0"), "a SQLite database", ""),
    (re.compile(rb"LPKSHHRH"), "a journal of systemd's", "journalctl"),
    (re.compile(rb"\x7fELF|\x89PNG|GIF8|\xff\xd8\xff"), "no text", ""),
)

_STEPS = {
    "iconv": "convert it: `iconv -f UTF-16 -t UTF-8`",
    "unzip": "unzip it first",
    "unpack": "unpack it first",
    "tar -xf": "unpack it with `tar -xf` first",
    "journalctl": "set `log = journal`, or import what `journalctl -t postfix/smtp` prints",
    "": "name a log of Postfix's",
}

_WRITERS = (
    ("Sendmail", rb"\b(?:sendmail|sm-mta|sm-msp-queue)\[\d+\]: "),
    ("Exim", rb"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?(?: \[\d+\])? \w{6}-\w{6,11}-\w{2,4} "),
    ("OpenSMTPD", rb"\bsmtpd\[\d+\]: [0-9a-f]{16} (?:smtp|mta|mda) "),
    ("Exchange", rb"^#Software: Microsoft Exchange"),
    ("qmail", rb"^@[0-9a-f]{24} (?:new|end|starting|delivery) "),
    ("a web server", rb'"(?:GET|POST|HEAD|PUT|OPTIONS) \S+ HTTP/\d'),
    ("Dovecot", rb"\bdovecot(?:\[\d+\])?: "),
    ("the programs that log people in", rb"\b(?:sshd|sudo|CRON|systemd-logind|su)(?:\[\d+\])?: "),
)

_COMPILED = [(name, re.compile(pattern, re.MULTILINE)) for name, pattern in _WRITERS]

_POSTFIX = re.compile(
    rb"/(?:smtpd?|lmtp|[on]?qmgr|cleanup|pickup|master|bounce|local|virtual|pipe|anvil|error|scache"
    rb"|postscreen|tlsproxy|dnsblog|verify|flush|showq|trivial-rewrite|postfix-script|postsuper"
    rb"|postdrop|sendmail|postlog|discard|tlsmgr|proxymap)\b"
    rb"| postfix[^ /\n]*(?:\[\d+\]:| \d+ )"  # a tag that has lost the program's name
)


def holds_postfix(block: bytes | bytearray, end: int) -> bool:
    """Return whether `block[:end]` names one of Postfix's programs, as each of its lines does."""
    return bool(_POSTFIX.search(block, 0, end))


def no_log(begin: bytes) -> str:
    """Return what a file with this beginning is and what to do, if it is no text; else nothing."""
    for pattern, what, step in _PACKED:
        if pattern.match(begin):
            return f"is {what}; {_STEPS[step]}"
    return ""


def not_of_postfix(begin: bytes) -> str:
    """Return what a text looks like that holds no line of Postfix's, and what to do."""
    writer = next((name for name, pattern in _COMPILED if pattern.search(begin)), "")
    if writer:
        what = f"looks like a log of {writer}"
    elif begin.startswith(b"{"):
        what = "is JSON"
    else:
        first = begin.partition(b"\n")[0][:60].decode("ascii", "replace")
        what = f"begins with {first!r}"
    return f"holds no line of Postfix's and {what}; name the log that Postfix writes to"
