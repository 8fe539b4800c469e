"""Sessions and tokens, on both databases."""

from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import select, update

from cloud.database import Database
from cloud.database.people_tables import audit
from cloud.database.people_tables import session as desk_session
from cloud.database.people_tables import token as api_token
from cloud.database.people_tables import user as desk_user
from cloud.desk.changes import Actor
from cloud.errors import (
    LoginRefusedError,
    NotAllowedError,
    NotSignedInError,
    TokenRefusedError,
    UnknownTokenError,
)
from cloud.people import passwords
from cloud.people.audit import list_audit
from cloud.people.roles import SCOPES, Action, Person, Role, rights
from cloud.people.sessions import (
    MAX_SESSIONS,
    SignedIn,
    authenticate_session,
    check_csrf,
    end_session,
    touch,
)
from cloud.people.tokens import MAX_TOKENS, list_tokens, revoke_token
from tests.cloud.people_rig import (
    ACTOR,
    CHEAP,
    DAY_US,
    LIVES,
    WHERE,
    S,
    add,
    by_cookie,
    by_token,
    edit,
    give,
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


class TestSessions:
    def test_a_cookie_is_its_users_until_it_ends(self, desk: Database) -> None:
        add(desk, "wang", area_id="xihu")
        session = signed_in(desk)
        credential = by_cookie(desk, session, T0_US + 599 * S)
        assert credential.person == Person("wang", Role.OPERATOR, "zj/hz/xihu/", None, "zh")
        assert (credential.token_id, credential.is_stale) == (None, True)
        with pytest.raises(NotSignedInError):
            by_cookie(desk, session, T0_US + 600 * S)

    def test_use_keeps_it_but_not_for_ever(self, desk: Database) -> None:
        add(desk, "wang")
        session, at_us = signed_in(desk), T0_US
        assert not by_cookie(desk, session, T0_US + 59 * S).is_stale
        while at_us + 500 * S < T0_US + 3_600 * S:
            at_us += 500 * S
            desk.run(partial(touch, credential=by_cookie(desk, session, at_us), now_us=at_us))
        with pytest.raises(NotSignedInError):
            by_cookie(desk, session, T0_US + 3_600 * S)

    def test_anything_else_is_nobody(self, desk: Database) -> None:
        for cookie in ("", "x", "x" * 43, "x" * 10**6, "\0", "\ud800", "王"):
            with pytest.raises(NotSignedInError):
                desk.read(partial(authenticate_session, cookie=cookie, now_us=T0_US, lifetimes=LIVES))

    def test_only_digests_are_kept(self, desk: Database) -> None:
        add(desk, "wang")
        session = signed_in(desk)
        (row,) = desk.run(lambda c: c.execute(select(desk_session)).all())
        assert session.cookie.value not in str(row)
        assert session.cookie.value.encode() not in bytes(row.digest)
        assert len(session.cookie.value) == 43, "256 bits"
        assert session.cookie.value not in f"{session} {by_cookie(desk, session)}"

    def test_a_changing_request_says_the_sessions_own_word(self, desk: Database) -> None:
        add(desk, "wang")
        mine, other = signed_in(desk), signed_in(desk)
        credential = by_cookie(desk, mine)
        check_csrf(credential, mine.csrf.value)
        for said in (None, "", other.csrf.value, mine.csrf.value + "x", "\ud800", mine.cookie.value):
            with pytest.raises(NotAllowedError):
                check_csrf(credential, said)

    def test_logging_out_ends_one(self, desk: Database) -> None:
        add(desk, "wang")
        one, other = signed_in(desk), signed_in(desk)
        for _ in range(2):
            work = partial(end_session, credential=by_cookie(desk, other), actor=Actor("wang", WHERE), now_us=T0_US)
            desk.run(partial(work, credential=replace(by_cookie(desk, other), session=_digest(desk, one))))
        with pytest.raises(NotSignedInError):
            by_cookie(desk, one)
        by_cookie(desk, other)
        assert [entry.what for entry in desk.read(list_audit)].count("logout") == 1

    @pytest.mark.parametrize("end", ["disable", "give"])
    def test_disabling_and_a_given_password_end_sessions_and_tokens(self, desk: Database, end: str) -> None:
        add(desk, "wang")
        session = signed_in(desk)
        token = token_of(desk, person(desk, "wang"), Action.SEE_ALARMS)
        edit(desk, "wang", disabled=True) if end == "disable" else give(desk, "wang")
        edit(desk, "wang", disabled=False)
        with pytest.raises(NotSignedInError):
            by_cookie(desk, session)
        with pytest.raises(NotSignedInError):
            by_token(desk, token.text.value)

    def test_a_disabled_user_is_nobody_whatever_is_left(self, desk: Database) -> None:
        add(desk, "wang")
        session, token = signed_in(desk), token_of(desk, person(desk, "wang"), Action.SEE_ALARMS)
        desk.run(lambda c: c.execute(update(desk_user).values(disabled=True)))
        with pytest.raises(NotSignedInError):
            by_cookie(desk, session)
        with pytest.raises(NotSignedInError):
            by_token(desk, token.text.value)
        with pytest.raises(LoginRefusedError):
            signed_in(desk)

    def test_a_new_role_and_area_count_at_once(self, desk: Database) -> None:
        add(desk, "wang", Role.MANAGER)
        session = signed_in(desk)
        edit(desk, "wang", role=Role.VIEWER, area="xihu")
        assert by_cookie(desk, session).person == Person("wang", Role.VIEWER, "zj/hz/xihu/", None, "zh")

    def test_a_user_has_so_many_and_ended_ones_are_forgotten(self, desk: Database) -> None:
        add(desk, "wang")
        sessions = [signed_in(desk, at_us=T0_US + each) for each in range(MAX_SESSIONS + 2)]
        with pytest.raises(NotSignedInError):
            by_cookie(desk, sessions[1])
        by_cookie(desk, sessions[2])
        signed_in(desk, at_us=T0_US + DAY_US)
        assert len(desk.run(lambda c: c.execute(select(desk_session)).all())) == 1


class TestTokens:
    def test_one_is_for_its_scopes_until_its_end(self, desk: Database) -> None:
        add(desk, "wang", area_id="xihu")
        made = token_of(desk, person(desk, "wang"), Action.SEE_ALARMS, Action.ACKNOWLEDGE)
        credential = by_token(desk, made.text.value, made.token.expires_us - 1)
        scopes = frozenset({Action.SEE_ALARMS, Action.ACKNOWLEDGE})
        assert credential.person == Person("wang", Role.OPERATOR, "zj/hz/xihu/", scopes, "zh")
        check_csrf(credential, None)
        with pytest.raises(NotSignedInError):
            by_token(desk, made.text.value, made.token.expires_us)

    def test_only_its_digest_is_kept_and_it_is_shown_once(self, desk: Database) -> None:
        add(desk, "wang")
        made = token_of(desk, person(desk, "wang"), Action.SEE_ALARMS)
        secret = made.text.value.split("_", 2)[2]
        kept = desk.run(lambda c: [c.execute(select(table)).all() for table in (api_token, audit)])
        listed = desk.read(partial(list_tokens, name="wang"))
        assert secret not in f"{kept} {listed} {made} {by_token(desk, made.text.value)}"
        assert listed == [made.token]

    def test_its_scopes_are_among_those_of_the_role(self, desk: Database) -> None:
        for role in Role:
            add(desk, role.value, role)
            owner, may = person(desk, role.value), rights(role) & SCOPES
            assert token_of(desk, owner, *may).token.scopes == tuple(sorted(may))
            for scope in set(Action) - may:
                with pytest.raises(TokenRefusedError):
                    token_of(desk, owner, Action.SEE_ALARMS, scope)

    def test_what_cannot_be_is_refused(self, desk: Database) -> None:
        add(desk, "wang")
        owner = person(desk, "wang")
        said: list[dict[str, Any]] = [{"days": 366.1}, {"days": 0}, {"days": -1}]
        said += [{"name": ""}, {"name": "x" * 101}, {"name": "a\0"}]
        for each in said:
            with pytest.raises(TokenRefusedError):
                token_of(desk, owner, Action.SEE_ALARMS, **each)
        with pytest.raises(TokenRefusedError):
            token_of(desk, owner)

    def test_a_token_makes_no_token(self, desk: Database) -> None:
        add(desk, "wang")
        made = token_of(desk, person(desk, "wang"), Action.SEE_ALARMS)
        for owner in (by_token(desk, made.text.value).person, replace(person(desk, "wang"), must_change=True)):
            with pytest.raises(NotAllowedError):
                token_of(desk, owner, Action.SEE_ALARMS)

    def test_a_foreign_secret_or_form_is_nobody(self, desk: Database) -> None:
        add(desk, "wang")
        one = token_of(desk, person(desk, "wang"), Action.SEE_ALARMS).text.value
        other = token_of(desk, person(desk, "wang"), Action.SEE_ALARMS).text.value
        mixed = "_".join([*one.split("_", 2)[:2], other.split("_", 2)[2]])
        for said in (
            mixed,
            one[:-1],
            one + "x",
            one.upper(),
            f" {one}",
            f"{one}\n",
            "",
            "lyt__",
            "x" * 10**6,
            "\ud800",
        ):
            with pytest.raises(NotSignedInError):
                by_token(desk, said)

    def test_last_use_is_noted_once_a_minute(self, desk: Database) -> None:
        add(desk, "wang")
        made = token_of(desk, person(desk, "wang"), Action.SEE_ALARMS)
        credential = by_token(desk, made.text.value)
        assert credential.is_stale
        desk.run(partial(touch, credential=credential, now_us=T0_US))
        assert [by_token(desk, made.text.value, T0_US + s * S).is_stale for s in (0, 59, 60)] == [False, False, True]
        assert desk.read(partial(list_tokens, name="wang"))[0].used_us == T0_US

    def test_one_is_revoked_by_its_user_only(self, desk: Database) -> None:
        add(desk, "wang")
        add(desk, "li")
        made = token_of(desk, person(desk, "wang"), Action.SEE_ALARMS)
        revoke = partial(revoke_token, token_id=made.token.id, actor=ACTOR, now_us=T0_US)
        with pytest.raises(UnknownTokenError):
            desk.run(partial(revoke, name="li"))
        by_token(desk, made.text.value)
        desk.run(partial(revoke, name="wang"))
        with pytest.raises(NotSignedInError):
            by_token(desk, made.text.value)
        assert desk.read(list_audit)[0].what == "token-revoked"

    def test_a_user_has_so_many_and_ended_ones_make_room(self, desk: Database) -> None:
        add(desk, "wang")
        owner = person(desk, "wang")
        for _ in range(MAX_TOKENS):
            token_of(desk, owner, Action.SEE_ALARMS)
        with pytest.raises(TokenRefusedError):
            token_of(desk, owner, Action.SEE_ALARMS)
        desk.run(lambda c: c.execute(update(api_token).values(expires_us=T0_US)))
        token_of(desk, owner, Action.SEE_ALARMS)
        assert len(desk.read(partial(list_tokens, name="wang"))) == 1

    def test_a_demoted_users_token_does_no_more_than_he_may(self, desk: Database) -> None:
        add(desk, "wang", Role.MANAGER)
        made = token_of(desk, person(desk, "wang"), Action.EDIT_USERS, Action.SEE_USERS)
        edit(desk, "wang", role=Role.OPERATOR)
        with pytest.raises(NotAllowedError):
            add(desk, "li", Role.VIEWER, editor=by_token(desk, made.text.value).person)

    def test_a_scope_of_another_version_allows_nothing(self, desk: Database) -> None:
        add(desk, "wang")
        made = token_of(desk, person(desk, "wang"), Action.SEE_ALARMS)
        desk.run(lambda c: c.execute(update(api_token).values(scopes=["fly", "see-alarms"])))
        assert by_token(desk, made.text.value).person.token_scopes == frozenset({Action.SEE_ALARMS})


def _digest(database: Database, session: SignedIn) -> bytes:
    try:
        return by_cookie(database, session).session or b""
    except NotSignedInError:
        return b"ended already"
