"""The alarm desk's HTTP API, as a command line talks to it: who we are, requests, the live stream."""

import json
import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec
from msgspec import Struct

from langyan.errors import LangyanError
from langyan.i18n import translate as _

URL_VARIABLE = "LANGYAN_DESK_URL"
TOKEN_VARIABLE = "LANGYAN_DESK_TOKEN"  # noqa: S105 - a variable's name
CA_VARIABLE = "LANGYAN_DESK_CA"
# Longer than the desk's own limit, so that the answer is the desk's.
_LIMIT_S = 40.0
_CONNECT_LIMIT_S = 10.0
# Two beats of the stream and a little.
STREAM_LIMIT_S = 40.0


class DeskError(LangyanError):
    """The desk refused, or could not be asked; the text is for people.

    Attributes:
        code: the problem's code; "away" when there was no answer.
        problem: the whole answer, {} when there was none.
    """

    def __init__(self, why: str, *, code: str, problem: Mapping[str, Any] | None = None) -> None:
        super().__init__(why)
        self.code = code
        self.problem = problem or {}


class Access(Struct, frozen=True):
    """Where the desk is, and who we are there.

    Attributes:
        url: without a slash at its end.
        token: "" before the login.
        ca: a PEM file with the authority that signed the desk's certificate; "" for the system's.
    """

    url: str
    token: str = ""
    ca: str = ""


class Event(Struct, frozen=True):
    """One event of the live stream; `number` is where to resume after it."""

    name: str
    number: int
    data: dict[str, Any]


def access_file(environ: Mapping[str, str]) -> Path:
    """Tell where the access is kept (XDG base directories)."""
    folder = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME", "~")).expanduser() / ".config")
    return Path(folder) / "langyan" / "desk.json"


def read_access(environ: Mapping[str, str]) -> Access:
    """Find the access: in the environment, else as the last login left it.

    Raises:
        DeskError: there is none.
    """
    if environ.get(URL_VARIABLE) and environ.get(TOKEN_VARIABLE):
        url = environ[URL_VARIABLE].rstrip("/")
        return Access(url, environ[TOKEN_VARIABLE], environ.get(CA_VARIABLE, ""))
    path = access_file(environ)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Access)
    except FileNotFoundError as error:
        raise DeskError(_("not signed in; say: langyan alarms login URL"), code="not-signed-in") from error
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        why = _("{path} cannot be read; say: langyan alarms login URL").format(path=path)
        raise DeskError(why, code="not-signed-in") from error


def keep_access(access: Access, environ: Mapping[str, str]) -> Path:
    """Write the access where only its owner can read it."""
    path = access_file(environ)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.encode(access))
    new.replace(path)
    return path


class DeskClient:
    """A connection to the desk; a context manager.

    Args:
        access: where and who.
        transport: in place of the network, for tests.
    """

    def __init__(self, access: Access, *, transport: httpx.BaseTransport | None = None) -> None:
        self.access = access
        headers = {"Accept": "application/json"}
        if access.token:
            headers["Authorization"] = f"Bearer {access.token}"
        self._http = httpx.Client(
            base_url=f"{access.url}/api/v1",
            headers=headers,
            timeout=httpx.Timeout(_LIMIT_S, connect=_CONNECT_LIMIT_S),
            verify=_trust(access) if access.url.startswith("https:") else False,
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str, **params: Any) -> Any:
        """Ask for something; parameters that are None are left out.

        Raises:
            DeskError: refused, or no answer.
        """
        return self._send("GET", path, params={key: value for key, value in params.items() if value is not None})

    def post(self, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None) -> Any:
        """Do something.

        Raises:
            DeskError: refused, or no answer; what was asked may then have been done.
        """
        return self._send("POST", path, json=body, headers=headers)

    def delete(self, path: str) -> Any:
        """Remove something.

        Raises:
            DeskError: refused, or no answer.
        """
        return self._send("DELETE", path)

    def download(self, path: str, **params: Any) -> Iterator[bytes]:
        """Read a file piece by piece.

        Raises:
            DeskError: refused, or no answer, or not a whole one.
        """
        told = {key: value for key, value in params.items() if value is not None}
        with self._told(), self._http.stream("GET", path, params=told) as answer:
            if answer.is_error or answer.is_redirect:
                answer.read()
                raise _refused(answer)
            yield from answer.iter_bytes()

    def follow(self, *, after: int | None = None) -> Iterator[Event]:
        """Follow the live stream until it ends; go on after the last event's number.

        Raises:
            DeskError: refused, or the connection broke.
        """
        headers = {"Accept": "text/event-stream"} | ({} if after is None else {"Last-Event-ID": str(after)})
        limits = httpx.Timeout(STREAM_LIMIT_S, connect=_CONNECT_LIMIT_S)
        with self._told(), self._http.stream("GET", "/stream", headers=headers, timeout=limits) as answer:
            if answer.is_error:
                answer.read()
                raise _refused(answer)
            yield from read_events(answer.iter_lines())

    def _send(self, method: str, path: str, **request: Any) -> Any:
        with self._told():
            answer = self._http.request(method, path, **request)
        if answer.is_error or answer.is_redirect:
            raise _refused(answer)
        try:
            return answer.json() if answer.content else None
        except (ValueError, RecursionError) as error:
            # Some other server's page, with a status that says that all is well.
            raise _refused(answer) from error

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what the network does into one sentence."""
        try:
            yield
        except httpx.TimeoutException as error:
            raise DeskError(_("the desk at {url} does not answer").format(url=self.access.url), code="away") from error
        except httpx.TransportError as error:
            if isinstance(error.__context__, ssl.SSLError) or "CERTIFICATE_VERIFY_FAILED" in str(error):
                why = _("the certificate of {url} is not trusted: {why}. Give its authority with login --ca FILE")
                raise DeskError(why.format(url=self.access.url, why=error), code="certificate") from error
            why = _("the desk at {url} cannot be reached: {why}").format(url=self.access.url, why=error)
            raise DeskError(why, code="away") from error


def read_events(lines: Iterator[str]) -> Iterator[Event]:
    """Read a text/event-stream; comments and events without data are skipped, their ids are not."""
    name, number, data = "message", 0, ""
    for line in lines:
        if line:
            field, _colon, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "event":
                name = value
            elif field == "id" and value.isdigit():
                number = int(value)
            elif field == "data":
                data += value
            continue
        if data:
            yield Event(name, number, json.loads(data))
        elif number:
            yield Event("beat", number, {})
        name, data = "message", ""


def _trust(access: Access) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=access.ca or None)
    except OSError as error:
        why = _("{path} holds no certificate that can be read").format(path=access.ca)
        raise DeskError(why, code="certificate") from error


def _refused(answer: httpx.Response) -> DeskError:
    try:
        problem: dict[str, Any] = answer.json()
        code = str(problem["code"])
    except (ValueError, KeyError, TypeError, RecursionError):
        why = _("{url} answers {status}; is it an alarm desk?").format(url=answer.url, status=answer.status_code)
        return DeskError(why, code="foreign")
    return DeskError(str(problem.get("detail", code)), code=code, problem=problem)
