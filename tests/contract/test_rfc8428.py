"""RFC 8428's own examples, sections 5.1.1 to 5.1.7; the file names carry the section.

The last example of 5.1.2 is an open stream in the RFC; its file closes the list.
"""

import pytest

from contract import senml
from contract.senml import Resolved
from tests.contract.golden import RFC8428

# Mon Oct 31 16:27:09 UTC 2011, the moment of example 5.1.6; "now" for the examples without a time.
NOW_US = 1_320_078_429_000_000
T_513 = 1_320_067_464_000_000
WIRE = "urn:dev:ow:10e2073a01080063"


def resolved(name: str) -> list[Resolved]:
    return list(senml.resolve(senml.decode((RFC8428 / f"{name}.json").read_bytes()), now_us=NOW_US))


EXPECTED = {
    "5.1.1-single-data-point": [Resolved(WIRE, NOW_US, "Cel", v=23.1)],
    "5.1.2-a-multiple-data-points": [
        Resolved(f"{WIRE}:voltage", NOW_US, "V", v=120.1),
        Resolved(f"{WIRE}:current", NOW_US, "A", v=1.2),
    ],
    "5.1.2-b-relative-times": [
        Resolved("urn:dev:ow:10e2073a0108006:voltage", 1_276_020_076_001_000, "V", v=120.1),
        Resolved("urn:dev:ow:10e2073a0108006:current", 1_276_020_071_001_000, "A", v=1.2),
        Resolved("urn:dev:ow:10e2073a0108006:current", 1_276_020_072_001_000, "A", v=1.3),
        Resolved("urn:dev:ow:10e2073a0108006:current", 1_276_020_073_001_000, "A", v=1.4),
        Resolved("urn:dev:ow:10e2073a0108006:current", 1_276_020_074_001_000, "A", v=1.5),
        Resolved("urn:dev:ow:10e2073a0108006:current", 1_276_020_075_001_000, "A", v=1.6),
        Resolved("urn:dev:ow:10e2073a0108006:current", 1_276_020_076_001_000, "A", v=1.7),
    ],
    "5.1.2-c-stream": [
        Resolved(WIRE, T_513 + seconds * 1_000_000, "%RH", v=value)
        for seconds, value in [
            (0, 21.2), (10, 21.3), (20, 21.4), (30, 21.4), (40, 21.5), (50, 21.5), (60, 21.5), (70, 21.6), (80, 21.7),
        ]
    ],
    "5.1.3-multiple-measurements": [
        Resolved(WIRE, T_513 + seconds * 1_000_000, unit, v=value)
        for seconds, unit, value in [
            (0, "%RH", 20.0), (0, "lon", 24.30621), (0, "lat", 60.07965),
            (60, "%RH", 20.3), (60, "lon", 24.30622), (60, "lat", 60.07965),
            (120, "%RH", 20.7), (120, "lon", 24.30623), (120, "lat", 60.07966),
            (150, "%EL", 98.0),
            (180, "%RH", 21.2), (180, "lon", 24.30628), (180, "lat", 60.07967),
        ]
    ],
    "5.1.5-multiple-data-types": [
        Resolved(f"{WIRE}:temp", NOW_US, "Cel", v=23.1),
        Resolved(f"{WIRE}:label", NOW_US, vs="Machine Room"),
        Resolved(f"{WIRE}:open", NOW_US, vb=False),
        Resolved(f"{WIRE}:nfc-reader", NOW_US, vd="aGkgCg"),
    ],
    "5.1.6-collection-of-resources": [
        Resolved("2001:db8::2/temperature", NOW_US, "Cel", v=25.2),
        Resolved("2001:db8::2/humidity", NOW_US, "%RH", v=30.0),
        Resolved("2001:db8::1/temperature", NOW_US, "Cel", v=12.3),
        Resolved("2001:db8::1/humidity", NOW_US, "%RH", v=67.0),
    ],
    "5.1.7-a-thermostat": [
        Resolved(f"{WIRE}:temp", NOW_US, "Cel", v=23.1),
        Resolved(f"{WIRE}:heat", NOW_US, "/", v=1.0),
        Resolved(f"{WIRE}:fan", NOW_US, "/", v=0.0),
    ],
    "5.1.7-b-two-lights-on": [
        Resolved("2001:db8::3", NOW_US, "/", v=1.0),
        Resolved("2001:db8::4", NOW_US, "/", v=1.0),
    ],
    "5.1.7-c-two-lights-off": [
        Resolved("2001:db8::3", NOW_US, "/", v=0.5),
        Resolved("2001:db8::4", NOW_US, "/", v=0.5),
        Resolved("2001:db8::3", NOW_US + 100_000, "/", v=0.0),
        Resolved("2001:db8::4", NOW_US + 100_000, "/", v=0.0),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_an_example_of_the_rfc(name: str) -> None:
    assert resolved(name) == EXPECTED[name]


def test_resolving_5_1_3_gives_5_1_4() -> None:
    assert resolved("5.1.3-multiple-measurements") == resolved("5.1.4-resolved-data")


def test_every_example_file_is_tested() -> None:
    assert {path.stem for path in RFC8428.iterdir()} == set(EXPECTED) | {"5.1.4-resolved-data"}
