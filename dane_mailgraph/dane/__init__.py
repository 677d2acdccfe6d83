"""DANE: TLSA records, the certificates they match, and the resolvers that vouch for them."""

from .certificates import PEM_CERTIFICATE, chain_of, pem_groups
from .resolver import Answer, Resolv, loopback
from .servers import SMTP, SUBMISSIONS, Target
from .tlsa import Chain, Tlsa
from .validity import end_of_certificate

__all__ = [
    "PEM_CERTIFICATE",
    "SMTP",
    "SUBMISSIONS",
    "Answer",
    "Chain",
    "Resolv",
    "Target",
    "Tlsa",
    "certificates",
    "chain_of",
    "end_of_certificate",
    "loopback",
    "pem_groups",
    "resolver",
    "servers",
    "tlsa",
    "zone_file",
]
