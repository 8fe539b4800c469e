"""Runs the demo: the stage is set, the story is played, the counts are compared."""

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct
from rich.console import Console
from rich.live import Live
from sqlalchemy import func, select

from cloud.database.escalation_tables import delivery
from cloud.desk.core import Alarm
from cloud.desk.operations import list_alarms
from cloud.desk.own import OWN_GATEWAY
from cloud.telling.queue import State
from contract.ids import GATEWAY_DEVICE
from langyan.demo.boards import write_boards
from langyan.demo.city import UPWARDS
from langyan.demo.counting import Balance, balance
from langyan.demo.findings import Findings, find
from langyan.demo.latency import Spread, press_to_stored_ms, spread
from langyan.demo.screen import Screen, View
from langyan.demo.sites import NUMBERED, SIREN, write_sites
from langyan.demo.stage import DATABASE, Stage
from langyan.demo.story import Pressed, Scene, is_button, plan
from langyan.errors import LangyanError
from langyan.i18n import translate as _
from langyan.servers import wait_until

FRAME_S = 0.25
SETTLE_LIMIT_S = 60.0
# The trades judge within a second of what they hear; on a busy machine later.
FINDINGS_LIMIT_S = 30.0
MAX_ALARMS = 100_000
# A contact may be read as pressed a little before the answer to "press it" is here.
SKEW_US = 50_000


class FolderInUseError(LangyanError):
    """The folder that the demo should use is not empty."""


class Report(Struct, frozen=True):
    """What the demo found; `--report` writes it as JSON.

    Attributes:
        produced, stored, lost, duplicates: readings; see `langyan.demo.counting.Balance`.
        alarms_raised: contacts pushed, and the fire's smoke and heat: each must raise once.
        alarms_stored: raises in the alarm database.
        press_to_stored_ms: presses of buttons while the broker was there.
        outage_press_to_stored_ms: the press while the broker was gone; -1 when it was not stored.
        press_to_desk_ms: the same presses until the duty officer's live stream had them.
        told: messages to people on duty that were sent.
        told_upwards: of these, to the street and the town, because nobody was at the desk.
        untold: messages that were not sent.
        outage_press_to_siren_ms: from the same press until the gateway had switched the siren on; -1 when it did not.
        trades: what fire watch, bike watch, patrols and vehicles made of it.
        influx_url, influx_db, broker_port: where everything is, for as long as it runs.
    """

    produced: int
    stored: int
    lost: int
    duplicates: int
    alarms_raised: int
    alarms_stored: int
    press_to_stored_ms: Spread
    press_to_desk_ms: Spread
    told: int
    told_upwards: int
    untold: int
    outage_press_to_stored_ms: float
    outage_press_to_siren_ms: float
    trades: Findings
    influx_url: str
    influx_db: str
    broker_port: int
    seconds: float
    folder: str

    def is_good(self) -> bool:
        """Tell whether nothing was lost, nothing stored twice, everybody told, and the siren sounded."""
        if not self.told or not self.told_upwards or self.untold:
            return False
        counts_agree = not self.lost and not self.duplicates and self.alarms_stored == self.alarms_raised
        return self.trades.is_good() and counts_agree and self.produced > 0 and self.outage_press_to_siren_ms >= 0


class Options(Struct, frozen=True):
    """How the demo is played; see `langyan demo --help`."""

    seconds: float
    live: bool = True
    keep: bool = False
    folder: Path | None = None
    influx_port: int | None = None
    broker_port: int | None = None


def play(options: Options, console: Console, *, on_report: Callable[[Report], None]) -> Report:
    """Play it all; `on_report` is called before the servers are kept up or stopped.

    Raises:
        ServerError: a server is missing or does not come up.
        FolderInUseError: the folder holds something already.
    """
    if options.folder is not None and options.folder.exists() and any(options.folder.iterdir()):
        text = _("{folder} is not empty; an older run in it would be counted too. Give a new folder.")
        raise FolderInUseError(text.format(folder=options.folder))
    folder = options.folder or Path(tempfile.mkdtemp(prefix="langyan-demo-"))
    stage = Stage(
        folder.resolve(), write_sites, broker_port=options.broker_port, influx_port=options.influx_port, trades=True
    )
    try:
        console.print(_("Starting mosquitto, InfluxDB, three gateways, their simulated devices, and the cloud ..."))
        with stage:
            _say_where(stage, console)
            report = _play_on(stage, options, console)
            on_report(report)
            if options.keep:
                console.print(_("The servers stay up until Ctrl-C."))
                _wait_for_ever()
    finally:
        if options.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    return report


def _play_on(stage: Stage, options: Options, console: Console) -> Report:
    scenes = plan(stage, options.seconds)
    pressed: list[Pressed] = []
    started = time.monotonic()
    if options.live:
        _play_live(stage, scenes, pressed, options.seconds, console)
    else:
        for scene in scenes:
            sleep_until(started + scene.at_s)
            console.print(f"{time.monotonic() - started:6.1f} s  {scene.title}")
            pressed += scene.act()
        sleep_until(started + options.seconds)
    return _count(stage, pressed, options.seconds, console)


def _play_live(stage: Stage, scenes: list[Scene], pressed: list[Pressed], seconds: float, console: Console) -> None:
    screen, left = Screen(), list(scenes)
    title = left[0].title
    started = time.monotonic()
    with Live(console=console, auto_refresh=False, transient=False) as live:
        while (now_s := time.monotonic() - started) < seconds:
            if left and left[0].at_s <= now_s:
                scene = left.pop(0)
                title = scene.title
                pressed += scene.act()
            picture = screen.draw(view(stage, title, now_s, seconds, pressed), height=console.height)
            live.update(picture, refresh=True)
            sleep_until(started + min(left[0].at_s if left else seconds, now_s + FRAME_S))


def view(stage: Stage, title: str, now_s: float, seconds: float, pressed: list[Pressed]) -> View:
    """Look at everything that the screen shows, now."""
    gateways = stage.observer.gateways()
    return View(
        now_s=now_s,
        seconds=seconds,
        title=title,
        broker_is_up=stage.broker.pid is not None,
        gateways=gateways,
        waiting={gateway: stage.waiting(gateway) for gateway in gateways},
        answers=stage.answers(),
        seen=stage.observer.alarms(),
        pressed=pressed,
        held=stage.officer.alarms(),
        rung=stage.phones.rung(),
    )


def _count(stage: Stage, pressed: list[Pressed], seconds: float, console: Console) -> Report:
    console.print(_("The story is over. Waiting until the outboxes are empty, then stopping the gateways ..."))
    wait_until(lambda: _waiting(stage) <= _usual_waiting(stage), SETTLE_LIMIT_S, every_s=0.1)
    with stage.open_alarms() as database:
        wait_until(lambda: find(database).is_good(), FINDINGS_LIMIT_S, every_s=0.2)
    stage.officer.close_all()
    wait_until(lambda: not _untold(stage), SETTLE_LIMIT_S, every_s=0.1)
    ended, given_up = stage.ended(), stage.given_up()
    for gateway in stage.gateways.values():
        gateway.stop()
    for name in ended:
        console.print(_("{name} has ended by itself; its log is in {folder}").format(name=name, folder=stage.folder))
    stats = {gateway: control.stats() for gateway, control in stage.controls.items()}
    found: Balance = balance(
        stage.influx.url, DATABASE, stats=stats, numbered=NUMBERED, outputs=[SIREN.point], given_up=given_up
    )
    with stage.open_alarms() as database:
        everything = list_alarms(database, state="all", limit=MAX_ALARMS)
        findings = find(database)
    alarms = [alarm for alarm in everything if alarm.gateway != OWN_GATEWAY]
    seen = stage.observer.alarms()
    buttons = [press_to_stored_ms(press, seen) for press in pressed if is_button(press) and not press.in_outage]
    told = stage.phones.rung()
    outage = [_stored_ms(press, alarms) for press in pressed if press.in_outage]
    return Report(
        produced=found.produced,
        stored=found.stored,
        lost=found.lost,
        duplicates=found.duplicates,
        alarms_raised=len(pressed),
        alarms_stored=sum(alarm.triggers for alarm in alarms),
        press_to_stored_ms=spread([ms for ms in buttons if ms is not None]),
        press_to_desk_ms=spread(_to_desk_ms(stage, [press for press in pressed if is_button(press)])),
        told=len(told),
        told_upwards=sum(one.number in UPWARDS for one in told),
        untold=_untold(stage),
        outage_press_to_stored_ms=max(outage, default=-1.0),
        outage_press_to_siren_ms=max((press.siren_ms for press in pressed if press.siren_ms is not None), default=-1.0),
        trades=findings,
        influx_url=stage.influx.url,
        influx_db=DATABASE,
        broker_port=stage.broker.port,
        seconds=seconds,
        folder=str(stage.folder),
    )


def _stored_ms(press: Pressed, alarms: Sequence[Alarm]) -> float:
    """Tell from the alarm database how long a press took that its receipt's observer may have missed."""
    push = press.push
    rows = [
        alarm
        for alarm in alarms
        if (alarm.gateway, alarm.device, alarm.point) == (push.gateway, push.device, push.point)
    ]
    return max((round((alarm.stored_at_us - press.at_us) / 1000, 1) for alarm in rows), default=-1.0)


def _to_desk_ms(stage: Stage, presses: Sequence[Pressed]) -> list[float]:
    """From each press, those of the outage excepted, until its alarm came out of the live stream."""
    came = stage.officer.triggers()
    found = []
    for press in presses:
        begins = f"{press.push.gateway}/{press.push.device}/{press.push.point}/"
        after = [seen for source, raised, seen in came if source.startswith(begins) and raised >= press.at_us - SKEW_US]
        if after and not press.in_outage:
            found.append(round((min(after) - press.at_us) / 1000, 1))
    return found


def _untold(stage: Stage) -> int:
    """Count the messages that were not sent."""
    query = select(func.count()).where(delivery.c.state != State.SENT.value)
    with stage.open_alarms() as database:
        return int(database.read(lambda connection: connection.execute(query).scalar_one()))


def _waiting(stage: Stage) -> float:
    own = [view.health.get(GATEWAY_DEVICE, {}) for view in stage.observer.gateways().values()]
    return sum(float(points.get("outbox.readings_waiting", 0.0)) for points in own)


def _usual_waiting(stage: Stage) -> float:
    """About what half a second of readings and their receipts amount to."""
    return 400.0 * len(stage.gateways)


def _say_where(stage: Stage, console: Console) -> None:
    console.print(_("What you see: three simulated sites; everything else is real."))
    langyan, ours = f"{sys.executable} -m langyan", f"XDG_CONFIG_HOME={stage.folder}"
    grafana, page = write_boards(stage.folder, stage.settings, stage.profiles(), desk_url=stage.url)
    rows = (
        (_("MQTT"), f"mosquitto_sub -p {stage.broker.port} -V 5 -v -t 'langyan/v1/+/up/#'"),
        (_("InfluxDB"), f"influx -port {stage.influx.port} -database {DATABASE}"),
        (_("alarm desk"), f"{ours} {langyan} alarms watch"),
        (_("areas"), f"{langyan} cloud areas show grid-7 --settings {stage.settings}"),
        (_("stolen e-bike"), f"{ours} {langyan} bikes case 1"),
        (_("night patrol"), f"{ours} {langyan} patrols tours"),
        (_("school bus"), f"{ours} {langyan} vehicles list"),
        (_("dashboards, in a Grafana of your own"), grafana),
        (_("dashboards"), page),
        (_("files and logs"), str(stage.folder)),
    )
    for name, command in rows:
        console.print(f"  {name}: {command}", soft_wrap=True, highlight=False)


def sleep_until(moment: float) -> None:
    """Wait until a moment of the monotonic clock."""
    time.sleep(max(0.0, moment - time.monotonic()))


def _wait_for_ever() -> None:
    while True:
        time.sleep(3600)
