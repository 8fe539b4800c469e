"""Tags: 2 000 sightings a second from the readers' bytes into the outbox, and how soon a theft is on the disk.

Readers are a process of their own that writes `$GPRP` lines by hand; all else is the gateway's own parts, in this
process: buses, language, presence, rules, keeper, outbox. Only the uplink is left out.
"""

import json
import os
import random
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio
from msgspec import Struct
from msgspec.structs import replace

from benchmarks.rig import pause
from contract.alarms import AlarmEvent, Transition
from contract.tags import Arm
from device_profiles.site import Site
from device_profiles.site_loader import load_site
from device_profiles.speech.making import make_shared, make_speech
from device_profiles.speech.said import Moment, Sighting, Speaker
from edge.clock import Clock
from edge.health import BusHealth, Health
from edge.keeper import Keeper
from edge.outbox import Outbox
from edge.presence import make_presence
from edge.push.buses import PushBuses
from edge.rules import Judge
from edge.store import Store
from edge.supervision import Supervisor
from langyan.servers import free_port

READERS = 20
TAGS = 4_000
BEACON_S = 2.0
# The gateway counts when everybody is present; then for as long as a tag that stays takes to be sent again.
WARM_S = 20.0
COUNTED_S = 300.0
THEFTS_A_SECOND = 2
# A tag stays for an hour, and is then heard by another reader.
STAY_S = 3_600.0
ARMED = 1_000
CORE_SIGHTINGS = 400_000


class Tags(Struct, frozen=True):
    """What 4 000 tags at 20 readers cost, a beacon every two seconds each.

    Attributes:
        sightings_per_s: as counted at the gateway.
        core_share: processor time of the gateway's process, all threads, over the time.
        sent_share: samples that went into the outbox for each sighting.
        thefts: armed tags that moved; raised: alarms of them on the disk.
        theft_p50_ms, theft_p99_ms, theft_max_ms: from the reader's sending of the first moving beacon to the disk.
        core_ceiling_per_s: sightings a second through presence alone, on one core.
        bytes_ceiling_per_s: the same from bytes to sightings, through the language alone.
    """

    sightings_per_s: float
    core_share: float
    sent_share: float
    thefts: int
    raised: int
    theft_p50_ms: float
    theft_p99_ms: float
    theft_max_ms: float
    core_ceiling_per_s: float = 0.0
    bytes_ceiling_per_s: float = 0.0


class _Timed:
    """A store that notes when an alarm is on the disk."""

    def __init__(self, store: Store) -> None:
        self._put = store.put_alarms
        self.kept_at: dict[str, float] = {}
        store.put_alarms = self.put_alarms  # type: ignore[method-assign]

    async def put_alarms(self, events: Sequence[AlarmEvent], standing: Sequence[tuple[str, bytes | None]] = ()) -> None:
        await self._put(events, standing)
        now = time.monotonic()
        for event in events:
            if event.kind == "theft" and event.transition is Transition.RAISED:
                self.kept_at.setdefault(event.point.removeprefix("tag-"), now)


def measure() -> Tags:
    """Measure the way from the bytes to the disk, then the ceilings of its parts."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
        port = free_port()
        site = _site(Path(folder), port)
        measured = anyio.run(_run, site, port)
        return replace(measured, core_ceiling_per_s=_core_ceiling(site), bytes_ceiling_per_s=_bytes_ceiling(site))


async def _run(site: Site, port: int) -> Tags:
    clock, settings = Clock(), site.file.outbox
    devices = list(site.devices["readers"])
    with Outbox(
        site.path.parent / settings.path, max_bytes=settings.max_bytes, alarm_bytes=settings.alarm_bytes,
        gateway="bench", boot="bench", clock=clock,
    ) as outbox:  # fmt: skip
        health = Health({"readers": BusHealth()})
        store = Store(outbox, health=health.store)
        timed = _Timed(store)
        judge = Judge("bench", devices, active={}, now=time.monotonic(), at_us=clock.steady_us())
        keeper = Keeper(store, judge, commit_s=0.5, act=_ignore, noted=_ignore, health=health.store)
        watch = Supervisor("bench", devices, time.monotonic())
        push = PushBuses(site, {}, keeper=keeper, clock=clock, wall_us=clock.now_us, watch=watch, health=health)
        assert push.tags is not None
        for first in range(0, ARMED, 500):
            await push.tags.order(Arm(tuple(map(_tag, range(first, first + 500)))))
        sent: dict[str, float] = {}
        stop = anyio.Event()
        async with anyio.create_task_group() as tasks:
            for work in (store.run, keeper.run):
                tasks.start_soon(work)
            tasks.start_soon(push.run, stop)
            tasks.start_soon(_send, port, sent)
            await anyio.sleep(WARM_S)
            counts, began_at, began_cpu_s = push.tags.presence.counts, time.monotonic(), time.process_time()
            sightings, samples = counts.sightings, counts.samples
            await anyio.sleep(COUNTED_S)
            took_s, cpu_s = time.monotonic() - began_at, time.process_time() - began_cpu_s
            sightings, samples = counts.sightings - sightings, counts.samples - samples
            # What was sent in the last moment is on its way.
            await anyio.sleep(5.0)
            stop.set()
            keeper.close()
            tasks.cancel_scope.cancel()
    late = sorted(timed.kept_at[tag] - at for tag, at in sent.items() if tag in timed.kept_at)
    return Tags(
        sightings_per_s=round(sightings / took_s, 1),
        core_share=round(cpu_s / took_s, 3),
        sent_share=round(samples / sightings, 5),
        thefts=len(sent),
        raised=len(late),
        theft_p50_ms=round(1000 * late[len(late) // 2], 1),
        theft_p99_ms=round(1000 * late[len(late) * 99 // 100], 1),
        theft_max_ms=round(1000 * late[-1], 1),
    )


async def _send(port: int, sent: dict[str, float]) -> None:
    """Have the readers speak, and note when each theft was sent."""
    done = await anyio.run_process([sys.executable, "-m", "benchmarks.presence", str(port)], stderr=None)
    sent.update(json.loads(done.stdout))


def _core_ceiling(site: Site) -> float:
    """Measure presence alone: the same tags, readers and pace, in virtual time."""
    presence = make_presence(site, now=0.0)
    assert presence is not None
    chance = random.Random(1)  # noqa: S311 - no secret
    beacons = [
        (f"reader-{number % READERS}", Sighting(tag=_tag(number), rssi=chance.gauss(-65, 4), is_moving=False))
        for number in range(TAGS)
    ]
    step_s, tick_at = BEACON_S / TAGS, 0.0
    began_at = time.process_time()
    for number in range(CORE_SIGHTINGS):
        now = number * step_s
        reader, sighting = beacons[number % TAGS]
        presence.seen(reader, sighting, now, round(now * 1e6))
        if now >= tick_at:
            presence.tick(now, round(now * 1e6))
            tick_at += 0.2
    return round(CORE_SIGHTINGS / (time.process_time() - began_at))


def _bytes_ceiling(site: Site) -> float:
    """Measure the language alone: lines in reads of 20, as they come from a socket."""
    devices = site.devices["readers"]
    speakers = [Speaker(device=placed.device.id, address=placed.device.address) for placed in devices]
    profiles = {placed.device.id: placed.profile for placed in devices}
    speaks = devices[0].profile.speaks
    assert speaks is not None
    speech = make_speech(speaks.language, speakers, profiles, make_shared(speaks.language))
    reads = [b"".join(_line(number + at, number % READERS, -60) for at in range(20)) for number in range(100)]
    heard, began_at = 0, time.process_time()
    for number in range(CORE_SIGHTINGS // 200):
        for said in speech.hear(reads[number % 100], Moment(number * 0.01)):
            heard += sum(len(one.sightings) for one in said.heard)
    assert heard == CORE_SIGHTINGS // 10
    return round(heard / (time.process_time() - began_at))


def _site(folder: Path, port: int) -> Site:
    devices = "".join(
        f'[[device]]\nid = "reader-{number}"\nbus = "readers"\nprofile = "ingics/igs"\naddress = "{_mac(number)}"\n'
        for number in range(READERS)
    )
    path = folder / "site.toml"
    path.write_text(
        '[gateway]\nid = "bench"\nsite = "bench"\n'
        f'[[bus]]\nid = "readers"\nkind = "tcp_server"\nhost = "127.0.0.1"\nport = {port}\n{devices}',
        encoding="utf-8",
    )
    return load_site(path)


def _ignore(_what: object) -> None:
    """Stand in for who is not there."""


def _tag(number: int) -> str:
    return f"EAC6{number:08X}"


def _mac(reader: int) -> str:
    return f"CCB9{reader:08X}"


def _line(tag: int, reader: int, rssi: int, *, is_moving: bool = False) -> bytes:
    """Write what an iGS gateway says of an iBS05G tag, 2.97 V.

    Source: GitHub ingics/ingics-message-parser-py, tests: EAC653D3AA8C.
    """
    events = "02" if is_moving else "00"
    advert = f"02010612FF2C0883BC2901{events}AAAAFFFF000033000000"
    return f"$GPRP,{_tag(tag)},{_mac(reader)},{rssi},{advert}\r\n".encode()


class _Town:
    """The tags, and where they are; written to the gateway by one connection a reader."""

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self._readers = [connect() for _ in range(READERS)]
        self._place = [number % READERS for number in range(TAGS)]
        self._away_until = [0.0] * TAGS
        self._moving = set[int]()
        self._chance = random.Random(1)  # noqa: S311 - no secret
        self.sent: dict[str, float] = {}

    def ride(self, now: float) -> None:
        """Let one of the tags that are not armed go to another reader."""
        tag = self._chance.randrange(ARMED, TAGS)
        self._away_until[tag] = now + 60.0
        self._place[tag] = self._chance.randrange(READERS)

    def steal(self, tag: int) -> None:
        """Move a tag from now on."""
        self._moving.add(tag)

    def beacon(self, first: int, last: int, now: float) -> None:
        """Let tags beacon; one in ten is heard by two readers."""
        lines: dict[int, list[bytes]] = {}
        for tag in range(first, last):
            if now < self._away_until[tag]:
                continue
            place, is_moving = self._place[tag], tag in self._moving
            rssi = round(self._chance.gauss(-65, 4))
            lines.setdefault(place, []).append(_line(tag, place, rssi, is_moving=is_moving))
            if tag % 10 == 0:
                other = (place + 1) % READERS
                lines.setdefault(other, []).append(_line(tag, other, rssi - 10, is_moving=is_moving))
            if is_moving:
                self.sent.setdefault(_tag(tag), time.monotonic())
        for reader, some in lines.items():
            self._readers[reader].sendall(b"".join(some))


def _speak(port: int) -> None:
    """Be the readers, in slices of 10 ms, until all has been said."""
    town = _Town(lambda: socket.create_connection(("127.0.0.1", port), timeout=10.0))
    began_at, slices = time.monotonic(), round(BEACON_S * 100)
    a_slice, thefts = TAGS // slices, 0
    for number in range(round((WARM_S + COUNTED_S) * 100)):
        now = number / 100
        if now > WARM_S and number % (100 // THEFTS_A_SECOND) == 0:
            town.steal(thefts)
            thefts += 1
        if number % round(100 * STAY_S / TAGS) == 0:
            town.ride(now)
        first = number % slices * a_slice
        town.beacon(first, first + a_slice, now)
        pause(max(0.0, began_at + (number + 1) / 100 - time.monotonic()))
    print(json.dumps(town.sent))


if __name__ == "__main__":
    _speak(int(sys.argv[1]))
