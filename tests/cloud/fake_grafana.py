"""A Grafana as far as its HTTP API goes: real HTTP, real refusals, no database behind it.

Every request is held against Grafana's own OpenAPI document (`data/grafana-openapi.json`): a path, a method, a
parameter or a body that it does not know is refused, and so is a key of a body that it has no name for. What each
request does stands in `grafana_store`.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import jsonschema
from aiohttp import web
from msgspec import Struct

from tests.cloud.grafana_store import NO_RIGHTS, Account, Refusal, Store

ADMIN, EDITOR, VIEWER = "glsa_admin", "glsa_editor", "glsa_viewer"
"""Tokens of service accounts, one for each role."""
_ACCOUNTS = {ADMIN: Account("Admin", 7), EDITOR: Account("Editor", 8), VIEWER: Account("Viewer", 9)}
_ROLES = ("Viewer", "Editor", "Admin")
_API = "/api"
_DOCUMENT = json.loads((Path(__file__).parent / "data" / "grafana-openapi.json").read_text("utf-8"))
# The least role for it, as its place in `_ROLES`; everything else is for administrators. What depends on a folder's own
# permissions is held against them in `grafana_store`: an editor makes folders, and administers those. Source: Grafana's
# basic roles, "RBAC role definitions": `folders:creator` and `alerting:writer` are editors', `teams:writer` is not.
_LEAST = {
    ("GET", "/search"): 0,
    ("GET", "/folders"): 0,
    ("POST", "/folders"): 1,
    ("GET", "/folders/{folder_uid}"): 0,
    ("PUT", "/folders/{folder_uid}"): 0,
    ("GET", "/folders/{folder_uid}/permissions"): 0,
    ("POST", "/folders/{folder_uid}/permissions"): 0,
    ("GET", "/v1/provisioning/contact-points"): 1,
    ("POST", "/v1/provisioning/contact-points"): 1,
    ("PUT", "/v1/provisioning/contact-points/{UID}"): 1,
    ("GET", "/v1/provisioning/alert-rules/{UID}"): 1,
    ("GET", "/v1/provisioning/folder/{FolderUID}/rule-groups/{Group}"): 1,
    ("PUT", "/v1/provisioning/folder/{FolderUID}/rule-groups/{Group}"): 1,
    ("GET", "/dashboards/uid/{uid}"): 0,
    ("POST", "/ds/query"): 0,
    ("GET", "/annotations"): 0,
    ("POST", "/annotations"): 1,
    ("PATCH", "/annotations/{annotation_id}"): 1,
    ("DELETE", "/annotations/{annotation_id}"): 1,
    ("POST", "/dashboards/db"): 1,
    ("GET", "/dashboards/uid/{uid}/versions"): 1,
}


class Seen(Struct, frozen=True):
    """One request as it arrived: `path` from `/api` on, `body` as plain values, or text where it is no JSON."""

    method: str
    path: str
    body: Any


class FakeGrafana:
    """Answers as Grafana does; an async context manager on a free port.

    Attributes:
        url: where it answers.
        store: all it holds; tests look into it, and change it as people do.
        seen: every request, in order.
        meddle: gives an answer in the place of Grafana's, or None.
    """

    def __init__(self, *, version: str = "12.1.0") -> None:
        self.url = ""
        self.store = Store(version)
        self.seen: list[Seen] = []
        self.meddle: Callable[[web.Request], web.StreamResponse | None] = lambda _: None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{tail:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def asked(self, method: str, beginning: str = _API) -> list[Seen]:
        """Give the requests of a method whose path begins so."""
        return [one for one in self.seen if one.method == method and one.path.startswith(beginning)]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = _read(await request.read())
        self.seen.append(Seen(request.method, request.path, body))
        meddled = self.meddle(request)
        if meddled is not None:
            return meddled
        try:
            template, parts = _found(request.rel_url.raw_path)
            self._admit(request, template)
            _hold_against_document(request, template, body)
            return await self.store.do(request.method, template, parts, request.query, body, request.headers)
        except Refusal as refusal:
            return web.json_response(refusal.body, status=refusal.status)

    def _admit(self, request: web.Request, template: str) -> None:
        if template == "/health":
            return
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in _ACCOUNTS:
            raise Refusal(401, "Invalid API key")
        self.store.account = _ACCOUNTS[token]
        least = 0 if template.startswith("/live/") else _LEAST.get((request.method, template), 2)
        if _ROLES.index(self.store.account.role) < least:
            raise Refusal(403, NO_RIGHTS)


def _read(raw: bytes) -> Any:
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        return raw.decode()


def _found(raw_path: str) -> tuple[str, dict[str, str]]:
    """Find the path's template in the document; the parts are as they were escaped."""
    path = raw_path.removeprefix(_API)
    templates = [*_DOCUMENT["paths"], "/live/push/{stream}"]
    for template in sorted(templates, key=lambda one: one.count("{")):
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template)
        if raw_path.startswith(_API) and (match := re.fullmatch(pattern, path)):
            return template, match.groupdict()
    raise Refusal(404, "Not found")


def _hold_against_document(request: web.Request, template: str, body: Any) -> None:
    if template.startswith("/live/"):
        return
    operation = _DOCUMENT["paths"][template].get(request.method.lower())
    if operation is None:
        raise Refusal(404, "Not found")
    unknown = set(request.query) - set(operation.get("query", ()))
    if unknown:
        raise Refusal(400, f"parameters that the document does not know: {sorted(unknown)}")
    if "body" in operation:
        try:
            jsonschema.Draft7Validator({**operation["body"], "components": _COMPONENTS}).validate(body)
        except jsonschema.ValidationError as error:
            raise Refusal(400, f"bad request data: {error.json_path}: {error.message[:200]}") from error


def _strict(schema: Any) -> Any:
    """Give a schema that refuses keys for which it has no name, wherever it names any."""
    if isinstance(schema, list):
        return [_strict(one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    strict = {key: _strict(one) for key, one in schema.items()}
    if isinstance(schema.get("properties"), Mapping):
        strict.setdefault("additionalProperties", False)
    return strict


_COMPONENTS = {"schemas": {name: _strict(one) for name, one in _DOCUMENT["schemas"].items()}}
