"""From the bytes of a reader to the event that goes into the outbox.

Lines: GitHub ingics/ingics-message-parser-py, tests; the still tag is the moving one with its event bits cleared.
"""

from contract.alarms import AlarmEvent, Severity
from contract.tags import Arm, parts_of
from device_profiles.catalogue import load_profile
from device_profiles.site import Device, PlacedDevice, PresenceSettings
from device_profiles.speech.making import make_shared, make_speech
from device_profiles.speech.said import Moment, Speaker
from edge.presence import Found, Presence
from edge.rules import Judge
from tests.edge.presence.rig import at_us

TAG, READER = "EAC653D3AA8C", "CCB97E7361A4"
MOVING = b"$GPRP,EAC653D3AA8C,CCB97E7361A4,-44,02010612FF2C0883BC290102AAAAFFFF000033000000\r\n"
STILL = b"$GPRP,EAC653D3AA8C,CCB97E7361A4,-44,02010612FF2C0883BC290100AAAAFFFF000033000000\r\n"
BUTTON = b"$GPRP,EAC653D3AA8E,CCB97E7361A4,-44,02010612FF2C0883BC290101AAAAFFFF000030000000\r\n"


class Gate:
    """One reader at the school gate, its language, presence and rules."""

    def __init__(self) -> None:
        profile = load_profile("ingics/igs")
        assert profile.speaks is not None
        device = Device("gate", "readers", "ingics/igs", address=READER)
        placed = PlacedDevice(device, profile, 1)
        language = profile.speaks.language
        speakers = [Speaker(device="gate", address=READER)]
        self.speech = make_speech(language, speakers, {"gate": profile}, make_shared(language))
        self.presence = Presence(PresenceSettings(low_battery_v=3.0), [placed], now=0.0)
        self.judge = Judge("g", [placed], active={}, at_us=at_us(0))
        self.words: list[object] = []

    def hear(self, data: bytes, at_s: float) -> list[AlarmEvent]:
        """Take bytes; give the events."""
        events: list[AlarmEvent] = []
        for said in self.speech.hear(data, Moment(at_s)):
            for heard in said.heard:
                assert heard.address == READER
                for sighting in heard.sightings:
                    found = self.presence.seen("gate", sighting, at_s, at_us(at_s))
                    self.words += [sample.points[1].value for sample in found.samples]
                    events += self._judge(found, at_s)
        return events

    def _judge(self, found: Found, at_s: float) -> list[AlarmEvent]:
        return [
            event
            for device, report in found.reports
            for event in self.judge.told(device, report, at_s, at_us(at_s)).events
        ]


def test_an_armed_tag_that_moves_is_an_event_with_a_source() -> None:
    gate = Gate()
    assert gate.hear(STILL + STILL, 1) == []
    gate.presence.order(Arm((TAG,)), 2, at_us(2))
    assert gate.hear(STILL, 3) == []
    (event,) = gate.hear(MOVING, 4)
    assert (event.source, event.kind, event.severity) == (f"g/gate/tag-{TAG}/theft", "theft", Severity.CRITICAL)
    assert gate.hear(STILL + MOVING, 5) == []
    assert gate.words == ["present", "low-battery"], "2.97 V"


def test_a_tag_of_the_stolen_list_is_an_event_at_its_first_line() -> None:
    gate = Gate()
    gate.presence.order(parts_of({TAG: "case 7"}, version=1)[0], 0, at_us(0))
    (event,) = gate.hear(STILL, 1)
    assert (event.source, event.value) == (f"g/gate/tag-{TAG}/stolen", "case 7")


def test_a_button_is_said() -> None:
    gate = Gate()
    gate.hear(BUTTON, 1)
    assert gate.words == ["pressed"]
