"""The acknowledge link: looked at, pressed, too late, changed, in both languages."""

from functools import partial

import pytest
from sqlalchemy import Connection

from cloud.api.queries import history_of
from cloud.database import Database
from cloud.desk.changes import Actor
from cloud.desk.core import Alarm, ClosingCode
from cloud.desk.operations import acknowledge, close
from cloud.people.roles import Role
from tests.cloud.api_rig import NOW_US, Rig, insecure

pytestmark = pytest.mark.anyio


@pytest.fixture
def rig(desk_database: Database) -> Rig:
    return Rig(desk_database, insecure(public_url="http://desk/"))


async def link_of(rig: Rig, alarm: Alarm, **body: object) -> str:
    async with rig.client(rig.add("wang", Role.OPERATOR, "east")) as desk:
        order = {"alarm_ids": [alarm.alarm_id]} | body
        made = await desk.post("/api/v1/links", json=order)
    assert made.status_code == 201, made.text
    (link,) = made.json()["links"]
    assert link["url"].startswith("http://desk/a/")
    return str(link["url"])


def acknowledged_by(rig: Rig, alarm: Alarm) -> list[tuple[str, str]]:
    def read(connection: Connection) -> list[tuple[str, str]]:
        rows = connection.execute(history_of(alarm.alarm_id)).mappings()
        return [(row["by"], row["origin"]) for row in rows if row["what"] == "acknowledged"]

    return rig.database.read(read)


async def test_looking_changes_nothing_and_the_button_acknowledges(rig: Rig) -> None:
    (alarm,) = rig.raise_alarms()
    url = await link_of(rig, alarm)
    async with rig.client(headers={"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"}) as phone:
        page = await phone.get(url)
        assert page.status_code == 200
        assert 'lang="zh"' in page.text
        assert "紧急按钮" in page.text
        assert '<form method="post">' in page.text
        assert "school-east" in page.text
        assert acknowledged_by(rig, alarm) == []
        done = await phone.post(url)
    assert "<form" not in done.text
    assert acknowledged_by(rig, alarm) == [("wang", "link 203.0.113.7")]
    assert (page.headers["cache-control"], page.headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert "script" not in page.headers["content-security-policy"]


async def test_who_comes_second_reads_who_was_first_and_when(rig: Rig) -> None:
    (alarm,) = rig.raise_alarms()
    url = await link_of(rig, alarm)
    rig.database.run(
        lambda connection: acknowledge(connection, alarm.alarm_id, actor=Actor("li", "desk"), now_us=NOW_US)
    )
    async with rig.client() as phone:
        for page in (await phone.get(url), await phone.post(url)):
            assert "li · 2026-09-21 22:13:20 CST" in page.text
            assert "Somebody was first" in page.text
            assert "<form" not in page.text
    assert acknowledged_by(rig, alarm) == [("li", "desk")]


async def test_a_closed_alarm_says_so(rig: Rig) -> None:
    (alarm,) = rig.raise_alarms()
    url = await link_of(rig, alarm)
    how = partial(close, actor=Actor("li", "desk"), now_us=NOW_US, code=ClosingCode.ACCIDENTAL, comment="nothing")
    rig.database.run(lambda connection: how(connection, alarm.alarm_id))
    async with rig.client() as phone:
        assert "closed already" in (await phone.post(url)).text


async def test_an_expired_a_changed_and_a_powerless_link_do_nothing(rig: Rig) -> None:
    (alarm,) = rig.raise_alarms()
    url = await link_of(rig, alarm, lasts_s=60)
    async with rig.client() as phone:
        assert (await phone.post(url[:-2] + "xx")).status_code == 404
        assert (await phone.get("http://desk/a/" + "x" * 3_000)).status_code == 404
        async with rig.client(rig.add("admin", Role.ADMIN)) as desk:
            await desk.patch("/api/v1/users/wang", json={"role": "viewer"})
            assert (await phone.post(url)).status_code == 404
            await desk.patch("/api/v1/users/wang", json={"role": "operator", "area": "west"})
            assert (await phone.post(url)).status_code == 404
            await desk.patch("/api/v1/users/wang", json={"area": "east"})
        rig.now_us += 61_000_000
        late = await phone.post(url)
    assert (late.status_code, "expired" in late.text) == (410, True)
    assert acknowledged_by(rig, alarm) == []


async def test_what_an_alarm_says_is_text_and_no_markup(rig: Rig) -> None:
    (alarm,) = rig.raise_alarms(text={"en": "<script>alert(1)</script>"})
    async with rig.client() as phone:
        page = await phone.get(await link_of(rig, alarm))
    assert "<script>" not in page.text
    assert "&lt;script&gt;" in page.text
