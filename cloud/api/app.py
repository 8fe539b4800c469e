"""The application: its routes, its errors, its document."""

from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp

from cloud.api import (
    actions,
    alarm_page,
    alarms,
    areas,
    bikes,
    controls,
    deliveries,
    fences,
    fire,
    fires,
    grafana_alerts,
    links,
    numbers,
    orders,
    patrols,
    people,
    stolen,
    streaming,
    vehicles,
)
from cloud.api.auth import needs
from cloud.api.context import Context
from cloud.api.document import make_document
from cloud.api.guard import Guard
from cloud.api.problems import add_handlers
from cloud.people.roles import Action

PREFIX = "/api/v1"
_DESCRIPTION = (
    "Alarms, what is done with them, where they are, and who may. Times are microseconds since 1970, UTC. "
    "Errors are RFC 9457 problem details with a stable `code`."
)


def make_app(context: Context) -> ASGIApp:
    """Make the application, guarded."""
    return Guard(make_routes(context), context.settings.api)


def make_routes(context: Context) -> FastAPI:
    """Make the application without what stands around every request."""
    app = FastAPI(
        title="Langyan alarm desk",
        version="1",
        description=_DESCRIPTION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )
    app.state.context = context
    add_handlers(app)
    for router in (
        alarms.router,
        actions.router,
        controls.router,
        areas.router,
        numbers.router,
        deliveries.router,
        fire.router,
        fires.router,
        bikes.router,
        patrols.router,
        vehicles.router,
        fences.router,
        orders.router,
        stolen.router,
        people.router,
        links.router,
        grafana_alerts.router,
        streaming.router,
    ):
        app.include_router(router, prefix=PREFIX)
    app.include_router(links.page)
    app.include_router(alarm_page.page)

    @app.get(f"{PREFIX}/openapi.json", include_in_schema=False, dependencies=[needs(Action.SEE_ALARMS)])
    async def document() -> dict[str, Any]:
        """Give this API's document to who is signed in."""
        return make_document(app)

    return app
