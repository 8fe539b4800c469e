"""A site file moved to this machine: what it is stays, where it is changes."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_profiles.site import RtuBus, TcpBus
from device_profiles.site_loader import load_site
from device_profiles.toml_file import TomlFile
from simulators.scenario.relocate import relocate, to_toml
from tests.scenarios.rig import SITE

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "school.toml"


def test_a_real_site_runs_on_ports_of_this_machine(tmp_path: Path) -> None:
    data = TomlFile.read(EXAMPLE).data
    path = tmp_path / "site.toml"
    path.write_text(relocate(data, gateway="twin", broker_port=18_83, ports=iter([15_001])), encoding="utf-8")
    moved, real = load_site(path), load_site(EXAMPLE)
    assert moved.file.gateway.id == "twin"
    assert (moved.file.uplink.host, moved.file.uplink.port) == ("127.0.0.1", 1883)
    assert (moved.file.uplink.username, moved.file.uplink.password_env) == (None, None)
    assert moved.file.outbox.path == "outbox.db"
    assert moved.file.outbox.max_bytes == real.file.outbox.max_bytes
    gate, roof, dormitory = moved.file.bus
    assert isinstance(gate, RtuBus)
    assert gate.port == "gate.tty"
    assert isinstance(roof, RtuBus)
    assert roof.baud == 4800
    assert isinstance(dormitory, TcpBus)
    assert (dormitory.host, dormitory.port) == ("127.0.0.1", 15_001)
    assert moved.file.device == real.file.device
    assert moved.devices == real.devices


def test_every_kind_of_bus_is_moved() -> None:
    kinds = ("rtu", "tcp", "rtu_tcp", "serial", "tcp_client", "tcp_server", "udp", "mqtt")
    buses = [{"id": kind, "kind": kind, "host": "h", "port": 9, "password_env": "P"} for kind in kinds]
    data = {"gateway": {"id": "g", "site": "s", "metrics_port": 9100}, "bus": buses}
    moved = tomllib.loads(relocate(data, gateway="g", broker_port=7, ports=iter(range(100, 200))))
    assert [bus["port"] for bus in moved["bus"]] == ["rtu.tty", 100, 101, "serial.tty", 102, 103, 104, 7]
    assert all(
        bus.get("host", "127.0.0.1") == "127.0.0.1" for bus in moved["bus"] if bus["kind"] not in {"rtu", "serial"}
    )
    assert "metrics_port" not in moved["gateway"]
    assert not any("password_env" in bus for bus in moved["bus"])


_KEYS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
_LEAVES = (
    st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8"))
    | st.datetimes()
    | st.dates()
    | st.times()
)
_VALUES = st.recursive(_LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4))


@settings(max_examples=25)
@given(data=st.dictionaries(_KEYS, _VALUES, max_size=5))
def test_toml_written_is_toml_read(data: dict[str, Any]) -> None:
    assert tomllib.loads(to_toml(data)) == data


@pytest.mark.parametrize("text", [SITE.format(gateway="gw"), EXAMPLE.read_text("utf-8")])
def test_a_site_written_is_the_site_read(text: str) -> None:
    data = tomllib.loads(text)
    assert tomllib.loads(to_toml(data)) == data
