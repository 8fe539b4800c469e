"""The broker as the uplink meets it: a client made, subscribed and told apart from a refusal."""

import socket

import aiomqtt
from msgspec import Struct
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from contract import presence
from contract.presence import Death
from contract.topics import CLOUD_READY, Channel, topic
from device_profiles.site import Uplink
from edge.errors import EdgeError

# CONNACK reason codes that only the operator can mend. Source: MQTT 5.0, table 3-1.
REFUSED_CODES = frozenset({0x84, 0x85, 0x86, 0x87, 0x8A, 0x8C})
MAX_INCOMING = 200
# A receipt or a command is small; a broker that keeps to MQTT 5 sends us nothing larger.
MAX_PACKET_BYTES = 65_536
# What mosquitto allows a publisher by default, and what a window of each lane comes to at most.
MAX_INFLIGHT = 20
REFUSED_FROM = 0x80


class RefusedError(EdgeError, aiomqtt.MqttError):
    """The broker's access list is against us; only its operator can mend that."""


class Link(Struct, frozen=True):
    """Where and as whom the uplink connects."""

    settings: Uplink
    password: str | None
    gateway: str


def make_client(link: Link, *, will: Death) -> aiomqtt.Client:
    """Make a client that leaves `will` on the birth topic when the connection is lost; not connected yet."""
    settings = link.settings
    # No session is kept: what was under way is sent again anyway, and a kept session would only repeat it.
    connect = _properties(PacketTypes.CONNECT, SessionExpiryInterval=0, MaximumPacketSize=MAX_PACKET_BYTES)
    return aiomqtt.Client(
        settings.host,
        settings.port,
        username=settings.username,
        password=link.password,
        identifier=f"langyan-{link.gateway}",
        protocol=aiomqtt.ProtocolVersion.V5,
        clean_start=True,
        keepalive=settings.keepalive_s,
        timeout=10,
        properties=connect,
        will=aiomqtt.Will(
            topic(link.gateway, Channel.BIRTH),
            presence.encode_presence(will),
            qos=1,
            retain=True,
        ),
        max_queued_incoming_messages=MAX_INCOMING,
        max_inflight_messages=MAX_INFLIGHT,
        # Without it an alarm waits up to 40 ms for the broker's delayed acknowledgement of the packet before it.
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
    )


async def subscribe(client: aiomqtt.Client, gateway: str) -> None:
    """Subscribe to receipts, to commands, and to the workers' word that they are ready.

    Raises:
        RefusedError: the broker does not let us.
    """
    filters = [(topic(gateway, Channel.RECEIPT), 1), (topic(gateway, Channel.COMMAND), 1), (CLOUD_READY, 1)]
    for (name, _), code in zip(filters, await client.subscribe(filters), strict=False):
        value = getattr(code, "value", code)
        if isinstance(value, int) and value >= REFUSED_FROM:
            raise RefusedError(f"the broker refuses the subscription to {name}: {code}; check its access list")


def _properties(packet: int, **values: object) -> Properties:
    properties = Properties(packet)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(properties, name, value)
    return properties


def publish_properties(**values: object) -> Properties:
    """Make the MQTT 5 properties of a publish, by their names in paho."""
    return _properties(PacketTypes.PUBLISH, **values)


def is_refusal(error: BaseException) -> bool:
    """Tell whether only the operator can mend it: bad credentials, an access list."""
    if isinstance(error, RefusedError):
        return True
    return isinstance(error, aiomqtt.MqttCodeError) and getattr(error.rc, "value", error.rc) in REFUSED_CODES
