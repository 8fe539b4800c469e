"""`langyan profile try`: one real device, asked or listened to."""

import os
from pathlib import Path

import anyio
import msgspec
import typer

from device_profiles.catalogue import load_profile
from device_profiles.faults import ConfigError
from device_profiles.model import Carrier, Parity, Profile, Transport
from device_profiles.site import (
    ModbusBus,
    MqttBus,
    RtuBus,
    RtuTcpBus,
    SerialBus,
    SpeechBus,
    TcpBus,
    TcpClientBus,
    TcpServerBus,
    UdpBus,
)
from edge.errors import EdgeError
from langyan.commands.common import PROFILES, VERBOSE, fail, run_until_signal
from langyan.i18n import translate as _
from langyan.profile_decoding import DecodedLine, Event, Reading, Refused
from langyan.profile_trying import Asked, Tell, ask_once, keep_asking, listen
from langyan.running import FAILED, FAULTY, start_logging

_BUS = "try"


class _Way(msgspec.Struct, frozen=True):
    """How to reach the device, as the options say."""

    port: str | None
    host: str | None
    tcp_port: int | None
    listen_port: int | None
    is_udp: bool
    is_rtu_over_tcp: bool
    baud: int | None
    parity: Parity | None
    stop_bits: int | None


def try_device(
    profile_id: str = typer.Argument(..., help=_("Profile id."), metavar="ID"),
    *,
    port: str | None = typer.Option(None, "--port", "-p", help=_("Serial port, /dev/ttyUSB0.")),
    host: str | None = typer.Option(None, "--host", help=_("Host of the device, of a serial server, of the broker.")),
    tcp_port: int | None = typer.Option(None, "--tcp-port", min=1, max=65_535, help=_("Its port.")),
    listen_port: int | None = typer.Option(
        None, "--listen", min=1, max=65_535, help=_("For devices that connect or send to us: the port to listen on.")
    ),
    is_udp: bool = typer.Option(False, "--udp", help=_("Listen for datagrams, not for connections.")),
    is_rtu_over_tcp: bool = typer.Option(False, "--rtu-over-tcp", help=_("The host is a transparent serial server.")),
    unit: int | None = typer.Option(None, "--unit", "-u", min=1, max=255, help=_("Unit id, instead of the factory's.")),
    baud: int | None = typer.Option(None, "--baud", min=300, help=_("Speed, instead of the factory's.")),
    parity: Parity | None = typer.Option(None, "--parity", help=_("Parity, instead of the factory's.")),
    stop_bits: int | None = typer.Option(None, "--stop-bits", min=1, max=2, help=_("Instead of the factory's.")),
    address: str = typer.Option("", "--address", help=_("What the line calls a device that speaks by itself.")),
    secret_env: str | None = typer.Option(None, "--secret-env", help=_("Environment variable with its key.")),
    watch: bool = typer.Option(False, "--watch", "-w", help=_("Ask again and again until Ctrl-C.")),
    every_s: float = typer.Option(2.0, "--every", min=0.1, max=3600.0, help=_("Seconds from one round to the next.")),
    as_json: bool = typer.Option(False, "--json", help=_("One JSON object a line.")),
    profiles: Path | None = PROFILES,
    verbose: bool = VERBOSE,
) -> None:
    """Try a device."""
    try:
        profile = load_profile(profile_id, extra=profiles)
    except ConfigError as error:
        raise fail([fault.render(_) for fault in error.faults], status=FAULTY) from error
    start_logging(verbose=verbose, secret_envs=[secret_env])
    way = _Way(port, host, tcp_port, listen_port, is_udp, is_rtu_over_tcp, baud, parity, stop_bits)
    if profile.speaks is not None:
        key = _key(secret_env)
        bus = _speech_bus(profile, way)
        typer.echo(_("Listening; nothing is acknowledged. Ctrl-C ends it."), err=True)
        run_until_signal(
            lambda stop: listen(profile, bus, address=address, secret=key, tell=_teller(as_json=as_json), stop=stop),
            expected=EdgeError,
        )
        return
    _ask(profile, _modbus_bus(profile, way), unit or profile.link.unit, every_s if watch else None, as_json=as_json)


def _ask(profile: Profile, bus: ModbusBus, unit: int, every_s: float | None, *, as_json: bool) -> None:
    rounds: list[Asked] = []

    def told(asked: Asked) -> None:
        rounds[:] = [asked]
        _tell_round(asked, as_json=as_json)

    async def work(stop: anyio.Event) -> None:
        if every_s is None:
            told(await ask_once(profile, bus, unit=unit))
        else:
            await keep_asking(profile, bus, unit=unit, every_s=every_s, tell=told, stop=stop)

    run_until_signal(work, expected=EdgeError)
    if every_s is None and any(isinstance(line, Refused) for line in rounds[0].lines):
        raise typer.Exit(FAILED)


def _tell_round(asked: Asked, *, as_json: bool) -> None:
    tell = _teller(as_json=as_json)
    for line in asked.lines:
        tell(line)
    if not as_json:
        good = sum(isinstance(line, Reading) for line in asked.lines)
        text = _("{good} of {all} values in {took:.0f} ms")
        typer.echo(text.format(good=good, all=len(asked.lines), took=asked.took_s * 1000))
    if asked.hint:
        typer.echo(_(asked.hint), err=True)


def _teller(*, as_json: bool) -> Tell:
    return _tell_json if as_json else _tell_people


def _tell_json(line: DecodedLine) -> None:
    typer.echo(msgspec.json.encode(line).decode())


def _tell_people(line: DecodedLine) -> None:
    typer.echo(_words(line))


def _words(line: DecodedLine) -> str:
    match line:
        case Reading():
            value = f"{line.value:.10g}" if isinstance(line.value, float) else _written(line.value)
            return f"{line.address:12} {line.point:24} {value} {line.unit or ''}".strip()
        case Event():
            text = _("alarm {rule} of {point} begins") if line.is_on else _("alarm {rule} of {point} ends")
            return f"{line.address:12} {text.format(rule=line.rule, point=line.point)}".strip()
        case Refused():
            return f"! {line.point} {line.refused}" if line.point else f"! {line.refused}"
        case _:
            return f"{line.address:12} {_('tag {tag}').format(tag=line.tag)} {_signal(line.rssi)}".strip()


def _written(value: bool | str) -> str:  # noqa: FBT001 - a value
    return str(value).lower() if isinstance(value, bool) else value


def _signal(rssi: float | None) -> str:
    return "" if rssi is None else f"{rssi:g} dBm"


def _modbus_bus(profile: Profile, way: _Way) -> ModbusBus:
    link = profile.link
    baud = way.baud or link.baud
    if way.port is not None and way.host is None:
        return RtuBus(_BUS, way.port, baud, way.parity or link.parity, way.stop_bits or link.stop_bits)
    if way.host is None or way.port is not None or way.listen_port is not None:
        raise fail([_("{id} is asked: name --port, or --host").format(id=profile.profile)], status=FAULTY)
    if way.is_rtu_over_tcp or Transport.TCP not in link.transports:
        if way.tcp_port is None:
            raise fail([_("a serial server has no usual port: name it with --tcp-port")], status=FAULTY)
        return RtuTcpBus(_BUS, way.host, way.tcp_port, baud)
    return TcpBus(_BUS, way.host, way.tcp_port or link.port)


def _speech_bus(profile: Profile, way: _Way) -> SpeechBus:
    speaks = profile.speaks
    if speaks is None:
        raise ValueError(f"{profile.profile} is asked")
    port = way.tcp_port or speaks.port
    bus: SpeechBus | None = None
    if way.port is not None:
        bus = SerialBus(
            _BUS, way.port, way.baud or speaks.baud, way.parity or speaks.parity, way.stop_bits or speaks.stop_bits
        )
    elif way.listen_port is not None:
        bus = UdpBus(_BUS, way.listen_port) if way.is_udp else TcpServerBus(_BUS, way.listen_port)
    elif way.host is not None and Carrier.MQTT in speaks.carriers:
        bus = MqttBus(_BUS, way.host, way.tcp_port or 1883)
    elif way.host is not None and port is not None:
        bus = TcpClientBus(_BUS, way.host, port)
    if bus is None or Carrier(str(bus.__struct_config__.tag)) not in speaks.carriers:
        text = _(
            "{id} speaks over {carriers}: name --port for serial, --host and --tcp-port to connect, --listen to wait"
        )
        carriers = ", ".join(carrier.value for carrier in speaks.carriers)
        raise fail([text.format(id=profile.profile, carriers=carriers)], status=FAULTY)
    return bus


def _key(secret_env: str | None) -> bytes:
    if secret_env is None:
        return b""
    if not os.environ.get(secret_env):
        raise fail([_("the environment variable {name} is not set").format(name=secret_env)], status=FAULTY)
    return os.environ[secret_env].encode()
