"""What the fake Grafana holds, and what each request does to it, as Grafana's server does.

Source: the handlers of Grafana 11 and 12 for folders, teams, data sources, dashboards, annotations, alerting and
queries; their statuses and messages.
"""

import copy
import re
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

import anyio.to_thread
from aiohttp import web
from msgspec import Struct

from tests.cloud import grafana_frames, grafana_rig

REDACTED = "[REDACTED]"
_SECRETS = ("authorization_credentials", "password")
_UID = re.compile(r"[A-Za-z0-9_-]{1,40}")
NO_RIGHTS = "You'll need additional permissions to perform this action."
_VIEW, _EDIT, _ADMIN = 1, 2, 4
_NAMES = {1: "View", 2: "Edit", 4: "Admin"}
_LEAST_REFRESH_S = 5

# Of a folder that is new, beside whoever made it; the root of all folders has them for ever.
_BORN = [{"role": "Editor", "permission": _EDIT}, {"role": "Viewer", "permission": _VIEW}]

Values = dict[str, Any]


class Account(Struct, frozen=True):
    """Who asks: a service account, by its id as a user, and its role in the organisation."""

    role: str
    user_id: int


class Refusal(Exception):  # noqa: N818 - no error of ours: an answer
    """Grafana's no, with its status; `body` is what stands in it."""

    def __init__(self, status: int, message: str, /, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"message": message, **more}


class Store:
    """Everything, by kind; `influx_url` is of the real InfluxDB that data sources ask.

    Attributes:
        folders, sources: by uid.
        permissions: of a folder, by its uid, as the API gives them.
        teams: name by id.
        dashboards: by uid: `dashboard`, `meta`, and `messages` of its versions, the newest last.
        contact_points: in order, with their secrets.
        groups: of alert rules, by folder and name.
        annotations: by id.
        pushed: texts that came to a stream of Grafana Live, by its name.
        mend: what the server does to a dashboard as it stores it.
        account: who asks now.
        takes_title_twice: newer Grafanas make a second folder of the same title; older ones refuse it.
    """

    def __init__(self, version: str) -> None:
        self.version = version
        self.influx_url = ""
        self.folders: dict[str, Values] = {}
        self.permissions: dict[str, list[Values]] = {}
        self.teams: dict[int, str] = {}
        self.sources: dict[str, Values] = {}
        self.dashboards: dict[str, Values] = {}
        self.contact_points: list[Values] = []
        self.groups: dict[tuple[str, str], Values] = {}
        self.annotations: dict[int, Values] = {}
        self.pushed: dict[str, list[str]] = {}
        self.mend: Callable[[Values], Values] = lambda model: model
        self.account = Account("Admin", 7)
        self.takes_title_twice = False
        self._last_id = 0

    async def do(
        self, method: str, template: str, parts: Mapping[str, str], query: Any, body: Any, headers: Mapping[str, str]
    ) -> web.Response:
        """Do what one request asks for."""
        if template == "/ds/query":
            return await self._ask(body)
        name = f"_{method.lower()}_{re.sub(r'[^a-z]+', '_', re.sub(r'{[^}]*}', 'one', template)).strip('_')}"
        handler: Callable[..., Any] = getattr(self, name)
        plain = {key: unquote(one) for key, one in parts.items()}
        answer, status = handler(*plain.values(), *([query] if method == "GET" else [body, headers])), 200
        if isinstance(answer, tuple):
            answer, status = answer
        return web.json_response(answer, status=status) if answer is not None else web.Response(status=status)

    def _next_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def _get_health(self, _: Any) -> Values:
        return {"commit": "0", "database": "ok", "version": self.version}

    # Folders, their permissions, teams.

    def _post_folders(self, body: Values, _: Any) -> Values:
        if not body.get("title"):
            raise Refusal(400, "folder title cannot be empty")
        if body.get("uid") in self.folders:
            raise Refusal(409, "a folder/dashboard with the same uid already exists")
        if not self.takes_title_twice and body["title"] in [one["title"] for one in self.folders.values()]:
            raise Refusal(409, "a folder with the same name already exists in the current location")
        uid = body.get("uid") or f"made-{self._next_id()}"
        self.folders[uid] = {"id": self._next_id(), "uid": uid, "title": body["title"], "version": 1, "orgId": 1}
        maker = {"userId": self.account.user_id, "userLogin": "sa-langyan", "permission": _ADMIN}
        self.permissions[uid] = [*_BORN, maker]
        return self.folders[uid]

    def _get_folders(self, _: Any) -> list[Values]:
        kept = ("id", "uid", "title")
        return [
            {key: folder[key] for key in kept if key in folder}
            for uid, folder in self.folders.items()
            if self._may(uid, _VIEW)
        ]

    def _get_folders_one(self, uid: str, _: Any) -> Values:
        return self._folder(uid)

    def _put_folders_one(self, uid: str, body: Values, _: Any) -> Values:
        folder = self._folder(uid, _EDIT)
        if not body.get("overwrite") and body.get("version") != folder["version"]:
            raise Refusal(412, "the folder has been changed by someone else", status="version-mismatch")
        folder |= {"title": body["title"], "version": folder["version"] + 1}
        return folder

    def _get_folders_one_permissions(self, uid: str, _: Any) -> list[Values]:
        self._folder(uid, _ADMIN)
        return [
            one | {"permissionName": _NAMES[one["permission"]], "inherited": False} for one in self.permissions[uid]
        ]

    def _post_folders_one_permissions(self, uid: str, body: Values, _: Any) -> Values:
        self._folder(uid, _ADMIN)
        kept: list[Values] = []
        for one in body["items"]:
            if sum(bool(one.get(key)) for key in ("role", "teamId", "userId")) != 1:
                raise Refusal(400, "team and user permissions cannot have an associated role")
            if one.get("teamId") and one["teamId"] not in self.teams:
                raise Refusal(500, "Failed to create permission")
            team = {"team": self.teams[one["teamId"]]} if one.get("teamId") else {}
            kept.append({**one, **team})
        self.permissions[uid] = kept
        return {"message": "Folder permissions updated"}

    def _get_teams_search(self, query: Mapping[str, str]) -> Values:
        found = [{"id": key, "name": name} for key, name in self.teams.items() if query.get("name", name) == name]
        return {"totalCount": len(found), "teams": found, "page": 1, "perPage": 1000}

    def _post_teams(self, body: Values, _: Any) -> Values:
        if body["name"] in self.teams.values():
            raise Refusal(409, "Team name taken")
        key = self._next_id()
        self.teams[key] = body["name"]
        return {"message": "Team created", "teamId": key, "uid": f"team-{key}"}

    # Data sources, and what they are asked.

    def _post_datasources(self, body: Values, _: Any) -> Values:
        if body["name"] in [one["name"] for one in self.sources.values()]:
            raise Refusal(409, "data source with the same name already exists")
        if body.get("uid") in self.sources:
            raise Refusal(409, "data source with the same uid already exists")
        if not body.get("type") or not body.get("access"):
            raise Refusal(400, "bad request data")
        return self._keep_source(body, 1)

    def _get_datasources_uid_one(self, uid: str, _: Any) -> Values:
        if uid not in self.sources:
            raise Refusal(404, "Data source not found")
        there = {key: value for key, value in self.sources[uid].items() if key != "secureJsonData"}
        return there | {"secureJsonFields": dict.fromkeys(self.sources[uid]["secureJsonData"], True)}

    def _put_datasources_uid_one(self, uid: str, body: Values, _: Any) -> Values:
        there = self._get_datasources_uid_one(uid, None)
        if there.get("readOnly"):
            raise Refusal(403, "Cannot update read-only data source")
        if body.get("version", there["version"]) != there["version"]:
            raise Refusal(409, "Datasource has already been updated by someone else. Please reload and try again")
        return self._keep_source(body, there["version"] + 1)

    def _keep_source(self, body: Values, version: int) -> Values:
        # Grafana writes out what was left out.
        filled = {"url": "", "user": "", "database": "", "basicAuth": False, "isDefault": False, "jsonData": {}}
        kept = {**filled, "secureJsonData": {}, **body, "version": version, "id": self._next_id(), "orgId": 1}
        self.sources[body["uid"]] = kept
        told = self._get_datasources_uid_one(body["uid"], None)
        return {"id": kept["id"], "name": kept["name"], "message": "Datasource added", "datasource": told}

    async def _ask(self, body: Values) -> web.Response:
        if not body["queries"]:
            raise Refusal(400, "No queries found")
        results = {}
        for one in body["queries"]:
            source = self.sources.get(str((one.get("datasource") or {}).get("uid")))
            if source is None:
                raise Refusal(404, "Data source not found")
            database = source["jsonData"]["dbName"]
            results[one["refId"]] = await anyio.to_thread.run_sync(self._result, one, body, database)
        status = 400 if any("error" in one for one in results.values()) else 200
        return web.json_response({"results": results}, status=status)

    def _result(self, query: Values, body: Values, database: str) -> Values:
        now_ms = time.time_ns() // 1_000_000
        since, until = (grafana_rig.moment(body[key], now_ms) for key in ("from", "to"))
        step_s = max(query.get("intervalMs", 1_000) // 1_000, 1)
        text = query["query"].replace("$timeFilter", f"time >= {since}ms and time <= {until}ms")
        text = text.replace("$__interval_ms", str(step_s * 1_000)).replace("$__interval", f"{step_s}s")
        try:
            answer = grafana_rig.ask(self.influx_url, text, database=database)
        except grafana_rig.InfluxError as error:
            return {"error": str(error), "status": 400}
        return {"status": 200, "frames": [_as_json(frame) for frame in grafana_frames.frames_of(answer, query)]}

    # Dashboards.

    def _get_search(self, query: Any) -> list[Values]:
        tags = set(query.getall("tag", []))
        return [
            {"uid": uid, "title": one["dashboard"]["title"], "type": "dash-db"}
            for uid, one in self.dashboards.items()
            if tags <= set(one["dashboard"].get("tags") or []) and self._may(one["meta"]["folderUid"], _VIEW)
        ]

    def _get_dashboards_uid_one(self, uid: str, _: Any) -> Values:
        if uid not in self.dashboards:
            raise Refusal(404, "Dashboard not found")
        there = self.dashboards[uid]
        self._hold(there["meta"]["folderUid"], _VIEW)
        return copy.deepcopy({"dashboard": there["dashboard"], "meta": there["meta"]})

    def _get_dashboards_uid_one_versions(self, uid: str, _: Any) -> Values:
        messages = self.dashboards[uid]["messages"]
        return {"versions": [{"version": len(messages), "message": messages[-1]}]}

    def _post_dashboards_db(self, body: Values, _: Any) -> Values:
        model = copy.deepcopy(body["dashboard"])
        uid = model.get("uid") or ""
        _check_dashboard(model)
        if body.get("folderUid") and body["folderUid"] not in self.folders:
            raise Refusal(400, "folder not found")
        self._hold(body.get("folderUid", ""), _EDIT)
        there = self.dashboards.get(uid)
        version = there["dashboard"]["version"] if there else 0
        if there and there["meta"].get("provisioned"):
            raise Refusal(400, "Cannot save provisioned dashboard")
        if there and not body.get("overwrite") and model.get("version", 0) != version:
            raise Refusal(412, "The dashboard has been changed by someone else", status="version-mismatch")
        stored = self.mend(model) | {"id": self._next_id(), "version": version + 1}
        self.dashboards[uid] = {
            "dashboard": stored,
            "meta": {"folderUid": body.get("folderUid", ""), "version": version + 1, "provisioned": False},
            "messages": [*(there["messages"] if there else []), body.get("message", "")],
        }
        return {"id": stored["id"], "uid": uid, "version": version + 1, "status": "success", "url": f"/d/{uid}"}

    # Alerting.

    def _get_v_provisioning_contact_points(self, query: Mapping[str, str]) -> list[Values]:
        found = [one for one in self.contact_points if query.get("name", one["name"]) == one["name"]]
        return [one | {"settings": _redacted(one["settings"])} for one in found]

    def _post_v_provisioning_contact_points(self, body: Values, headers: Any) -> tuple[Values, int]:
        _check_contact_point(body)
        if body.get("uid") in [one["uid"] for one in self.contact_points]:
            raise Refusal(400, "contact point with the same uid already exists")
        self.contact_points.append(copy.deepcopy(body) | {"provenance": _provenance(headers)})
        return body | {"settings": _redacted(body["settings"])}, 202

    def _put_v_provisioning_contact_points_one(self, uid: str, body: Values, headers: Any) -> tuple[Values, int]:
        _check_contact_point(body)
        place = next((place for place, one in enumerate(self.contact_points) if one["uid"] == uid), None)
        if place is None:
            raise Refusal(404, f"contact point with uid '{uid}' not found")
        _check_provenance(self.contact_points[place])
        self.contact_points[place] = copy.deepcopy(body) | {"provenance": _provenance(headers)}
        return {"message": "contactpoint updated"}, 202

    def _get_v_provisioning_folder_one_rule_groups_one(self, folder: str, group: str, _: Any) -> Values:
        if (folder, group) not in self.groups:
            raise Refusal(404, "rule group not found")
        return copy.deepcopy(self.groups[folder, group])

    def _put_v_provisioning_folder_one_rule_groups_one(
        self, folder: str, group: str, body: Values, headers: Any
    ) -> Values:
        self._folder(folder, _EDIT)
        points = [one["name"] for one in self.contact_points]
        for rule in body["rules"]:
            receiver = (rule.get("notification_settings") or {}).get("receiver")
            if receiver is not None and receiver not in points:
                raise Refusal(400, f"receiver '{receiver}' does not exist")
            if rule["condition"] not in [step["refId"] for step in rule["data"]]:
                raise Refusal(400, f"condition {rule['condition']} does not exist")
        if body["interval"] <= 0 or body["interval"] % 10:
            raise Refusal(400, "interval must be a multiple of 10 s")
        self._take_from_groups({rule["uid"] for rule in body["rules"]}, _provenance(headers))
        added = {"updated": "2026-01-01T00:00:00Z", "provenance": _provenance(headers)}
        rules = [rule | {"for": _as_grafana(rule["for"]), "id": self._next_id()} | added for rule in body["rules"]]
        self.groups[folder, group] = body | {"rules": rules}
        return body

    def _get_v_provisioning_alert_rules_one(self, uid: str, _: Any) -> Values:
        for group in self.groups.values():
            for rule in group["rules"]:
                if rule["uid"] == uid:
                    return copy.deepcopy(dict(rule))
        raise Refusal(404, "rule not found")

    def _take_from_groups(self, uids: set[str], provenance: str) -> None:
        """Take rules from where they stood: a rule's uid is there once, and whoever writes its group moves it there."""
        for group in self.groups.values():
            for rule in group["rules"]:
                stored = rule.get("provenance", "")
                if rule["uid"] in uids and stored not in ("", provenance):
                    raise Refusal(500, f"cannot update with provided provenance '{provenance}', needs '{stored}'")
            group["rules"] = [rule for rule in group["rules"] if rule["uid"] not in uids]

    # Annotations and Live.

    def _post_annotations(self, body: Values, _: Any) -> Values:
        if not body["text"]:
            raise Refusal(400, "Failed to save annotation")
        key = self._next_id()
        self.annotations[key] = {"timeEnd": body.get("time"), "tags": [], **body, "id": key}
        return {"id": key, "message": "Annotation added"}

    def _get_annotations(self, query: Any) -> list[Values]:
        tags = set(query.getall("tags", []))
        since, until = int(query.get("from", 0)), int(query.get("to", 0)) or None
        found = [
            one
            for one in self.annotations.values()
            if tags <= set(one["tags"]) and one["timeEnd"] >= since and (until is None or one["time"] <= until)
        ]
        return found[::-1][: int(query.get("limit", 100))]

    def _patch_annotations_one(self, key: str, body: Values, _: Any) -> Values:
        if int(key) not in self.annotations:
            raise Refusal(404, "Annotation not found")
        self.annotations[int(key)] |= body
        return {"message": "Annotation patched"}

    def _delete_annotations_one(self, key: str, _body: Any, _: Any) -> Values:
        if self.annotations.pop(int(key), None) is None:
            raise Refusal(404, "Annotation not found")
        return {"message": "Annotation deleted"}

    def _post_live_push_one(self, stream: str, body: str, _: Any) -> None:
        self.pushed.setdefault(stream, []).append(body)

    def _folder(self, uid: str, least: int = _VIEW) -> Values:
        if uid not in self.folders:
            raise Refusal(404, "folder not found", status="not-found")
        self._hold(uid, least)
        return self.folders[uid]

    def _hold(self, uid: str, least: int) -> None:
        if not self._may(uid, least):
            raise Refusal(403, NO_RIGHTS)

    def _may(self, uid: str, least: int) -> bool:
        """Tell whether who asks has at least this permission in a folder."""
        mine = ({"role": self.account.role}, {"userId": self.account.user_id})
        entries = self.permissions.get(uid, _BORN)
        found = [one["permission"] for one in entries if any(key.items() <= one.items() for key in mine)]
        return self.account.role == "Admin" or max(found, default=0) >= least


def _check_dashboard(model: Values) -> None:
    if not model.get("title"):
        raise Refusal(400, "Dashboard title cannot be empty", status="empty-name")
    if "uid" in model and not _UID.fullmatch(model["uid"]):
        raise Refusal(400, "uid contains illegal characters")
    refresh = re.fullmatch(r"(\d+)s", model.get("refresh") or "")
    if refresh and int(refresh[1]) < _LEAST_REFRESH_S:
        raise Refusal(400, "Dashboard refresh interval is too low")


def _check_contact_point(body: Values) -> None:
    if body["type"] == "webhook" and not body["settings"].get("url"):
        raise Refusal(400, "required field 'url' is not specified")
    if not body.get("name"):
        raise Refusal(400, "contact point name is required")


def _check_provenance(there: Values) -> None:
    if there.get("provenance") == "file":
        raise Refusal(409, "cannot change provenance from 'file' to 'api'")


def _provenance(headers: Mapping[str, str]) -> str:
    return "" if "X-Disable-Provenance" in headers else "api"


def _redacted(settings: Values) -> Values:
    return {key: REDACTED if key in _SECRETS and value else value for key, value in settings.items()}


def _as_grafana(text: str) -> str:
    """Write a duration of seconds as Grafana gives it back: 300s is 5m."""
    seconds = int(text.removesuffix("s"))
    return f"{seconds // 60}m" if seconds and seconds % 60 == 0 else f"{seconds}s"


def _as_json(frame: grafana_frames.Frame) -> Values:
    fields = [{"name": one.name, "type": one.kind or "number", "labels": dict(one.labels)} for one in frame]
    return {"schema": {"fields": fields}, "data": {"values": [list(one.values) for one in frame]}}
