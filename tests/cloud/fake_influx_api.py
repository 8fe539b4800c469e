"""The administration of InfluxDB 2 and 3 as their documents tell it, in memory; refuses what they refuse."""

from itertools import count
from typing import Any, Self

from aiohttp import web

TOKEN = "t0ken"
ORG = "city"


class _RefusedError(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.answer = web.json_response({"code": code, "message": message}, status=status)


class FakeInfluxApi:
    """An async context manager on a free port.

    Attributes:
        buckets, tasks: of 2.x, by name.
        names: of 2.x, what was mapped by hand: database and policy.
        databases: of 3.x, retention by name; None is for ever.
        maps_by_itself: 2.1 and later find a bucket by its name; 2.0 does not.
        asked: each request that changes something.
    """

    def __init__(self) -> None:
        self.buckets: dict[str, dict[str, Any]] = {}
        self.tasks: dict[str, dict[str, Any]] = {}
        self.names: dict[tuple[str, str], dict[str, Any]] = {}
        self.databases: dict[str, str | None] = {}
        self.maps_by_itself = True
        self.asked: list[str] = []
        self._ids = (f"{number:016x}" for number in count(1))
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application(middlewares=[self._guard])
        route = app.router
        route.add_get("/api/v2/orgs", self._orgs)
        route.add_get("/api/v2/buckets", self._list_buckets)
        route.add_post("/api/v2/buckets", self._make_bucket)
        route.add_patch("/api/v2/buckets/{id}", self._change_bucket)
        route.add_get("/api/v2/tasks", self._list_tasks)
        route.add_post("/api/v2/tasks", self._make_task)
        route.add_patch("/api/v2/tasks/{id}", self._change_task)
        route.add_get("/api/v2/dbrps", self._list_names)
        route.add_post("/api/v2/dbrps", self._make_name)
        route.add_get("/api/v3/configure/database", self._list_databases)
        route.add_post("/api/v3/configure/database", self._make_database)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Token {TOKEN}":
            return web.json_response({"code": "unauthorized", "message": "unauthorized access"}, status=401)
        if request.method != "GET":
            self.asked.append(f"{request.method} {request.path}")
        try:
            answer: web.StreamResponse = await handler(request)
        except _RefusedError as refused:
            return refused.answer
        return answer

    async def _orgs(self, request: web.Request) -> web.Response:
        if request.query.get("org", ORG) != ORG:
            raise _RefusedError(404, "not found", "organization name not found")
        return web.json_response({"orgs": [{"id": "0a", "name": ORG}]})

    async def _list_buckets(self, request: web.Request) -> web.Response:
        name = request.query["name"]
        if name not in self.buckets:
            raise _RefusedError(404, "not found", f'bucket "{name}" not found')
        return web.json_response({"buckets": [self.buckets[name]]})

    async def _make_bucket(self, request: web.Request) -> web.Response:
        body = await request.json()
        _fields(body, {"orgID", "name", "retentionRules"}, {"description", "rp", "schemaType"})
        if body["name"] in self.buckets:
            raise _RefusedError(422, "conflict", f"bucket with name {body['name']} already exists")
        self.buckets[body["name"]] = {"id": next(self._ids), "name": body["name"]} | _rules(body)
        return web.json_response(self.buckets[body["name"]], status=201)

    async def _change_bucket(self, request: web.Request) -> web.Response:
        body = await request.json()
        _fields(body, set(), {"name", "description", "retentionRules"})
        bucket = _by_id(self.buckets, request)
        bucket |= _rules(body)
        return web.json_response(bucket)

    async def _list_tasks(self, request: web.Request) -> web.Response:
        name = request.query["name"]
        return web.json_response({"tasks": [self.tasks[name]] if name in self.tasks else []})

    async def _make_task(self, request: web.Request) -> web.Response:
        body = await request.json()
        _fields(body, {"flux"}, {"orgID", "org", "status", "description"})
        name = body["flux"].split('name: "')[1].split('"')[0]
        self.tasks[name] = {"id": next(self._ids), "name": name, "flux": body["flux"], "status": body["status"]}
        return web.json_response(self.tasks[name], status=201)

    async def _change_task(self, request: web.Request) -> web.Response:
        body = await request.json()
        _fields(body, set(), {"flux", "status", "name", "every", "cron", "offset", "description"})
        task = _by_id(self.tasks, request)
        task |= body
        return web.json_response(task)

    async def _list_names(self, request: web.Request) -> web.Response:
        wanted = request.query["db"]
        found = [one for (database, _policy), one in self.names.items() if database == wanted]
        if self.maps_by_itself:
            for name, bucket in self.buckets.items():
                database, _, policy = name.partition("/")
                if database == wanted:
                    own = {"database": database, "retention_policy": policy or "autogen", "default": not policy}
                    found.append(own | {"bucketID": bucket["id"], "virtual": True})
        return web.json_response({"content": found})

    async def _make_name(self, request: web.Request) -> web.Response:
        body = await request.json()
        _fields(body, {"bucketID", "database", "retention_policy"}, {"default", "org", "orgID"})
        if body["bucketID"] not in {bucket["id"] for bucket in self.buckets.values()}:
            raise _RefusedError(404, "not found", "bucket not found")
        self.names[body["database"], body["retention_policy"]] = body
        return web.json_response(body, status=201)

    async def _list_databases(self, request: web.Request) -> web.Response:
        if request.query.get("format") != "json":
            raise _RefusedError(400, "invalid", "missing field `format`")
        return web.json_response([{"iox::database": name} for name in self.databases])

    async def _make_database(self, request: web.Request) -> web.Response:
        body = await request.json()
        _fields(body, {"db"}, {"retention_period"})
        if body["db"] in self.databases:
            raise _RefusedError(409, "conflict", "attempted to create a resource that already exists")
        self.databases[body["db"]] = body.get("retention_period")
        return web.Response(status=200)


def _fields(body: dict[str, Any], needed: set[str], optional: set[str]) -> None:
    if not needed <= body.keys() <= needed | optional:
        raise _RefusedError(400, "invalid", f"fields {sorted(body)}")


def _rules(body: dict[str, Any]) -> dict[str, Any]:
    for rule in body["retentionRules"]:
        keep_s, shard_s = rule["everySeconds"], rule["shardGroupDurationSeconds"]
        if rule["type"] != "expire" or 0 < keep_s < 3_600 or shard_s < 3_600 or 0 < keep_s < shard_s:
            raise _RefusedError(422, "unprocessable entity", f"retention {rule}")
    return {"retentionRules": body["retentionRules"]}


def _by_id(known: dict[str, dict[str, Any]], request: web.Request) -> dict[str, Any]:
    for one in known.values():
        if one["id"] == request.match_info["id"]:
            return one
    raise _RefusedError(404, "not found", "not found")
