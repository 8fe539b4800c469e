"""Authorisation is a table, and every cell of it is a test; the table here is written out by hand."""

import itertools
import re
from pathlib import Path

import pytest

from cloud.people.roles import SCOPES, TABLE, Action, Person, Role, Where, allows, is_inside, may_edit, rights

COUNTY = "zj/hz/xihu/"
STREET = "zj/hz/xihu/beishan/"
OTHER = "zj/hz/gongshu/"
# Its beginning is the county's without being within it.
LOOKALIKE = "zj/hz/xihu2/"

# viewer, operator, dispatcher, manager, admin; i: inside the own subtree, e: everywhere, -: nowhere.
EXPECTED = """
see-alarms           i i i i i
see-numbers          i i i i i
see-areas            i i i i i
see-contacts         - i i i i
show                 - i i i i
acknowledge          - i i i i
comment              - i i i i
close                - i i i i
reset                - i i i i
shelve               - i i i i
unshelve             - i i i i
make-links           - i i i i
dispatch             - - i i i
arrive               - - i i i
hand-over            - - i i i
shelve-critical      - - - i i
out-of-service       - - - i i
suppress             - - - i i
see-deliveries       - - - i i
edit-contacts        - - - i i
edit-rosters         - - - i i
edit-policies        - - - i i
edit-sites           - - - i i
see-users            - - - i i
edit-users           - - - i i
see-audit            - - - i i
edit-areas           - - - - i
see-system           - - - - i
see-fire             i i i i i
see-vehicles         i i i i i
see-patrols          i i i i i
see-bikes            i i i i i
see-tracks           - i i i i
see-owners           - i i i i
arm-bikes            - i i i i
watch-bikes          - - i i i
edit-bikes           - - - i i
judge-fires          - - i i i
edit-fire            - - - i i
walk-patrols         - i i i i
edit-patrols         - - - i i
edit-vehicles        - - - i i
make-own-tokens      e e e e e
change-own-password  e e e e e
"""
CELLS = {
    (Action(line.split()[0]), role): letter
    for line in EXPECTED.strip().splitlines()
    for role, letter in zip(Role, line.split()[1:], strict=True)
}


def person(role: Role = Role.OPERATOR, scope: str | None = COUNTY, **more: object) -> Person:
    return Person("wang", role, scope, **more)  # type: ignore[arg-type]


def test_the_table_here_names_every_action_and_role() -> None:
    assert set(CELLS) == set(itertools.product(Action, Role))


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("place", ["inside", "outside"])
def test_a_cell_of_the_table(action: Action, role: Role, place: str) -> None:
    letter = CELLS[action, role]
    if place == "inside":
        allowed, paths = letter in "ie", [(COUNTY, COUNTY), (COUNTY, STREET), (None, STREET), (None, "")]
    else:
        allowed, paths = letter == "e", [(COUNTY, OTHER), (COUNTY, LOOKALIKE), (COUNTY, ""), (STREET, COUNTY)]
    assert [allows(person(role, scope), action, path) for scope, path in paths] == [allowed] * len(paths)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("action", Action)
def test_a_token_does_what_its_scopes_and_its_role_allow(action: Action, role: Role) -> None:
    with_it = person(role, token_scopes=frozenset({action}))
    with_all_others = person(role, token_scopes=frozenset(Action) - {action})
    assert allows(with_it, action, STREET) is (CELLS[action, role] == "i")
    assert not allows(with_it, action, OTHER)
    assert not allows(with_all_others, action, STREET)


def test_a_token_makes_no_tokens_and_changes_no_password() -> None:
    assert frozenset(Action) - SCOPES == {Action.MAKE_OWN_TOKENS, Action.CHANGE_OWN_PASSWORD}


@pytest.mark.parametrize("action", Action)
def test_who_has_a_password_of_somebody_elses_may_only_change_it(action: Action) -> None:
    assert allows(person(Role.ADMIN, None, must_change=True), action, "") is (action is Action.CHANGE_OWN_PASSWORD)


def test_neither_does_a_token_go_on_before_its_user_has_changed_it() -> None:
    scopes = frozenset({Action.SEE_ALARMS})
    assert allows(person(token_scopes=scopes), Action.SEE_ALARMS, STREET)
    assert not allows(person(token_scopes=scopes, must_change=True), Action.SEE_ALARMS, STREET)


@pytest.mark.parametrize("scope", ["", "zj", "zj/hz/xihu"])
def test_what_is_no_path_is_no_subtree(scope: str) -> None:
    assert not is_inside(scope, STREET)
    assert not is_inside(scope, "")


def test_higher_roles_may_all_that_lower_ones_may() -> None:
    for lower, higher in itertools.pairwise(Role):
        assert rights(lower) <= rights(higher)
    assert rights(Role.ADMIN) == set(Action)
    assert all(TABLE[action][role] is Where.NOWHERE for role in Role for action in Action if action not in rights(role))


ABOVE = [
    # Whose role and subtree, of what role and subtree, may he edit him?
    (Role.MANAGER, COUNTY, Role.VIEWER, COUNTY, True),
    (Role.MANAGER, COUNTY, Role.DISPATCHER, STREET, True),
    (Role.MANAGER, COUNTY, Role.MANAGER, STREET, True),
    (Role.MANAGER, COUNTY, Role.MANAGER, COUNTY, False),
    (Role.MANAGER, COUNTY, Role.ADMIN, STREET, False),
    (Role.MANAGER, COUNTY, Role.VIEWER, OTHER, False),
    (Role.MANAGER, COUNTY, Role.VIEWER, LOOKALIKE, False),
    (Role.MANAGER, COUNTY, Role.VIEWER, "", False),
    (Role.MANAGER, STREET, Role.VIEWER, COUNTY, False),
    (Role.MANAGER, None, Role.DISPATCHER, "", True),
    (Role.MANAGER, None, Role.MANAGER, "", False),
    (Role.MANAGER, None, Role.MANAGER, COUNTY, True),
    (Role.MANAGER, None, Role.ADMIN, STREET, False),
    (Role.ADMIN, COUNTY, Role.MANAGER, COUNTY, True),
    (Role.ADMIN, COUNTY, Role.ADMIN, STREET, True),
    (Role.ADMIN, COUNTY, Role.ADMIN, COUNTY, False),
    (Role.ADMIN, COUNTY, Role.VIEWER, "", False),
    (Role.ADMIN, None, Role.ADMIN, "", True),
    (Role.ADMIN, None, Role.VIEWER, OTHER, True),
    (Role.DISPATCHER, None, Role.VIEWER, STREET, False),
    (Role.OPERATOR, None, Role.VIEWER, STREET, False),
    (Role.VIEWER, None, Role.VIEWER, STREET, False),
]


@pytest.mark.parametrize(("role", "scope", "of_role", "of_path", "expected"), ABOVE)
def test_who_is_above_whom(role: Role, scope: str | None, of_role: Role, of_path: str, expected: bool) -> None:  # noqa: FBT001
    assert may_edit(person(role, scope), of_role, of_path) is expected


def test_a_token_edits_users_only_when_it_is_made_for_that() -> None:
    assert not may_edit(person(Role.ADMIN, None, token_scopes=frozenset({Action.SEE_USERS})), Role.VIEWER, STREET)
    assert may_edit(person(Role.ADMIN, None, token_scopes=frozenset({Action.EDIT_USERS})), Role.VIEWER, STREET)


def test_the_page_shows_the_table_as_it_is() -> None:
    page = (Path(__file__).parents[2] / "docs" / "users.md").read_text("utf-8")
    rows = re.findall(r"^\| `([a-z-]+)` \| ([^|]*) \| (.*) \|$", page, re.MULTILINE)
    shown = {name: [cell.strip() for cell in cells.split("|")] for name, _words, cells in rows if name in set(Action)}
    assert shown == {action.value: [where.value for where in cells.values()] for action, cells in TABLE.items()}
