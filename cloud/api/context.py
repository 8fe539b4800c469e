"""What every request works with, and the door to the database that tells who asks first."""

from collections.abc import Callable
from typing import Annotated

import anyio
from fastapi import Depends, Request
from msgspec import Struct

from cloud.api.stream import Hub
from cloud.clock import now_us
from cloud.database import Database
from cloud.settings import Settings

_HASHES_AT_ONCE = 1


class Context(Struct, frozen=True):
    """The parts of the running API.

    Attributes:
        database: of the desk.
        settings: the whole file's.
        clock: wall time, microseconds UTC.
        hub: of the live stream.
        hashing: how many passwords are looked at at once: each takes a core and 32 MiB for tens of milliseconds.
    """

    database: Database
    settings: Settings
    clock: Callable[[], int]
    hub: Hub
    hashing: anyio.CapacityLimiter


def make_context(database: Database, settings: Settings, *, clock: Callable[[], int] = now_us) -> Context:
    """Put the parts together; the hub does not run yet."""
    api = settings.api
    hub = Hub(database, clock=clock, most=api.streams, most_per_user=api.streams_per_user)
    return Context(database, settings, clock, hub, anyio.CapacityLimiter(_HASHES_AT_ONCE))


def context_of(request: Request) -> Context:
    """Find the context of the app that got this request."""
    context: Context = request.app.state.context
    return context


Here = Annotated[Context, Depends(context_of)]
