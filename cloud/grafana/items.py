"""What a push brings to Grafana, kind by kind: how it is looked up there, whose it is, and how it is written.

Nothing here decides: `cloud.grafana.push` does, the same for all.

Source: "HTTP API reference", Grafana 12: folders, folder permissions, teams, data sources, dashboards, alerting.
"""

import re
from collections.abc import Iterable, Mapping, MutableMapping
from enum import StrEnum
from typing import Any, Protocol

from msgspec import Struct

from cloud.grafana.client import GrafanaClient, part
from cloud.grafana.compare import is_covered, shaped
from cloud.grafana.digest import digest_of, is_untouched, mark_in, marked
from cloud.grafana.errors import GrafanaConflictError, GrafanaMissingError, GrafanaRefusedError

REDACTED = "[REDACTED]"
"""How Grafana writes a secret that it keeps."""
SOURCE_MARK = "langyanDigest"
"""Key among a data source's `jsonData`, where pages keep what they do not know."""
VIEW, EDIT = 1, 2
"""Permissions of a folder, as numbers of the API."""
_NAMES = {VIEW: "view", EDIT: "edit", 4: "admin"}
_MESSAGE = re.compile(r"^langyan (?P<digest>[0-9a-f]{32})$")
_SECRETS = ("authorization_credentials", "password")
_DURATION = re.compile(r"(\d+)(ms|[smhdwy])")
_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000, "y": 31_536_000_000}
_PROVISIONED = "/api/v1/provisioning"
# What a new folder has: whoever made it, editors and viewers of the organisation.
_DEFAULT_ROLES = {"Editor": "edit", "Viewer": "view"}


class Owner(StrEnum):
    """Whose it is, as it stands in Grafana."""

    OURS = "ours"
    """As a push left it."""
    PEOPLE = "people"
    """Somebody made or changed it."""
    FILE = "file"
    """It comes from a file of Grafana's provisioning; Grafana refuses to change it."""


class Found(Struct, frozen=True):
    """What is there.

    Attributes:
        present: of it, what can be compared with what is wanted.
        owner: whose it is.
        is_same: nothing is to be done.
        note: what a write needs to know: a version, where it lies.
        is_moved: the same or not, it lies where somebody has put it.
    """

    present: Any
    owner: Owner
    is_same: bool
    note: Any = None
    is_moved: bool = False


class Item(Protocol):
    """One thing that is wanted in Grafana.

    Attributes:
        kind: a word for people, see `cloud.grafana.push`.
        name: which one.
        wanted: plain values to compare and to show; secrets are not in it.
        folder: uid of the folder that must be there first; "" for none.
        has_secret: Grafana does not tell a secret that it keeps, so it is written each time.
    """

    kind: str
    name: str
    wanted: Any
    folder: str
    has_secret: bool

    async def look(self, client: GrafanaClient) -> Found | None:
        """Look it up; None where nothing is there."""

    async def write(self, client: GrafanaClient, found: Found | None, *, force: bool) -> None:
        """Bring it there, in the place of what was found."""


class TeamItem:
    """A team, which people are put into by Grafana's administrators; a push makes it and never changes it.

    Args:
        name: its name.
        ids: where its id is noted under its name, for `PermissionsItem`.
    """

    kind, folder, has_secret = "team", "", False

    def __init__(self, name: str, ids: MutableMapping[str, int]) -> None:
        self.name = name
        self.wanted = {"name": name}
        self._ids = ids

    async def look(self, client: GrafanaClient) -> Found | None:
        """Look it up by its name."""
        answer = await client.request("GET", "/api/teams/search", params={"name": self.name})
        for team in answer.get("teams") or []:
            if team["name"] == self.name:
                self._ids[self.name] = team["id"]
                return Found(self.wanted, Owner.OURS, is_same=True)
        return None

    async def write(self, client: GrafanaClient, found: Found | None, *, force: bool) -> None:  # noqa: ARG002
        """Make it."""
        answer = await client.request("POST", "/api/teams", self.wanted)
        self._ids[self.name] = answer["teamId"]


class FolderItem:
    """A folder: `uid` is for ever, the title may be somebody's."""

    kind, folder, has_secret = "folder", "", False

    def __init__(self, uid: str, title: str) -> None:
        self.uid = uid
        self.name = title
        self.wanted = {"title": title}

    async def look(self, client: GrafanaClient) -> Found | None:
        """Look it up by its uid.

        Raises:
            GrafanaConflictError: it is not there, and another of its title is; newer Grafanas would make a second one.
        """
        there = await _get(client, f"/api/folders/{part(self.uid)}")
        if there is None:
            for other in await client.request("GET", "/api/folders"):
                if other["title"] == self.name:
                    why = f"a folder with the same name is there, its uid is {other['uid']}"
                    raise GrafanaConflictError(why, status=0)
            return None
        is_same = there["title"] == self.name
        return Found(shaped(there, self.wanted), Owner.OURS if is_same else Owner.PEOPLE, is_same, there)

    async def write(self, client: GrafanaClient, found: Found | None, *, force: bool) -> None:  # noqa: ARG002
        """Make it, or give it its title again."""
        if found is None:
            await client.request("POST", "/api/folders", {"uid": self.uid, "title": self.name})
        else:
            body = {"title": self.name, "version": found.note.get("version", 1), "overwrite": True}
            await client.request("PUT", f"/api/folders/{part(self.uid)}", body)


class PermissionsItem:
    """Who of the organisation's roles and of our teams may do what in a folder.

    What people have given to a user, or to another team, stays.

    Args:
        folder: its uid.
        title: the folder's.
        wanted: "view" or "edit" by what stands for whom: `Viewer` and `Editor` are roles, all else is a team's name.
        ids: of teams, by name; filled in by `TeamItem`.
    """

    kind, has_secret = "permissions", False

    def __init__(self, folder: str, title: str, wanted: Mapping[str, str], ids: Mapping[str, int]) -> None:
        self.folder, self.name = folder, title
        self.wanted = dict(wanted)
        self._ids = ids
        self._path = f"/api/folders/{part(folder)}/permissions"

    async def look(self, client: GrafanaClient) -> Found | None:
        """Look them up; those of a folder that nobody has touched are ours to change."""
        entries = await _get(client, self._path)
        if entries is None:
            return None
        entries = [one for one in entries if not one.get("inherited")]
        present = {_who(one): _NAMES.get(one["permission"], "?") for one in entries if self._is_ours(one)}
        is_same = present == self.wanted
        owner = Owner.OURS if is_same or present == _DEFAULT_ROLES else Owner.PEOPLE
        return Found(present, owner, is_same, [one for one in entries if not self._is_ours(one)])

    async def write(self, client: GrafanaClient, found: Found | None, *, force: bool) -> None:  # noqa: ARG002
        """Set ours, and say again what is others'.

        Raises:
            GrafanaRefusedError: one of the teams is not there.
        """
        items = [self._entry(who, name) for who, name in self.wanted.items()]
        for one in found.note if found else []:
            named = [key for key in ("userId", "teamId", "role") if one.get(key)]
            # Of nobody: it gives nobody anything, and cannot be said again.
            items += [{key: one[key], "permission": one["permission"]} for key in named[:1]]
        await client.request("POST", self._path, {"items": items})

    def _is_ours(self, entry: Mapping[str, Any]) -> bool:
        """Tell whether a push says it: the organisation's administrators have their rights in any case."""
        if entry.get("role"):
            return bool(entry["role"] != "Admin")
        return bool(entry.get("teamId")) and entry.get("team") in self.wanted

    def _entry(self, who: str, name: str) -> dict[str, Any]:
        permission = VIEW if name == "view" else EDIT
        if who in _DEFAULT_ROLES:
            return {"role": who, "permission": permission}
        if who not in self._ids:
            raise GrafanaRefusedError(f"the team {who} is not there", status=0)
        return {"teamId": self._ids[who], "permission": permission}


class SourceItem:
    """The data source.

    Args:
        body: of the API's `AddDataSourceCommand`, `secureJsonData` with its secrets among it.
    """

    kind, folder = "data source", ""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self.name = body["name"]
        self._uid = body["uid"]
        secrets = body.get("secureJsonData") or {}
        plain = {key: value for key, value in body.items() if key != "secureJsonData"}
        self.has_secret = bool(secrets)
        self.wanted = {
            **plain,
            "jsonData": {**plain.get("jsonData", {}), SOURCE_MARK: _source_digest(plain)},
            "secureJsonFields": dict.fromkeys(secrets, True),
        }
        self._body = {**self.wanted, "secureJsonData": secrets}
        del self._body["secureJsonFields"]

    async def look(self, client: GrafanaClient) -> Found | None:
        """Look it up by its uid; the mark tells whether somebody has changed it."""
        there = await _get(client, f"/api/datasources/uid/{part(self._uid)}")
        if there is None:
            return None
        owner = Owner.PEOPLE
        if there.get("readOnly"):
            owner = Owner.FILE
        elif (there.get("jsonData") or {}).get(SOURCE_MARK) == _source_digest(there):
            owner = Owner.OURS
        is_same = is_covered(there, self.wanted)
        return Found(shaped(there, self.wanted), owner, is_same, there)

    async def write(self, client: GrafanaClient, found: Found | None, *, force: bool) -> None:  # noqa: ARG002
        """Add or replace it."""
        if found is None:
            await client.request("POST", "/api/datasources", self._body)
        else:
            body = {**self._body, "version": found.note.get("version", 1)}
            await client.request("PUT", f"/api/datasources/uid/{part(self._uid)}", body)


class DashboardItem:
    """A dashboard.

    Args:
        folder: uid of where it goes.
        model: Grafana's classic JSON.
    """

    kind, has_secret = "dashboard", False

    def __init__(self, folder: str, model: Mapping[str, Any]) -> None:
        self.folder = folder
        self.name = model["title"]
        self.wanted = marked(model)
        self._digest = digest_of(model)

    async def look(self, client: GrafanaClient) -> Found | None:
        """Look it up by its uid.

        The digest in it tells whether somebody has changed it. A Grafana that mends dashboards as it stores them would
        change it too: then its history says whether the newest version is one that a push saved.
        """
        path = f"/api/dashboards/uid/{part(self.wanted['uid'])}"
        there = await _get(client, path)
        if there is None:
            return None
        model, meta = there["dashboard"], there.get("meta") or {}
        mark = mark_in(model) if is_untouched(model) else await self._mark_in_history(client, path)
        owner = Owner.PEOPLE if mark is None else Owner.OURS
        if meta.get("provisioned"):
            owner = Owner.FILE
        present = {key: value for key, value in model.items() if key not in ("id", "version", "iteration")}
        note = {"version": model.get("version"), **meta}
        is_moved = note.get("folderUid", self.folder) != self.folder
        return Found(present, owner, mark == self._digest, note, is_moved)

    async def write(self, client: GrafanaClient, found: Found | None, *, force: bool) -> None:
        """Save it; one that somebody has moved to another folder stays there unless forced."""
        model: dict[str, Any] = {**self.wanted, "id": None}
        folder = self.folder
        if found is not None:
            model["version"] = found.note["version"]
            # "" is the root of all folders.
            folder = folder if force else found.note.get("folderUid", folder)
        message = f"langyan {self._digest}"
        body = {"dashboard": model, "folderUid": folder, "message": message, "overwrite": force}
        await client.request("POST", "/api/dashboards/db", body)

    async def _mark_in_history(self, client: GrafanaClient, path: str) -> str | None:
        answer = await _get(client, f"{path}/versions", params={"limit": "1"})
        versions = answer.get("versions") if isinstance(answer, dict) else answer
        said = _MESSAGE.match(str(versions[0].get("message", ""))) if versions else None
        return said["digest"] if said else None


class ContactPointItem:
    """Where Grafana's alerts go; `body` is of the API's `EmbeddedContactPoint`, with its secret."""

    kind, folder = "contact point", ""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self.name = body["name"]
        self._body = dict(body)
        settings = body["settings"]
        self.has_secret = any(settings.get(key) for key in _SECRETS)
        hidden = {key: REDACTED if key in _SECRETS and value else value for key, value in settings.items()}
        self.wanted = {**body, "settings": hidden}

    async def look(self, client: GrafanaClient) -> Found | None:
        """Look it up by name and uid."""
        answer = await client.request("GET", f"{_PROVISIONED}/contact-points", params={"name": self.name})
        there = next((one for one in answer or [] if one.get("uid") == self._body["uid"]), None)
        if there is None:
            return None
        return Found(shaped(there, self.wanted), _owner(there), is_covered(there, self.wanted))

    async def write(self, client: GrafanaClient, found: Found | None, *, force: bool) -> None:  # noqa: ARG002
        """Add or replace it."""
        if found is None:
            await client.request("POST", f"{_PROVISIONED}/contact-points", self._body)
        else:
            await client.request("PUT", f"{_PROVISIONED}/contact-points/{part(self._body['uid'])}", self._body)


class RulesItem:
    """A group of alert rules.

    Args:
        folder: uid of where it stands.
        name: of the group.
        every_s: how often its rules are judged.
        rules: as the API takes them, without folder, group and organisation.
    """

    kind, has_secret = "alert rules", False

    def __init__(self, folder: str, name: str, every_s: int, rules: Iterable[Mapping[str, Any]]) -> None:
        self.folder, self.name = folder, name
        self._rules = list(rules)
        placed = {"folderUID": folder, "ruleGroup": name}
        self.wanted: dict[str, Any] = {
            "title": name, "folderUid": folder, "interval": every_s,
            "rules": [{**one, **placed} for one in self._rules],
        }  # fmt: skip
        self._path = f"{_PROVISIONED}/folder/{part(self.folder)}/rule-groups/{part(self.name)}"

    async def look(self, client: GrafanaClient) -> Found | None:
        """Look the group up, or else its rules one by one; what an API wrote cannot be changed in Grafana's pages."""
        there = await _get(client, self._path)
        if there is None or not there.get("rules"):
            return await self.elsewhere(client)
        order = {rule["uid"]: place for place, rule in enumerate(self.wanted["rules"])}
        there["rules"].sort(key=lambda rule: order.get(rule.get("uid"), len(order)))
        is_same = is_covered(_in_ms(there), _in_ms(self.wanted))
        return Found(shaped(there, self.wanted), _strictest(there["rules"]), is_same)

    async def elsewhere(self, client: GrafanaClient) -> Found | None:
        """Look each rule up by its uid, wherever it stands: Grafana has a rule once, and one from a file stays there.

        A file names its folder by the title alone, so that one's uid is not ours.
        """
        asked = [await _get(client, f"{_PROVISIONED}/alert-rules/{part(one['uid'])}") for one in self.wanted["rules"]]
        rules = [one for one in asked if one is not None]
        if not rules:
            return None
        there, owner = {"rules": rules}, _strictest(rules)
        is_same = owner is Owner.FILE and is_covered(_in_ms(there), _in_ms({"rules": self._rules}))
        return Found(shaped(there, self.wanted), owner, is_same)

    async def write(self, client: GrafanaClient, found: Found | None, *, force: bool) -> None:  # noqa: ARG002
        """Replace the whole group."""
        # The API wants an organisation in each, and takes the token's in its place.
        rules = [{**one, "orgID": 1} for one in self.wanted["rules"]]
        await client.request("PUT", self._path, {**self.wanted, "rules": rules})


class RulesFolderItem(FolderItem):
    """The folder of alert rules; it is not made for rules that stand in another one and stay there.

    Args:
        uid: of the folder.
        title: its title.
        rules: that belong in it.
    """

    def __init__(self, uid: str, title: str, rules: RulesItem) -> None:
        super().__init__(uid, title)
        self._rules = rules

    async def look(self, client: GrafanaClient) -> Found | None:
        """Look it up by its uid; where it is not there, the rules first: a file's folder may have our title."""
        if await _get(client, f"/api/folders/{part(self.uid)}") is None:
            rules = await self._rules.elsewhere(client)
            if rules is not None and rules.owner is Owner.FILE:
                return Found({}, Owner.FILE, is_same=True)
        return await super().look(client)


async def _get(client: GrafanaClient, path: str, *, params: Mapping[str, str] | None = None) -> Any:
    try:
        return await client.request("GET", path, params=params)
    except GrafanaMissingError:
        return None


def _who(entry: Mapping[str, Any]) -> str:
    return str(entry.get("role") or entry.get("team"))


def _owner(provisioned: Mapping[str, Any]) -> Owner:
    """Read the provenance: `api` is a push, `file` a file; without one it was made in Grafana's pages."""
    return {"api": Owner.OURS, "file": Owner.FILE}.get(str(provisioned.get("provenance")), Owner.PEOPLE)


def _strictest(rules: Iterable[Mapping[str, Any]]) -> Owner:
    """Tell who of the owners has the last word."""
    owners = {_owner(rule) for rule in rules}
    return next((one for one in (Owner.FILE, Owner.PEOPLE) if one in owners), Owner.OURS)


def _source_digest(source: Mapping[str, Any]) -> str:
    """Work out the digest of what people may change of a data source, except for its secrets."""
    keys = ("name", "type", "access", "url", "database", "user", "basicAuth", "basicAuthUser", "isDefault")
    plain = {key: source[key] for key in keys if source.get(key)}
    settings = {key: value for key, value in (source.get("jsonData") or {}).items() if key != SOURCE_MARK}
    return digest_of({**plain, "jsonData": settings})


def _in_ms(group: Mapping[str, Any]) -> dict[str, Any]:
    """Write what a rule waits for in one way: Grafana gives 60s back as 1m."""
    return {**group, "rules": [{**one, "for": _duration_ms(str(one.get("for", "")))} for one in group["rules"]]}


def _duration_ms(text: str) -> int:
    return sum(int(count) * _UNIT_MS[unit] for count, unit in _DURATION.findall(text))
