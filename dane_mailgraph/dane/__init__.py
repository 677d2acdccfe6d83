"""DANE: TLSA records, the certificates they match, and the resolvers that vouch for them."""

from .resolver import Answer, ResolvConf, is_loopback
from .servers import SMTP, SUBMISSIONS, Target
from .tlsa import Chain
from .validity import end_of_certificate

__all__ = [
    "SMTP",
    "SUBMISSIONS",
    "Answer",
    "Chain",
    "ResolvConf",
    "Target",
    "causes",
    "certificates",
    "end_of_certificate",
    "is_loopback",
    "own_server",
    "resolver",
    "servers",
    "tlsa",
    "verdict",
    "zone_file",
]
