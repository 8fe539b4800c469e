"""A gateway's counters without a gateway: the school of the examples, on a virtual clock."""

from collections.abc import Mapping
from pathlib import Path

from contract.alarms import Mode
from device_profiles.site import Site
from device_profiles.site_loader import load_site
from edge.health import BusHealth, Health
from edge.status import Board
from edge.supervision import Supervisor

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "school.toml"


class School:
    """The example site with counters to be moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.site: Site = load_site(EXAMPLE)
        self.health = Health({bus.id: BusHealth(is_up=True) for bus in self.site.file.bus})
        placed = [placed for devices in self.site.devices.values() for placed in devices]
        self.devices = [one.device.id for one in placed]
        self.supervisor = Supervisor("school-17", placed, self.now)
        self.breakers: dict[str, Mapping[int, str]] = {}
        self.stalled: list[str] = []
        self.modes: dict[str, Mode] = {}
        self.board = self.new_board()

    def new_board(self) -> Board:
        """Begin the recent past anew."""
        return Board(
            self.site, self.health, self.supervisor, version="1.2", boot="abcd", now=self.now,
            breakers=lambda: self.breakers, stalled=lambda _: self.stalled,
            mode_of=lambda device: self.modes.get(device, Mode.LIVE),
        )  # fmt: skip

    def run(self, seconds: int, *, mute: tuple[str, ...] = ()) -> None:
        """Ask every device once a second."""
        for _ in range(seconds):
            self.now += 1.0
            for bus, placed in self.site.devices.items():
                for one in placed:
                    counters = self.health.buses[bus]
                    counters.polls += 1
                    if one.device.id in mute:
                        counters.timeouts += 1
                        self.supervisor.missed(one.device.id, self.now)
                    else:
                        counters.answers += 1
                        self.supervisor.heard(one.device.id, self.now)
            self.supervisor.tick(self.now, round(self.now * 1e6))
            self.board.note(self.now)
