"""What the buses of a site file and the devices on them must keep; every breach is noted as a fault of the file."""

import os.path
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from device_profiles.faults import N_, listed, shown
from device_profiles.model import Profile, Transport
from device_profiles.site import (
    Bus,
    Device,
    ModbusBus,
    MqttBus,
    RtuBus,
    SerialBus,
    SpeechBus,
    TcpBus,
    TcpServerBus,
    UdpBus,
    carrier_of,
)
from device_profiles.toml_file import Place, TomlFile

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not listened on
_LOOPBACK = "127.0.0.1"


def check_buses(toml: TomlFile, buses: Sequence[Bus], *, metrics_port: int | None) -> None:
    """Note faults of the buses themselves: ids and ports that are taken, what is empty.

    Args:
        toml: the site file.
        buses: as written.
        metrics_port: a port of the gateway's own on the loopback.
    """
    ids: dict[str, int | None] = {}
    ports: dict[str, str] = {}
    listening: list[tuple[str, str, int, str]] = []
    if metrics_port is not None:
        listening.append((TcpServerBus.__name__, _LOOPBACK, metrics_port, "gateway.metrics_port"))
    for bus in buses:
        place = toml.place_of(bus)
        if bus.id in ids:
            text = N_("{id} is taken by the bus in line {line}")
            toml.fault((*place, "id"), text, id=shown(bus.id), line=str(ids[bus.id] or "?"))
        ids.setdefault(bus.id, toml.line_of((*place, "id")))
        key = "port" if isinstance(bus, RtuBus | SerialBus) else "host"
        if not getattr(bus, key).strip():
            toml.fault((*place, key), N_("is empty"))
        elif isinstance(bus, TcpServerBus | UdpBus):
            _check_listening(toml, bus, listening)
        elif isinstance(bus, MqttBus):
            # Any number of buses may be clients of one broker.
            check_credentials(toml, place, bus.username, bus.password_env)
        else:
            port = _port(bus, Path(toml.file).parent)
            if port in ports:
                text = N_("{port} is taken by bus {other}; several devices share one bus")
                toml.fault((*place, key), text, port=port, other=shown(ports[port]))
            ports.setdefault(port, bus.id)


def check_credentials(toml: TomlFile, place: Place, username: str | None, password_env: str | None) -> None:
    """Note faults of a user and the variable with the password."""
    check_variable(toml, (*place, "password_env"), password_env)
    if password_env is not None and username is None and toml.is_clean((*place, "username")):
        toml.fault((*place, "username"), N_("is missing: a password needs a username"))


def check_variable(toml: TomlFile, place: Place, name: str | None) -> None:
    """Note a name that no environment variable can have: most likely it is the secret itself."""
    if name is not None and not _VARIABLE.fullmatch(name):
        text = N_("is no name of an environment variable (A-Z a-z 0-9 _); the password itself does not belong here")
        toml.fault(place, text)


def check_line(toml: TomlFile, bus: Bus, devices: Sequence[Device], profiles: Mapping[str, Profile]) -> None:
    """Note faults of the devices of one bus: what it carries, and two of them at one address."""
    for device in devices:
        profile = profiles.get(device.profile)
        if isinstance(bus, SpeechBus):
            _check_speaker(toml, device, bus, profile)
        else:
            _check_asked(toml, device, bus, profile)
    if isinstance(bus, SpeechBus):
        _check_addresses(toml, devices, bus)
        _check_language(toml, devices, bus, profiles)
    else:
        _check_units(toml, devices, profiles)


def _check_listening(toml: TomlFile, bus: TcpServerBus | UdpBus, listening: list[tuple[str, str, int, str]]) -> None:
    host, kind = bus.host.strip().casefold(), type(bus).__name__
    for other_kind, other_host, port, other in listening:
        is_same_host = host == other_host or _EVERYWHERE & {host, other_host}
        if kind == other_kind and port == bus.port and is_same_host:
            toml.fault((*toml.place_of(bus), "port"), N_("{port} is taken by {other}"), port=str(port), other=other)
    listening.append((kind, host, bus.port, shown(bus.id)))


def _port(bus: Bus, folder: Path) -> str:
    if isinstance(bus, RtuBus | SerialBus):
        return os.path.normpath(folder / bus.port.strip())
    return f"{bus.host.strip().casefold()}:{bus.port}"


def _check_asked(toml: TomlFile, device: Device, bus: ModbusBus, profile: Profile | None) -> None:
    place = toml.place_of(device)
    if device.address:
        text = N_("bus {bus} is Modbus: a device there has a unit, and no address")
        toml.fault((*place, "address"), text, bus=shown(bus.id))
    if device.secret_env is not None:
        toml.fault((*place, "secret_env"), N_("bus {bus} is Modbus, which has no keys"), bus=shown(bus.id))
    if profile is None:
        return
    needed = Transport.TCP if isinstance(bus, TcpBus) else Transport.RTU
    if profile.speaks is not None:
        text = N_("bus {bus} is Modbus, and profile {profile} speaks by itself; buses for it: {allowed}")
        _wrong_bus(toml, device, text, bus, profile, listed(profile.speaks.carriers))
    elif needed not in profile.link.transports:
        text = N_("bus {bus} is {kind}, profile {profile} speaks {allowed}")
        args = {"bus": shown(bus.id), "kind": needed.value, "profile": shown(profile.profile)}
        toml.fault((*place, "bus"), text, **args, allowed=listed(profile.link.transports))


def _check_speaker(toml: TomlFile, device: Device, bus: SpeechBus, profile: Profile | None) -> None:
    place, carrier = toml.place_of(device), carrier_of(bus)
    check_variable(toml, (*place, "secret_env"), device.secret_env)
    if device.unit is not None:
        text = N_("bus {bus} is no Modbus: a device there has an address, and no unit")
        toml.fault((*place, "unit"), text, bus=shown(bus.id))
    if device.every_s:
        text = N_("bus {bus} carries devices that speak by themselves: nobody asks them how often")
        toml.fault((*place, "every_s"), text, bus=shown(bus.id))
    if profile is None:
        return
    if profile.speaks is None:
        text = N_("bus {bus} is for devices that speak by themselves, profile {profile} is asked by Modbus {allowed}")
        _wrong_bus(toml, device, text, bus, profile, listed(profile.link.transports))
    elif carrier not in profile.speaks.carriers:
        text = N_("bus {bus} is {kind}, profile {profile} speaks {allowed}")
        args = {"bus": shown(bus.id), "kind": carrier.value, "profile": shown(profile.profile)}
        toml.fault((*place, "bus"), text, **args, allowed=listed(profile.speaks.carriers))


def _wrong_bus(toml: TomlFile, device: Device, text: str, bus: Bus, profile: Profile, allowed: str) -> None:
    place = (*toml.place_of(device), "bus")
    toml.fault(place, text, bus=shown(bus.id), profile=shown(profile.profile), allowed=allowed)


def _check_units(toml: TomlFile, devices: Sequence[Device], profiles: Mapping[str, Profile]) -> None:
    taken: dict[int, str] = {}
    for device in devices:
        place, profile = toml.place_of(device), profiles.get(device.profile)
        unit = device.unit if device.unit is not None else profile.link.unit if profile else None
        if unit is None or not toml.is_clean((*place, "unit")):
            continue
        if unit in taken:
            text = N_("unit {unit} on bus {bus} is taken by device {other}")
            toml.fault((*place, "unit"), text, unit=str(unit), bus=shown(device.bus), other=shown(taken[unit]))
        taken.setdefault(unit, device.id)


def _check_addresses(toml: TomlFile, devices: Sequence[Device], bus: SpeechBus) -> None:
    taken: dict[str, str] = {}
    for device in devices:
        place = (*toml.place_of(device), "address")
        if not toml.is_clean(place):
            continue
        if not device.address and len(devices) > 1:
            text = N_("is missing: on bus {bus} several devices speak, and each is known by its address")
            toml.fault(place, text, bus=shown(bus.id))
        elif device.address in taken:
            text = N_("{address} on bus {bus} is taken by device {other}")
            args = {"bus": shown(bus.id), "other": shown(taken[device.address])}
            toml.fault(place, text, address=shown(device.address), **args)
        taken.setdefault(device.address, device.id)


def _check_language(toml: TomlFile, devices: Sequence[Device], bus: SpeechBus, profiles: Mapping[str, Profile]) -> None:
    """All speak one language, and where it is a grammar of frames, the same."""
    spoken = [(device, profile) for device in devices if (profile := profiles.get(device.profile)) and profile.speaks]
    if not spoken:
        place = toml.place_of(bus)
        if not devices and toml.is_clean(("device",)):
            toml.fault(
                (*place, "id"), N_("no device speaks on bus {bus}: nobody would be understood"), bus=shown(bus.id)
            )
        return
    first, one = spoken[0]
    for device, profile in spoken[1:]:
        if _language(profile) != _language(one):
            text = N_("profile {profile} does not speak as device {other} does; each language has a bus of its own")
            args = {"profile": shown(profile.profile), "other": shown(first.id)}
            toml.fault((*toml.place_of(device), "profile"), text, **args)


def _language(profile: Profile) -> object:
    return (profile.speaks.language, profile.speaks.frame) if profile.speaks else None
