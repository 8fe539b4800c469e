"""Alerts of Grafana at the desk: read, raised once, cleared, refused."""

import string
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, select

from cloud.api import grafana_alerts
from cloud.api.grafana_alerts import alert_secret
from cloud.database import Database
from cloud.database.tables import change, occurrence
from cloud.desk.changes import Actor
from cloud.desk.core import ClosingCode
from cloud.desk.operations import acknowledge, close
from cloud.errors import SettingsError
from cloud.grafana.alerts import ALERTS_PATH, Alert, events_of, read_time_us
from cloud.grafana.settings import Grafana
from cloud.settings import Settings
from contract.alarms import Mode, Severity, Transition
from contract.ids import is_id
from tests.cloud.api_rig import NOW_US, Rig

pytestmark = pytest.mark.anyio
SECRET = "a secret of twenty chars"
WANG = Actor("wang", "test")
BEGUN_US = NOW_US - 120_000_000


@pytest.fixture
def rig(desk_database: Database, monkeypatch: pytest.MonkeyPatch) -> Rig:
    monkeypatch.setenv("ALERT_SECRET", SECRET)
    return Rig(desk_database, Settings(grafana=Grafana(alert_secret_env="ALERT_SECRET")))


def written(time_us: int, zone: timezone = UTC) -> str:
    return datetime.fromtimestamp(time_us // 1_000_000, zone).isoformat()


def alert(
    status: str = "firing", *, starts_us: int = BEGUN_US, ends_us: int | None = None, **more: Any
) -> dict[str, Any]:
    """One alert with all that Grafana 12 says of it."""
    labels = {"alertname": "Site silent", "grafana_folder": "Langyan", "severity": "high", "site": "school-east"}
    return {
        "status": status,
        "labels": labels,
        "annotations": {"summary": "School east is silent", "summary_zh": "东校区失去联系"},
        "startsAt": written(starts_us),
        "endsAt": "0001-01-01T00:00:00Z" if ends_us is None else written(ends_us),
        "generatorURL": "http://grafana/alerting/grafana/x/view",
        "fingerprint": "f0e1d2c3b4a59687",
        "silenceURL": "http://grafana/alerting/silence/new",
        "dashboardURL": "",
        "panelURL": "",
        "values": {"A": 0},
        "valueString": "[ var='A' value=0 ]",
        "orgId": 1,
    } | more


async def post(rig: Rig, *alerts: dict[str, Any], secret: str = SECRET) -> httpx.Response:
    body = {
        "receiver": "langyan",
        "status": "firing",
        "alerts": list(alerts),
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://grafana/",
        "version": "1",
        "groupKey": "{}",
        "truncatedAlerts": 0,
        "orgId": 1,
        "title": "[FIRING:1]",
        "state": "alerting",
        "message": "",
    }
    async with rig.client() as grafana:
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        return await grafana.post(ALERTS_PATH, json=body, headers=headers)


def alarms(rig: Rig) -> list[dict[str, Any]]:
    def read(connection: Connection) -> list[dict[str, Any]]:
        rows = connection.execute(select(occurrence).order_by(occurrence.c.raised_at_us, occurrence.c.alarm_id))
        return [dict(row) for row in rows.mappings()]

    return rig.database.read(read)


async def test_a_firing_alert_is_an_alarm_at_its_place(rig: Rig) -> None:
    answer = await post(rig, alert())
    assert (answer.status_code, answer.json()) == (200, {"alerts": 1, "events": 1})
    (alarm,) = alarms(rig)
    assert alarm["source"] == "cloud/grafana.site-silent.f0e1d2c3b4a59687/alert/firing"
    assert (alarm["severity"], alarm["kind"], alarm["raised_at_us"]) == ("high", "grafana-alert", BEGUN_US)
    assert alarm["text"] == {"en": "School east is silent", "zh": "东校区失去联系"}
    assert (alarm["site"], alarm["area"], alarm["area_path"]) == ("school-east", "east", "city/east/")
    done = rig.database.read(lambda connection: connection.execute(select(change.c.by, change.c.origin)).all())
    assert {tuple(row) for row in done} == {("desk", "grafana 203.0.113.7")}


async def test_what_is_said_again_is_one_and_keeps_its_acknowledgement(rig: Rig) -> None:
    await post(rig, alert(), alert())
    (alarm,) = alarms(rig)
    rig.database.run(lambda connection: acknowledge(connection, alarm["alarm_id"], actor=WANG, now_us=NOW_US))
    # Said again; and with another beginning, as after Grafana was started anew.
    for again in (alert(), alert(starts_us=BEGUN_US + 30_000_000)):
        assert (await post(rig, again)).json()["events"] == 0
    (alarm,) = alarms(rig)
    assert (alarm["triggers"], alarm["acknowledged_by"], alarm["cleared_at_us"]) == (1, "wang", None)


async def test_resolved_clears_what_stands_whatever_its_beginning(rig: Rig) -> None:
    await post(rig, alert())
    over = alert("resolved", starts_us=BEGUN_US + 5_000_000, ends_us=NOW_US - 10_000_000)
    assert (await post(rig, over)).json()["events"] == 1
    assert [one["cleared_at_us"] for one in alarms(rig)] == [NOW_US - 10_000_000]
    assert (await post(rig, over)).json()["events"] == 1, "of another beginning: a clear that waits for its raise"
    assert (await post(rig, over)).json()["events"] == 0
    again = alert(starts_us=NOW_US - 1_000_000)
    assert (await post(rig, again)).json()["events"] == 1
    assert alarms(rig)[0]["cleared_at_us"] is None, "it is back, and nobody has closed it yet"


async def test_a_firing_that_comes_after_its_end_is_over_at_once(rig: Rig) -> None:
    await post(rig, alert("resolved", ends_us=NOW_US - 1_000_000))
    assert alarms(rig) == []
    await post(rig, alert())
    assert [one["cleared_at_us"] for one in alarms(rig)] == [NOW_US - 1_000_000]


async def test_what_a_person_has_closed_is_not_said_again_while_it_lasts(rig: Rig) -> None:
    await post(rig, alert())
    (alarm,) = alarms(rig)

    def end(connection: Connection) -> None:
        close(connection, alarm["alarm_id"], code=ClosingCode.GENUINE, comment="seen", actor=WANG, now_us=NOW_US)

    rig.database.run(end)
    assert (await post(rig, alert(starts_us=BEGUN_US + 1_000_000))).json()["events"] == 0
    await post(rig, alert("resolved", ends_us=NOW_US))
    assert [(one["closed_by"], one["cleared_at_us"]) for one in alarms(rig)] == [("wang", NOW_US)]
    await post(rig, alert(starts_us=NOW_US))
    assert [one["closed_at_us"] for one in alarms(rig)] == [NOW_US, None]


async def test_a_lost_end_does_not_swallow_what_begins_after_a_person_has_closed(rig: Rig) -> None:
    await post(rig, alert())
    (alarm,) = alarms(rig)

    def end(connection: Connection) -> None:
        close(connection, alarm["alarm_id"], code=ClosingCode.GENUINE, comment="seen", actor=WANG, now_us=NOW_US)

    rig.database.run(end)
    # No `resolved` comes: silenced in Grafana, or its state was lost.
    rig.now_us = NOW_US + 3_600_000_000
    later_us = rig.now_us - 60_000_000
    assert (await post(rig, alert(startsAt=""))).json()["events"] == 0, "of no beginning: it may be the same"
    assert (await post(rig, alert(starts_us=later_us))).json()["events"] == 1
    assert [one["raised_at_us"] for one in alarms(rig) if one["closed_at_us"] is None] == [later_us]
    assert (await post(rig, alert(starts_us=later_us), alert())).json()["events"] == 0
    await post(rig, alert("resolved", starts_us=later_us, ends_us=rig.now_us))
    assert [one["cleared_at_us"] for one in alarms(rig)] == [rig.now_us] * 2


async def test_the_place_is_that_of_the_first_label_that_is_known(rig: Rig) -> None:
    def labelled(number: int, **labels: str) -> dict[str, Any]:
        return alert(fingerprint=f"{number}", labels={"alertname": "Lag"} | labels)

    await post(
        rig,
        labelled(1, site="nowhere", gateway="gate-west"),
        labelled(2, area="east", gateway="nobody"),
        labelled(3, site="'; DROP TABLE site; --", area="\0"),
        labelled(4),
    )
    found = {one["device"].removeprefix("grafana.lag."): (one["site"], one["area_path"]) for one in alarms(rig)}
    assert found == {"1": ("school-west", "city/west/"), "2": (None, "city/east/"), "3": (None, ""), "4": (None, "")}


async def test_the_button_that_tries_a_contact_point_makes_no_live_alarm(rig: Rig) -> None:
    tried = alert(labels={"alertname": "TestAlert", "instance": "Grafana"}, starts_us=NOW_US)
    assert (await post(rig, tried)).status_code == 200
    (alarm,) = alarms(rig)
    assert (alarm["mode"], alarm["cleared_at_us"], alarm["target_s"]) == ("test", NOW_US, None)


async def test_who_does_not_know_the_secret_is_refused(rig: Rig) -> None:
    async with rig.client() as stranger:
        for secret in ("", "another secret of 20", SECRET + "x", "秘密"):
            headers = [(b"Authorization", f"Bearer {secret}".encode())] if secret else []
            answer = await stranger.post(ALERTS_PATH, json={"alerts": [alert()]}, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "not-signed-in")
    assert alarms(rig) == []


async def test_without_a_secret_nothing_is_taken(desk_database: Database) -> None:
    answer = await post(Rig(desk_database), alert())
    assert (answer.status_code, answer.json()["code"]) == (403, "alerts-not-taken")
    assert "alert_secret_env" in answer.json()["hint"]


@pytest.mark.parametrize("value", [None, "", "short"])
def test_a_secret_that_is_missing_or_short_is_said_at_the_start(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("ALERT_SECRET", raising=False)
    if value is not None:
        monkeypatch.setenv("ALERT_SECRET", value)
    with pytest.raises(SettingsError, match="ALERT_SECRET"):
        alert_secret(Grafana(alert_secret_env="ALERT_SECRET"))
    assert alert_secret(Grafana()) is None


async def test_too_much_is_not_raised_but_what_is_over_is_cleared(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    many = [alert(fingerprint=f"{number:016x}") for number in range(grafana_alerts.MOST_ALERTS + 1)]
    assert (await post(rig, *many)).status_code in (413, 422)
    monkeypatch.setattr(grafana_alerts, "MOST_OPEN", 2)
    assert (await post(rig, *many[:2])).status_code == 200
    refused = await post(rig, many[0], many[3])
    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (
        429,
        "too-many-alerts",
        "60",
    )
    assert (await post(rig, many[0])).status_code == 200, "what stands may be said again"
    assert len(alarms(rig)) == 2
    over = alert("resolved", fingerprint=many[1]["fingerprint"], ends_us=NOW_US)
    assert (await post(rig, many[3], over)).status_code == 429
    assert {one["device"][-1]: one["cleared_at_us"] for one in alarms(rig)} == {"0": None, "1": NOW_US}


async def test_what_is_no_notification_is_refused(rig: Rig) -> None:
    headers = {"Authorization": f"Bearer {SECRET}", "Content-Type": "application/json"}
    async with rig.client() as grafana:
        for body in (b"<html>", b"[]", b'{"alerts": {}}', b'{"alerts": [{"status": "firing"}]}', b"\xff"):
            answer = await grafana.post(ALERTS_PATH, content=body, headers=headers)
            assert answer.status_code in (400, 422), answer.text
    assert alarms(rig) == []


@pytest.mark.parametrize(
    ("label", "severity"),
    [
        ("critical", "critical"),
        ("HIGH ", "high"),
        ("warning", "medium"),
        ("info", "low"),
        ("", "medium"),
        ("很高", "medium"),
    ],
)
def test_a_severity_is_read_from_its_label(label: str, severity: str) -> None:
    assert Alert(is_firing=True, labels={"severity": label}, annotations={}).severity is Severity(severity)


def test_a_text_stands_in_one_line_and_is_never_empty() -> None:
    told = Alert(is_firing=True, labels={"alertname": "滞后"}, annotations={"summary": "a\r\n b\0\u202e<c>"})
    assert told.text == {"en": "a b<c>", "zh": "a b<c>"}
    assert Alert(is_firing=True, labels={}, annotations={"summary": "\n"}).text["en"] == "grafana-alert"
    about = Alert(is_firing=True, labels={"alertname": "DatasourceError", "rulename": "Lag"}, annotations={})
    assert about.text["en"] == "DatasourceError: Lag"


@pytest.mark.parametrize(
    "text", ["", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59+00:00", "2026-01-01T00:00:00", "now"]
)
def test_what_is_no_time_is_none(text: str) -> None:
    assert read_time_us(text) is None


def test_a_time_of_any_zone_and_length_is_read() -> None:
    assert read_time_us("2026-11-23T08:00:00.123456789+08:00") == read_time_us("2026-11-23T00:00:00.123456Z")
    zone = timezone(timedelta(hours=-3))
    assert read_time_us(written(BEGUN_US, zone)) == BEGUN_US


_told = st.builds(
    Alert,
    is_firing=st.booleans(),
    labels=st.dictionaries(st.sampled_from(["alertname", "severity", "kind", "site"]), st.text(max_size=80)),
    annotations=st.dictionaries(st.sampled_from(["summary", "summary_zh"]), st.text(max_size=80)),
    starts_at_us=st.none() | st.integers(NOW_US - 10**12, NOW_US + 10**12),
    ends_at_us=st.none() | st.integers(NOW_US - 10**12, NOW_US + 10**12),
    fingerprint=st.text(string.hexdigits, max_size=20) | st.text(max_size=10),
)


_past = st.integers(NOW_US - 10**12, NOW_US)


@given(_told, st.dictionaries(_past, st.none() | _past, max_size=3))
def test_whatever_is_told_the_events_are_ones_of_the_contract(told: Alert, standing: dict[int, int | None]) -> None:
    events = events_of(told, standing, now_us=NOW_US)
    for event in events:
        assert all(map(is_id, (event.gateway, event.device, event.point, event.rule, event.kind)))
        assert event.source == told.source
        assert event.raised_at_us <= event.at_us <= NOW_US
        assert event.mode is Mode.LIVE
        assert all(text and text.isprintable() for text in event.text.values())
    if told.is_firing:
        began_us = told.starts_at_us
        is_new = began_us is not None and all(
            closed_us is not None and closed_us < min(began_us, NOW_US) for closed_us in standing.values()
        )
        assert bool(events) is (is_new or not standing)
    elif standing:
        assert {one.raised_at_us for one in events} == standing.keys()
        assert {one.transition for one in events} == {Transition.CLEARED}
