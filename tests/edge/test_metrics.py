import re

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from edge import metrics
from edge.metrics import render, serve_metrics
from tests.edge.status_rig import School

# Source: prometheus.io, Exposition formats, text-based format 0.0.4; and Data model, names and labels.
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\\\|\\"|\\n)*"'
NUMBER = r"[+-]?(?:\d+(?:\.\d*)?(?:e[+-]?\d+)?|Inf|NaN)"
SAMPLE = re.compile(rf"({NAME})(?:{{({LABEL}(?:,{LABEL})*)}})? ({NUMBER})")


def school() -> School:
    built = School()
    built.breakers["gate"] = {21: "open"}
    built.health.machine.cpu_celsius = 51.5
    built.health.uplink.is_up = True
    built.run(20, mute=("canteen-smoke",))
    return built


def parse(text: str) -> dict[str, dict[str, float]]:
    """Read the text strictly by the format's grammar: name -> labels -> value."""
    assert text.endswith("\n")
    found: dict[str, dict[str, float]] = {}
    kinds: dict[str, str] = {}
    current = ""
    for line in text.splitlines():
        if match := re.fullmatch(rf"# HELP ({NAME}) [^\n]+", line):
            current = match[1]
            assert current not in found, "one group of lines a metric"
            found[current] = {}
        elif match := re.fullmatch(rf"# TYPE ({NAME}) (counter|gauge)", line):
            assert match[1] == current
            kinds[current] = match[2]
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            assert match[1] == current
            labels = match[2] or ""
            names = re.findall(r'([a-zA-Z0-9_]+)="(?:[^"\\]|\\.)*"', labels)
            assert len(names) == len(set(names))
            assert labels not in found[current], "each sample once"
            found[current][labels] = float(match[3])
    assert kinds.keys() == found.keys()
    assert all((kind == "counter") == name.endswith("_total") for name, kind in kinds.items())
    assert all(name.startswith("langyan_") for name in found)
    return found


def test_it_is_the_format_and_says_the_counters() -> None:
    built = school()
    found = parse(render(built.board.snapshot(built.now)))
    assert found["langyan_bus_timeouts_total"]['bus="gate"'] == 20
    assert found["langyan_bus_is_up"]['bus="roof"'] == 1
    assert found["langyan_bus_line_crc_errors_total"]['bus="gate"'] == 0
    assert found["langyan_machine_cpu_celsius"][""] == 51.5
    assert found["langyan_uplink_is_up"][""] == 1
    assert found["langyan_clock_source"]['source="estimated"'] == 1
    smoke = 'bus="gate",device="canteen-smoke",unit="21"'
    assert found["langyan_device_breaker_open"][smoke] == 1
    assert found["langyan_device_standing"][f'{smoke},standing="unknown"'] == 1
    assert found["langyan_device_standing"][f'{smoke},standing="online"'] == 0
    assert smoke not in found["langyan_device_age_seconds"]
    assert "langyan_machine_is_undervolted" not in found


@pytest.mark.parametrize("site", ['quoted "school"', "back\\slash", "two\nlines", "第十七小学"])
def test_any_name_of_a_site_is_written_so_that_it_can_be_read(site: str) -> None:
    assert SAMPLE.fullmatch(f'langyan_up{{site="{metrics._escape(site)}"}} 1.0')


async def exchange(port: int, request: bytes) -> tuple[bytes, bytes]:
    """Send a request; return head and body once the server has hung up."""
    async with await anyio.connect_tcp(metrics.HOST, port) as stream:
        await stream.send(request)
        answer = BufferedByteReceiveStream(stream)
        head = await answer.receive_until(b"\r\n\r\n", 10_000)
        body = b"".join([part async for part in answer])
    assert f"Content-Length: {len(body)}\r\n".encode() in head
    return head, body


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", b"200 OK"),
        (b"GET /metrics?a=b HTTP/1.0\r\n\r\n", b"200 OK"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"405 Method"),
        (b"GET / HTTP/1.1\r\n\r\n", b"404 Not"),
        (b"GET /metricsfoo HTTP/1.1\r\n\r\n", b"404 Not"),
        (b"\r\n\r\n", b"404 Not"),
        (b"\xff\x00 rubbish\r\n\r\n", b"404 Not"),
        (b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 8192, b"431 Request"),
    ],
)
def test_requests(request_bytes: bytes, status: bytes) -> None:
    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            port = await tasks.start(lambda *, task_status: serve_metrics(0, lambda: "好 1\n", task_status=task_status))
            head, body = await exchange(port, request_bytes)
            assert head.startswith(b"HTTP/1.1 " + status)
            assert (body == "好 1\n".encode()) is (status == b"200 OK")
            tasks.cancel_scope.cancel()

    anyio.run(main)


def test_a_client_that_says_nothing_is_hung_up_on_and_others_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            port = await tasks.start(lambda *, task_status: serve_metrics(0, lambda: "x 1\n", task_status=task_status))
            monkeypatch.setattr(metrics, "REQUEST_LIMIT_S", 0.05)
            async with await anyio.connect_tcp(metrics.HOST, port) as silent:
                with pytest.raises(anyio.EndOfStream):
                    await silent.receive()
            monkeypatch.setattr(metrics, "REQUEST_LIMIT_S", 30.0)
            many = [await anyio.connect_tcp(metrics.HOST, port) for _ in range(metrics.MAX_CLIENTS)]
            for stream in many:
                await stream.send(b"GET ")
            # Each of the four holds a place until it has said all.
            async with await anyio.connect_tcp(metrics.HOST, port) as fifth:
                with pytest.raises(anyio.EndOfStream):
                    await fifth.receive()
            for stream in many:
                await stream.aclose()
            tasks.cancel_scope.cancel()

    anyio.run(main)


def test_a_port_that_is_taken_is_an_error() -> None:
    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            port = await tasks.start(lambda *, task_status: serve_metrics(0, lambda: "", task_status=task_status))
            with pytest.raises(OSError, match="in use"):
                await serve_metrics(port, lambda: "")
            tasks.cancel_scope.cancel()

    anyio.run(main)
