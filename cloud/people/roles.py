"""Who may do what, where: one table of role, action and place; pure.

A user has one role and one place in the tree of areas: a subtree, or everything. What has no area (a gateway that
nobody registered, the audit, a user of everything) lies outside every subtree, so only users of everything see it.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from msgspec import Struct


class Role(StrEnum):
    """What somebody is at the desk, lowest first; stored."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    """Watches, acknowledges, closes."""
    DISPATCHER = "dispatcher"
    """Sends people, and says when they are there."""
    MANAGER = "manager"
    """Answers for an area: its rosters, policies, users, and what may be silent."""
    ADMIN = "admin"
    """Keeps the tree itself."""


class Action(StrEnum):
    """What can be done; the scopes of tokens are such words, so they never change their meaning."""

    SEE_ALARMS = "see-alarms"
    """List, one with its history, live stream."""
    SEE_NUMBERS = "see-numbers"
    SEE_AREAS = "see-areas"
    """Areas, sites, gateways, devices."""
    SEE_CONTACTS = "see-contacts"
    """Names and addresses of those who are told, and who is on duty."""
    SHOW = "show"
    """Mark as shown."""
    ACKNOWLEDGE = "acknowledge"
    COMMENT = "comment"
    CLOSE = "close"
    RESET = "reset"
    """Of a latched alarm."""
    SHELVE = "shelve"
    UNSHELVE = "unshelve"
    MAKE_LINKS = "make-links"
    """Signed acknowledge links, in one's own name."""
    DISPATCH = "dispatch"
    ARRIVE = "arrive"
    HAND_OVER = "hand-over"
    """Duty, from one contact to another for a time."""
    SHELVE_CRITICAL = "shelve-critical"
    """Beside `SHELVE`, for a source that raises critical alarms."""
    OUT_OF_SERVICE = "out-of-service"
    """Take out of service and put back."""
    SUPPRESS = "suppress"
    """By design, and end it."""
    SEE_DELIVERIES = "see-deliveries"
    EDIT_CONTACTS = "edit-contacts"
    EDIT_ROSTERS = "edit-rosters"
    EDIT_POLICIES = "edit-policies"
    EDIT_SITES = "edit-sites"
    """Sites, gateways, devices."""
    SEE_USERS = "see-users"
    EDIT_USERS = "edit-users"
    """Those below: see `may_edit`."""
    SEE_AUDIT = "see-audit"
    EDIT_AREAS = "edit-areas"
    """The tree; a whole tree lies at "", so its import is for users of everything."""
    SEE_SYSTEM = "see-system"
    """Dead letters, gateways that nobody registered, counters."""
    SEE_FIRE = "see-fire"
    """Fire danger, stations, fires and their evidence."""
    SEE_VEHICLES = "see-vehicles"
    """Last positions; a track is `SEE_TRACKS`."""
    SEE_PATROLS = "see-patrols"
    """Points, routes, plans, tours and their verdicts."""
    SEE_BIKES = "see-bikes"
    """Bikes and tags, without whose they are."""
    SEE_TRACKS = "see-tracks"
    """Where a tag or a vehicle was; looking is written into the audit."""
    SEE_OWNERS = "see-owners"
    """Names and numbers of bikes' owners; looking is written into the audit."""
    ARM_BIKES = "arm-bikes"
    """Arm and disarm."""
    WATCH_BIKES = "watch-bikes"
    """The stolen list: put on it, recovered."""
    EDIT_BIKES = "edit-bikes"
    """The registry of bikes, tags and owners."""
    JUDGE_FIRES = "judge-fires"
    """Confirm a fire, call it false, and make its CAP message."""
    EDIT_FIRE = "edit-fire"
    """Stations, and starting their index anew."""
    WALK_PATROLS = "walk-patrols"
    """Begin and end a tour or a lone watch by hand, and hand in a visit."""
    EDIT_PATROLS = "edit-patrols"
    """Points, routes, plans, people and wands."""
    EDIT_VEHICLES = "edit-vehicles"
    """The registry of vehicles, and fences."""
    MAKE_OWN_TOKENS = "make-own-tokens"
    """Make, list and revoke one's own."""
    CHANGE_OWN_PASSWORD = "change-own-password"  # noqa: S105


class Where(StrEnum):
    """Where a role may do something."""

    NOWHERE = "-"
    INSIDE = "inside"
    """In the own subtree."""
    EVERYWHERE = "everywhere"
    """Outside it too: what concerns nobody's area."""


_NO, _IN, _ALL = Where.NOWHERE, Where.INSIDE, Where.EVERYWHERE

# The columns are the roles in their order: viewer, operator, dispatcher, manager, admin.
_ROWS: dict[Action, tuple[Where, Where, Where, Where, Where]] = {
    Action.SEE_ALARMS: (_IN, _IN, _IN, _IN, _IN),
    Action.SEE_NUMBERS: (_IN, _IN, _IN, _IN, _IN),
    Action.SEE_AREAS: (_IN, _IN, _IN, _IN, _IN),
    Action.SEE_CONTACTS: (_NO, _IN, _IN, _IN, _IN),
    Action.SHOW: (_NO, _IN, _IN, _IN, _IN),
    Action.ACKNOWLEDGE: (_NO, _IN, _IN, _IN, _IN),
    Action.COMMENT: (_NO, _IN, _IN, _IN, _IN),
    Action.CLOSE: (_NO, _IN, _IN, _IN, _IN),
    Action.RESET: (_NO, _IN, _IN, _IN, _IN),
    Action.SHELVE: (_NO, _IN, _IN, _IN, _IN),
    Action.UNSHELVE: (_NO, _IN, _IN, _IN, _IN),
    Action.MAKE_LINKS: (_NO, _IN, _IN, _IN, _IN),
    Action.DISPATCH: (_NO, _NO, _IN, _IN, _IN),
    Action.ARRIVE: (_NO, _NO, _IN, _IN, _IN),
    Action.HAND_OVER: (_NO, _NO, _IN, _IN, _IN),
    Action.SHELVE_CRITICAL: (_NO, _NO, _NO, _IN, _IN),
    Action.OUT_OF_SERVICE: (_NO, _NO, _NO, _IN, _IN),
    Action.SUPPRESS: (_NO, _NO, _NO, _IN, _IN),
    Action.SEE_DELIVERIES: (_NO, _NO, _NO, _IN, _IN),
    Action.EDIT_CONTACTS: (_NO, _NO, _NO, _IN, _IN),
    Action.EDIT_ROSTERS: (_NO, _NO, _NO, _IN, _IN),
    Action.EDIT_POLICIES: (_NO, _NO, _NO, _IN, _IN),
    Action.EDIT_SITES: (_NO, _NO, _NO, _IN, _IN),
    Action.SEE_USERS: (_NO, _NO, _NO, _IN, _IN),
    Action.EDIT_USERS: (_NO, _NO, _NO, _IN, _IN),
    Action.SEE_AUDIT: (_NO, _NO, _NO, _IN, _IN),
    Action.EDIT_AREAS: (_NO, _NO, _NO, _NO, _IN),
    Action.SEE_SYSTEM: (_NO, _NO, _NO, _NO, _IN),
    Action.SEE_FIRE: (_IN, _IN, _IN, _IN, _IN),
    Action.SEE_VEHICLES: (_IN, _IN, _IN, _IN, _IN),
    Action.SEE_PATROLS: (_IN, _IN, _IN, _IN, _IN),
    Action.SEE_BIKES: (_IN, _IN, _IN, _IN, _IN),
    Action.SEE_TRACKS: (_NO, _IN, _IN, _IN, _IN),
    Action.SEE_OWNERS: (_NO, _IN, _IN, _IN, _IN),
    Action.ARM_BIKES: (_NO, _IN, _IN, _IN, _IN),
    Action.WATCH_BIKES: (_NO, _NO, _IN, _IN, _IN),
    Action.EDIT_BIKES: (_NO, _NO, _NO, _IN, _IN),
    Action.JUDGE_FIRES: (_NO, _NO, _IN, _IN, _IN),
    Action.EDIT_FIRE: (_NO, _NO, _NO, _IN, _IN),
    Action.WALK_PATROLS: (_NO, _IN, _IN, _IN, _IN),
    Action.EDIT_PATROLS: (_NO, _NO, _NO, _IN, _IN),
    Action.EDIT_VEHICLES: (_NO, _NO, _NO, _IN, _IN),
    Action.MAKE_OWN_TOKENS: (_ALL, _ALL, _ALL, _ALL, _ALL),
    Action.CHANGE_OWN_PASSWORD: (_ALL, _ALL, _ALL, _ALL, _ALL),
}

TABLE: Mapping[Action, Mapping[Role, Where]] = MappingProxyType(
    {action: MappingProxyType(dict(zip(Role, row, strict=True))) for action, row in _ROWS.items()}
)
"""The whole of it; docs/users.md shows it."""

SCOPES = frozenset(Action) - {Action.MAKE_OWN_TOKENS, Action.CHANGE_OWN_PASSWORD}
"""What a token may be for; a token makes no tokens, so that its end is the end."""

_RANK = {role: rank for rank, role in enumerate(Role)}


class Person(Struct, frozen=True):
    """Who asks.

    Attributes:
        name: of the user; written into the history.
        scope: the path of the top of the subtree, ending in "/"; None: everything.
        token_scopes: what the token was made for; None where it is a session.
        language: "en" or "zh".
        must_change: the password was given by somebody else; until it is changed, neither
            session nor token is for anything else.
    """

    name: str
    role: Role
    scope: str | None
    token_scopes: frozenset[Action] | None = None
    language: str = "en"
    must_change: bool = False


def allows(person: Person, action: Action, area_path: str) -> bool:
    """Tell whether `person` may do it there.

    Args:
        person: who asks.
        action: what is to be done.
        area_path: of what it is done to; "" for what has no area, and for what concerns everything.
    """
    if person.must_change and action is not Action.CHANGE_OWN_PASSWORD:
        return False
    if person.token_scopes is not None and action not in (person.token_scopes & SCOPES):
        return False
    where = TABLE[action][person.role]
    return where is Where.EVERYWHERE or (where is Where.INSIDE and is_inside(person.scope, area_path))


def is_inside(scope: str | None, area_path: str) -> bool:
    """Tell whether `area_path` lies in the subtree; everything lies in None, nothing in what is no path."""
    return scope is None or (scope.endswith("/") and area_path.startswith(scope))


def may_edit(person: Person, role: Role, area_path: str) -> bool:
    """Tell whether `person` may make or edit a user of that role whose subtree is `area_path` ("" for everything).

    Who is above: of a higher role, or of the same with a larger subtree. An admin of everything is above all, other
    such admins included, since nobody else could be. To change a role or a subtree, ask for both before and after.
    """
    if not allows(person, Action.EDIT_USERS, area_path):
        return False
    if person.role is Role.ADMIN and person.scope is None:
        return True
    is_larger = area_path != (person.scope or "")
    return _RANK[role] < _RANK[person.role] or (role is person.role and is_larger)


def rights(role: Role) -> frozenset[Action]:
    """List what the role may do somewhere."""
    return frozenset(action for action, cells in TABLE.items() if cells[role] is not Where.NOWHERE)
