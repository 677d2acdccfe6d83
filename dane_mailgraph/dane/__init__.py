"""DANE: TLSA records, the certificates they match, and the resolvers that vouch for them."""

from .resolver import Answer, Resolv, loopback
from .servers import SMTP, SUBMISSIONS, Target
from .tlsa import Chain
from .validity import end_of_certificate

__all__ = [
    "SMTP",
    "SUBMISSIONS",
    "Answer",
    "Chain",
    "Resolv",
    "Target",
    "causes",
    "certificates",
    "end_of_certificate",
    "loopback",
    "own_server",
    "resolver",
    "servers",
    "tlsa",
    "verdict",
    "zone_file",
]
