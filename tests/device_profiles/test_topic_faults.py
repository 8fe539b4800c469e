"""Every rule that a profile with topics must keep, broken once: the fault names the key and what is allowed."""

from pathlib import Path

import pytest

from device_profiles.catalogue import load_profile_file
from device_profiles.faults import ConfigError
from tests.device_profiles.test_mqtt_json import PROFILE

SPARE = """[[heard]]
key = "spare"
name = { en = "S", zh = "备" }
kind = "word"
source = "p"
[[heard]]
key = "level\""""
CAPTURE = """
[[capture]]
text = 'home/x/state {"door":"OPEN"}'
readings = { door = false }
source = "bench, 2026-01-01"
"""


def faults_of(folder: Path, text: str) -> list[str]:
    path = folder / "acme" / "box.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError) as caught:
        load_profile_file(path)
    return [str(fault) for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('topic = "home/{address}/word"', 'topic = "home/word"', "has not exactly one {address}"),
        ('topic = "home/{address}/word"', 'topic = "{address}/{address}"', "has not exactly one {address}"),
        ('topic = "home/{address}/word"', 'topic = "home/{address}/#"', "is a filter and not a topic"),
        ('topic = "home/{address}/word"', 'topic = "home/+/{address}"', "is a filter and not a topic"),
        ('topic = "home/{address}/word"', 'topic = "$SYS/{address}"', "is a filter and not a topic"),
        ('source = "page 2"', 'source = " "', "name the document and page"),
        ('path = "params.v"', 'path = "params..v"', "is no path"),
        ('path = "params.v"', 'path = "a.b.c.d.e.f.g.h.i"', "at most 8 keys"),
        ('"params.id" = "3"', '"params." = "3"', "is no path"),
        ('heard = "door"', 'heard = "dor"', 'no point "dor"'),
        ("scale = 0.001", 'true_when = ["1"]', "does not belong to a point of kind number; allowed: scale, offset"),
        ('false_when = ["CLOSED", "false", "0"]', "", "is missing: a state has words for both"),
        ('false_when = ["CLOSED"', 'false_when = ["OPEN"', "means both: OPEN"),
        ('values = { "0" = "idle", "heat" = "heating" }', "offset = 1.0", "kind word; allowed: values"),
        ('on = ["single", "hold"]', "on = []", "no word would be the alarm"),
        ('off = ["release"]', 'off = ["hold"]', "means both: hold"),
        ('off = ["yes"]', "ends_after_s = 5", "only what stands until it changes"),
        ('off = ["release"]\n', "", ""),
        ("ends_after_s = 5", "", ""),
        ('text = { en = "Offline", zh = "离线" }', 'text = { en = "Offline" }', "is missing: texts are written in"),
        ('carriers = ["mqtt"]', 'carriers = ["mqtt", "udp"]', "topics are on a broker; allowed: mqtt"),
        ('[[heard]]\nkey = "level"', SPARE, 'no topic gives "spare"'),
        ('language = "mqtt_json"', 'language = "dc09"', "belongs to the language mqtt_json"),
        ('kind = "word"\nsource = "page 1"\n', 'kind = "word"\nsource = "page 1"\n' + CAPTURE, "false is not what"),
    ],
)  # fmt: skip
def test_a_broken_rule_is_named(tmp_path: Path, old: str, new: str, fault: str) -> None:
    broken = PROFILE.replace(old, new)
    assert broken != PROFILE
    if fault:
        assert any(fault in one for one in faults_of(tmp_path, broken))
    else:
        path = tmp_path / "acme" / "box.toml"
        path.parent.mkdir()
        path.write_text(broken, "utf-8")
        assert load_profile_file(path).heard


def test_an_alarm_that_nothing_ends_is_refused(tmp_path: Path) -> None:
    broken = PROFILE.replace('off = ["release"]\n', "").replace("ends_after_s = 5\n", "")
    assert any("nothing else ends the alarm" in one for one in faults_of(tmp_path, broken))


def test_a_language_of_topics_without_topics_is_refused(tmp_path: Path) -> None:
    head, _, rest = PROFILE.partition("[[speaks.topic]]")
    _, _, heard = rest.partition("[[heard]]")
    assert any("on which topics" in one for one in faults_of(tmp_path, head + "[[heard]]" + heard))
