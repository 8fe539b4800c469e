"""What a profile of a device on a broker must keep beyond its form: topics that can be, values of the right kind."""

from collections.abc import Mapping, Sequence

from device_profiles.faults import N_, listed, shown
from device_profiles.model import Carrier, HeardDef, HeardKind, Language, Speaks
from device_profiles.point_checks import check_known, check_text
from device_profiles.speech.topics import ADDRESS, MAX_PATH_PARTS, Topic, TopicReport, TopicValue
from device_profiles.toml_file import Place, TomlFile


def check_topics(toml: TomlFile, speaks: Speaks, heard: Sequence[HeardDef]) -> None:
    """Note every fault of the topics that a device is heard on.

    Args:
        toml: the file.
        speaks: as it could be read.
        heard: the points that may be filled.
    """
    place = toml.place_of(speaks)
    if speaks.language is not Language.MQTT_JSON:
        if speaks.topic:
            toml.fault((*place, "topic"), N_("belongs to the language mqtt_json"))
        return
    if set(speaks.carriers) - {Carrier.MQTT}:
        toml.fault((*place, "carriers"), N_("topics are on a broker; allowed: {allowed}"), allowed=Carrier.MQTT.value)
    if not speaks.topic and toml.is_clean((*place, "topic")):
        toml.fault((*place, "topic"), N_("is empty: the language mqtt_json says on which topics the device is heard"))
    points = {point.key: point for point in heard}
    for topic in speaks.topic:
        _check_topic(toml, topic, points)
    filled = {value.heard for topic in speaks.topic for value in topic.value}
    if toml.is_clean((*place, "topic")):
        for point in heard:
            if point.key not in filled:
                toml.fault((*toml.place_of(point), "key"), N_("no topic gives {key}"), key=shown(point.key))


def _check_topic(toml: TomlFile, topic: Topic, points: Mapping[str, HeardDef]) -> None:
    place = toml.place_of(topic)
    if topic.topic.count(ADDRESS) != 1:
        toml.fault(
            (*place, "topic"), N_("has not exactly one {address}, where the site file's address goes"), address=ADDRESS
        )
    if set("+#\0") & set(topic.topic) or topic.topic.startswith("$"):
        toml.fault((*place, "topic"), N_("{value} is a filter and not a topic"), value=shown(topic.topic))
    if not topic.source.strip():
        toml.fault((*place, "source"), N_("is empty: name the document and page"))
    for path in topic.where:
        _check_path(toml, (*place, "where", path), path)
    for value in topic.value:
        _check_path(toml, (*toml.place_of(value), "path"), value.path)
        if check_known(toml, (*toml.place_of(value), "heard"), value.heard, known=points):
            _check_value(toml, value, points[value.heard].kind)
    for report in topic.report:
        _check_report(toml, report)


def _check_path(toml: TomlFile, place: Place, path: str) -> None:
    parts = path.split(".") if path else []
    if len(parts) > MAX_PATH_PARTS or not all(parts):
        text = N_("{value} is no path: at most {most} keys, parted by single dots")
        toml.fault(place, text, value=shown(path), most=str(MAX_PATH_PARTS))


def _check_value(toml: TomlFile, value: TopicValue, kind: HeardKind) -> None:
    place = toml.place_of(value)
    allowed = {HeardKind.NUMBER: ("scale", "offset"), HeardKind.STATE: ("true_when", "false_when")}.get(
        kind, ("values",)
    )
    plain = TopicValue(heard=value.heard)
    for key in ("scale", "offset", "true_when", "false_when", "values"):
        if key not in allowed and getattr(value, key) != getattr(plain, key):
            text = N_("does not belong to a point of kind {kind}; allowed: {allowed}")
            toml.fault((*place, key), text, kind=kind.value, allowed=listed(allowed))
    if kind is HeardKind.STATE:
        for key in ("true_when", "false_when"):
            if not getattr(value, key) and toml.is_clean((*place, key)):
                toml.fault((*place, key), N_("is missing: a state has words for both"))
        _check_apart(toml, (*place, "false_when"), value.true_when, value.false_when)


def _check_report(toml: TomlFile, report: TopicReport) -> None:
    place = toml.place_of(report)
    _check_path(toml, (*place, "path"), report.path)
    check_text(toml, (*place, "text"), report.text)
    if not report.on and toml.is_clean((*place, "on")):
        toml.fault((*place, "on"), N_("is empty: no word would be the alarm"))
    _check_apart(toml, (*place, "off"), report.on, report.off)
    if not report.off and report.ends_after_s is None:
        toml.fault((*place, "ends_after_s"), N_("is missing: without `off` nothing else ends the alarm"))
    if report.retained and not report.off:
        text = N_("only what stands until it changes may be kept by the broker, and that has `off`")
        toml.fault((*place, "retained"), text)


def _check_apart(toml: TomlFile, place: Place, one: Sequence[str], other: Sequence[str]) -> None:
    both = sorted(set(one) & set(other))
    if both:
        toml.fault(place, N_("means both: {words}"), words=listed(both))
