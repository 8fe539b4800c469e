"""A site file as it runs in a scenario: the same devices, on ports of this machine. Pure."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from typing import Any

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
# Buses that open or answer a TCP or UDP port of their own.
_WITH_PORT = ("tcp", "rtu_tcp", "tcp_client", "tcp_server", "udp")
_LOOPBACK = "127.0.0.1"
# Who the gateway is to a real broker, and who watches it there: none of that is here.
_ELSEWHERE = ("username", "password_env")


def relocate(data: Mapping[str, Any], *, gateway: str, broker_port: int, ports: Iterator[int]) -> str:
    """Write a site file anew for a run on this machine.

    Serial ports become links beside the file, every host the loopback with a free port, the broker the scenario's,
    and the outbox lies beside the file. All that says what the devices are and what they mean stays.

    Args:
        data: a parsed site file that was checked.
        gateway: id to run under.
        broker_port: of the scenario's broker, on the loopback.
        ports: free ports.
    """
    site = dict(data)
    # Prometheus' port is one of another machine, too.
    site["gateway"] = {key: value for key, value in data["gateway"].items() if key != "metrics_port"} | {"id": gateway}
    uplink = {key: value for key, value in data.get("uplink", {}).items() if key not in _ELSEWHERE}
    site["uplink"] = uplink | {"host": _LOOPBACK, "port": broker_port}
    site["outbox"] = dict(data.get("outbox", {})) | {"path": "outbox.db"}
    site["bus"] = [_moved(bus, broker_port, ports) for bus in data["bus"]]
    return to_toml(site)


def _moved(bus: Mapping[str, Any], broker_port: int, ports: Iterator[int]) -> dict[str, Any]:
    kept = {key: value for key, value in bus.items() if key not in _ELSEWHERE}
    if bus["kind"] == "mqtt":
        return kept | {"host": _LOOPBACK, "port": broker_port}
    if bus["kind"] in _WITH_PORT:
        return kept | {"host": _LOOPBACK, "port": next(ports)}
    return kept | {"port": f"{bus['id']}.tty"}


def to_toml(data: Mapping[str, Any]) -> str:
    """Write parsed TOML as TOML again: a heading for each table and list of tables, all below it in one line."""
    plain, tables = [], []
    for key, value in data.items():
        if isinstance(value, Mapping):
            tables.append(f"[{_key(key)}]\n{_lines(value)}")
        elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
            tables.extend(f"[[{_key(key)}]]\n{_lines(item)}" for item in value)
        else:
            plain.append(f"{_key(key)} = {_value(value)}\n")
    return "\n".join(["".join(plain), *tables]).lstrip("\n")


def _lines(table: Mapping[str, Any]) -> str:
    return "".join(f"{_key(key)} = {_value(value)}\n" for key, value in table.items())


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _text(key)


def _value(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return _text(value)
        case datetime() | date() | time():
            return value.isoformat()
        case Mapping():
            return "{ " + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items()) + " }"
        case list():
            return "[" + ", ".join(map(_value, value)) + "]"
        case _:
            # A number; Python writes inf, nan and 1e-05 as TOML does.
            return str(value)


def _text(text: str) -> str:
    # JSON's strings are TOML's basic strings, but for DEL, which TOML wants escaped (TOML 1.0, String).
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
