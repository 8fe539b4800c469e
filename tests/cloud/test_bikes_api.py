"""The API of bike watch: what each role may, what lies outside one's area, and that looks are noted."""

from typing import Any

import httpx
import pytest
from sqlalchemy import insert

from cloud.bikes.taking import Counts, take
from cloud.database import Database
from cloud.database.bike_tables import bike, bike_owner
from cloud.people.audit import list_audit
from cloud.people.roles import Role
from tests.cloud.api_rig import NOW_US, Rig
from tests.cloud.bike_rig import SECOND, observation

pytestmark = pytest.mark.anyio


@pytest.fixture
def rig(desk_database: Database) -> Rig:
    made = Rig(desk_database)
    rows = [
        {"id": f"b-{half}-{number}", "area": half, "tag": f"T-{half}-{number}".upper(), "plate": "", "note": ""}
        for half in ("east", "west")
        for number in range(3)
    ]  # fmt: skip
    words = [
        ("gate-east", "present", 0), ("gate-west", "present", 100), ("gate-east", "present", 200),
        ("gate-west", "present", 300),
    ]  # fmt: skip
    heard = [
        observation(gateway, word, "T-EAST-0", NOW_US + (seconds - 1_000) * SECOND, NOW_US)
        for gateway, word, seconds in words
    ]

    def work(connection: Any) -> None:
        connection.execute(insert(bike), rows)
        connection.execute(insert(bike_owner).values(bike="b-east-0", name="王芳", phone="139", address=""))
        take(connection, heard, settings=made.settings, counts=Counts(), now_us=NOW_US)

    made.database.run(work)
    return made


async def ask(client: httpx.AsyncClient, path: str, **params: Any) -> Any:
    answer = await client.get(f"/api/v1{path}", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_lists_in_pages_and_one(rig: Rig) -> None:
    async with rig.client(rig.add("li", Role.VIEWER)) as client:
        first = await ask(client, "/bikes", limit=4)
        rest = await ask(client, "/bikes", limit=4, after=first["next"])
        assert [one["id"] for one in [*first["bikes"], *rest["bikes"]]] == sorted(
            f"b-{half}-{number}" for half in ("east", "west") for number in range(3)
        )
        assert rest["next"] is None
        assert [one["id"] for one in (await ask(client, "/bikes", tag="t-west-1"))["bikes"]] == ["b-west-1"]
        assert len((await ask(client, "/bikes", area="east"))["bikes"]) == 3
        one = await ask(client, "/bikes/b-east-0")
        assert (one["station_name"], one["armed_how"], one["told"]) == ("School west", None, [])
        stations = (await ask(client, "/bike-stations"))["stations"]
        assert [(one["gateway"], one["present"], one["moves"]) for one in stations] == [
            ("gate-east", 0, 2),
            ("gate-west", 1, 2),
        ]
        for path in ("/bikes/b-east-0/owner", "/bikes/b-east-0/trail", "/bike-cases/1"):
            assert (await client.get(f"/api/v1{path}")).status_code == 403
        for path in ("arm", "stolen", "recovered", "battery"):
            assert (await client.post(f"/api/v1/bikes/b-east-0/{path}", json={})).status_code == 403


async def test_what_lies_outside_ones_area_is_not_there(rig: Rig) -> None:
    async with rig.client(rig.add("wang", Role.MANAGER, "west")) as client:
        assert {one["area"] for one in (await ask(client, "/bikes"))["bikes"]} == {"west"}
        assert [one["gateway"] for one in (await ask(client, "/bike-stations"))["stations"]] == ["gate-west"]
        for path in ("", "/owner", "/trail"):
            assert (await client.get(f"/api/v1/bikes/b-east-0{path}")).status_code == 404
        for path in ("arm", "disarm", "stolen", "recovered", "battery"):
            assert (await client.post(f"/api/v1/bikes/b-east-0/{path}", json={})).status_code == 404
        assert (await client.delete("/api/v1/bikes/b-east-0/owner")).status_code == 404
        assert (await client.get("/api/v1/bikes", params={"area": "east"})).status_code == 404
    assert {entry.what for entry in rig.database.read(list_audit)} & {"bike-owner-seen", "bike-trail-seen"} == set()


async def test_every_look_at_an_owner_or_a_trail_is_noted(rig: Rig) -> None:
    async with rig.client(rig.add("wang", Role.MANAGER)) as client:
        assert (await ask(client, "/bikes/b-east-0/owner"))["name"] == "王芳"
        assert (await client.get("/api/v1/bikes/b-east-1/owner")).status_code == 404
        await ask(client, "/bikes/b-east-0/trail")
        noted = [(entry.by, entry.what, entry.object) for entry in rig.database.read(list_audit)][:3]
        assert noted == [
            ("wang", "bike-trail-seen", "b-east-0"),
            ("wang", "bike-owner-seen", "b-east-1"),
            ("wang", "bike-owner-seen", "b-east-0"),
        ]
        assert (await client.delete("/api/v1/bikes/b-east-0/owner")).json()["changed"]
        assert (await client.get("/api/v1/bikes/b-east-0/owner")).status_code == 404


async def test_a_trail_in_pages_and_of_a_span(rig: Rig) -> None:
    async with rig.client(rig.add("wang", Role.OPERATOR)) as client:
        found: list[Any] = []
        after_us = 0
        while True:
            page = await ask(client, "/bikes/b-east-0/trail", limit=1, after_us=after_us)
            found += page["stays"]
            after_us = page["next_us"]
            if after_us is None:
                break
        assert [one["station_name"] for one in found] == ["School east", "School west"] * 2
        assert [one["until_us"] is None for one in found] == [False, False, False, True]
        # A span that begins in the middle of a stay has it.
        from_us, until_us = NOW_US - 850 * SECOND, NOW_US - 801 * SECOND
        page = await ask(client, "/bikes/b-east-0/trail", from_us=from_us, until_us=until_us)
        assert [one["from_us"] for one in page["stays"]] == [NOW_US - 900 * SECOND]
        assert (await ask(client, "/bikes/b-east-1/trail"))["stays"] == []


async def test_stolen_to_recovered(rig: Rig) -> None:
    async with rig.client(rig.add("wang", Role.DISPATCHER)) as client:
        assert (await client.post("/api/v1/bikes/b-east-0/arm")).json()["changed"]
        assert not (await client.post("/api/v1/bikes/b-east-0/arm")).json()["changed"]
        assert (await ask(client, "/bikes/b-east-0"))["told"][0]["state"] == "waiting"
        case = (await client.post("/api/v1/bikes/b-east-0/stolen", json={"note": "红色"})).json()["case"]
        again = await client.post("/api/v1/bikes/b-east-0/stolen", json={})
        assert (again.status_code, again.json()["code"]) == (409, "state-refuses")
        assert [one["id"] for one in (await ask(client, "/bikes", only="stolen"))["bikes"]] == ["b-east-0"]
        (listed,) = (await ask(client, "/bike-cases"))["cases"]
        assert (listed["id"], listed["kind"]) == (case, "stolen")
        steps = (await ask(client, f"/bike-cases/{case}"))["steps"]
        assert [one["what"] for one in steps] == ["seen"] * 4 + ["marked"]
        assert (await client.post("/api/v1/bikes/b-east-0/recovered")).json()["case"] == case
        assert (await ask(client, "/bike-cases"))["cases"] == []
        assert (await ask(client, "/bike-cases", state="all"))["cases"][0]["outcome"] == "recovered"
        assert (await client.post("/api/v1/bikes/b-east-0/recovered")).status_code == 409
    with_west = rig.add("li", Role.DISPATCHER, "west")
    async with rig.client(with_west) as client:
        assert (await client.get(f"/api/v1/bike-cases/{case}")).status_code == 404
