"""Faults of a scenario against its sites: what it names must be there, before anything starts. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from device_profiles.codec import ValueKind, encode_point
from device_profiles.faults import N_, CodecError, listed, shown
from device_profiles.point_checks import check_known
from device_profiles.toml_file import Place, TomlFile
from simulators.scenario import expecting, model
from simulators.scenario.times import parse_time, story_second
from simulators.scenario.world import SUPERVISION, Who, World, is_gateway_device
from simulators.signals.fire import Fire
from simulators.signals.moving import Patrol, TagRide
from simulators.signals.plain import Walk
from simulators.signals.signal import Signal
from simulators.signals.weather import Weather

_ON_SERIAL_LINES = (model.Slow, model.WrongCrc, model.Noise, model.Flood)


def check_head(toml: TomlFile, head: model.Head) -> None:
    """Note faults of `[scenario]`."""
    if parse_time(head.begins) is None:
        _no_time(toml, ("scenario", "begins"), head.begins)


def check_cloud(toml: TomlFile, head: model.Head, fields: Mapping[str, Any]) -> None:
    """Note what is given for a cloud that does not run; `fields` of the file."""
    for key in ("cloud", "prepare"):
        if fields.get(key) and not head.is_stored:
            toml.fault((key,), N_("wants stored = true in [scenario]"))
    commands = [action for action in fields.get("at", ()) if isinstance(action, model.Command)]
    if not head.is_stored:
        for command in commands:
            toml.fault((*toml.place_of(command), "do"), N_("wants stored = true in [scenario]"))
    for spoken in (*commands, *fields.get("prepare", ())):
        if not 1 <= len(spoken.words) <= model.MAX_WORDS:
            toml.fault((*toml.place_of(spoken), "words"), N_("are 1 to {most} words"), most=str(model.MAX_WORDS))


def check_signals(toml: TomlFile, signals: Sequence[model.SignalDef]) -> None:
    """Note faults of the signals by themselves."""
    _check_ids(toml, signals)
    weathers = [signal.id for signal in signals if isinstance(signal, Weather)]
    for signal in signals:
        place = toml.place_of(signal)
        match signal:
            case Fire(weather=str(name)) if name not in weathers:
                text = N_("no weather {signal}; weathers: {allowed}")
                toml.fault((*place, "weather"), text, signal=shown(name), allowed=listed(weathers))
            case Walk() if signal.highest <= signal.lowest:
                toml.fault((*place, "highest"), N_("must be above lowest"))
            case TagRide(route=()):
                toml.fault((*place, "route"), N_("is empty"))
            case Patrol() if missing := [number for number in signal.missed if number > signal.points]:
                text = N_("the tour has no point {number}; it has {points}")
                toml.fault((*place, "missed"), text, number=str(missing[0]), points=str(signal.points))


class Checker:
    """Checks everything that names something of a site."""

    def __init__(self, toml: TomlFile, head: model.Head, world: World, *, events: Collection[str]) -> None:
        """Take the sites; `events` are the ids of `[[at]]`."""
        self._toml, self._head, self._world, self._events = toml, head, world, events

    def drives(self, drives: Iterable[model.Drive], signals: Mapping[str, Signal]) -> None:
        """Note faults of `[[drive]]`."""
        for drive in drives:
            place = self._toml.place_of(drive)
            who = self._device(place, drive.device)
            signal = signals.get(drive.signal)
            if signal is None:
                text = N_("no signal {signal}; signals: {allowed}")
                self._fault((*place, "signal"), text, signal=shown(drive.signal), allowed=listed(signals))
            elif who is not None and not is_tag_drive(drive, signal, self._world, who):
                self._drive(place, drive, signal, who)

    def actions(self, actions: Sequence[model.Action]) -> None:
        """Note faults of `[[at]]`."""
        _check_ids(self._toml, actions)
        for action in actions:
            place = self._toml.place_of(action)
            self._time(place, action.t)
            who = self._whose(place, action)
            if who is None:
                continue
            if isinstance(action, _ON_SERIAL_LINES):
                self._serial(place, action, who)
            if isinstance(action, model.WrongClock | model.Stick | model.Reboot):
                self._kind_of_device(place, action, who)
            if isinstance(action, model.Press | model.SetTo | model.Stick):
                self._point_action(place, action, who)

    def expectations(self, expectations: Iterable[expecting.Expectation]) -> None:
        """Note faults of `[[expect]]`."""
        for expected in expectations:
            place = self._toml.place_of(expected)
            if expected.after is not None and expected.after not in self._events:
                text = N_("no event {id}; ids of [[at]]: {allowed}")
                self._fault((*place, "after"), text, id=shown(expected.after), allowed=listed(self._events))
            match expected:
                case expecting.OnDesk() | expecting.Evidence() | expecting.NothingElse() | expecting.Answer():
                    self._of_desk(place, expected)
                case expecting.Raised() | expecting.Cleared() | expecting.NotRaised() | expecting.Count():
                    self._of_alarms(place, expected)
                case expecting.Order():
                    self._order(place, expected)
                case expecting.NothingLost(device=str(name)) | expecting.TagIs(device=str(name)):
                    self._device(place, name)
                case expecting.ValueIs() | expecting.OutputIs():
                    self._value(place, expected)
                case expecting.GatewayIs():
                    self._gateway(place, expected.gateway, is_one=True)

    def _drive(self, place: Place, drive: model.Drive, signal: Signal, who: Who) -> None:
        points = self._world.points(who)
        if drive.part is not None and drive.part not in signal.parts:
            text = N_("signal {signal} has no part {part}; parts: {allowed}")
            args = {"signal": shown(drive.signal), "part": shown(drive.part), "allowed": listed(signal.parts)}
            self._fault((*place, "part"), text, **args)
            return
        if drive.point is None:
            if not driven(drive, signal, points):
                text = N_("no point of {device} has the name and kind of a part: {allowed}")
                self._fault((*place, "signal"), text, device=shown(drive.device), allowed=listed(signal.parts))
            return
        if not check_known(self._toml, (*place, "point"), drive.point, known=points):
            return
        self._movable((*place, "point"), drive.point, who)
        part = drive.part or part_for(drive.point, signal)
        if part is None:
            text = N_("is missing: signal {signal} has several parts: {allowed}")
            self._fault((*place, "part"), text, signal=shown(drive.signal), allowed=listed(signal.parts))
        elif signal.parts[part] is not points[drive.point]:
            text = N_("point {point} is a {kind}, part {part} of the signal is a {other}")
            kinds = {"kind": points[drive.point].value, "other": signal.parts[part].value}
            self._fault((*place, "point"), text, point=shown(drive.point), part=shown(part), **kinds)

    def _time(self, place: Place, t: float | str) -> None:
        head = self._head
        second = story_second(t, head)
        if second is None:
            _no_time(self._toml, (*place, "t"), str(t))
        elif not 0 <= second <= head.length_s:
            text = N_("{t} is not within the scenario, which begins at {begins} and lasts {length} s")
            args = {"t": shown(t), "begins": head.begins, "length": f"{head.length_s:g}"}
            self._fault((*place, "t"), text, **args)

    def _whose(self, place: Place, action: model.Action) -> Who | None:
        """Find whom an action is done to; None where that is nobody, or is not there."""
        match action:
            case model.Noise() | model.Flood() | model.Unplug():
                return self._bus(place, action.bus)
            case model.BrokerAway() | model.CloudAway() | model.Command() | model.Mark():
                return None
            case model.Arm() | model.Disarm() | model.Stolen():
                self._gateway(place, action.gateway, is_one=False)
                return None
            case model.PowerCut() | model.SetMode():
                gateway = self._gateway(place, action.gateway, is_one=True)
                if isinstance(action, model.SetMode) and gateway is not None:
                    for name in action.devices or ():
                        self._device((*place, "devices"), f"{gateway}/{name}", is_key=True)
                return None
        return self._device(place, action.device)

    def _serial(self, place: Place, action: model.Action, who: Who) -> None:
        of_device = isinstance(action, model.Slow | model.WrongCrc)
        if not self._world.is_serial(who, of_device=of_device):
            key = "device" if of_device else "bus"
            text = N_("{name} is not on a serial line on which devices are asked; this fault is for these")
            self._fault((*place, key), text, name=shown(who.name))

    def _kind_of_device(self, place: Place, action: model.WrongClock | model.Stick | model.Reboot, who: Who) -> None:
        is_for_polled = not isinstance(action, model.WrongClock)
        if is_for_polled and not self._world.is_polled(who):
            text = N_("{device} speaks by itself; this fault is for devices that are asked")
            self._fault((*place, "device"), text, device=shown(action.device))
        if not is_for_polled and self._world.is_polled(who):
            text = N_("{device} is asked and tells no time; this fault is for devices that speak by themselves")
            self._fault((*place, "device"), text, device=shown(action.device))

    def _point_action(self, place: Place, action: model.Press | model.SetTo | model.Stick, who: Who) -> None:
        if not self._world.is_polled(who):
            return  # what a talker can be pressed or set to, it says itself
        points, where = self._world.points(who), (*place, "point")
        if not check_known(self._toml, where, action.point, known=points):
            return
        self._movable(where, action.point, who)
        if isinstance(action, model.Press) and points[action.point] is not ValueKind.STATE:
            text = N_("{point} is no button or contact: set it to a value instead")
            self._fault(where, text, point=shown(action.point))
        definition = self._world.point(who, action.point)
        if isinstance(action, model.SetTo) and definition is not None:
            try:
                encode_point(definition, action.value)
            except CodecError as error:
                text = N_("cannot be {value}: {why}")
                self._fault((*place, "value"), text, value=shown(action.value), why=str(error))

    def _of_cloud(self, place: Place, key: str) -> None:
        if not self._head.is_stored:
            self._fault((*place, key), N_("wants stored = true in [scenario]"))

    def _of_desk(self, place: Place, expected: expecting.OfDesk) -> None:
        if not isinstance(expected, expecting.Answer):
            self._of_cloud(place, "what")
            if not isinstance(expected, expecting.NothingElse):
                self._of_alarms(place, expected)
            return
        if not self._head.trades:
            self._fault((*place, "what"), N_("wants trades = true in [scenario]"))
        if not expected.has and not expected.lacks:
            self._fault((*place, "has"), N_("is missing: give has or lacks"))

    def _of_alarms(self, place: Place, expected: Any) -> None:
        if expected.stored:
            self._of_cloud(place, "stored")
        limits = ("exactly", "at_least", "at_most")
        is_count = isinstance(expected, expecting.Count | expecting.OnDesk)
        if is_count and all(getattr(expected, key) is None for key in limits):
            self._fault((*place, "exactly"), N_("is missing: give exactly, at_least or at_most"))
        if expected.gateway == expecting.OWN_GATEWAY:
            # What the cloud may say of what, it says itself.
            self._of_cloud(place, "gateway")
            return
        self._gateway(place, expected.gateway, is_one=False)
        if expected.device is None or is_gateway_device(expected.device):
            self._kind(place, expected.alarm, None)
            return
        who = self._device(place, expected.device)
        if who is None:
            return
        self._kind(place, expected.alarm, who)
        if not self._world.is_polled(who):
            return
        if expected.point is not None:
            known = [*self._world.points(who), SUPERVISION, "combination"]
            check_known(self._toml, (*place, "point"), expected.point, known=known)
        rules = self._world.rules(who)
        if expected.rule is not None and expected.rule not in rules:
            text = N_("no rule {rule}; rules: {allowed}")
            self._fault((*place, "rule"), text, rule=shown(expected.rule), allowed=listed(sorted(rules)))

    def _order(self, place: Place, expected: expecting.Order) -> None:
        found = [self._device((*place, "devices"), name, is_key=True) for name in expected.devices]
        several = 2
        if len(found) < several:
            self._fault((*place, "devices"), N_("names fewer than two devices: there is no order"))
        for who in found:
            if who is not None:
                self._kind(place, expected.alarm, who)

    def _value(self, place: Place, expected: expecting.ValueIs | expecting.OutputIs) -> None:
        who = self._device(place, expected.device)
        if who is not None and self._world.is_polled(who):
            check_known(self._toml, (*place, "point"), expected.point, known=self._world.points(who))
        limits = ("lowest", "highest", "equals")
        if isinstance(expected, expecting.ValueIs) and all(getattr(expected, key) is None for key in limits):
            self._fault((*place, "equals"), N_("is missing: give lowest, highest or equals"))

    def _kind(self, place: Place, alarm: str | None, who: Who | None) -> None:
        kinds = self._world.alarms(who)
        if alarm is not None and kinds is not None and alarm not in kinds:
            text = N_("nothing here raises {alarm}; alarms: {allowed}")
            self._fault((*place, "alarm"), text, alarm=shown(alarm), allowed=listed(sorted(kinds)))

    def _movable(self, place: Place, key: str, who: Who) -> None:
        if self._world.number_of(who) == key:
            text = N_("{point} numbers the answers (simulate.count_in): nothing else may move it")
            self._fault(place, text, point=shown(key))

    def _device(self, place: Place, name: str, *, is_key: bool = False) -> Who | None:
        """Find one device; `place` is its own when `is_key`, else the table's."""
        where = place if is_key else (*place, "device")
        found = self._world.devices(name)
        if not found:
            text = N_("no device {device}; devices: {allowed}")
            self._fault(where, text, device=shown(name), allowed=listed(self._world.names()))
        elif len(found) > 1:
            self._several(where, name, found)
        return found[0] if len(found) == 1 else None

    def _bus(self, place: Place, name: str) -> Who | None:
        found = self._world.buses(name)
        if not found:
            text = N_("no bus {bus}; buses: {allowed}")
            self._fault((*place, "bus"), text, bus=shown(name), allowed=listed(self._world.names(of_buses=True)))
        elif len(found) > 1:
            self._several((*place, "bus"), name, found)
        return found[0] if len(found) == 1 else None

    def _gateway(self, place: Place, name: str | None, *, is_one: bool) -> str | None:
        found = self._world.gateways(name)
        where, allowed = (*place, "gateway"), listed(self._world.sites)
        if not found:
            self._fault(where, N_("no gateway {gateway}; gateways: {allowed}"), gateway=shown(name), allowed=allowed)
        elif is_one and len(found) > 1:
            self._fault(where, N_("is missing: there are several gateways: {allowed}"), allowed=allowed)
        return found[0] if len(found) == 1 else None

    def _several(self, place: Place, name: str, found: Iterable[Who]) -> None:
        allowed = listed(f"{who.gateway}/{who.name}" for who in found)
        self._fault(place, N_("{name} is in several sites; write one of {allowed}"), name=shown(name), allowed=allowed)

    def _fault(self, place: Place, text: str, **args: str) -> None:
        self._toml.fault(place, text, **args)


def is_tag_drive(drive: model.Drive, signal: Signal, world: World, who: Who) -> bool:
    """Tell whether a drive lets a reader of tags hear a tag: the signal's id is the tag's, no point is named."""
    return isinstance(signal, TagRide) and drive.point is None and not world.is_polled(who)


def driven(drive: model.Drive, signal: Signal, points: Mapping[str, ValueKind]) -> dict[str, str]:
    """List the points that a drive without a point moves, each with its part: same name, same kind."""
    return {key: key for key, kind in points.items() if signal.parts.get(key) is kind and drive.part in (None, key)}


def part_for(point: str, signal: Signal) -> str | None:
    """Choose the part for a point where none is named: the one of its name, or the only one."""
    if point in signal.parts:
        return point
    return next(iter(signal.parts)) if len(signal.parts) == 1 else None


def _check_ids(toml: TomlFile, things: Iterable[Any]) -> None:
    taken: dict[str, int | None] = {}
    for thing in things:
        if thing.id is None:
            continue
        place = (*toml.place_of(thing), "id")
        if thing.id in taken:
            text = N_("{id} is taken by the one in line {line}")
            toml.fault(place, text, id=shown(thing.id), line=str(taken[thing.id] or "?"))
        taken.setdefault(thing.id, toml.line_of(place))


def _no_time(toml: TomlFile, place: Place, value: str) -> None:
    toml.fault(place, N_("{value} is no time of day, as in 08:15 or 08:15:30"), value=shown(value))
