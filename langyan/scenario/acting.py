"""Does what a scenario's timeline says, and undoes it when its time is over."""

import time
from uuid import uuid4

from contract.alarms import Mode
from contract.commands import Command
from contract.tags import Arm, Disarm, TagOrder, parts_of
from edge.rules.modes import MAX_MODE_S
from langyan.scenario.cloud import StageError
from langyan.scenario.stage import Stage
from simulators.control_client import Control
from simulators.scenario import model
from simulators.scenario.loader import Step
from simulators.scenario.world import Who, World

COMMAND_S = 60


class Actor:
    """The hand on the stage."""

    def __init__(self, stage: Stage, world: World) -> None:
        self._stage, self._world = stage, world

    def act(self, step: Step) -> None:
        """Do a step; it is done when this returns, but for what takes its own time (a process that starts).

        Raises:
            ControlError: a simulator refuses it.
            edge.control.ControlError: a gateway refuses it.
            StageError: a gateway is asked that does not run.
        """
        action, ends = step.action, step.is_end
        match action:
            case model.Mark():
                pass
            case model.Command():
                self._stage.command(action.words, must_fail=action.fails)
            case model.BrokerAway() | model.CloudAway() | model.PowerCut():
                self._take_away(action, ends=ends)
            case model.SetMode():
                self._set_mode(action, ends=ends)
            case model.Arm() | model.Disarm() | model.Stolen():
                self._act_on_tags(action)
            case model.Noise() | model.Flood() | model.Unplug():
                self._act_on_bus(action, ends=ends)
            case _:
                self._act_on_device(action, ends=ends)

    def _act_on_tags(self, action: model.TagAction) -> None:
        now_us = time.time_ns() // 1000
        orders: list[TagOrder]
        match action:
            case model.Arm():
                orders = [Arm(action.tags, action.owner)]
            case model.Disarm():
                orders = [Disarm(action.tags)]
            case model.Stolen():
                # A later list has a higher version.
                orders = list(parts_of(action.tags, version=now_us // 1000))
        for gateway in self._world.gateways(action.gateway):
            for order in orders:
                expires_at_us = now_us + COMMAND_S * 1_000_000
                self._stage.eyes.send_command(Command(uuid4().hex, gateway, order, expires_at_us, by="scenario"))

    def _take_away(self, action: model.BrokerAway | model.CloudAway | model.PowerCut, *, ends: bool) -> None:
        match action:
            case model.BrokerAway() if ends:
                self._stage.broker.start()
            case model.BrokerAway():
                self._stage.broker.kill()
            case model.CloudAway() if ends:
                self._stage.cloud_comes()
            case model.CloudAway():
                self._stage.cloud_goes()
            case model.PowerCut():
                gateway = self._stage.gateways[self._gateway(action.gateway)]
                if ends:
                    gateway.start(wait=False)
                else:
                    gateway.kill()

    def _act_on_bus(self, action: model.BusAction, *, ends: bool) -> None:
        (who,) = self._world.buses(action.bus)
        control = self._stage.controls[who.gateway]
        match action:
            case model.Noise():
                control.noise(who.name, rate=0.0 if ends else action.rate)
            case model.Flood():
                control.flood(who.name, bytes_s=action.bytes_s, for_s=action.for_s)
            case model.Unplug() if ends:
                control.plug(who.name)
            case model.Unplug():
                control.unplug(who.name)

    def _act_on_device(
        self,
        action: model.DeviceAction,
        *,
        ends: bool,
    ) -> None:
        (who,) = self._world.devices(action.device)
        control = self._stage.controls[who.gateway]
        if ends:
            _undo(control, who, action, is_polled=self._world.is_polled(who))
            return
        match action:
            case model.Press():
                control.press(who.name, action.point)
            case model.SetTo():
                control.set(who.name, action.point, action.value)
            case model.Mute():
                control.mute(who.name)
            case model.Slow():
                control.delay(who.name, action.delay_s)
            case model.Stick():
                control.stick(who.name, action.point)
            case model.WrongCrc():
                control.spoil(who.name, action.rate)
            case model.Reboot():
                control.reboot(who.name, silent_s=action.silent_s)
            case model.WrongClock():
                control.clock(who.name, action.off_s)

    def _set_mode(self, action: model.SetMode, *, ends: bool) -> None:
        gateway = self._gateway(action.gateway)
        if self._stage.gateways[gateway].pid is None:
            raise StageError(f"gateway {gateway} does not run; its mode cannot be set")
        devices = None if action.devices is None else list(action.devices)
        mode, for_s = (Mode.LIVE, 0.0) if ends else (action.mode, action.for_s or MAX_MODE_S)
        self._stage.ask_gateway(gateway, {"do": "mode", "mode": mode.value, "for_s": for_s, "devices": devices})

    def _gateway(self, name: str | None) -> str:
        (gateway,) = self._world.gateways(name)
        return gateway


def _undo(control: Control, who: Who, action: model.DeviceAction, *, is_polled: bool) -> None:
    match action:
        case model.SetTo() if not is_polled:
            # A talker has no simulation to go back to: what it holds is let go.
            control.release(who.name, action.point)
        case model.Press():
            control.release(who.name, action.point)
        case model.SetTo() | model.Stick():
            control.auto(who.name, action.point)
        case model.Mute():
            control.unmute(who.name)
        case model.Slow():
            control.delay(who.name, 0.0)
        case model.WrongCrc():
            control.spoil(who.name, 0.0)
        case model.WrongClock():
            control.clock(who.name, 0.0)
