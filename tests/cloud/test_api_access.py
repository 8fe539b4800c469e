"""Signing in over the API: cookies, forged requests, throttling, tokens, users, the audit."""

import pytest

from cloud.database import Database
from cloud.people.roles import Role
from tests.cloud.api_rig import PASSWORD, Rig, insecure

pytestmark = pytest.mark.anyio
NEW_PASSWORD = "staple battery horse"


@pytest.fixture
def rig(database: Database) -> Rig:
    return Rig(database)


async def test_a_session_acts_only_with_the_word_against_forged_requests(rig: Rig) -> None:
    rig.add("wang", Role.OPERATOR)
    (alarm,) = rig.raise_alarms()
    path = f"/api/v1/alarms/{alarm.alarm_id}/acknowledge"
    async with rig.client() as desk:
        signed_in = (await desk.post("/api/v1/login", json={"name": "wang", "password": PASSWORD})).json()
        assert (await desk.get("/api/v1/me")).json()["csrf"] == signed_in["csrf"]
        for headers in ({}, {"X-CSRF-Token": "guess"}):
            forged = await desk.post(path, json={}, headers=headers)
            assert (forged.status_code, forged.json()["code"]) == (403, "csrf")
        headers = {"X-CSRF-Token": signed_in["csrf"]}
        assert (await desk.post(path, json={}, headers=headers)).status_code == 200
        assert (await desk.post("/api/v1/logout", headers=headers)).status_code == 204
        assert (await desk.get("/api/v1/me")).status_code == 401


@pytest.mark.parametrize(("is_secure", "name"), [(True, "__Host-langyan"), (False, "langyan")])
async def test_the_cookie_is_for_this_host_and_no_script(database: Database, is_secure: bool, name: str) -> None:  # noqa: FBT001
    rig = Rig(database, insecure(behind_proxy=is_secure))
    rig.add("wang", Role.OPERATOR)
    async with rig.client() as desk:
        answer = await desk.post("/api/v1/login", json={"name": "wang", "password": PASSWORD})
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{name}=")
    words = {word.strip().lower() for word in cookie.split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/"} <= words
    assert ("secure" in words, "strict-transport-security" in answer.headers) == (is_secure, is_secure)
    assert not any(word.startswith("domain") for word in words)


async def test_logins_that_fail_have_to_wait(rig: Rig) -> None:
    rig.add("wang", Role.OPERATOR)
    async with rig.client() as desk:
        answers = [
            await desk.post("/api/v1/login", json={"name": "wang", "password": "wrong password"}) for _ in range(7)
        ]
    assert [answer.status_code for answer in answers] == [401] * 6 + [429]
    assert answers[0].json()["code"] == "login-refused"
    throttled = answers[-1]
    assert (throttled.json()["code"], throttled.headers["retry-after"]) == ("login-throttled", "1")


async def test_who_was_given_a_password_can_only_change_it(rig: Rig) -> None:
    rig.add("wang", Role.OPERATOR, must_change=True)
    async with rig.client() as desk:
        me = (await desk.post("/api/v1/login", json={"name": "wang", "password": PASSWORD})).json()
        headers = {"X-CSRF-Token": me["csrf"]}
        assert me["must_change"]
        refused = await desk.get("/api/v1/alarms")
        assert (refused.status_code, refused.json()["code"]) == (403, "must-change-password")
        weak = {"password": PASSWORD, "new_password": "1234567890"}
        answer = await desk.post("/api/v1/me/password", json=weak, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "password-refused")
        good = {"password": PASSWORD, "new_password": NEW_PASSWORD}
        assert (await desk.post("/api/v1/me/password", json=good, headers=headers)).status_code == 200
        assert (await desk.get("/api/v1/alarms")).status_code == 200


async def test_a_token_is_made_shown_once_listed_and_revoked(rig: Rig) -> None:
    rig.add("wang", Role.OPERATOR)
    async with rig.client() as desk:
        me = (await desk.post("/api/v1/login", json={"name": "wang", "password": PASSWORD})).json()
        headers = {"X-CSRF-Token": me["csrf"]}
        order = {"name": "wall", "scopes": ["see-alarms"], "days": 7}
        made = (await desk.post("/api/v1/me/tokens", json=order, headers=headers)).json()
        beyond = await desk.post("/api/v1/me/tokens", json=order | {"scopes": ["edit-users"]}, headers=headers)
        assert (beyond.status_code, beyond.json()["code"]) == (422, "token-refused")
        listed = await desk.get("/api/v1/me/tokens")
        assert made["token"] not in listed.text
        assert made["id"] in [one["id"] for one in listed.json()["tokens"]]
        async with rig.client(made["token"]) as other:
            assert (await other.get("/api/v1/alarms")).status_code == 200
            assert (await other.get("/api/v1/me")).json()["rights"] == ["see-alarms"]
            assert (await other.get("/api/v1/me/tokens")).status_code == 403
            assert (await desk.delete(f"/api/v1/me/tokens/{made['id']}", headers=headers)).status_code == 204
            assert (await other.get("/api/v1/alarms")).status_code == 401


async def test_a_token_that_signs_out_is_revoked(rig: Rig) -> None:
    async with rig.client(rig.add("wang", Role.OPERATOR)) as desk:
        assert (await desk.post("/api/v1/logout")).status_code == 204
        assert (await desk.get("/api/v1/me")).status_code == 401


async def test_users_are_made_edited_and_disabled_by_who_is_above_them(rig: Rig) -> None:
    order = {"name": "li", "role": "operator", "password": PASSWORD, "area": "east"}
    async with rig.client(rig.add("boss", Role.MANAGER, "east")) as desk:
        assert (await desk.post("/api/v1/users", json=order)).status_code == 201
        assert (await desk.post("/api/v1/users", json=order)).json()["code"] == "user-exists"
        assert (await desk.post("/api/v1/users", json=order | {"name": "x", "area": "west"})).status_code == 403
        assert (await desk.post("/api/v1/users", json=order | {"name": "x", "role": "admin"})).status_code == 403
        assert [one["name"] for one in (await desk.get("/api/v1/users")).json()["users"]] == ["boss", "li"]
        edited = await desk.patch("/api/v1/users/li", json={"display": "李", "disabled": True})
        assert (edited.json()["display"], edited.json()["disabled"]) == ("李", True)
        assert (await desk.get("/api/v1/audit")).status_code == 403
    async with rig.client(rig.add("admin", Role.ADMIN)) as desk:
        entries = (await desk.get("/api/v1/audit", params={"by": "boss"})).json()["entries"]
        assert [entry["what"] for entry in entries] == ["user-changed", "user-added"]
        last = await desk.patch("/api/v1/users/admin", json={"disabled": True})
        assert (last.status_code, last.json()["code"]) == (409, "last-admin")
        assert PASSWORD not in (await desk.get("/api/v1/audit")).text


async def test_deliveries_are_for_managers(rig: Rig) -> None:
    async with rig.client(rig.add("li", Role.OPERATOR)) as desk:
        assert (await desk.get("/api/v1/deliveries")).status_code == 403
    async with rig.client(rig.add("boss", Role.MANAGER, "east")) as desk:
        assert (await desk.get("/api/v1/deliveries")).json() == {"deliveries": [], "next_us": None, "next_id": None}
