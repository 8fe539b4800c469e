"""Users, their passwords, the first admin and the audit, on both databases."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from argon2 import PasswordHasher
from msgspec.structs import replace
from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import DBAPIError

from cloud.database import Database
from cloud.database.people_tables import audit
from cloud.database.people_tables import user as desk_user
from cloud.desk.changes import Actor
from cloud.errors import (
    BadUserError,
    CloudError,
    LastAdminError,
    LoginRefusedError,
    NotAllowedError,
    NotSignedInError,
    PasswordRefusedError,
    PeopleError,
    UnknownUserError,
    UserExistsError,
)
from cloud.people import passwords, store
from cloud.people.audit import MAX_DETAILS_BYTES, list_audit, note
from cloud.people.login import change_own_password, log_in
from cloud.people.passwords import hash_password
from cloud.people.roles import Action, Person, Role
from cloud.people.sessions import (
    authenticate_session,
)
from cloud.people.store import (
    ensure_admin,
    find_user,
    link_key,
)
from tests.cloud.people_rig import (
    ACTOR,
    CHEAP,
    GOOD,
    LIVES,
    WHERE,
    add,
    by_cookie,
    by_token,
    edit,
    give,
    names_of,
    person,
    plant,
    signed_in,
    token_of,
)
from tests.cloud.rig import T0_US


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "HASHER", CHEAP)


@pytest.fixture
def desk(desk_database: Database) -> Database:
    desk_database.run(plant)
    return desk_database


class TestUsers:
    def test_one_is_made_as_said(self, desk: Database) -> None:
        made = add(desk, " Wang.Fang ", Role.DISPATCHER, "xihu", display="王芳", contact="wang-fang", language="zh")
        assert made == desk.read(partial(find_user, name="wang.fang"))
        assert (made.name, made.role, made.area_path) == ("wang.fang", Role.DISPATCHER, "zj/hz/xihu/")
        assert person(desk, "WANG.FANG") == Person("wang.fang", Role.DISPATCHER, "zj/hz/xihu/", None, "zh", False)

    def test_names_are_never_given_twice(self, desk: Database) -> None:
        add(desk, "wang")
        edit(desk, "wang", disabled=True)
        with pytest.raises(UserExistsError):
            add(desk, "Wang")

    def test_what_cannot_be_is_refused_by_its_field(self, desk: Database) -> None:
        names = ("", "desk", "Gateway", "nobody", "王芳", "a b", "-a", "a" * 65, "a\0")
        faults: list[tuple[str, dict[str, Any]]] = [("name", {"name": name}) for name in names]
        faults += [
            ("area", {"area_id": "nowhere"}),
            ("contact", {"contact": "nobody"}),
            ("language", {"language": "fr"}),
        ]
        faults += [("display", {"display": "a\0b"}), ("display", {"display": "x" * 101})]
        for field, values in faults:
            with pytest.raises(BadUserError) as caught:
                add(desk, **({"name": "wang"} | values))
            assert caught.value.field == field
        assert names_of(desk) == []

    def test_they_are_listed_by_subtree_and_page(self, desk: Database) -> None:
        for name, area_id in [("a", None), ("b", "xihu"), ("c", "beishan"), ("d", "xihu2"), ("e", "XIHU"), ("f", "hz")]:
            add(desk, name, area_id=area_id)
        names = partial(names_of, desk)
        assert names() == ["a", "b", "c", "d", "e", "f"]
        assert names(scope="zj/hz/xihu/") == ["b", "c"]
        assert names(scope="zj/hz/") == ["b", "c", "d", "e", "f"]
        assert names(after="b", limit=2) == ["c", "d"]

    def test_an_edit_notes_what_was_and_is(self, desk: Database) -> None:
        add(desk, "wang", area_id="xihu")
        changed = edit(desk, "wang", role=Role.DISPATCHER, area="xihu", display="王芳")
        assert (changed.role, changed.display) == (Role.DISPATCHER, "王芳")
        entry = desk.read(list_audit)[0]
        assert (entry.what, entry.by, entry.origin, entry.object) == ("user-changed", "root", "console", "wang")
        assert entry.details == {"role": ["operator", "dispatcher"], "display": ["wang", "王芳"]}
        edit(desk, "wang", role=Role.DISPATCHER)
        assert desk.read(list_audit)[0] == entry, "nothing changed, nothing noted"

    def test_only_those_above_make_and_edit(self, desk: Database) -> None:
        add(desk, "boss", Role.MANAGER, "xihu")
        boss = person(desk, "boss")
        add(desk, "li", area_id="beishan", editor=boss)
        for role, area_id in [
            (Role.MANAGER, "xihu"),
            (Role.ADMIN, "beishan"),
            (Role.VIEWER, "hz"),
            (Role.VIEWER, None),
        ]:
            with pytest.raises(NotAllowedError):
                add(desk, "x", role, area_id, editor=boss)
            with pytest.raises(NotAllowedError):
                edit(desk, "li", boss, role=role, area=area_id)
        assert edit(desk, "li", boss, role=Role.DISPATCHER, area="xihu").area == "xihu"

    def test_a_user_elsewhere_cannot_be_seen_and_one_above_not_edited(self, desk: Database) -> None:
        add(desk, "boss", Role.MANAGER, "xihu")
        add(desk, "peer", Role.MANAGER, "xihu")
        add(desk, "elsewhere", area_id="xihu2")
        add(desk, "whole")
        boss = person(desk, "boss")
        for name in ("elsewhere", "whole", "nobody-here"):
            for act in (edit, give):
                with pytest.raises(UnknownUserError):
                    act(desk, name, boss)
        for name in ("peer", "boss"):
            with pytest.raises(NotAllowedError):
                edit(desk, name, boss, disabled=True)
            with pytest.raises(NotAllowedError):
                give(desk, name, boss)

    def test_the_last_admin_of_everything_stays(self, desk: Database) -> None:
        add(desk, "root", Role.ADMIN)
        add(desk, "part", Role.ADMIN, "zj")
        for change in ({"disabled": True}, {"role": Role.MANAGER}, {"area": "zj"}):
            with pytest.raises(LastAdminError):
                edit(desk, "root", **change)
        add(desk, "second", Role.ADMIN)
        edit(desk, "root", area="zj")
        with pytest.raises(LastAdminError):
            edit(desk, "second", disabled=True)

    def test_two_admins_cannot_end_each_other_at_once(self, desk: Database) -> None:
        add(desk, "one", Role.ADMIN)
        add(desk, "two", Role.ADMIN)

        def end(name: str) -> bool:
            try:
                edit(desk, name, disabled=True)
            except LastAdminError:
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(end, ["one", "two"])) == [False, True]

    def test_whose_name_is_not_a_user_does_not_act(self, desk: Database) -> None:
        add(desk, "wang")
        edit(desk, "wang", disabled=True)
        for name in ("wang", "li", "", "x" * 10_000, "\0"):
            with pytest.raises(UnknownUserError):
                person(desk, name)


class TestTheFirstAdmin:
    def test_is_made_once_and_must_change_his_password(self, desk: Database) -> None:
        password = ensure_admin(desk, now_us=T0_US)
        assert password is not None
        assert ensure_admin(desk, now_us=T0_US) is None
        session = log_in(desk, "admin", password, origin=WHERE, now_us=T0_US, lifetimes=LIVES)
        assert session.person == Person("admin", Role.ADMIN, None, None, "zh", must_change=True)
        assert password not in str(desk.run(lambda c: [c.execute(select(t)).all() for t in (desk_user, audit)]))

    def test_is_made_by_one_of_many_processes(self, desk: Database) -> None:
        with ThreadPoolExecutor(4) as pool:
            made = list(pool.map(lambda _: ensure_admin(desk, now_us=T0_US), range(4)))
        (password,) = [each for each in made if each is not None]
        log_in(desk, "admin", password, origin=WHERE, now_us=T0_US, lifetimes=LIVES)

    def test_of_another_that_turns_up_meanwhile_is_left_alone(
        self, desk: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert ensure_admin(desk, now_us=T0_US) is not None
        monkeypatch.setattr("cloud.people.store._has_users", lambda _: False)
        assert ensure_admin(desk, now_us=T0_US) is None

    def test_is_not_made_where_there_are_users(self, desk: Database) -> None:
        add(desk, "wang", Role.VIEWER)
        assert ensure_admin(desk, now_us=T0_US) is None
        assert names_of(desk) == ["wang"]


class TestPasswords:
    def test_ones_own_is_changed_by_saying_the_old_one(self, desk: Database) -> None:
        add(desk, "wang", must_change=True)
        before = signed_in(desk)
        assert before.person.must_change
        token = token_of(desk, replace(before.person, must_change=False), Action.SEE_ALARMS)
        new = "violin tram 44 moss"
        after = change_own_password(desk, "wang", GOOD, new, origin=WHERE, now_us=T0_US, lifetimes=LIVES)
        assert not after.person.must_change
        assert by_cookie(desk, after).person == after.person
        with pytest.raises(NotSignedInError):
            by_cookie(desk, before)
        by_token(desk, token.text.value)
        with pytest.raises(LoginRefusedError):
            signed_in(desk)
        log_in(desk, "wang", new, origin=WHERE, now_us=T0_US, lifetimes=LIVES)
        assert [entry.what for entry in desk.read(list_audit)][:3] == ["login", "login-failed", "password-changed"]

    def test_else_it_stays(self, desk: Database) -> None:
        add(desk, "wang")
        session, good = signed_in(desk), "violin tram 44 moss"
        faults: list[tuple[str, str, type[PeopleError]]] = [
            ("wrong", good, LoginRefusedError),
            (GOOD, "short", PasswordRefusedError),
            (GOOD, GOOD, PasswordRefusedError),
            (GOOD, "wangwang123", PasswordRefusedError),
        ]
        for old, new, error in faults:
            with pytest.raises(error) as caught:
                change_own_password(desk, "wang", old, new, origin=WHERE, now_us=T0_US, lifetimes=LIVES)
            assert new not in str(caught.value)
        by_cookie(desk, session)
        signed_in(desk)

    def test_a_hash_of_old_parameters_is_replaced_at_the_next_login(
        self, desk: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add(desk, "wang")
        monkeypatch.setattr(passwords, "HASHER", PasswordHasher(time_cost=2, memory_cost=16, parallelism=1))
        for _ in range(2):
            signed_in(desk)
            kept = desk.run(lambda c: c.execute(select(desk_user.c.password)).scalar_one())
            assert "m=16,t=2" in kept

    def test_who_is_disabled_while_his_password_is_looked_at_is_not_let_in(
        self, desk: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add(desk, "wang")
        verify = PasswordHasher.verify

        def slowly(hasher: PasswordHasher, hash: str, password: str) -> bool:  # noqa: A002
            edit(desk, "wang", disabled=True)
            return verify(hasher, hash, password)

        monkeypatch.setattr(PasswordHasher, "verify", slowly)
        with pytest.raises(LoginRefusedError):
            signed_in(desk)

    def test_no_transaction_is_open_while_one_is_looked_at(
        self, desk: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add(desk, "wang")
        verify = PasswordHasher.verify

        def meanwhile(hasher: PasswordHasher, hash: str, password: str) -> bool:  # noqa: A002
            desk.run(partial(note, actor=ACTOR, what="meanwhile", object_="", details={}, at_us=T0_US))
            return verify(hasher, hash, password)

        monkeypatch.setattr(PasswordHasher, "verify", meanwhile)
        signed_in(desk)


class TestAudit:
    def test_nothing_in_it_is_changed_or_deleted(self, desk: Database) -> None:
        add(desk, "wang")
        before = desk.read(list_audit)
        for change in (update(audit).values(by="li"), delete(audit)):
            with pytest.raises((DBAPIError, CloudError), match="append-only"):
                desk.run(lambda c, change=change: c.execute(change))  # type: ignore[misc]
        if desk.url.get_backend_name() == "postgresql":
            with pytest.raises((DBAPIError, CloudError), match="append-only"):
                desk.run(lambda c: c.execute(text("TRUNCATE audit")))
        assert desk.read(list_audit) == before

    def test_it_is_read_by_pages_and_by_what_it_tells(self, desk: Database) -> None:
        for number in range(7):
            actor = Actor("wang" if number % 2 else "li", WHERE)
            work = partial(note, actor=actor, what="policy-set", object_=f"area{number}", details={"n": number})
            desk.run(partial(work, at_us=T0_US + number))
        first = desk.read(partial(list_audit, limit=3))
        second = desk.read(partial(list_audit, limit=3, before=first[-1].id))
        assert [entry.details["n"] for entry in first + second] == [6, 5, 4, 3, 2, 1]
        assert [entry.details["n"] for entry in desk.read(partial(list_audit, by="wang"))] == [5, 3, 1]
        assert [entry.at_us for entry in desk.read(partial(list_audit, object_="area4"))] == [T0_US + 4]
        assert desk.read(partial(list_audit, what="login")) == []

    def test_what_is_too_long_is_cut(self, desk: Database) -> None:
        actor, long = Actor("w" * 500, "o" * 500), {"lines": "x" * MAX_DETAILS_BYTES}
        desk.run(partial(note, actor=actor, what="areas-imported", object_="o" * 999, details=long, at_us=T0_US))
        (entry,) = desk.read(list_audit)
        assert (len(entry.by), len(entry.origin), len(entry.object)) == (200, 200, 200)
        assert entry.details == {"too_long": ["lines"]}


def test_the_key_of_links_is_made_once_by_whoever_is_first(desk: Database) -> None:
    with ThreadPoolExecutor(4) as pool:
        keys = {key.value for key in pool.map(lambda _: desk.run(link_key), range(4))}
    (key,) = keys
    assert len(key) == 32
    assert desk.read(link_key).value == key


def test_no_error_tells_a_secret(desk: Database) -> None:
    add(desk, "wang")
    secret = "tell-nobody-anything"
    attempts: list[Callable[[], object]] = [
        lambda: log_in(desk, "wang", secret, origin=WHERE, now_us=T0_US, lifetimes=LIVES),
        lambda: change_own_password(desk, "wang", secret, GOOD + "x", origin=WHERE, now_us=T0_US, lifetimes=LIVES),
        lambda: hash_password("tell", name="tell"),
        lambda: by_token(desk, f"lyt_0123456789abcdef_{secret}"),
        lambda: desk.read(partial(authenticate_session, cookie=secret, now_us=T0_US, lifetimes=LIVES)),
    ]
    for attempt in attempts:
        with pytest.raises(PeopleError) as caught:
            attempt()
        assert "tell" not in f"{caught.value} {caught.value!r} {caught.value.__cause__}"


def test_reserved_names_are_those_that_the_history_gives() -> None:
    assert {"gateway", "desk", "cloud", "nobody", "console"} <= store.RESERVED
