"""The story of the demo: what happens when, and what it should show. No clock of its own."""

import time
from collections.abc import Callable, Iterator
from functools import partial

from msgspec import Struct, structs

from langyan.demo.city import UPWARDS
from langyan.demo.sites import (
    AT_THE_GATE,
    BICYCLE,
    BUTTONS,
    CARDS,
    DUTY_ROOM,
    SIREN,
    TOWER_HEAT,
    TOWER_SMOKE,
    WAND,
    WEST_SMOKE,
    Push,
)
from langyan.demo.stage import Stage
from langyan.i18n import translate as _
from langyan.servers import wait_until

SHORTEST_S = 15.0
OUTAGE_S = 10.0
PRESS_FOR_S = 0.6
# Longer than it ever takes: a siren that is not heard by then is broken.
SIREN_LIMIT_S = 5.0
# A reader says a moved tag within 2 s, and some seconds later the next above is told.
UPWARDS_LIMIT_S = 12.0
FIRE_TEMPERATURE = 85.0
NEAR_DBM = -55.0
# The rule of presence at the gateway.
THEFT = "theft"


class Pressed(Struct, frozen=True):
    """One press of the story.

    Attributes:
        push: which contact.
        at_us: when, wall time.
        in_outage: the broker was gone.
        siren_ms: from there until the gateway had switched the siren on; None where nobody listened for it.
    """

    push: Push
    at_us: int
    in_outage: bool = False
    siren_ms: float | None = None


class Scene(Struct, frozen=True):
    """One moment of the story.

    Attributes:
        at_s: seconds after the curtain.
        title: one sentence for the screen.
        act: what is done; the presses it made.
    """

    at_s: float
    title: str
    act: Callable[[], list[Pressed]]


def plan(stage: Stage, seconds: float) -> list[Scene]:
    """Lay out the story over `seconds` (at least `SHORTEST_S`); an outage lasts 10 s, or a quarter of it all."""
    outage_s = min(OUTAGE_S, seconds / 4)
    quiet_s = seconds * 0.1
    outage_at = seconds * 0.55
    back_at = outage_at + outage_s
    scenes = [
        Scene(0.0, _("Quiet: every bus is polled, every reading is on its way to InfluxDB."), partial(_park, stage)),
        *_walk(stage, quiet_s, seconds * 0.35),
        *_patrol(stage, seconds * 0.05, seconds * 0.3),
        Scene(seconds * 0.36, _("Fire at the forest tower: heat and smoke."), partial(_fire, stage)),
        Scene(
            seconds * 0.39,
            _("The smoke reaches the second tower: on the desk it is one fire, with all that speaks for it."),
            partial(_spread, stage),
        ),
        Scene(
            seconds * 0.41,
            _("Somebody moves an armed e-bike, and nobody is at the alarm desk: the street is told, then the town."),
            partial(_steal, stage),
        ),
        Scene(
            seconds * 0.53, _("The duty officer is back and sends a patrol. The fire is out."), partial(_back, stage)
        ),
        # Not before the theft is told: what moves it is what the reader at the shed says.
        Scene(seconds * 0.54, _("The e-bike is heard at the gate: its trail grows."), partial(_ride, stage)),
        Scene(outage_at, _("The broker is killed. Readings wait in the gateways' outboxes."), partial(_kill, stage)),
        Scene(
            outage_at + outage_s * 0.4,
            _("A teacher presses in the duty room, while the broker is gone: the siren sounds all the same."),
            partial(_press_for_siren, stage),
        ),
        Scene(back_at, _("The broker is back: the alarm goes first, then what waited."), partial(_revive, stage)),
        *_walk(stage, back_at + (seconds - back_at) * 0.4, seconds * 0.93),
    ]
    return sorted(scenes, key=lambda scene: scene.at_s)


def _walk(stage: Stage, start_s: float, end_s: float) -> Iterator[Scene]:
    """Walk test: press one button after the other."""
    step_s = 1.0
    count = max(1, int((end_s - start_s) / step_s))
    for number in range(count):
        push = BUTTONS[number % len(BUTTONS)]
        title = _("Walk test: {device} {point} is pressed.").format(device=push.device, point=push.point)
        yield Scene(start_s + number * step_s, title, partial(_press, stage, push))


def _patrol(stage: Stage, start_s: float, end_s: float) -> Iterator[Scene]:
    """A guard walks with a wand, and puts it into its cradle at the end."""
    step_s = (end_s - start_s) / (len(CARDS) + 1)
    for number, (point, card) in enumerate(CARDS.items()):
        title = _("Night patrol: the wand reads the card at {point}; nobody knows yet.").format(point=point)
        yield Scene(start_s + number * step_s, title, partial(_visit, stage, card))
    yield Scene(end_s, _("Night patrol: the wand is read out, and every visit is judged."), partial(_dock, stage))


def _visit(stage: Stage, card: str) -> list[Pressed]:
    stage.controls[WAND.gateway].set(WAND.device, "card", card)
    return []


def _dock(stage: Stage) -> list[Pressed]:
    stage.controls[WAND.gateway].set(WAND.device, WAND.point, True)
    return []


def _ride(stage: Stage) -> list[Pressed]:
    control = stage.controls[BICYCLE.gateway]
    control.set(AT_THE_GATE.device, AT_THE_GATE.point, NEAR_DBM)
    control.set(BICYCLE.device, BICYCLE.point, False)
    return []


def _press(stage: Stage, push: Push) -> list[Pressed]:
    return [Pressed(push, stage.controls[push.gateway].press(push.device, push.point, for_s=PRESS_FOR_S))]


def _press_for_siren(stage: Stage) -> list[Pressed]:
    """Press while the broker is gone, and listen for the siren."""
    (pressed,) = _press(stage, DUTY_ROOM)
    sounds = wait_until(lambda: stage.is_on(SIREN), SIREN_LIMIT_S)
    siren_ms = round((time.time_ns() // 1000 - pressed.at_us) / 1000, 1) if sounds else None
    return [structs.replace(pressed, in_outage=True, siren_ms=siren_ms)]


def _park(stage: Stage) -> list[Pressed]:
    stage.controls[BICYCLE.gateway].set(BICYCLE.device, BICYCLE.point, NEAR_DBM)
    # The guard takes the wand out of its cradle.
    stage.controls[WAND.gateway].set(WAND.device, WAND.point, False)
    return []


def _steal(stage: Stage) -> list[Pressed]:
    stage.officer.attend(attends=False)
    return [Pressed(BICYCLE, stage.controls[BICYCLE.gateway].set(BICYCLE.device, f"{BICYCLE.point}.moving", True))]


def _fire(stage: Stage) -> list[Pressed]:
    heat = stage.controls[TOWER_HEAT.gateway].set(TOWER_HEAT.device, TOWER_HEAT.point, FIRE_TEMPERATURE)
    smoke = stage.controls[TOWER_SMOKE.gateway].set(TOWER_SMOKE.device, TOWER_SMOKE.point, True)
    return [Pressed(TOWER_HEAT, heat), Pressed(TOWER_SMOKE, smoke)]


def _spread(stage: Stage) -> list[Pressed]:
    smoke = stage.controls[WEST_SMOKE.gateway].set(WEST_SMOKE.device, WEST_SMOKE.point, True)
    return [Pressed(WEST_SMOKE, smoke)]


def _back(stage: Stage) -> list[Pressed]:
    # The street's call brings the officer back.
    wait_until(lambda: any(one.number in UPWARDS for one in stage.phones.rung()), UPWARDS_LIMIT_S)
    stage.officer.attend(attends=True)
    stage.officer.send_somebody(f"{BICYCLE.gateway}/{BICYCLE.device}/{BICYCLE.point}/{THEFT}")
    stage.controls[TOWER_HEAT.gateway].auto(TOWER_HEAT.device, TOWER_HEAT.point)
    for push in (TOWER_SMOKE, WEST_SMOKE):
        stage.controls[push.gateway].set(push.device, push.point, False)
    return []


def _kill(stage: Stage) -> list[Pressed]:
    stage.broker.kill()
    return []


def _revive(stage: Stage) -> list[Pressed]:
    stage.broker.start()
    return []


def is_button(pressed: Pressed) -> bool:
    """Tell whether it is a button, read every 100 ms or said at once, rather than smoke, heat or a bicycle."""
    return pressed.push not in {TOWER_HEAT, TOWER_SMOKE, WEST_SMOKE, BICYCLE}
