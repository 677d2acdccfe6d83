"""Brings a message to the operator, by SMTP or by a command."""

from __future__ import annotations

import os
import smtplib
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, make_msgid

from ..answer import Message
from ..errors import TellError, reason
from ..messenger import Messenger
from .terminal import printable, tell

_TIMEOUT = 60
"""Seconds."""

_LONGEST_SUBJECT = 150
"""Characters: more than a list of mails shows."""


def send(to: Messenger, message: Message, host: str, now: int) -> None:
    """Send a message to where the setting `tell` says; raises TellError."""
    if to.command:
        run(to.command, message.text, DANE_MAILGRAPH_MESSAGE=message.data)
    else:
        _mail(to, message, host, now)


def run(words: Sequence[str], text: str = "", **variables: str) -> None:
    """Run a command of the operator's with a text on its standard input; raises TellError."""
    try:
        done = subprocess.run(
            words,
            input=text.encode(errors="replace"),
            capture_output=True,
            timeout=_TIMEOUT,
            env={**os.environ, **variables},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TellError(f"{words[0]} did not end within {_TIMEOUT} s; run it by hand.") from error
    except OSError as error:
        raise TellError(f"{words[0]} cannot be run: {reason(error)}; look at its path.") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().rsplit("\n", 1)[-1].rstrip(".")
        why = f": {said}" if said else ""
        raise TellError(f"{words[0]} ended with {done.returncode}{why}; run it by hand.")


def _mail(to: Messenger, message: Message, host: str, now: int) -> None:
    place, domain = f"{to.server}:{to.port}", _domain(host)
    try:
        mail = EmailMessage(policy=SMTP)
        sender = Address("dane-mailgraph", "dane-mailgraph", domain)
        mail["From"], mail["To"] = sender, ", ".join(to.to)
        mail["Subject"] = printable(message.subject)[:_LONGEST_SUBJECT]
        mail["Date"], mail["Message-ID"] = formatdate(now), make_msgid(domain=domain)
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(message.text, cte="quoted-printable")
        smtp = smtplib.SMTP(to.server, to.port, local_hostname=domain, timeout=_TIMEOUT)
        try:
            refused = smtp.send_message(mail, sender.addr_spec, to.to)
        finally:
            # The mail is sent or not, whatever the server says to QUIT.
            with suppress(OSError, smtplib.SMTPException):
                smtp.quit()
    except (OSError, smtplib.SMTPException, ValueError) as error:
        why = printable(" ".join(_said(error).split()).rstrip("."))
        raise TellError(
            f"The mail to {', '.join(to.to)} cannot be handed to {place}: {why}; see whether "
            "Postfix listens there, and what it logs."
        ) from error
    if refused:
        # An error would have the others told again by each check.
        tell(f"{place} refuses mail to {', '.join(refused)}; look at the setting `tell`.")


def _said(error: Exception) -> str:
    """Return what the server answered, or the system says."""
    answers: list[tuple[int, bytes | str]] = []
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        answers += error.recipients.values()
    elif isinstance(error, smtplib.SMTPResponseException):
        answers += [(error.smtp_code, error.smtp_error)]
    texts = (
        f"{code} {text.decode(errors='replace') if isinstance(text, bytes) else text}"
        for code, text in answers
    )
    return ", ".join(dict.fromkeys(texts)) or reason(error)


def _domain(host: str) -> str:
    """Return the domain of the sender; many servers refuse one without a dot."""
    return host if "." in host else socket.getfqdn(host)
