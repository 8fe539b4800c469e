"""The site file: one gateway, its buses and the devices on them. Gateway and simulator read the same file."""

from datetime import datetime, time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from contract.ids import ID_PATTERN, Id
from contract.tags import Tag
from device_profiles.model import Carrier, CombinationRule, Parity, Period, Profile, Rule, Span

Port = Annotated[int, Meta(ge=1, le=65_535)]
# Shorter than other ids, so that "gateway.<bus>" is still an id.
BusId = Annotated[str, Meta(pattern=ID_PATTERN, max_length=48)]


class Gateway(Struct, frozen=True, forbid_unknown_fields=True):
    """Who the gateway is; `site` and `name` are for people and may be any Unicode.

    Attributes:
        health_s: how often it reports on itself, as the devices "gateway" and "gateway.<bus>".
        metrics_port: TCP port on the loopback where Prometheus may fetch the same; None: nobody does.
    """

    id: Id
    site: str
    name: str = ""
    health_s: Period = 10.0
    metrics_port: Port | None = None


class Uplink(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the broker is and how hard it may be pressed.

    Attributes:
        host, port: the MQTT broker.
        username, password_env: credentials; the password is read from that environment variable.
        keepalive_s: MQTT keep-alive.
        window: telemetry batches under way without a receipt.
        resend_s: silence after which an unreceipted telemetry batch goes again (doubling, capped).
        alarm_resend_s: the same for alarms.
        deflate_from_bytes: telemetry batches of this size and more are deflated; smaller ones stay readable.
        backfill_readings_s: a backlog is sent no faster than this, on a metered line; 0 as fast as it is taken.
    """

    host: str = "127.0.0.1"
    port: Port = 1883
    username: str | None = None
    password_env: str | None = None
    keepalive_s: Annotated[int, Meta(ge=5, le=3600)] = 15
    window: Annotated[int, Meta(ge=1, le=16)] = 8
    resend_s: Annotated[float, Meta(ge=0.1, le=600.0)] = 5.0
    alarm_resend_s: Annotated[float, Meta(ge=0.1, le=60.0)] = 1.0
    deflate_from_bytes: Annotated[int, Meta(ge=0)] = 1024
    backfill_readings_s: Annotated[float, Meta(ge=0.0, le=10_000_000.0)] = 0.0


class Outbox(Struct, frozen=True, forbid_unknown_fields=True):
    """Where readings wait for their receipt, and how much room they may take.

    Attributes:
        path: the file for alarms, relative to the site file; readings lie in the folder `<path>.log` beside it.
        max_bytes: room for telemetry; the oldest goes first when it is full.
        alarm_bytes: room that only alarms may use; the disk keeps it free for them.
        commit_s: longest time a reading stays in memory only; what a kill of the process may lose.
        sync_s: how often the disk is made to take the readings; what a power cut may lose.
    """

    path: str = "outbox.db"
    max_bytes: Annotated[int, Meta(ge=65_536)] = 256 * 1024 * 1024
    alarm_bytes: Annotated[int, Meta(ge=65_536)] = 16 * 1024 * 1024
    commit_s: Annotated[float, Meta(ge=0.05, le=10.0)] = 0.5
    sync_s: Annotated[float, Meta(ge=0.1, le=60.0)] = 5.0


class _SerialLine(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    """A serial line; `port` is a device path, relative ones to the site file."""

    id: BusId
    port: str
    baud: Annotated[int, Meta(ge=300, le=4_000_000)] = 9600
    parity: Parity = Parity.NONE
    stop_bits: Annotated[int, Meta(ge=1, le=2)] = 1
    name: str = ""


class RtuBus(_SerialLine, frozen=True, forbid_unknown_fields=True, tag="rtu"):
    """A serial line with Modbus RTU; `port` is a device path, relative ones to the site file."""


class TcpBus(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="tcp"):
    """One Modbus TCP connection; several units may stand behind it."""

    id: BusId
    host: str
    port: Port = 502
    name: str = ""


class RtuTcpBus(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="rtu_tcp"):
    """A serial line behind a TCP serial server that passes Modbus RTU frames on as they are.

    Attributes:
        port: the server's TCP port.
        baud: speed of the line behind it: how long an answer takes follows from it.
    """

    id: BusId
    host: str
    port: Port
    baud: Annotated[int, Meta(ge=300, le=4_000_000)] = 9600
    name: str = ""


class SerialBus(_SerialLine, frozen=True, forbid_unknown_fields=True, tag="serial"):
    """A serial line on which a device speaks by itself; `port` as with an RTU bus."""


class TcpClientBus(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="tcp_client"):
    """We connect to a device that then speaks by itself."""

    id: BusId
    host: str
    port: Port
    name: str = ""


class TcpServerBus(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="tcp_server"):
    """Devices connect to us.

    Attributes:
        host: address to listen on; "0.0.0.0" is every one.
        max_connections: further ones are turned away.
    """

    id: BusId
    port: Port
    host: str = "0.0.0.0"  # noqa: S104 - devices connect from outside
    max_connections: Annotated[int, Meta(ge=1, le=10_000)] = 256
    name: str = ""


class UdpBus(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="udp"):
    """Devices send us datagrams."""

    id: BusId
    port: Port
    host: str = "0.0.0.0"  # noqa: S104 - devices send from outside
    name: str = ""


class MqttBus(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="mqtt"):
    """Devices publish to a broker on the local network.

    Attributes:
        username, password_env: credentials; the password is read from that environment variable.
    """

    id: BusId
    host: str = "127.0.0.1"
    port: Port = 1883
    username: str | None = None
    password_env: str | None = None
    name: str = ""


ModbusBus = RtuBus | TcpBus | RtuTcpBus
"""Lines on which we ask."""
SpeechBus = SerialBus | TcpClientBus | TcpServerBus | UdpBus | MqttBus
"""Lines on which devices speak by themselves, all in one language."""
Bus = ModbusBus | SpeechBus


def carrier_of(bus: SpeechBus) -> Carrier:
    """Tell what carries the bytes of a bus on which devices speak by themselves."""
    return Carrier(str(bus.__struct_config__.tag))


def where_of(bus: Bus) -> str:
    """Tell what the gateway opens for a bus: a path, or host and port."""
    return bus.port if isinstance(bus, RtuBus | SerialBus) else f"{bus.host}:{bus.port}"


class DeviceSimulation(Struct, frozen=True, forbid_unknown_fields=True):
    """What only the simulator needs to know of a device.

    Attributes:
        count_in: point whose raw register numbers the device's answers (wrapping at its width), so that
            what was produced and what was stored can be compared one by one.
    """

    count_in: Id | None = None


class Device(Struct, frozen=True, forbid_unknown_fields=True):
    """One device on a bus.

    Attributes:
        id: unique on the gateway; "gateway" is taken.
        bus: id of its bus.
        profile: id of its profile.
        unit: Modbus unit id; None takes the profile's.
        address: what the line calls a device that speaks by itself: account, phone number, radio code, topic; "" when
            it is alone there.
        secret_env: environment variable with its key, if it has one.
        name: for people.
        use: the points that are wired and wanted; None takes all.
        every_s: reading period by point key, instead of the profile's.
        labels: what people call a point here ("gate house"), by point key.
        rule: rules of this place; one with the key of a profile's rule takes its place.
    """

    id: Id
    bus: Id
    profile: str
    unit: Annotated[int, Meta(ge=1, le=255)] | None = None
    address: Annotated[str, Meta(max_length=128)] = ""
    secret_env: str | None = None
    name: str = ""
    use: tuple[Id, ...] | None = None
    every_s: dict[str, Period] = {}
    labels: dict[str, str] = {}
    rule: tuple[Rule, ...] = ()
    simulate: DeviceSimulation = DeviceSimulation()


class Drill(Struct, frozen=True, forbid_unknown_fields=True, rename={"begins": "from", "ends": "to"}):
    """A window in which alarms are marked as a drill.

    Attributes:
        begins, ends: with a time zone; the end is no longer in it.
        devices: None is the whole site.
        note: what it is, for people.
    """

    begins: datetime
    ends: datetime
    devices: tuple[Id, ...] | None = None
    note: str = ""


class Weekday(StrEnum):
    """A day of the week; the order is that of `datetime.date.weekday`."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


class Station(Struct, frozen=True, forbid_unknown_fields=True):
    """Readers that are one place: whom any of them hears is there.

    Attributes:
        readers: device ids; the first speaks for the station.
        name: for people.
    """

    readers: tuple[Id, ...]
    name: str = ""


class KnownTag(Struct, frozen=True, forbid_unknown_fields=True):
    """A tag that the site knows.

    Attributes:
        id: in capitals, as readers say it.
        name: what carries it, for people.
        owner: tag of whoever may move it.
        silent_after_s: heard by nobody for so long is an alarm; None: it may be away.
        button: kind of alarm that its button raises, "panic"; None: a press is only said.
    """

    id: Tag
    name: str = ""
    owner: Tag | None = None
    silent_after_s: Annotated[float, Meta(ge=10.0, le=31_536_000.0)] | None = None
    button: Id | None = None


class Arming(Struct, frozen=True, forbid_unknown_fields=True, rename={"begins": "from", "ends": "to"}):
    """Hours in which tags are armed.

    Attributes:
        begins, ends: local time of the site; an end before the beginning is one of the next day.
        days: on which it begins; None is every day.
        tags: None is every tag.
    """

    begins: time
    ends: time
    days: tuple[Weekday, ...] | None = None
    tags: tuple[Tag, ...] | None = None


class PresenceSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How sightings of tags become presence.

    Attributes:
        left_after_s: a tag that a station has not heard for so long has left it.
        alive_s: how often a tag that stays is sent again.
        margin_db: so much stronger must another station hear a tag before it is there.
        sightings: a tag heard so often is present; fewer are noise, or a passer-by.
        low_battery_v: a battery below is low, and well again 0.1 V above; None: only the tag's own word counts.
        owner_within_s: an owner's tag heard so shortly before or after makes a movement no theft.
        owner_wait_s: so long a theft alarm waits for the owner's tag, where a tag has an owner.
        stolen_again_s: a stolen tag that stays at a station is reported there again so often.
        max_tags: beyond it the tag that was not heard for longest is forgotten.
        utc_offset: local time of `arming`, "+08:00".
        station, tag, arming: see there; a reader that is in no station is one by itself.
    """

    left_after_s: Annotated[float, Meta(ge=1.0, le=86_400.0)] = 30.0
    alive_s: Annotated[float, Meta(ge=1.0, le=86_400.0)] = 300.0
    margin_db: Annotated[float, Meta(ge=0.0, le=60.0)] = 6.0
    sightings: Annotated[int, Meta(ge=1, le=100)] = 2
    low_battery_v: Annotated[float, Meta(gt=0.0, le=60.0)] | None = None
    owner_within_s: Span = 30.0
    owner_wait_s: Annotated[float, Meta(ge=0.0, le=600.0)] = 3.0
    stolen_again_s: Annotated[float, Meta(ge=10.0, le=86_400.0)] = 300.0
    max_tags: Annotated[int, Meta(ge=1, le=100_000)] = 20_000
    utc_offset: Annotated[str, Meta(pattern=r"^[+-][01]\d:[0-5]\d\Z")] | None = None
    station: tuple[Station, ...] = ()
    tag: tuple[KnownTag, ...] = ()
    arming: tuple[Arming, ...] = ()


class SiteFile(Struct, frozen=True, forbid_unknown_fields=True):
    """The file as written."""

    gateway: Gateway
    bus: tuple[Bus, ...]
    device: tuple[Device, ...]
    uplink: Uplink = Uplink()
    outbox: Outbox = Outbox()
    rule: tuple[CombinationRule, ...] = ()
    drill: tuple[Drill, ...] = ()
    presence: PresenceSettings = PresenceSettings()


class PlacedDevice(Struct, frozen=True):
    """A device with its profile found and its site's wishes applied.

    Attributes:
        device: as written in the site file.
        profile: narrowed to the points in use, with the site's periods and rules.
        unit: unit id on its bus.
    """

    device: Device
    profile: Profile
    unit: int


class Site(Struct, frozen=True):
    """A checked site: every reference resolved.

    Attributes:
        path: the site file; relative paths in it are meant from its folder.
        file: as written.
        devices: by bus id, in the file's order; every bus has an entry.
    """

    path: Path
    file: SiteFile
    devices: dict[str, tuple[PlacedDevice, ...]]
