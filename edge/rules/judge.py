"""Rules: readings in; alarm events, outputs to be switched, and what stands out. Pure; the caller reads the clocks.

Decisions 13 and 14 say why it is as it is.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain

from contract.alarms import Mode, Transition
from contract.ids import GATEWAY_DEVICE
from contract.telemetry import Sample
from device_profiles.model import UNDELAYED_ALARMS, CombinationRule
from device_profiles.site import Drill, PlacedDevice
from device_profiles.speech.said import Report
from edge.errors import EdgeError
from edge.rules.combinations import Combination
from edge.rules.hold_up import HoldUps
from edge.rules.making import make_combinations, make_verified, make_watches
from edge.rules.modes import Modes, ModeState
from edge.rules.outputs import Outputs
from edge.rules.standing import Standing
from edge.rules.timers import Timers
from edge.rules.told import FLOOD, ToldAlarms, ToldWatch, told_value
from edge.rules.turn import NOTHING, Judged, Turn
from edge.rules.watch import Step, Watch


class UnknownSourceError(EdgeError):
    """No rule of this gateway has that source."""

    hint = "A source is <gateway>/<device>/<point>/<rule>, as the alarm list shows it."


class Judge:
    """All rules of a gateway. Feed it every sample, and let it look at the clock when `next_at` says so."""

    def __init__(
        self,
        gateway: str,
        devices: Iterable[PlacedDevice],
        *,
        active: Mapping[str, Standing],
        rules: Sequence[CombinationRule] = (),
        drills: Sequence[Drill] = (),
        modes: ModeState | None = None,
        place: str = "",
        now: float = 0.0,
        at_us: int = 0,
    ) -> None:
        """Make a watch for each rule, point and device.

        Args:
            gateway: id of the gateway.
            devices: with the site's rules applied.
            active: by source, the alarms that stood when the gateway last ran; those of others are left alone, and
                those that devices say by themselves last their whole time anew.
            rules: the site's own combinations.
            drills: the site's drill windows.
            modes: as `modes` gave it in this run of the computer.
            place: what people call the site; empty takes the gateway's id.
            now: monotonic seconds, as in all that follows.
            at_us: the clock that samples are stamped with, at `now`.
        """
        devices, place = list(devices), place or gateway
        watches = make_watches(gateway, devices, now)
        combinations = make_combinations(gateway, devices, rules, watches, place=place)
        self._gateway = gateway
        self._verified = make_verified(gateway, place=place)
        self._urgent = [watch for watch in watches if watch.about.kind in UNDELAYED_ALARMS]
        self._watched: dict[str, dict[str, list[Watch]]] = {}
        for watch in watches:
            self._watched.setdefault(watch.about.device, {}).setdefault(watch.about.point, []).append(watch)
        self._combinations = {one.watch: one for one in combinations}
        self._combined: dict[Watch, list[Combination]] = {}
        for one in combinations:
            for watch in {watch for member in one.members for watch in member}:
                self._combined.setdefault(watch, []).append(one)
        self._by_source = {watch.about.source: watch for watch in (*watches, *self._combinations, self._verified)}
        self._hold_ups, self._outputs = HoldUps(), Outputs()
        self._modes = Modes([*(placed.device.id for placed in devices), GATEWAY_DEVICE], drills)
        self._modes.restore(modes or ModeState(), now=now, at_us=at_us)
        self._delays: Timers[Watch] = Timers()
        self._switched: Timers[Watch] = Timers()
        self._windows: Timers[Combination] = Timers()
        self._told, self._ends = ToldAlarms(gateway, devices, ruled=self._by_source), Timers[ToldWatch]()
        # The first tick settles what was taken over from before a restart.
        self._begins = True
        self._modes_at: float | None = now
        for source, watch in self._by_source.items():
            if standing := active.get(source):
                watch.restore(standing)
            self._arm(watch)
        for source, standing in active.items():
            if (told := self._told.restore(source, standing)) and told.ends_after_s is not None:
                self._ends.put(told, now + told.ends_after_s)

    @property
    def told_refused(self) -> int:
        """How many alarms were turned away because their device had too many standing."""
        return self._told.refused

    def feed(self, sample: Sample, now: float) -> Judged:
        """Judge one sample taken at `now`; one dict lookup when its device has no rules."""
        watched = self._watched.get(sample.device)
        if watched is None:
            return NOTHING
        turn: Turn | None = None
        for point in sample.points:
            watches = watched.get(point.key)
            if watches is None:
                continue
            value = point.value
            for watch in watches:
                if value is not watch.calm:
                    step = watch.hear(value, now)
                    if step is not None:
                        turn = turn or Turn(self._gateway, now, sample.at_us)
                        self._take(turn, watch, step)
                    if watch.due != watch.armed:
                        self._arm(watch)
        return turn.judged() if turn else NOTHING

    def told(self, device: str, report: Report, now: float, at_us: int) -> Judged:
        """Take an alarm, or its end, that a device says by itself.

        It goes the way of the alarms of rules. A repeat while it stands changes nothing but its end by the clock,
        unless it is one more cry for help (panic, tamper, duress).

        Args:
            device: id of the device.
            report: what it says; what does not fit the wire is cut.
            now: monotonic seconds.
            at_us: when, by the clock that samples are stamped with.
        """
        turn = Turn(self._gateway, now, at_us)
        watch = self._told.find(device, report)
        if watch is None:
            watch, report = self._told.flood(device), FLOOD
        watch.value = told_value(report)
        if report.is_on:
            self._tell(turn, watch)
        elif watch.standing is not None:
            self._end_told(turn, watch)
        return turn.judged()

    def tick(self, now: float, at_us: int, *, wall_us: int | None = None) -> Judged:
        """Judge what the clock has brought; call it at `next_at`, and as often besides as one likes.

        Args:
            now: monotonic seconds.
            at_us: the clock that samples are stamped with.
            wall_us: wall time, microseconds UTC, once it can be trusted; drills wait for it.
        """
        turn = Turn(self._gateway, now, at_us)
        if wall_us is not None:
            self._modes.know_time(wall_us, now=now)
        if self._begins:
            self._begin(turn)
        if wall_us is not None or (self._modes_at is not None and self._modes_at <= now):
            self._settle_modes(turn)
        for watch in self._delays.due(now):
            if (step := watch.elapse(now)) is not None:
                self._take(turn, watch, step)
            self._arm(watch)
        for combination in self._windows.due(now):
            self._combine(turn, combination)
        for watch in self._switched.due(now):
            self._switch_back(turn, watch)
        for told in self._ends.due(now):
            self._end_told(turn, told)
        return turn.judged()

    def next_at(self) -> float | None:
        """Tell when `tick` wants to be called next, monotonic seconds; None when only a reading can change anything."""
        timers = (self._delays, self._windows, self._switched, self._ends)
        return min((at for at in (*(one.next_at() for one in timers), self._modes_at) if at is not None), default=None)

    def reset(self, source: str, now: float, at_us: int) -> Judged:
        """Let a latched alarm go, which happens only when its condition is over; or one that a device has said.

        Raises:
            UnknownSourceError: no rule has that source, and no device has said it.
        """
        turn = Turn(self._gateway, now, at_us)
        if (told := self._told.get(source)) is not None:
            self._end_told(turn, told)
            return turn.judged()
        watch = self._by_source.get(source)
        if watch is None:
            raise UnknownSourceError(f"no alarm can stand at {source[:300]!r}")
        if watch.standing is not None and watch.standing.is_latched:
            self._end(turn, watch)
        return turn.judged()

    def set_mode(self, mode: Mode, devices: Collection[str] | None, until: float, *, now: float, at_us: int) -> Judged:
        """Put devices, or all, into a mode until a monotonic moment; live ends the mode that they have.

        Returns:
            What ends with a mode, and what is raised anew because it still stands.

        Raises:
            ModeRefusedError: an unknown device, or too long; nothing is changed then.
        """
        self._modes.set(mode, devices, until, now=now)
        turn = Turn(self._gateway, now, at_us)
        self._settle_modes(turn)
        return turn.judged()

    def modes(self, now: float, at_us: int) -> ModeState:
        """Give the modes set by hand, for the next run of this gateway on this run of the computer."""
        return self._modes.state(now=now, at_us=at_us)

    def mode_of(self, device: str, now: float) -> Mode:
        """Tell the mode of a device."""
        return self._modes.mode_of(device, now)

    def standing(self) -> dict[str, Standing]:
        """Give what stands, by source."""
        return {watch.about.source: watch.standing for watch in self._all() if watch.standing is not None}

    def _all(self) -> Iterable[Watch]:
        return chain(self._by_source.values(), self._told.watches())

    def _begin(self, turn: Turn) -> None:
        """Settle what stood before a restart."""
        self._begins = False
        for watch in self._all():
            if watch.standing is None:
                continue
            if watch.standing.mode not in (Mode.LIVE, self._mode_of(watch, turn.now)):
                # A test that ended meanwhile. Whether the condition still holds only a reading can say.
                self._end(turn, watch)
                watch.begin_anew()
            elif watch.about.action is not None:
                self._switch_again(turn, watch)
        for combination in self._combinations.values():
            self._combine(turn, combination)
        self._look_at_verified(turn)
        self._put_outputs_back(turn)

    def _arm(self, watch: Watch) -> None:
        watch.armed = watch.due
        self._delays.put(watch, watch.due)

    def _tell(self, turn: Turn, watch: ToldWatch) -> None:
        """Raise what a device says, or say its repeat where that is news; its time begins anew."""
        watch.is_on = True
        if watch.standing is None or watch.retriggers:
            # Nothing is said twice at one moment: what is over and comes again has an id of its own.
            turn.at_us = turn.not_before(watch.last_us + 1) if watch.last_us else turn.at_us
            self._trigger(turn, watch)
        self._ends.put(watch, None if watch.ends_after_s is None else turn.now + watch.ends_after_s)

    def _end_told(self, turn: Turn, watch: ToldWatch) -> None:
        watch.is_on = False
        self._ends.put(watch, None)
        self._end(turn, watch)

    def _take(self, turn: Turn, watch: Watch, step: Step) -> None:
        if step is Step.ON or (step is Step.AGAIN and watch.about.kind in UNDELAYED_ALARMS):
            self._trigger(turn, watch)
        elif step is Step.OFF and watch.about.is_latching:
            turn.latch(watch)
        elif step is Step.OFF:
            self._end(turn, watch)
        if step is not Step.AGAIN:
            for combination in self._combined.get(watch, ()):
                self._combine(turn, combination)

    def _trigger(self, turn: Turn, watch: Watch) -> None:
        """Raise an alarm, or trigger it again while it stands."""
        old = watch.standing
        if old is None:
            mode = self._mode_of(watch, turn.now)
            turn.say(watch, Transition.RAISED, Standing(turn.at_us, mode=mode, told=watch.about.told))
        else:
            # Every press has a time, and with it an id, of its own, whatever the clock does.
            at_us = turn.not_before(old.latest_us + 1)
            turn.say(watch, Transition.RETRIGGERED, Standing(old.raised_at_us, at_us, old.mode, told=old.told))
        mode = watch.standing.mode if watch.standing is not None else Mode.LIVE
        action = watch.about.action
        if action is not None and mode is not Mode.TEST:
            turn.actions.append(self._outputs.hold(watch.about.source, action, device=watch.about.device))
            self._switched.put(watch, None if action.for_s is None else turn.now + action.for_s)
        if mode is Mode.LIVE and watch.about.kind in UNDELAYED_ALARMS:
            note = self._hold_ups.press if watch.about.kind == "panic" else self._hold_ups.tamper
            if note(turn.now):
                self._trigger(turn, self._verified)

    def _end(self, turn: Turn, watch: Watch) -> None:
        turn.say(watch, Transition.CLEARED, None)
        self._switch_back(turn, watch)
        if watch.about.kind in UNDELAYED_ALARMS:
            self._look_at_verified(turn)

    def _look_at_verified(self, turn: Turn) -> None:
        """A verified hold-up ends with the last of the presses and tampers that stand."""
        urgent = chain(self._urgent, (watch for watch in self._told.watches() if watch.about.kind in UNDELAYED_ALARMS))
        live = (watch.standing is not None and watch.standing.mode is Mode.LIVE for watch in urgent)
        if self._verified.standing is not None and not any(live):
            self._end(turn, self._verified)

    def _combine(self, turn: Turn, combination: Combination) -> None:
        step = combination.watch.hear(combination.holds(turn.now), turn.now)
        combination.watch.value = None
        if step is not None:
            self._take(turn, combination.watch, step)
        self._windows.put(combination, combination.next_at(turn.now))

    def _settle_modes(self, turn: Turn) -> None:
        """End what was raised in a mode that is over, and raise it anew where its condition lasts.

        So a real press in the last moment of a test is not lost. What was raised live stays live.
        """
        self._modes.expire(turn.now)
        self._modes_at = self._modes.next_at(turn.now)
        for watch in self._all():
            standing = watch.standing
            if standing is None or standing.mode in (Mode.LIVE, self._mode_of(watch, turn.now)):
                continue
            self._end(turn, watch)
            if watch.is_on:
                turn.at_us = turn.not_before(standing.latest_us + 1)
                self._trigger(turn, watch)

    def _mode_of(self, watch: Watch, now: float) -> Mode:
        """The mode of its device; a combination takes part in the test of any member that makes it hold."""
        modes = [self._modes.mode_of(watch.about.device, now)]
        if combination := self._combinations.get(watch):
            counting = (one for member in combination.members for one in member if combination.counts(one, now))
            modes.extend(self._modes.mode_of(one.about.device, now) for one in counting)
        return next((mode for mode in modes if mode is not Mode.LIVE), Mode.LIVE)

    def _switch_again(self, turn: Turn, watch: Watch) -> None:
        """After a restart switch an output anew for what is left of its time: the output may have been off too."""
        action, standing = watch.about.action, watch.standing
        if action is None or standing is None or standing.mode is Mode.TEST:
            return
        # After a reboot nobody knows how long the output was on; then its time begins anew.
        is_known = turn.is_of_our_clock(standing.latest_us)
        gone_s = max(0.0, (turn.at_us - standing.latest_us) / 1e6) if is_known else 0.0
        if action.for_s is not None and gone_s >= action.for_s:
            return
        turn.actions.append(self._outputs.hold(watch.about.source, action, device=watch.about.device))
        self._switched.put(watch, None if action.for_s is None else turn.now + action.for_s - gone_s)

    def _switch_back(self, turn: Turn, watch: Watch) -> None:
        action = watch.about.action
        if action is None:
            return
        self._switched.put(watch, None)
        back = self._outputs.release(watch.about.source, action, device=watch.about.device)
        if back is not None:
            turn.actions.append(back)

    def _put_outputs_back(self, turn: Turn) -> None:
        """After a restart: the alarm may have ended, and we with it before its siren was silent."""
        for source, watch in self._by_source.items():
            if (action := watch.about.action) is None:
                continue
            if (back := self._outputs.at_rest(source, action, device=watch.about.device)) is not None:
                turn.actions.append(back)
