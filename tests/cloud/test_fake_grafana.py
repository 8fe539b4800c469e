"""The Grafana of the tests refuses what a real one refuses; else what passes with it would prove nothing."""

from typing import Any

import pytest

from cloud.grafana.client import GrafanaClient
from cloud.grafana.errors import GrafanaError, GrafanaMissingError
from tests.cloud.fake_grafana import ADMIN, FakeGrafana

pytestmark = pytest.mark.anyio
RULE = {
    "orgID": 1, "uid": "r", "folderUID": "f", "ruleGroup": "g", "title": "R", "condition": "A", "noDataState": "OK",
    "execErrState": "OK", "for": "60s",
    "data": [{"refId": "A", "datasourceUid": "x", "relativeTimeRange": {"from": 60, "to": 0}, "model": {}}],
}  # fmt: skip
GROUP = "/api/v1/provisioning/folder/f/rule-groups/g"


def group(**changed: Any) -> dict[str, Any]:
    return {"title": "g", "folderUid": "f", "interval": 60, "rules": [{**RULE, **changed}]}


@pytest.mark.parametrize(
    ("method", "path", "body", "words"),
    [
        ("POST", "/api/folders", {"uid": "f", "titel": "F"}, "titel"),
        ("POST", "/api/folders", {"uid": "g", "title": 7}, "not of type 'string'"),
        ("POST", "/api/folders", {"uid": "f", "title": "G"}, "same uid"),
        ("POST", "/api/folders", {"uid": "g", "title": "F"}, "same name"),
        ("PUT", "/api/folders/f", {"title": "G", "version": 9}, "changed by someone else"),
        ("POST", "/api/folders/f/permissions", {"items": [{"role": "Boss", "permission": 1}]}, "is not one of"),
        ("POST", "/api/folders/f/permissions", {"items": [{"role": "Viewer", "userId": 1, "permission": 1}]}, "role"),
        ("POST", "/api/dashboards/db", {"dashboard": [], "folderUid": "f"}, "not of type 'object'"),
        ("POST", "/api/dashboards/db", {"dashboard": {"uid": "d"}}, "title cannot be empty"),
        ("POST", "/api/dashboards/db", {"dashboard": {"uid": "a/b", "title": "D"}}, "illegal characters"),
        ("POST", "/api/dashboards/db", {"dashboard": {"uid": "d", "title": "D"}, "folderUid": "no"}, "not found"),
        ("POST", "/api/dashboards/db", {"dashboard": {"title": "D", "refresh": "1s"}}, "too low"),
        ("POST", "/api/datasources", {"name": "x", "uid": "x", "secureJsonData": {"a": 1}}, "not of type 'string'"),
        ("POST", "/api/annotations", {"time": 1}, "'text' is a required property"),
        ("POST", "/api/annotations", {"text": "t", "time": 1.5}, "not of type 'integer'"),
        ("POST", "/api/teams", {}, "'name' is a required property"),
        ("POST", "/api/ds/query", {"queries": []}, "'from' is a required property"),
        ("POST", "/api/v1/provisioning/contact-points", {"name": "n", "type": "fax", "settings": {}}, "is not one of"),
        ("POST", "/api/v1/provisioning/contact-points", {"name": "n", "type": "webhook", "settings": {}}, "'url'"),
        ("PUT", GROUP, group(noDataState="Fine"), "is not one of"),
        ("PUT", GROUP, group(condition="B"), "condition B"),
        ("PUT", GROUP, group(uid="a/b"), "does not match"),
        ("PUT", GROUP, group(notification_settings={"receiver": "nobody"}), "does not exist"),
        ("PUT", GROUP, {**group(), "interval": 7}, "multiple of 10"),
    ],
)
async def test_a_body_that_grafana_would_refuse_is_refused(method: str, path: str, body: Any, words: str) -> None:
    async with FakeGrafana() as grafana, GrafanaClient(grafana.url, ADMIN) as client:
        await client.request("POST", "/api/folders", {"uid": "f", "title": "F"})
        with pytest.raises(GrafanaError) as caught:
            await client.request(method, path, body)
        assert words in str(caught.value)


async def test_a_path_or_parameter_that_its_document_does_not_have_is_refused() -> None:
    async with FakeGrafana() as grafana, GrafanaClient(grafana.url, ADMIN) as client:
        for method, path in (("GET", "/api/nothing"), ("DELETE", "/api/folders/f"), ("GET", "/folders/f")):
            with pytest.raises(GrafanaMissingError):
                await client.request(method, path)
        with pytest.raises(GrafanaError, match="does not know"):
            await client.request("GET", "/api/search", params={"tags": "langyan"})


async def test_a_group_that_is_in_order_is_taken() -> None:
    async with FakeGrafana() as grafana, GrafanaClient(grafana.url, ADMIN) as client:
        await client.request("POST", "/api/folders", {"uid": "f", "title": "F"})
        await client.request("PUT", GROUP, group())
        assert (await client.request("GET", GROUP))["rules"][0]["provenance"] == "api"
