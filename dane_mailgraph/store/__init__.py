"""What is kept: the ledger, the RRD, and how one follows the other."""

from .ledger import Gap, Ledger
from .relays import KEPT, OTHER, RelayCounts, RelayDay, RelayTable, WarningCount
from .rrd import RRD, described, gathered, rates
from .series import SPANS, Row, Series, Span, together
from .state import State
from .sync import Store, replace, unused
from .told import Told, load_told, save_told
from .totals import totals

__all__ = [
    "KEPT",
    "OTHER",
    "RRD",
    "SPANS",
    "Gap",
    "Ledger",
    "RelayCounts",
    "RelayDay",
    "RelayTable",
    "Row",
    "Series",
    "Span",
    "State",
    "Store",
    "Told",
    "WarningCount",
    "described",
    "gathered",
    "load_told",
    "rates",
    "replace",
    "save_told",
    "together",
    "totals",
    "unused",
]
