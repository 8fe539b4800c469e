"""GET /api/v1/stream: the live stream over HTTP."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, aclosing
from functools import partial
from typing import Annotated

import anyio
from fastapi import APIRouter, Header, Query
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from cloud.api.auth import Caller, needs, still_valid
from cloud.api.context import Here
from cloud.people.roles import Action

router = APIRouter(tags=["stream"])
# A client that takes nothing for so long while something waits for it is gone.
SEND_LIMIT_S = 30.0
_HEADERS = {"content-type": "text/event-stream; charset=utf-8", "x-accel-buffering": "no"}
_After = Annotated[int, Query(ge=0, le=2**53 - 1)]
_LastEventId = Annotated[int | None, Header(ge=0, le=2**53 - 1)]


class FrameResponse(Response):
    """Sends frames as they come; ends with the client, with the frames, or when the client takes nothing.

    Args:
        place: held while it lasts.
        frames: makes them.
    """

    def __init__(self, place: AbstractContextManager[None], frames: Callable[[], AsyncGenerator[bytes, None]]) -> None:
        super().__init__(status_code=200, headers=_HEADERS)
        self._place = place
        self._frames = frames

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end."""
        with self._place:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_until_gone, receive, tasks.cancel_scope)
                await self._send(send)
                tasks.cancel_scope.cancel()

    async def _send(self, send: Send) -> None:
        headers = [(name, value) for name, value in self.raw_headers if name != b"content-length"]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        async with aclosing(self._frames()) as frames:
            async for frame in frames:
                with anyio.move_on_after(SEND_LIMIT_S) as limit:
                    await send({"type": "http.response.body", "body": frame, "more_body": True})
                if limit.cancelled_caught:
                    return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _until_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


@router.get(
    "/stream",
    response_class=Response,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "Events."}},
)
async def stream(
    request: Request,
    context: Here,
    caller: Annotated[Caller, needs(Action.SEE_ALARMS)],
    *,
    after: _After | None = None,
    last_event_id: _LastEventId = None,
) -> FrameResponse:
    """Tell every change of an alarm in the caller's area as it is committed; docs/api.md has the events."""
    position = after if last_event_id is None else last_event_id
    place = context.hub.place_of(caller.person.name)
    valid = partial(still_valid, context, request, caller.person)
    return FrameResponse(place, lambda: context.hub.frames(caller.person, after=position, is_valid=valid))
