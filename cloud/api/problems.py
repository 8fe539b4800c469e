"""What goes wrong, as RFC 9457 problem details: a stable code for programs, a sentence and a hint for people."""

import http
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from cloud import errors
from cloud.errors import CloudError, DatabaseAwayError, DatabaseRefusedError
from cloud.vehicles import errors as vehicle_errors

MEDIA_TYPE = "application/problem+json"
# A database that is away is tried every few seconds by all workers.
_RETRY_AFTER_S = 2
_MAX_FAULTS = 20
_REFUSALS: dict[type, tuple[int, str]] = {
    errors.UnknownAlarmError: (404, "not-found"),
    errors.AmbiguousAlarmError: (409, "ambiguous"),
    errors.AlreadyClosedError: (409, "already-closed"),
    errors.AlreadyAcknowledgedError: (409, "already-acknowledged"),
    errors.ActionRefusedError: (409, "state-refuses"),
    errors.ClosingError: (422, "comment-missing"),
    errors.ControlError: (409, "control-refused"),
    errors.NotSignedInError: (401, "not-signed-in"),
    errors.LoginRefusedError: (401, "login-refused"),
    errors.LoginThrottledError: (429, "login-throttled"),
    errors.NotAllowedError: (403, "not-allowed"),
    errors.PasswordRefusedError: (422, "password-refused"),
    errors.UnknownUserError: (404, "not-found"),
    errors.UserExistsError: (409, "user-exists"),
    errors.BadUserError: (422, "bad-user"),
    errors.LastAdminError: (409, "last-admin"),
    errors.TokenRefusedError: (422, "token-refused"),
    errors.UnknownTokenError: (404, "not-found"),
    errors.UnknownPlaceError: (404, "not-found"),
    errors.HandoverError: (422, "handover-refused"),
    errors.SpanError: (422, "span-refused"),
    vehicle_errors.UnknownVehicleError: (404, "not-found"),
    vehicle_errors.UnknownFenceError: (404, "not-found"),
    vehicle_errors.BadFenceError: (422, "fence-refused"),
    errors.GeoError: (422, "outline-refused"),
    vehicle_errors.TrackSpanError: (422, "span-refused"),
    errors.UnknownFireError: (404, "not-found"),
    errors.FireRefusedError: (409, "state-refuses"),
    errors.BadStolenError: (422, "bad-tag"),
    errors.StolenFullError: (409, "list-full"),
    errors.UnknownBikeError: (404, "not-found"),
    errors.BikeStateError: (409, "state-refuses"),
}
# Attributes of errors that are members of a problem of the same name.
_FACTS = ("state", "stage", "allowed", "by", "at_us", "candidates", "retry_after_s")
_MAX_WORDS = 300


class Fault(BaseModel):
    """One thing wrong with a request: where (`body.comment`, `query.limit`) and why."""

    model_config = ConfigDict(extra="forbid")

    where: str
    why: str


class Problem(BaseModel):
    """An error's answer; `type` ends in its code.

    Attributes:
        code: stable; what a program looks at.
        hint: what the caller can do.
        state, stage, allowed: of an alarm that does not allow what was asked: how it stands, and what it would allow.
        by, at_us: who was first, and when.
        faults: what is wrong with the request.
        candidates: the ids that begin so.
        retry_after_s: when to ask again; also in the header Retry-After.
    """

    model_config = ConfigDict(extra="forbid")

    type: str
    title: str
    status: int
    detail: str
    code: str
    hint: str
    state: str | None = None
    stage: str | None = None
    allowed: list[str] | None = None
    by: str | None = None
    at_us: int | None = None
    faults: list[Fault] | None = None
    candidates: list[str] | None = None
    retry_after_s: int | None = None


class ProblemError(CloudError):
    """A request that is answered with a problem.

    Attributes:
        status: the HTTP status.
        code: the problem's.
        facts: further members of the problem.
    """

    def __init__(self, status: int, code: str, detail: str, *, hint: str, **facts: Any) -> None:
        super().__init__(detail)
        self.status, self.code, self.hint, self.facts = status, code, hint, facts


def answer(
    status: int, code: str, detail: str, *, hint: str, headers: Mapping[str, str] | None = None, **facts: Any
) -> Response:
    """Write a problem as a response; members that are None are left out."""
    problem = Problem(
        type=f"urn:langyan:problem:{code}",
        title=http.HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        hint=hint,
        **facts,
    )
    told = dict(headers or {})
    if problem.retry_after_s is not None:
        told["Retry-After"] = str(problem.retry_after_s)
    if status == http.HTTPStatus.UNAUTHORIZED:
        told["WWW-Authenticate"] = 'Bearer realm="langyan"'
    content = problem.model_dump_json(exclude_none=True)
    return Response(content, status_code=status, headers=told, media_type=MEDIA_TYPE)


def answer_to(error: ProblemError) -> Response:
    """Write the response that the error asks for."""
    return answer(error.status, error.code, str(error), hint=error.hint, **error.facts)


def not_found(what: str) -> ProblemError:
    """Say that it is not there; what lies outside one's own area is not there either."""
    hint = "It is not there, or lies outside your area."
    return ProblemError(404, "not-found", f"there is no {what}", hint=hint)


def add_handlers(app: FastAPI) -> None:
    """Turn every error into its problem."""
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(DatabaseAwayError, _away)
    app.add_exception_handler(DatabaseRefusedError, _refused)
    app.add_exception_handler(CloudError, _told)
    app.add_exception_handler(Exception, _failed)


async def _problem(_request: Request, error: Exception) -> Response:
    if not isinstance(error, ProblemError):
        raise error
    return answer_to(error)


async def _invalid(_request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    faults = [
        Fault(where=".".join(str(part) for part in fault["loc"])[:_MAX_WORDS], why=str(fault["msg"])[:_MAX_WORDS])
        for fault in error.errors()[:_MAX_FAULTS]
    ]
    detail = "; ".join(f"{fault.where}: {fault.why}" for fault in faults)
    return answer(422, "invalid", detail, hint="Mend what is named; openapi.json has the limits.", faults=faults)


async def _http(_request: Request, error: Exception) -> Response:
    """Answer what the router itself refuses: no such path, no such method."""
    if not isinstance(error, HTTPException):
        raise error
    code = {404: "no-such-path", 405: "wrong-method", 413: "too-large"}.get(error.status_code, "bad-request")
    hint = "openapi.json lists paths and methods."
    return answer(error.status_code, code, str(error.detail), hint=hint, headers=error.headers)


async def _told(_request: Request, error: Exception) -> Response:
    """Answer what the desk itself refuses; what stands in no row is a fault of ours."""
    for kind in type(error).__mro__:
        if kind in _REFUSALS and isinstance(error, CloudError):
            status, code = _REFUSALS[kind]
            facts = {name: getattr(error, name) for name in _FACTS if getattr(error, name, None) is not None}
            return answer(status, code, str(error), hint=error.hint, **facts)
    raise error


async def _away(_request: Request, error: Exception) -> Response:
    """Say that the database is away, without saying where it is."""
    hint = "Ask again; nothing of this request was done."
    away = f"the alarm database does not answer ({type(error).__name__})"
    return answer(503, "database-away", away, hint=hint, retry_after_s=_RETRY_AFTER_S)


async def _refused(_request: Request, _error: Exception) -> Response:
    hint = "Another text or number; U+0000 cannot be stored."
    return answer(422, "unstorable", "the database does not take this", hint=hint)


async def _failed(_request: Request, _error: Exception) -> Response:
    """Answer a fault of ours; the log has its trace."""
    return answer(500, "internal", "a fault of the desk's API", hint="Its log has the trace; please report it.")
