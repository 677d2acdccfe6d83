"""The site is drawn from the store, and written as the owner of output_dir."""

from __future__ import annotations

import os

from ..config import Config
from ..errors import StoreError
from ..privileges import act_as_caller, act_as_owner_of
from ..store import Store, ledger_path
from .host import host_name
from .stores import open_ledger, open_rrd
from .terminal import tell


def draw(settings: Config, now: int) -> str:
    """Draw the site from the store; return the path of the page."""
    from ..site import build  # counting must not pay for loading it

    renderer = build.present_renderer(settings.renderer)
    present = build.present_pictures(settings.output_dir)
    if renderer != settings.renderer and not present:  # a timer draws every few minutes
        tell(
            f"{settings.renderer} is not installed, so {renderer} draws the pictures: run "
            f"`apt install python3-{settings.renderer}`, or set renderer = {renderer}."
        )
    look = build.Look(
        host=host_name(settings),
        zone=settings.time_zone,
        language=settings.language,
        renderer=renderer,
        names_relays=settings.show_destinations,
        accepted=settings.ignore_conditions,
    )
    if os.path.exists(ledger_path(settings.state_dir)):
        with open_ledger(settings, with_counts=False) as ledger:
            rrd = open_rrd(settings, ledger)
            if ledger.state.rrd_until is not None and rrd.last is None:
                raise StoreError(
                    f"{rrd.path} is gone, so the page stays as it was; let the counter rebuild it "
                    "from its snapshot, or restore one of the two from a backup."
                )
            recent = build.recent(ledger, rrd, now, look)
    else:
        rrd, recent = Store(settings.state_dir, settings.step).rrd, build.Recent()
    site = build.build(rrd, now, look, recent, present)
    act_as_caller()
    act_as_owner_of(settings.output_dir)
    return build.publish(site.files, settings.output_dir)
