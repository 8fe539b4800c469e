"""The gateway is killed with SIGKILL at random moments, also twice in a row with the broker away. Real cloud.

An input flips before each kill and stays so for eight more: each press must be one trigger in the alarm database,
however short the gateway lived. The farm remembers when it handed out each block, so that a block that is stored
nowhere can be said to have been older than a second, or not, when the gateway was killed.
"""

import random
import time
from bisect import bisect_left

from msgspec import Struct

from benchmarks.cloud import CloudRig, open_cloud_rig
from benchmarks.rig import expect, pause

KILLS = 100
DEVICES = 11
EVERY_S = 0.1
INPUTS = 8
REGISTERS = 20
# From just after the start, through the import of everything, to some seconds of work.
LIVED_S = (0.05, 4.0)
OLD_MS = 1000
SETTLE_LIMIT_S = 60.0


class Kills(Struct, frozen=True):
    """All kills of one gateway.

    Attributes:
        kills: of these `broker_away` with the broker out of reach, each time two in a row.
        presses: flips of an input to pressed; `alarms_lost` of them are no trigger in the alarm database.
        alarms_twice: triggers beyond the presses.
        wrong_state: inputs whose alarm does not stand at the end as the input does.
        readings: register readings handed out over the whole run.
        lost_old: of these, stored nowhere though they were older than a second at the kill.
        lost_young: stored nowhere, read within the last second before a kill.
        twice: stored twice.
    """

    kills: int
    broker_away: int
    presses: int
    alarms_lost: int
    alarms_twice: int
    wrong_state: int
    readings: int
    lost_old: int
    lost_young: int
    twice: int


def measure(kills: int = KILLS) -> Kills:
    """Kill, start, kill; then let it settle and count."""
    dice = random.Random(29)  # noqa: S311 - moments, not secrets
    with open_cloud_rig(units=DEVICES, times=True) as rig:
        rig.start_gateway(rig.devices(DEVICES, EVERY_S, shared=True), direct=False)
        expect(lambda: min(rig.counters().values()) > 0, "every device is read")
        killed_ms: list[int] = []
        pressed = [False] * INPUTS
        presses = away = 0
        while len(killed_ms) < kills:
            # One time in four the broker is away, for two kills in a row.
            is_away = dice.random() < 0.25
            if is_away:
                rig.link.ask(op="cut")
            for _ in range(1 + is_away):
                presses += _flip_and_kill(rig, dice, killed_ms, pressed)
                away += is_away
            if is_away:
                rig.link.ask(op="open")
        last = _settle(rig)
        lost_old, lost_young, twice = _count(rig, last, killed_ms)
        alarms = rig.alarms()
    standing = {alarm.point: alarm.cleared_at_us is None for alarm in alarms}
    triggers = sum(alarm.triggers for alarm in alarms)
    return Kills(
        kills=len(killed_ms),
        broker_away=away,
        presses=presses,
        alarms_lost=max(0, presses - triggers),
        alarms_twice=max(0, triggers - presses),
        wrong_state=sum(standing.get(f"b{bit}", False) != state for bit, state in enumerate(pressed)),
        readings=sum(last.values()) * REGISTERS,
        lost_old=lost_old * REGISTERS,
        lost_young=lost_young * REGISTERS,
        twice=twice * REGISTERS,
    )


def _flip_and_kill(rig: CloudRig, dice: random.Random, killed_ms: list[int], pressed: list[bool]) -> bool:
    """Let the gateway live, flip an input some time before its end, kill it, start it; True when it was a press."""
    bit = len(killed_ms) % INPUTS
    lives_s = dice.uniform(*LIVED_S)
    flips_after_s = dice.uniform(0.0, lives_s)
    pause(flips_after_s)
    pressed[bit] = bool(rig.farm.ask(op="flip", unit=1, bit=bit)["value"])
    pause(lives_s - flips_after_s)
    rig.gateway.kill()
    killed_ms.append(int(time.monotonic() * 1000))
    rig.gateway.start()
    for _ in rig.receiver.drain():
        pass
    return pressed[bit]


def _settle(rig: CloudRig) -> dict[str, int]:
    """Wait until what is read now is stored, then stop the gateway in order; returns the last counters."""
    marks = rig.counters()

    def is_stored() -> bool:
        pause(1.0)
        stored = rig.stored(marks)
        return all(max(stored.arrived(device), default=0) > mark for device, mark in marks.items())

    expect(lambda: all(count > marks[name] for name, count in rig.counters().items()), "the last start reads")
    expect(is_stored, "what is read after the last kill is stored", SETTLE_LIMIT_S)
    rig.gateway.stop()
    return rig.counters()


def _count(rig: CloudRig, last: dict[str, int], killed_ms: list[int]) -> tuple[int, int, int]:
    """Count blocks lost that were older than a second, lost younger, and stored twice."""
    ledger = rig.stored(last)
    old = young = 0
    for device, end in last.items():
        missing = ledger.missing(device, end)
        times = _times(rig, int(device.removeprefix("dev"))) if missing else []
        for counter in missing:
            read_ms = times[counter - 1]
            place = bisect_left(killed_ms, read_ms)
            is_old = place == len(killed_ms) or killed_ms[place] - read_ms > OLD_MS
            old += is_old
            young += not is_old
    return old, young, ledger.compare(last).twice


def _times(rig: CloudRig, unit: int) -> list[int]:
    """Ask the farm when it handed out each block of a unit, milliseconds."""
    times: list[int] = []
    while page := rig.farm.ask(op="times", unit=unit, first=len(times))["times_ms"]:
        times += page
    return times
