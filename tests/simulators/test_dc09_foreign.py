"""DC-09 with other people's software: pysiaalarm receives our simulated hosts; siadc09 and my_dc09_spt send to us.

Each of them has its own CRC, its own pad and its own library for keys.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from queue import Queue
from socketserver import BaseServer
from threading import Thread
from time import time
from typing import Any

import pytest
from my_dc09_spt.comm.transpath import TransPath
from my_dc09_spt.dc09_spt import dc09_spt
from my_dc09_spt.msg.dc03_msg import dc03_msg
from my_dc09_spt.msg.dc05_msg import dc05_msg
from my_dc09_spt.msg.dc09_msg import dc09_msg
from pysiaalarm.account import SIAAccount
from pysiaalarm.event import SIAEvent
from pysiaalarm.sync.server import SIATCPServer, SIAUDPServer
from pysiaalarm.utils.counter import Counter
from siadc09.account import Account
from siadc09.message import EventMessage, NullMessage, parse_frame
from siadc09.xdata import Data, XData

from simulators.talkers.dc09 import Dc09Talker
from tests.device_profiles.dc09_rig import WALL_US, Rig

KEYS = {"clear": "", "AES-128": "0123456789ABCDEF", "AES-192": "0123456789ABCDEF01234567",
        "AES-256": "0123456789ABCDEF" * 2}  # fmt: skip
WAYS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


def now_us() -> int:
    return int(time() * 1e6)


@contextmanager
def served(server: BaseServer) -> Iterator[int]:
    """Serve in a thread; gives the port."""
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        address: Any = server.server_address
        yield address[1]
    finally:
        server.shutdown_flag = True  # type: ignore[attr-defined]
        server.shutdown()
        server.server_close()
        thread.join()


def talk(one: Dc09Talker, line: socket.socket, said: bytes) -> bytes:
    """Carry what the host says and the answer to it; gives the answer."""
    answer = b""
    while said:
        line.sendall(said)
        answer = line.recv(4096)
        said = one.hear(answer, 0.0)
    return answer


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
@pytest.mark.parametrize("way", ["ADM-CID", "SIA-DCS"])
@pytest.mark.parametrize("carrier", WAYS)
def test_a_foreign_receiver_takes_what_our_host_says(carrier: str, way: str, key: str) -> None:
    events: Queue[SIAEvent] = Queue(10)
    make: Any = {"tcp": SIATCPServer, "udp": SIAUDPServer}[carrier]
    one = Dc09Talker("1234", way=way, secret=key.encode(), wall_us=now_us)
    server = make(("127.0.0.1", 0), {"1234": SIAAccount("1234", key or None)}, events.put, Counter())
    with served(server) as port, socket.socket(type=WAYS[carrier]) as line:
        line.settimeout(10)
        line.connect(("127.0.0.1", port))
        talk(one, line, one.open(0.0))
        for event in ("120", "130", "110", "301"):
            talk(one, line, one.press(f"zone-007.e{event}", 0.0))
        talk(one, line, one.set("zone-007.e130", False, 0.0))
    # Its threads are done in any order; a link test is a periodic test to it.
    codes = {events.get(timeout=10).code for _ in range(6)}
    assert codes == {"RP", "PA", "BA", "FA", "AT", "BH" if way == "ADM-CID" else "BR"}
    assert (one.acknowledged, one.refused, one.naks) == (6, 0, 0)


def test_a_foreign_receiver_has_our_host_set_its_clock() -> None:
    key, events = KEYS["AES-256"], Queue[SIAEvent](10)
    one = Dc09Talker("1234", secret=key.encode(), wall_us=lambda: now_us() - 3_600_000_000)
    server = SIATCPServer(("127.0.0.1", 0), {"1234": SIAAccount("1234", key)}, events.put, Counter())
    with served(server) as port, socket.create_connection(("127.0.0.1", port), 10) as line:
        talk(one, line, one.press("zone-007", 0.0))
    assert (one.naks, one.acknowledged, events.get(timeout=10).code) == (1, 1, "PA")


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
@pytest.mark.parametrize(
    ("token", "data", "report"),
    [
        ("ADM-CID", b"#1234|1120 01 007", ("zone-007", "e120")),
        ("SIA-DCS", b"#1234|Nid3/ri1/PA007", ("zone-007", "pa")),
    ],
)
def test_what_a_foreign_library_writes_is_heard_and_our_answer_is_read_by_it(
    token: str, data: bytes, report: tuple[str, str], key: str
) -> None:
    account = Account(acct=0x1234, pref=0x77, rcvr=0xF3, key=key.encode() or None)
    sent = datetime.fromtimestamp(WALL_US / 1e6, UTC)
    message = EventMessage(account, config={"idtoken": token, "seqno": 17, "data": Data(data), "timestamp": sent,
                                            "xdata": [XData("X", "093W23.456"), XData("I", "Gate house")]})  # fmt: skip
    rig = Rig(secret=key.encode())
    rig.says(message.encode())
    assert [(one.point, one.rule) for one in rig.reports()] == [report]
    assert "(Gate house)" in rig.reports()[0].text["en"]
    assert rig.values()["longitude"] == pytest.approx(-93.3909333)
    answer = parse_frame(rig.answers[0], account.key)
    assert (answer.idtoken, answer.seq, answer.encrypted, answer.timestamp) == ("ACK", 17, bool(key), sent)
    assert (answer.account.acct, answer.account.pref, answer.account.rcvr) == (0x1234, 0x77, 0xF3)


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_a_foreign_link_test_is_answered(key: str) -> None:
    account = Account(acct=0x1234, key=key.encode() or None)
    rig = Rig(secret=key.encode())
    rig.hears(NullMessage(account, datetime.fromtimestamp(WALL_US / 1e6, UTC), seqno=3).encode())
    assert parse_frame(rig.answers[0], account.key).idtoken == "ACK"


def test_our_refusals_are_read_by_a_foreign_library() -> None:
    account = Account(acct=0x1234, key=b"0123456789ABCDEF")
    late = NullMessage(account, datetime.fromtimestamp(WALL_US / 1e6 - 60, UTC), seqno=3)
    rig = Rig(secret=b"0123456789ABCDEF")
    rig.hears(late.encode())
    assert b'"NAK"0000R0L0A0[]' in rig.answers[0]
    stranger = Rig("5678")
    stranger.hears(late.encode(encrypt=False))
    answer = parse_frame(stranger.answers[0])
    assert (answer.idtoken, answer.seq) == ("DUH", 3)


class Line:
    """Our conversation behind a socket, with a disk that has everything at once."""

    def __init__(self, carrier: str, rig: Rig) -> None:
        self.rig, self.carrier = rig, carrier
        self.socket = socket.socket(type=WAYS[carrier])
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(10)
        if carrier == "tcp":
            self.socket.listen()
        self.port = int(self.socket.getsockname()[1])

    def serve(self, messages: int) -> None:
        for _ in range(messages):
            self._serve_tcp() if self.carrier == "tcp" else self._serve_udp()

    def _serve_tcp(self) -> None:
        peer, _ = self.socket.accept()
        with peer:
            # The dialler makes a new connection for each message.
            while data := peer.recv(4096):
                peer.sendall(self._answer(data))

    def _serve_udp(self) -> None:
        data, sender = self.socket.recvfrom(4096)
        self.socket.sendto(self._answer(data), sender)

    def _answer(self, data: bytes) -> bytes:
        self.rig.wall_us = now_us()
        self.rig.hears(data)
        self.rig.keeps()
        return self.rig.answers[-1]


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
@pytest.mark.parametrize("key", [KEYS["clear"], KEYS["AES-128"], KEYS["AES-256"]], ids=["clear", "AES-128", "AES-256"])
@pytest.mark.parametrize("carrier", WAYS)
def test_a_foreign_dialler_is_answered_to_its_content(carrier: str, key: str) -> None:
    said = [
        ("ADM-CID", dc05_msg.dc05event("1234", {"account": "1234", "code": 120, "area": 1, "zone": 7})),
        ("SIA-DCS", dc03_msg.dc03event("1234", {"code": "BA", "area": 1, "zone": 3, "text": "Store"})),
        ("ADM-CID", dc05_msg.dc05event("1234", {"code": 130, "q": 3, "zone": 3})
         + dc09_msg.dc09_extra({"lon": "5.9699", "lat": "52.2112"})),
        ("NULL", "]"),
    ]  # fmt: skip
    line = Line(carrier, Rig(secret=key.encode()))
    thread = Thread(target=line.serve, args=(len(said),))
    thread.start()
    dialler = dc09_spt("1234")
    path = TransPath("127.0.0.1", line.port, "1234", key=key.encode() or None, line=0, type=carrier)
    taken = [dialler.transfer_msg(number, token, data, path) for number, (token, data) in enumerate(said, 1)]
    thread.join(10)
    line.socket.close()
    assert taken == [True] * len(said)
    assert [(one.point, one.rule, one.is_on) for one in line.rig.reports()] == [
        ("zone-007", "e120", True), ("zone-003", "ba", True), ("zone-003", "e130", False),
    ]  # fmt: skip
    assert line.rig.reports()[1].text["en"] == "Burglary alarm: {label} (Store)"
    assert line.rig.values()["latitude"] == pytest.approx(52.2112)
