"""What is kept: the ledger, the RRD, and how one follows the other."""

from .ahead import MOST_AHEAD, KeptAhead, load_ahead, save_ahead
from .durable import replace, unused
from .events import EventTable, Happened
from .known_conditions import KnownCondition, load_known_conditions, save_known_conditions
from .ledger import Gap, Ledger, ledger_path
from .librrd import describe, rates, rrdtool_graph, unfinished_rows
from .own_mx import Watched, copy_watched, load_history, load_watched, save_look
from .reach import (
    COPY,
    Reach,
    ReachFailure,
    add_reports,
    copy_reports,
    holds_reports,
    load_reach,
    sessions_by_policy,
)
from .refusals import RefusalTable
from .relays import KEPT, OTHER, DeliveriesTo, RelayCounts, RelayDay, RelayTable, WarningCount
from .rrd import RRD
from .senders import Sender, SenderTable
from .series import SPANS, Row, Series, Span, together
from .shipped import Shipped, load_shipped, replace_shipped
from .state import State
from .sync import Store
from .totals import totals

__all__ = [
    "COPY",
    "KEPT",
    "MOST_AHEAD",
    "OTHER",
    "RRD",
    "SPANS",
    "DeliveriesTo",
    "EventTable",
    "Gap",
    "Happened",
    "KeptAhead",
    "KnownCondition",
    "Ledger",
    "Reach",
    "ReachFailure",
    "RefusalTable",
    "RelayCounts",
    "RelayDay",
    "RelayTable",
    "Row",
    "Sender",
    "SenderTable",
    "Series",
    "Shipped",
    "Span",
    "State",
    "Store",
    "WarningCount",
    "Watched",
    "add_reports",
    "copy_reports",
    "copy_watched",
    "describe",
    "holds_reports",
    "ledger_path",
    "load_ahead",
    "load_history",
    "load_known_conditions",
    "load_reach",
    "load_shipped",
    "load_watched",
    "rates",
    "replace",
    "replace_shipped",
    "rrdtool_graph",
    "save_ahead",
    "save_known_conditions",
    "save_look",
    "sessions_by_policy",
    "together",
    "totals",
    "unfinished_rows",
    "unused",
]
