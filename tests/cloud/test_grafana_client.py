"""The client of Grafana's HTTP API: what it sends, and which error says who can mend it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from hypothesis import example, given
from hypothesis import strategies as st

from cloud.grafana.client import GrafanaClient, PatientClient, error_for, part, version_of
from cloud.grafana.errors import (
    GrafanaAwayError,
    GrafanaConflictError,
    GrafanaError,
    GrafanaMissingError,
    GrafanaRefusedError,
    GrafanaRightsError,
    GrafanaTokenError,
    NotGrafanaError,
)
from tests.cloud.fake_grafana import ADMIN, VIEWER, FakeGrafana

pytestmark = pytest.mark.anyio
GBK = '{"message": "网关错误"}'.encode("gbk")
DEEP = b"[" * 100_000
PAGE = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>"


@asynccontextmanager
async def answering(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_it_says_who_asks_and_gives_what_the_answer_holds() -> None:
    async with FakeGrafana() as grafana, GrafanaClient(f"{grafana.url}/", ADMIN) as client:
        assert await version_of(client) == "12.1.0"
        assert (await client.request("POST", "/api/folders", {"uid": "f", "title": "烟/火"}))["title"] == "烟/火"
        assert await client.request("GET", "/api/search", params={"tag": ["a", "b"]}) == []
        assert await client.request("POST", "/api/live/push/alarms", b"alarm,site=s open=1i 1") is None
        assert grafana.store.pushed == {"alarms": ["alarm,site=s open=1i 1"]}


async def test_a_path_of_its_own_behind_a_proxy_is_kept() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response({"path": request.rel_url.raw_path, "token": request.headers["Authorization"]})

    async with answering(handler) as url, GrafanaClient(f"{url}/grafana/", "glsa_a\n") as client:
        told = await client.request("GET", f"/api/folders/{part('a/b ?')}")
        assert told == {"path": "/grafana/api/folders/a%2Fb%20%3F", "token": "Bearer glsa_a"}


@pytest.mark.parametrize(
    ("status", "error", "hint"),
    [
        (401, GrafanaTokenError, "service account"),
        (403, GrafanaRightsError, "role Admin"),
        (404, GrafanaMissingError, "URL"),
        (409, GrafanaConflictError, "--force"),
        (412, GrafanaConflictError, "--force"),
        (400, GrafanaRefusedError, "Read what Grafana says"),
        (302, NotGrafanaError, "URL"),
        (429, GrafanaAwayError, "Check that Grafana runs"),
        (500, GrafanaAwayError, "Check that Grafana runs"),
        (503, GrafanaAwayError, "Check that Grafana runs"),
    ],
)
async def test_a_status_becomes_the_error_of_who_can_mend_it(status: int, error: type[GrafanaError], hint: str) -> None:
    async with FakeGrafana() as grafana, GrafanaClient(grafana.url, ADMIN) as client:
        grafana.meddle = lambda _: web.json_response({"message": "no, and this is why\x1b[31m"}, status=status)
        with pytest.raises(error) as caught:
            await client.request("GET", "/api/search")
        assert type(caught.value) is error
        assert hint in caught.value.hint
        assert "/api/search" in str(caught.value)
        if error is not NotGrafanaError:
            assert "no, and this is why [31m" in str(caught.value)
        assert caught.value.said == {"message": "no, and this is why\x1b[31m"}


async def test_a_token_that_grafana_does_not_know_and_one_without_rights() -> None:
    async with FakeGrafana() as grafana:
        async with GrafanaClient(grafana.url, "glsa_wrong") as client:
            with pytest.raises(GrafanaTokenError, match="Invalid API key"):
                await client.request("GET", "/api/search")
        async with GrafanaClient(grafana.url, VIEWER) as client:
            with pytest.raises(GrafanaRightsError, match="permissions"):
                await client.request("POST", "/api/folders", {"title": "x"})


@pytest.mark.parametrize("status", [200, 404, 400])
async def test_a_page_for_people_is_no_grafana(status: int) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html", status=status)

    async with answering(handler) as url, GrafanaClient(url, ADMIN) as client:
        with pytest.raises(NotGrafanaError) as caught:
            await version_of(client)
        assert "signing in" in caught.value.hint


@pytest.mark.parametrize("body", ["{}", "[]", '{"status": "pass"}', "7"])
async def test_another_program_is_no_grafana(body: str) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(text=body, content_type="application/json")

    async with answering(handler) as url, GrafanaClient(url, ADMIN) as client:
        with pytest.raises(NotGrafanaError, match="not what Grafana says"):
            await version_of(client)


async def test_a_page_of_a_proxy_whose_grafana_is_down_is_trouble_that_time_mends() -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html", status=502)

    async with answering(handler) as url, GrafanaClient(url, ADMIN) as client:
        with pytest.raises(GrafanaAwayError, match="502"):
            await version_of(client)


@pytest.mark.parametrize("body", [GBK, DEEP])
async def test_an_answer_in_another_encoding_or_without_an_end_is_no_json(body: bytes) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=body, status=502 if "down" in request.path else 200)

    async with answering(handler) as url, GrafanaClient(url, ADMIN) as client:
        with pytest.raises(GrafanaAwayError, match="502"):
            await client.request("GET", "/api/down")
        with pytest.raises(NotGrafanaError, match="instead of JSON"):
            await client.request("GET", "/api/health")


async def test_an_answer_that_is_too_long_or_too_late_is_given_up() -> None:
    async def handler(request: web.Request) -> web.Response:
        if request.path.endswith("late"):
            await asyncio.Event().wait()
        return web.json_response("x" * 5_000)

    async with answering(handler) as url:
        async with GrafanaClient(url, ADMIN, max_answer_bytes=4_000) as client:
            with pytest.raises(GrafanaRefusedError, match="more than 4000 bytes"):
                await client.request("GET", "/api/long")
        async with GrafanaClient(url, ADMIN, 0.05) as client:
            with pytest.raises(GrafanaAwayError, match="no answer in time"):
                await client.request("GET", "/api/late")


async def test_nobody_there_is_said_so() -> None:
    async with FakeGrafana() as grafana:
        url = grafana.url
    async with GrafanaClient(url, ADMIN) as client:
        with pytest.raises(GrafanaAwayError, match="not reached"):
            await client.request("GET", "/api/health")


@pytest.mark.parametrize(
    "url",
    ["", "grafana:3000", "ftp://x", "http://", "https://admin:secret@x/", "http://x/?a=b", "http://[", "http://x#y"],
)
def test_a_url_that_is_none_or_holds_a_password_is_refused_without_telling_it(url: str) -> None:
    with pytest.raises(NotGrafanaError) as caught:
        GrafanaClient(url, ADMIN)
    assert "secret" not in str(caught.value)


class Wait:
    """Notes how long it should have waited."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


async def test_a_patient_client_waits_as_long_as_it_is_asked_to() -> None:
    wait = Wait()
    async with FakeGrafana() as grafana, PatientClient(grafana.url, ADMIN, wait=wait) as client:
        busy = iter([web.json_response({}, status=429, headers={"Retry-After": "7"}), web.Response(status=503)])
        grafana.meddle = lambda _: next(busy, None)
        assert (await client.request("POST", "/api/teams", {"name": "t"}))["teamId"]
        assert wait.seconds[0] == 7
        assert len(wait.seconds) == 2
        assert len(grafana.asked("POST")) == 3


@pytest.mark.parametrize(
    ("method", "status", "retry_after", "times"),
    [("GET", 500, "", 4), ("POST", 500, "", 1), ("POST", 429, "", 4), ("GET", 429, "600", 1), ("GET", 403, "", 1)],
)
async def test_a_patient_client_does_not_ask_for_ever_nor_do_twice(
    method: str, status: int, retry_after: str, times: int
) -> None:
    wait = Wait()
    async with FakeGrafana() as grafana, PatientClient(grafana.url, ADMIN, wait=wait) as client:
        grafana.meddle = lambda _: web.json_response({}, status=status, headers={"Retry-After": retry_after})
        with pytest.raises(GrafanaError):
            await client.request(method, "/api/teams")
        assert len(grafana.seen) == times
        assert len(wait.seconds) == times - 1


@example(502, GBK, "")
@example(400, DEEP, "")
@given(st.integers(100, 599).filter(lambda one: not 200 <= one < 300), st.binary(max_size=80), st.text(max_size=20))
def test_any_answer_that_is_no_success_is_an_error_with_a_hint(status: int, body: bytes, retry_after: str) -> None:
    error = error_for(status, body, {"Retry-After": retry_after}, asked="GET /x")
    assert error.hint
    assert str(error).isprintable()
    assert (status >= 500 or status == 429) == isinstance(error, GrafanaAwayError)


@given(st.text(max_size=30))
def test_a_part_of_a_path_neither_parts_nor_ends_it(text: str) -> None:
    text = text.encode(errors="replace").decode()
    assert set(part(text)).isdisjoint("/?# \n\"'<>")


def test_words_of_grafana_are_cut() -> None:
    error = error_for(400, json.dumps({"message": "a\nb " * 1_000}).encode(), {}, asked="GET /x")
    assert "a b a b" in str(error)
    assert len(str(error)) < 400
