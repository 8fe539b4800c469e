"""Devices on a broker: what their messages mean, by the profiles of the catalogue and by one made for these tests."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.alarms import Severity
from contract.telemetry import Value
from device_profiles.catalogue import list_profiles, load_profile, load_profile_file
from device_profiles.model import HeardKind, Language, Profile
from device_profiles.site import Device, PlacedDevice
from device_profiles.speech.decoding import decode_bytes
from device_profiles.speech.making import make_speech
from device_profiles.speech.mqtt_json import MAX_PAYLOAD_BYTES, MqttJsonSpeech, make_mqtt_json
from device_profiles.speech.said import Moment, Report, Said, Speaker
from simulators.talkers.mqtt_json import make_talker

NOW = Moment(1.0)
PROFILE = """
profile = "acme/box"
version = "1"
maker = "Acme"
model = "Box"
title = { en = "Box", zh = "盒" }
kind = "box"
supervision_s = 600
sources = ["manual"]
[speaks]
language = "mqtt_json"
carriers = ["mqtt"]
[[speaks.topic]]
topic = "home/{address}/state"
source = "page 1"
[[speaks.topic.value]]
heard = "level"
path = "sensors.0.mv"
scale = 0.001
offset = -0.5
no_value = ["-1", "n/a"]
[[speaks.topic.value]]
heard = "door"
path = "door"
true_when = ["OPEN", "true", "1"]
false_when = ["CLOSED", "false", "0"]
[[speaks.topic.value]]
heard = "mode"
path = "mode"
values = { "0" = "idle", "heat" = "heating" }
[[speaks.topic.report]]
path = "action"
on = ["single", "hold"]
off = ["release"]
point = "button"
rule = "panic"
alarm = "panic"
severity = "critical"
text = { en = "Pressed", zh = "按下" }
ends_after_s = 5
[[speaks.topic]]
topic = "home/{address}/rpc"
source = "page 2"
where = { method = "Notify", "params.id" = "3" }
[[speaks.topic.value]]
heard = "level"
path = "params.v"
[[speaks.topic]]
topic = "home/{address}/word"
source = "page 3"
[[speaks.topic.value]]
heard = "mode"
[[speaks.topic]]
topic = "home/{address}/online"
source = "page 4"
[[speaks.topic.report]]
on = ["no"]
off = ["yes"]
point = "link"
rule = "offline"
alarm = "fault"
severity = "low"
text = { en = "Offline", zh = "离线" }
retained = true
[[heard]]
key = "level"
name = { en = "Level", zh = "电平" }
kind = "number"
unit = "V"
source = "page 1"
[[heard]]
key = "door"
name = { en = "Door", zh = "门" }
kind = "state"
source = "page 1"
[[heard]]
key = "mode"
name = { en = "Mode", zh = "模式" }
kind = "word"
source = "page 1"
"""


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    path = tmp_path_factory.mktemp("profiles") / "acme" / "box.toml"
    path.parent.mkdir()
    path.write_text(PROFILE, "utf-8")
    return load_profile_file(path)


@pytest.fixture(scope="module")
def speech(box: Profile) -> MqttJsonSpeech:
    speakers = [Speaker(device="one", address="a"), Speaker(device="two", address="b/c")]
    return make_mqtt_json(speakers, profiles={"one": box, "two": box})


def hear(speech: MqttJsonSpeech, topic: str, payload: object, *, is_retained: bool = False) -> list[Said]:
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return speech.hear_message(topic, raw, is_retained=is_retained, moment=NOW)


def values(speech: MqttJsonSpeech, topic: str, payload: object) -> dict[str, object]:
    (said,) = hear(speech, topic, payload)
    assert not said.refused
    return dict(said.heard[0].values)


def test_it_subscribes_to_what_it_understands_and_no_more(speech: MqttJsonSpeech) -> None:
    assert set(speech.topics()) == {
        f"home/{address}/{rest}" for address in ("a", "b/c") for rest in ("state", "rpc", "word", "online")
    }


def test_the_topic_says_which_device(speech: MqttJsonSpeech) -> None:
    (said,) = hear(speech, "home/b/c/state", {"door": True})
    assert said.heard[0].address == "b/c"
    assert hear(speech, "home/x/state", {"door": True}) == []
    assert hear(speech, "home/a/set", {"door": True}) == []


@pytest.mark.parametrize(
    ("raw", "value"),
    [(3515, 3.015), (3515.0, 3.015), ("3515", 3.015), (" 3515 ".strip(), 3.015), (0, -0.5), ("1e3", 0.5)],
)
def test_a_number_is_scaled_in_decimal(speech: MqttJsonSpeech, raw: object, value: float) -> None:
    assert values(speech, "home/a/state", {"sensors": [{"mv": raw}]}) == {"level": value}


@pytest.mark.parametrize("raw", [-1, "n/a", None])
def test_what_means_nothing_is_no_reading(speech: MqttJsonSpeech, raw: object) -> None:
    assert values(speech, "home/a/state", {"sensors": [{"mv": raw}], "door": "OPEN"}) == {"door": True}


@pytest.mark.parametrize(
    ("raw", "value"), [("OPEN", True), (True, True), (1, True), ("CLOSED", False), (False, False), (0, False)]
)
def test_a_state_has_words(speech: MqttJsonSpeech, raw: object, value: bool) -> None:  # noqa: FBT001
    assert values(speech, "home/a/state", {"door": raw}) == {"door": value}


def test_a_word_is_named_or_taken_as_it_is(speech: MqttJsonSpeech) -> None:
    assert values(speech, "home/a/state", {"mode": "heat"}) == {"mode": "heating"}
    assert values(speech, "home/a/word", b"any thing\n") == {"mode": "any thing"}


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        ({"door": "ajar"}, "door: 'ajar' is neither"), ({"door": [1]}, "door: list"), ({"mode": "x"}, "mode: 'x'"),
        ({"sensors": [{"mv": True}]}, "level: True is no number"), ({"sensors": [{"mv": "nan"}]}, "is no number"),
        ({"sensors": [{"mv": 10**400}]}, "level: int"), ({"sensors": [{"mv": {}}]}, "level: dict"),
        (b"{", "no JSON"), (b"1e999", "no JSON"), (b"\xff", "UTF-8"), (b"[" * 600, "512 objects and lists"),
        (b"{" + b" " * MAX_PAYLOAD_BYTES + b"}", "at most 16384"), (b'{"door": NaN}', "no JSON"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_reason(speech: MqttJsonSpeech, payload: object, why: str) -> None:
    (said,) = hear(speech, "home/a/state", payload)
    assert why in said.refused
    assert all(not heard.values for heard in said.heard)


def test_one_bad_value_spoils_no_other(speech: MqttJsonSpeech) -> None:
    (said,) = hear(speech, "home/a/state", {"door": "ajar", "mode": "heat"})
    assert said.heard[0].values == (("mode", "heating"),)
    assert "ajar" in said.refused


def test_a_press_is_a_report_that_ends_by_itself(speech: MqttJsonSpeech) -> None:
    (said,) = hear(speech, "home/a/state", {"action": "single"})
    assert said.heard[0].reports == (
        Report(
            point="button", rule="panic", kind="panic", severity=Severity.CRITICAL,
            text={"en": "Pressed", "zh": "按下"}, ends_after_s=5.0, value="single",
        ),
    )  # fmt: skip
    (ended,) = hear(speech, "home/a/state", {"action": "release"})
    assert not ended.heard[0].reports[0].is_on


@pytest.mark.parametrize("action", ["", None, "other", 1, ["single"]])
def test_any_other_word_is_no_press_but_a_sign_of_life(speech: MqttJsonSpeech, action: object) -> None:
    (said,) = hear(speech, "home/a/state", {"action": action})
    assert (len(said.heard), said.heard[0].reports, said.refused) == (1, (), "")


def test_what_the_broker_kept_is_old_news_but_for_what_stands(speech: MqttJsonSpeech) -> None:
    kept = {"action": "single", "door": "OPEN"}
    assert hear(speech, "home/a/state", kept, is_retained=True) == []
    (said,) = hear(speech, "home/a/online", b"no", is_retained=True)
    assert said.heard[0].reports[0].rule == "offline"
    assert said.heard[0].reports[0].is_on


def test_an_empty_payload_takes_a_kept_message_away_and_says_nothing(speech: MqttJsonSpeech) -> None:
    assert hear(speech, "home/a/online", b"") == []


def test_a_message_for_somebody_else_on_a_shared_topic_says_nothing(speech: MqttJsonSpeech) -> None:
    assert values(speech, "home/a/rpc", {"method": "Notify", "params": {"id": 3, "v": 1.5}}) == {"level": 1.5}
    assert hear(speech, "home/a/rpc", {"method": "Notify", "params": {"id": 4, "v": 1.5}}) == []
    assert hear(speech, "home/a/rpc", {"method": "Other", "params": {"id": 3, "v": 1.5}}) == []
    assert hear(speech, "home/a/rpc", {"params": None}) == []


def test_the_carriers_form_and_the_terminals_form_are_the_same_message(speech: MqttJsonSpeech) -> None:
    message = hear(speech, "home/a/state", b'{"door": "OPEN"}')
    assert speech.hear(b'home/a/state\0{"door": "OPEN"}', NOW) == message
    assert speech.hear(b'home/a/state {"door": "OPEN"}\nhome/x/y z\n', NOW) == message
    assert speech.hear(b'\0home/a/state\0{"door": "OPEN"}', NOW) == []


def test_a_profile_decodes_whatever_the_address_is(box: Profile) -> None:
    for topic in ("home/kitchen/state", "home/a/b/c/state"):
        (said,) = decode_bytes(box, f'{topic} {{"door":true}}'.encode())
        assert said.heard[0].values == (("door", True),)
    assert decode_bytes(box, b"elsewhere/a/state {}") == []


def test_a_lone_device_without_an_address_is_anywhere(box: Profile) -> None:
    speech = make_speech(Language.MQTT_JSON, [Speaker(device="d")], {"d": box})
    assert isinstance(speech, MqttJsonSpeech)
    assert speech.topics() == ("#",)


@given(st.binary(max_size=200), st.sampled_from([b"home/a/state\0", b"home/a/rpc\0", b"home/a/word\0", b""]))
def test_no_bytes_raise(speech: MqttJsonSpeech, data: bytes, topic: bytes) -> None:
    for said in speech.hear(topic + data, NOW):
        assert said.refused or said.heard


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["door", "mode", "mv", "action"]), inner)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["door", "mode", "sensors", "action"]), JSON), st.booleans())
def test_no_json_raises_and_all_values_are_of_their_kind(
    speech: MqttJsonSpeech,
    tree: dict[str, object],
    is_retained: bool,  # noqa: FBT001
) -> None:
    for said in hear(speech, "home/a/state", tree, is_retained=is_retained):
        for heard in said.heard:
            kinds = {"level": float, "door": bool, "mode": str}
            assert all(type(value) is kinds[key] for key, value in heard.values)


WANTED: dict[HeardKind, Value] = {HeardKind.NUMBER: 4.25, HeardKind.STATE: True, HeardKind.WORD: "word"}
ON_BROKERS = [
    profile
    for profile in map(load_profile, list_profiles())
    if profile.speaks is not None and profile.speaks.language is Language.MQTT_JSON
]


def placed(profile: Profile) -> PlacedDevice:
    return PlacedDevice(Device(id="d", bus="b", profile=profile.profile, address="some/where"), profile, 1)


@pytest.mark.parametrize("profile", ON_BROKERS, ids=lambda profile: profile.profile)
def test_a_simulated_device_is_understood(profile: Profile) -> None:
    talker = make_talker(placed(profile), secret=b"", seed=1, wall_us=lambda: 0)
    speech = make_mqtt_json([Speaker(device="d", address="some/where")], profiles={"d": profile})
    found: dict[str, object] = {}
    message, now = talker.open(0.0), 0.0
    while message:
        (said,) = speech.hear(message, NOW)
        assert not said.refused
        found.update(said.heard[0].values)
        message = talker.speak(now)
    assert found.keys() == {point.key for point in profile.heard}
    assert talker.next_at() is not None
    for point in profile.heard:
        wanted = WANTED[point.kind]
        (said,) = speech.hear(talker.set(point.key, wanted, 1.0), NOW)
        assert dict(said.heard[0].values)[point.key] == wanted


@pytest.mark.parametrize("profile_id", ["tuya/ts0601-sos", "xiaomi/wxkg01lm"])
def test_a_simulated_press_is_a_panic_and_stands_in_one_message_only(profile_id: str) -> None:
    profile = load_profile(profile_id)
    talker = make_talker(placed(profile), secret=b"", seed=1, wall_us=lambda: 0)
    speech = make_mqtt_json([Speaker(device="d", address="some/where")], profiles={"d": profile})
    (said,) = speech.hear(talker.press("button", 1.0), NOW)
    assert [(report.rule, report.is_on) for report in said.heard[0].reports] == [("panic", True)]
    (later,) = speech.hear(talker.speak(1e6), NOW)
    assert later.heard[0].reports == ()


@pytest.mark.parametrize("payload", ["offline", '{"state":"offline"}', "online", '{"state":"online"}'])
def test_availability_is_understood_as_a_word_and_as_json(payload: str) -> None:
    (said,) = decode_bytes(load_profile("heiman/hs1sa"), f"zigbee2mqtt/hall/availability {payload}".encode())
    assert not said.refused
    assert [(one.rule, one.is_on) for one in said.heard[0].reports] == [("offline", "offline" in payload)]
