"""Conversations by a declared grammar: what is understood, what is refused, what is answered."""

import pytest
from msgspec.structs import replace

from contract.alarms import Severity
from device_profiles.catalogue import load_profile
from device_profiles.model import Profile
from device_profiles.speech.decoding import decode_bytes
from device_profiles.speech.fields import Cuts, FieldError, FieldReader, Raw
from device_profiles.speech.grammar import MAX_REPEATS, PATIENCE_S, make_grammar
from device_profiles.speech.layout import Field, FieldType, Order, Part
from device_profiles.speech.said import Heard, Moment, Report, Said, Speaker
from tests.device_profiles.grammar_rig import heard_by, loaded, packed, speech_of

LEVEL = packed(b"\x01\x07\x00\xd7\x03\x01")


@pytest.fixture(scope="module")
def talker(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    return loaded(tmp_path_factory.mktemp("profiles"))


def test_a_message_becomes_readings_reports_and_a_reply(talker: Profile) -> None:
    (said,) = heard_by(speech_of(talker, "7"), LEVEL)
    report = Report(
        point="unit-7", rule="battery", kind="low-battery", severity=Severity.LOW, value=21.5,
        text={"en": "Battery low: {label}", "zh": "电池电量低：{label}"},
    )  # fmt: skip
    values = (("level", 21.5), ("open", True), ("mode", "run"))
    assert said == Said(heard=(Heard(address="7", values=values, reports=(report,)),), send=b"\x06")


def test_what_has_no_value_or_cannot_be_believed_is_no_reading(talker: Profile) -> None:
    for raw in (b"\x80\x00", b"\x7f\xff"):  # the code for nothing, and 3276.7 m
        (said,) = heard_by(speech_of(talker, "7"), packed(b"\x01\x07" + raw + b"\x00\x09"))
        assert [key for key, _ in said.heard[0].values] == ["open"]
        assert not said.heard[0].reports[0].is_on


def test_a_stranger_is_refused_by_name(talker: Profile) -> None:
    (said,) = heard_by(speech_of(talker, "7", "8"), packed(b"\x01\x09\x00\xd7\x03\x01"))
    assert said.heard == ()
    assert "'9'" in said.refused


def test_whoever_speaks_is_taken_where_the_site_names_nobody(talker: Profile) -> None:
    (said,) = heard_by(speech_of(talker), LEVEL)
    assert said.heard[0].address == "7"


def test_an_address_is_the_site_s_however_its_letters_are_written() -> None:
    speech = speech_of("sonoff/rf-bridge", "45d50")
    (said,) = heard_by(speech, bytes.fromhex("AA A4 38 54 01 B8 05 46 45 D5 03 55"))
    assert said.heard[0].address == "45d50"


def test_a_message_without_a_name_is_the_only_device_s_and_nobody_s_among_several(talker: Profile) -> None:
    assert heard_by(speech_of(talker, "7"), packed(b"\x02")) == [Said(heard=(Heard(),))]
    assert heard_by(speech_of(talker, "7", "8"), packed(b"\x02")) == []


def test_what_is_no_message_is_refused(talker: Profile) -> None:
    (said,) = heard_by(speech_of(talker), packed(b"\x03"))
    assert said.refused == "no message of the profile: 7e 03 ff 41 7f"
    (broken,) = heard_by(speech_of(talker), LEVEL[:3] + b"\x55" + LEVEL[4:])
    assert broken.refused.startswith("the checksum is ")


def test_two_profiles_share_a_line_of_the_same_frames() -> None:
    button = load_profile("sonoff/rf-bridge")
    contact = replace(button, profile="acme/contact")
    speakers = [Speaker(device="a", address="45D50"), Speaker(device="b", address="D0035")]
    speech = make_grammar(speakers, profiles={"a": button, "b": contact})
    codes = bytes.fromhex("AA A4 38 54 01 B8 05 46 45 D5 03 55 AA A4 24 E0 01 40 03 84 D0 03 58 55")
    assert [said.heard[0].address for said in heard_by(speech, codes)] == ["45D50", "D0035"]


def test_repeats_of_a_radio_code_are_one_press_and_the_bridge_is_answered_each_time() -> None:
    speech, code = speech_of("sonoff/rf-bridge", "45D50"), bytes.fromhex("AA A4 38 54 01 B8 05 46 45 D5 03 55")
    other = code[:-2] + b"\x01\x55"
    acknowledge = bytes.fromhex("AA A0 55")
    said = [heard_by(speech, code, now) for now in (0.0, 0.1, 1.9, 3.8)]
    assert [[len(one.heard) for one in step] for step in said] == [[1], [0], [0], [0]]
    assert all(one.send == acknowledge for step in said for one in step)
    assert len(heard_by(speech, other, 3.9)[0].heard) == 1  # another key is another press
    assert len(heard_by(speech, code, 5.9)[0].heard) == 1  # let go, and pressed again


def test_no_more_repeats_are_remembered_than_the_cap() -> None:
    speech = speech_of("sonoff/rf-bridge")
    for number in range(3 * MAX_REPEATS):
        heard_by(speech, bytes.fromhex("AA A4 38 54 01 B8 05 46") + number.to_bytes(3, "big") + b"\x55")
    assert len(speech._repeats) == MAX_REPEATS


def test_half_a_frame_is_given_up_when_its_patience_is_over(talker: Profile) -> None:
    speech = speech_of(talker, "7")
    assert speech.next_at() is None
    assert heard_by(speech, LEVEL[:4], now=5.0) == []
    assert speech.next_at() == 5.0 + PATIENCE_S
    assert speech.tick(Moment(5.0 + PATIENCE_S - 0.1)) == []
    assert [said.refused for said in speech.tick(Moment(5.0 + PATIENCE_S))] == ["it was never ended"]
    assert speech.next_at() is None
    assert heard_by(speech, LEVEL, now=20.0)[0].heard


def test_bytes_are_decoded_for_a_person(talker: Profile) -> None:
    assert decode_bytes(talker, LEVEL) == heard_by(speech_of(talker), LEVEL)
    assert [said.refused for said in decode_bytes(talker, LEVEL[:4])] == ["it was never ended"]
    with pytest.raises(ValueError, match="does not speak by itself"):
        decode_bytes(load_profile("generic/xy-md02"), b"")


def raw_of(field: Field, data: bytes = b"", texts: tuple[str, ...] = ()) -> Raw | None:
    return FieldReader(field).raw(Cuts(data, texts))


def value_of(field: Field, data: bytes = b"", texts: tuple[str, ...] = ()) -> object:
    reader = FieldReader(field)
    return reader.value(reader.raw(Cuts(data, texts)))


LITTLE = Order.LITTLE
BYTES = bytes.fromhex("81 02 03 04 41 AC 00 00")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (Field("f", FieldType.U8, at=0), 129.0),
        (Field("f", FieldType.S8, at=0), -127.0),
        (Field("f", FieldType.U16, at=0), float(0x8102)),
        (Field("f", FieldType.U16, at=0, order=LITTLE), float(0x0281)),
        (Field("f", FieldType.S16, at=0), float(0x8102 - 0x10000)),
        (Field("f", FieldType.U24, at=1), float(0x020304)),
        (Field("f", FieldType.U32, at=0), float(0x81020304)),
        (Field("f", FieldType.S32, at=0), float(0x81020304 - (1 << 32))),
        (Field("f", FieldType.F32, at=4), 21.5),
        (Field("f", FieldType.U8, at=0, bits=Part(7)), True),
        (Field("f", FieldType.U8, at=0, bits=Part(0, 4)), 1.0),
        (Field("f", FieldType.BCD, at=1, size=3), "020304"),
        (Field("f", FieldType.HEX_WORD, at=4, size=2), "41AC"),
        (Field("f", FieldType.U24, at=1, bits=Part(4, 20), hex_digits=5), "02030"),
        (Field("f", FieldType.U8, at=1, scale=0.1, offset=-40), -39.8),
        (Field("f", FieldType.U8, at=1, values={"2": "two"}), "two"),
        (Field("f", FieldType.U8, at=1, values={"3": "three"}), None),
        (Field("f", FieldType.U8, at=1, no_value=("2",)), None),
        (Field("f", FieldType.U8, at=1, true_when=("2",)), True),
        (Field("f", FieldType.U32, at=6), None),
    ],
)
def test_fields_of_bytes(field: Field, value: object) -> None:
    assert value_of(field, BYTES) == value


TEXTS = ("-12", "0a", "21.50", "door ", "4807.038", "S", "123519.5", "280226", "CID_3400", "01", "1604900518", " ")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (Field("f", FieldType.INT, index=0), -12.0),
        (Field("f", FieldType.HEX, index=1), 10.0),
        (Field("f", FieldType.HEX, index=1, bits=Part(1)), True),
        (Field("f", FieldType.DECIMAL, index=2), 21.5),
        (Field("f", FieldType.DECIMAL, index=2, scale=0.1, offset=1), 3.15),
        (Field("f", FieldType.WORD, index=3), "door"),
        (Field("f", FieldType.WORD, index=3, chars=Part(1, 2)), "oo"),
        (Field("f", FieldType.WORD, index=3, true_when=("door",)), True),
        (Field("f", FieldType.NMEA_DEGREES, index=4), -48.1173),
        (Field("f", FieldType.AD2_CID, index=8), "3401"),
        (Field("f", FieldType.WORD, index=11), None),
        (Field("f", FieldType.WORD, index=12), None),
    ],
)
def test_fields_of_text(field: Field, value: object) -> None:
    assert value_of(field, texts=TEXTS) == value


def test_times_are_microseconds_utc() -> None:
    assert raw_of(Field("f", FieldType.NMEA_TIME, index=6, date=7), texts=TEXTS) == 1_772_282_119_500_000
    assert raw_of(Field("f", FieldType.EPOCH_S, index=10), texts=TEXTS) == 1_604_900_518_000_000


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (FieldType.INT, "1e3"),
        (FieldType.INT, "1_000"),
        (FieldType.INT, "٣"),
        (FieldType.INT, "9" * 16),
        (FieldType.HEX, "0x1"),
        (FieldType.DECIMAL, "nan"),
        (FieldType.DECIMAL, "1.2.3"),
        (FieldType.BYTES, "0g"),
        (FieldType.NMEA_DEGREES, "x"),
        (FieldType.NMEA_TIME, "256199"),
        (FieldType.AD2_CID, "CID_12"),
        (FieldType.EPOCH_S, "99999999999"),
        (FieldType.WORD, "x" * 10_000),
    ],
)
def test_what_cannot_be_read_makes_the_message_refused(kind: FieldType, text: str) -> None:
    with pytest.raises(FieldError):
        raw_of(Field("f", kind, index=0, date=0), texts=(text, "N"))


def test_floats_that_are_none_and_digits_that_are_none_are_refused() -> None:
    for field, data in ((Field("f", FieldType.F32, at=0), "7FC00000"), (Field("f", FieldType.BCD, at=0, size=1), "1A")):
        with pytest.raises(FieldError):
            raw_of(field, bytes.fromhex(data))


@pytest.mark.parametrize(
    ("advert", "found"),
    [
        ("02010603FF0D00", "0d00"),
        ("03FF0D00", "0d00"),
        ("020106", None),
        ("0201060AFF0D00", None),  # it says that it is longer than it is
        ("00FF", None),
        ("", None),
    ],
)
def test_structures_of_an_advertisement(advert: str, found: str | None) -> None:
    raw = raw_of(Field("f", FieldType.AD, ad_type=0xFF), bytes.fromhex(advert))
    assert raw == (None if found is None else bytes.fromhex(found))
