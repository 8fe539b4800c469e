"""One conversation of DC-09 as the gateway holds it, without gateway: frames in, answers and what was heard out."""

from collections.abc import Sequence

from device_profiles.catalogue import load_profile
from device_profiles.speech.dc09 import Dc09Shared, Dc09Speech, make_dc09
from device_profiles.speech.said import Heard, Moment, Report, Said, Speaker
from simulators.talkers.dc09 import Dc09Talker

WALL_US = 1_763_800_000_000_000  # 2025-11-22, 08:26:40 UTC
GENERIC = "generic/sia-dc09"


class Rig:
    """A conversation; `says` is what one frame brings, `answers` everything that was sent."""

    def __init__(
        self,
        account: str = "1234",
        *,
        secret: bytes = b"",
        profile: str = GENERIC,
        shared: Dc09Shared | None = None,
        others: Sequence[Speaker] = (),
    ) -> None:
        speakers = [Speaker(device="host", address=account, secret=secret), *others]
        profiles = {speaker.device: load_profile(profile) for speaker in speakers}
        self.speech = make_dc09(speakers, profiles=profiles, shared=shared)
        assert isinstance(self.speech, Dc09Speech)
        self.now, self.wall_us = 1000.0, WALL_US
        self.is_clock_known = True
        self.answers: list[bytes] = []
        self.heard: list[Heard] = []
        self.tokens: list[int] = []

    def moment(self) -> Moment:
        return Moment(self.now, self.wall_us if self.is_clock_known else None)

    def hears(self, data: bytes) -> list[Said]:
        """Feed bytes; nothing is kept on a disk yet."""
        saids = self.speech.hear(data, self.moment())
        for said in saids:
            self.answers += [said.send] if said.send else []
            self.heard += said.heard
            self.tokens += [said.token] if said.token is not None else []
        return saids

    def keeps(self) -> None:
        """The disk has everything."""
        for token in self.tokens:
            self.answers += [said.send for said in self.speech.kept(token, self.moment())]
        self.tokens.clear()

    def says(self, data: bytes) -> Said:
        """Feed one frame, and the disk has it at once."""
        (said,) = self.hears(data)
        self.keeps()
        return said

    def passes(self, seconds: float) -> None:
        self.now += seconds
        self.wall_us += int(seconds * 1e6)

    def reports(self) -> list[Report]:
        return [report for heard in self.heard for report in heard.reports]

    def values(self) -> dict[str, object]:
        return {key: value for heard in self.heard for key, value in heard.values}

    def talker(self, account: str = "1234", *, way: str = "ADM-CID", secret: bytes = b"") -> Dc09Talker:
        return Dc09Talker(account, way=way, secret=secret, wall_us=lambda: self.wall_us)
