"""Brings dashboards and what belongs to them to a Grafana by its HTTP API, as often as one likes.

What is there already and the same is left alone. What somebody changed by hand is kept unless forced; what comes from
a file of Grafana's provisioning is kept always, since Grafana refuses to change it.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from msgspec import Struct

from cloud.grafana.board import Context
from cloud.grafana.build import Folder, build_all
from cloud.grafana.client import GrafanaClient
from cloud.grafana.compare import difference
from cloud.grafana.errors import GrafanaAwayError, GrafanaRefusedError, GrafanaTokenError, NotGrafanaError
from cloud.grafana.folders import ALERTS_UID, alerts_title, title_of, uid_of
from cloud.grafana.items import (
    ContactPointItem,
    DashboardItem,
    FolderItem,
    Found,
    Item,
    Owner,
    PermissionsItem,
    RulesFolderItem,
    RulesItem,
    SourceItem,
    TeamItem,
)
from cloud.grafana.rules import EVERY_S, GROUP, RECEIVER, alert_rules, contact_point
from cloud.i18n import N_

_EDITORS = {"Editor": "edit"}
READERS: dict[Folder, tuple[Folder, ...] | None] = {
    Folder.MONITORING: None,
    Folder.TRADES: (Folder.TRADES, Folder.MONITORING, Folder.MANAGEMENT),
    Folder.DEVICES: (Folder.DEVICES, Folder.MONITORING, Folder.MANAGEMENT),
    Folder.MANAGEMENT: (Folder.MANAGEMENT,),
}
"""Whose teams see a folder; None is everybody who may sign in."""
_ROLE_OF_ALL = "Viewer"
_OPEN = N_("Until that is done, everybody who may sign in may see this folder. Permissions need the role Admin.")
_BROKEN = 500


class Action(StrEnum):
    """What a push does with one thing."""

    NEW = "new"
    CHANGED = "changed"
    RENEWED = "renewed"
    """The same, but it holds a secret, which Grafana does not show: it is written again."""
    SAME = "same"
    KEPT = "kept"
    """Another, and not ours to change."""
    FAILED = "failed"


class Step(Struct, frozen=True):
    """One thing that was looked at, and written unless it is a dry run.

    Attributes:
        kind: "folder", "dashboard" ...
        name: which one.
        action: what was done, or would be.
        why: it is kept or failed; "" otherwise.
        hint: what a person can do about it; "" where nothing is to be done.
        lines: of the difference, from what is there to what is wanted.
    """

    kind: str
    name: str
    action: Action
    why: str = ""
    hint: str = ""
    lines: tuple[str, ...] = ()


def team_name(folder: Folder) -> str:
    """Give the name of the team of a folder's people."""
    return f"langyan-{folder.value}"


def items_of(
    context: Context,
    *,
    source: Mapping[str, Any] | None = None,
    alert_secret: str = "",
    has_permissions: bool = True,
) -> list[Item]:
    """List all that belongs in a Grafana, in the order in which it must be brought: what others refer to first.

    Args:
        context: of the dashboards; without its `desk_url` there is no contact point.
        source: of `cloud.grafana.source.data_source`, with real secrets; None leaves the data source to others.
        alert_secret: by which the desk takes Grafana's alerts; without one there is no contact point.
        has_permissions: teams and permissions of the folders are looked after, too.
    """
    ids: dict[str, int] = {}
    titles = {one: title_of(context, one) for one in Folder}
    tells_desk = bool(context.desk_url and alert_secret)
    rules = RulesItem(ALERTS_UID, GROUP, EVERY_S, alert_rules(context, receiver=RECEIVER if tells_desk else ""))
    items: list[Item] = [FolderItem(uid_of(one), title) for one, title in titles.items()]
    items.append(RulesFolderItem(ALERTS_UID, alerts_title(context), rules))
    if has_permissions:
        items += [TeamItem(team_name(one), ids) for one in Folder]
        items += [PermissionsItem(uid_of(one), title, _readers(one), ids) for one, title in titles.items()]
    if source is not None:
        items.append(SourceItem(source))
    items += [DashboardItem(uid_of(one.folder), one.model) for one in build_all(context)]
    if tells_desk:
        items.append(ContactPointItem(contact_point(context.desk_url, alert_secret)))
    return [*items, rules]


async def push(
    client: GrafanaClient, items: Sequence[Item], *, dry_run: bool, force: bool, told: Callable[[Step], None]
) -> None:
    """Bring every item, one after the other; what one of them is refused does not stop the others.

    Args:
        client: patient or not.
        items: of `items_of`.
        dry_run: only look, and tell what would be done.
        force: replace what people have changed.
        told: called with each step as it is done.

    Raises:
        GrafanaAwayError: Grafana does not answer; what has been told is done. A 500 to one write is no such answer.
        GrafanaTokenError, NotGrafanaError: nothing can be done with this token, or at this URL.
    """
    missing: set[str] = set()
    for item in items:
        if item.folder and item.folder in missing:
            told(Step(item.kind, item.name, Action.FAILED, N_("its folder is not there")))
            continue
        try:
            step = await _bring(client, item, dry_run=dry_run, force=force)
        except (GrafanaTokenError, NotGrafanaError):
            raise
        except GrafanaRefusedError as error:
            is_open = isinstance(item, PermissionsItem) and _ROLE_OF_ALL not in item.wanted
            step = Step(item.kind, item.name, Action.FAILED, str(error), _OPEN if is_open else error.hint)
            if isinstance(item, FolderItem):
                missing.add(item.uid)
        told(step)


def judge(found: Found | None, *, force: bool, has_secret: bool) -> tuple[Action, str]:
    """Decide what is done with one thing, and why it is kept."""
    if found is None:
        return Action.NEW, ""
    if found.owner is Owner.FILE:
        return (Action.SAME, "") if found.is_same else (Action.KEPT, N_("it comes from a file of Grafana's"))
    if found.is_moved and force:
        return Action.CHANGED, ""
    if found.is_same:
        return (Action.RENEWED if has_secret else Action.SAME), ""
    if found.owner is Owner.PEOPLE and not force:
        return Action.KEPT, N_("somebody has changed it by hand; --force replaces it")
    return Action.CHANGED, ""


async def _bring(client: GrafanaClient, item: Item, *, dry_run: bool, force: bool) -> Step:
    found = await item.look(client)
    action, why = judge(found, force=force, has_secret=item.has_secret)
    if action in (Action.NEW, Action.CHANGED, Action.RENEWED) and not dry_run:
        await _write(client, item, found, force=force)
    differs = action in (Action.CHANGED, Action.KEPT) and found is not None
    lines = difference(found.present, item.wanted) if differs and found is not None else []
    return Step(item.kind, item.name, action, why, lines=tuple(lines))


async def _write(client: GrafanaClient, item: Item, found: Found | None, *, force: bool) -> None:
    try:
        await item.write(client, found, force=force)
    except GrafanaAwayError as error:
        # It has just been looked up: Grafana is there, and cannot do this one thing.
        if error.status != _BROKEN:
            raise
        raise GrafanaRefusedError(str(error), status=_BROKEN) from error


def _readers(folder: Folder) -> dict[str, str]:
    teams = READERS[folder]
    readers = [_ROLE_OF_ALL] if teams is None else [team_name(one) for one in teams]
    return _EDITORS | dict.fromkeys(readers, "view")
