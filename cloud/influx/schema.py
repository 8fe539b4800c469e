"""What is in InfluxDB: every measurement with its tags, its fields and how long it is kept. Pure data.

Whoever writes a line, asks a question or draws a panel takes its names from here; docs/influxdb.md is made from it, and
tests compare it with what is really written.

What is a tag is indexed: every combination of tags is a series, which InfluxDB 1.x and 2.x keep in memory. So a tag has
few values for ever: a gateway, a device, a site, a kind. What has many values, or changes (a radio tag's number, an
alarm's id, a name, a text), is a field.

Source: "Schema design" and "Resolve high series cardinality" of InfluxDB 1.8 and 2; tried on 1.6.7.
"""

from functools import partial

from cloud.influx.shape import Field, Keep, Kind, Measurement


def _field(kind: Kind, name: str, words: str, unit: str = "") -> Field:
    return Field(name, kind, words, unit)


_f, _i, _b, _s = (partial(_field, kind) for kind in (Kind.FLOAT, Kind.INTEGER, Kind.BOOLEAN, Kind.STRING))


def _place(words: str) -> tuple[Field, Field]:
    return _f("latitude", words, "degree"), _f("longitude", "the same", "degree")


LONG_POLICY = "long"
"""Retention policy (2.x: bucket `<bucket>/long`) of what is kept for years; the rest is in the default one."""
HOURS_POLICY = "hours"
"""The same of readings thinned to hours: `mean_x`, `min_x`, `max_x` of each field `x` that is a number."""

LEVELS = {"critical": 4, "high": 3, "medium": 2, "low": 1}
"""Severities as numbers, so that the worst is the largest; 0 is none."""

ALL_AREAS = "all"
"""Tag of what belongs to every area, and the first part of every path."""


def path_tag(area_path: str) -> str:
    """Write an area's path as a tag: `:all:zj:jh:`. A pattern finds all below an area: `/:jh:/`.

    Args:
        area_path: `area.path` of the database, "zj/jh/"; "" for what belongs to none.
    """
    return f":{ALL_AREAS}:" + area_path.replace("/", ":")


def label_of(name: str, key: str) -> str:
    """Write what a variable of a dashboard shows and means: "第三小学 [school-3]"; Grafana takes it apart again.

    Args:
        name: for people; line breaks become spaces, as a pattern of a variable ends at them.
        key: an id, which has no brackets.
    """
    return f"{' '.join(name.split()) or key} [{key}]"


TELEMETRY = Measurement(
    name="telemetry",
    words="an answer or a word of a device: a field a point, under its key",
    tags=("device", "gateway", "site"),
    fields=(
        _i("received_at", "when the cloud took it, microseconds since 1970", "dateTimeFromNow"),
        _f("late_s", "from measured to received, where it took longer than a minute", "s"),
    ),
    keep=Keep.RAW,
    by="langyan cloud ingest",
)
INGEST = Measurement(
    name="ingest",
    words="how an ingest worker did since its last point",
    tags=("worker",),
    fields=(
        _f("batches_per_s", "messages taken a second", "mps"),
        _f("samples_per_s", "samples stored a second", "wps"),
        _f("lines_per_write", "lines of a write, mean", "short"),
        _f("write_p50_ms", "how long a write took, median", "ms"),
        _f("write_p99_ms", "how long a write took, 99 of 100", "ms"),
        _f("lag_p50_s", "from measured to received, median of samples", "s"),
        _f("lag_p99_s", "from measured to received, 99 of 100", "s"),
        _f("lag_max_s", "from measured to received, longest", "s"),
        _i("waiting", "messages taken and not yet stored", "short"),
        _i("dead_letters", "messages and lines refused since the worker began", "short"),
        _i("refused", "of these, since the last point", "short"),
        _i("reconnects", "connections to the broker lost since the worker began", "short"),
        _f("uptime_s", "since the worker began", "s"),
    ),
    keep=Keep.RAW,
    by="langyan cloud ingest",
    every_s=10,
)
ALARM_STATE = Measurement(
    name="alarm_state",
    words="an open alarm as it stands, and once more when it is closed; a series a source",
    tags=("device", "gateway", "kind", "path", "point", "rule", "site"),
    fields=(
        _i("open", "1, and 0 once it is closed"),
        _s("alarm_id", "its id at the desk, for links"),
        _i("severity", "4 critical, 3 high, 2 medium, 1 low; 0 once it is closed"),
        _s("level", "severity as a word"),
        _s("state", "ISA-18.2: `unacknowledged` ..., see the alarm desk"),
        _s("stage", "of the response: `received` ... `closed`"),
        _s("text_en", "what happened, English"),
        _s("text_zh", "what happened, Chinese"),
        _s("site_name", "where, for people"),
        _s("area_name", "the area it lies in"),
        _s("address", "where to go"),
        *_place("of the device, its gateway or its site"),
        _i("raised_at", "milliseconds since 1970", "dateTimeFromNow"),
        _f("age_s", "since it was raised", "s"),
        _f("target_s", "within which it should be closed", "s"),
        _f("share", "age over target: above 1 it is too late", "percentunit"),
        _i("triggers", "how often it was raised", "short"),
        _b("acknowledged", "somebody has it"),
        _b("suppressed", "held back: shelved, suppressed by design or out of service"),
        _b("late", "it came long after it happened"),
        _s("mode", "`live`, `test` or `drill`"),
        _s(
            "way_site",
            "its site as links name it: an id alone may be a word that a table shows as another",
        ),
        _s("way_device", "its gateway and device, the same"),
    ),
    keep=Keep.RAW,
    by="langyan cloud trades",
    every_s=15,
)
ALARM_EVENT = Measurement(
    name="alarm_event",
    words="a change of an alarm: raised, acknowledged, dispatched, cleared, closed ...",
    tags=("kind", "path", "site"),
    fields=(
        _s("what", "the step"),
        _s("level", "severity as a word"),
        _i("severity", "4 critical to 1 low"),
        _s("alarm_id", "its id at the desk"),
        *(_s(name, "of the source") for name in ("gateway", "device", "point")),
        _s("text_en", "what happened, English"),
        _s("text_zh", "what happened, Chinese"),
        _s("site_name", "where, for people"),
        _s("mode", "`live`, `test` or `drill`"),
    ),
    keep=Keep.LONG,
    by="langyan cloud trades",
)
AREA_STATE = Measurement(
    name="area_state",
    words="an area with all below it, as it stands; `all` is everything",
    tags=("area", "level"),
    fields=(
        _s("label", "name and id, for the variables of dashboards"),
        _i("critical", "open live alarms of that severity that are not held back", "short"),
        *(_i(name, "the same", "short") for name in ("high", "medium", "low")),
        _i("open", "of all severities", "short"),
        _i("unacknowledged", "of these nobody has taken", "short"),
        _i("over_target", "of these older than their target", "short"),
        _i("suppressed", "open alarms held back", "short"),
        _i("worst", "4 critical to 0 none"),
        _i("sites", "registered", "short"),
        _i("gateways", "registered or heard", "short"),
        _i("gateways_online", "of these connected", "short"),
        *_place("of the area"),
    ),
    keep=Keep.RAW,
    by="langyan cloud trades",
    every_s=300,
)
SITE_STATE = Measurement(
    name="site_state",
    words="a site as it stands",
    tags=("kind", "path", "site"),
    fields=(
        _s("label", "name and id, for the variables of dashboards"),
        _s("name", "for people"),
        _s("area_name", "the area it lies in"),
        _s("address", "where to go"),
        *_place("of the site"),
        _i("worst", "severity of its worst open live alarm that is heard: 4 critical to 0 none"),
        _s("level", "the same as a word, `none` without any"),
        _i("open", "open alarms that are not held back", "short"),
        _i("over_target", "of these older than their target", "short"),
        _i("gateways", "registered or heard", "short"),
        _i("gateways_online", "of these connected", "short"),
    ),
    keep=Keep.RAW,
    by="langyan cloud trades",
    every_s=300,
)
GATEWAY_STATE = Measurement(
    name="gateway_state",
    words="a gateway as it stands",
    tags=("gateway", "path", "site"),
    fields=(
        _s("label", "name and id, for the variables of dashboards"),
        _s("name", "for people"),
        _i("online", "1 connected, 0 not"),
        _s("reason", "why it is not: `lost`, `stopped`, `never` heard"),
        _f("since_s", "for how long so", "s"),
        _s("version", "of its software"),
        _i("devices", "in its inventory", "short"),
        *_place("of the gateway or its site"),
    ),
    keep=Keep.RAW,
    by="langyan cloud trades",
    every_s=60,
)
DEVICE_STATE = Measurement(
    name="device_state",
    words="a device as it stands; its kind is that of its profile",
    tags=("device", "gateway", "kind", "path", "site"),
    fields=(
        _s("label", "name and id, for the variables of dashboards"),
        _s("name", "for people"),
        _s("place", "where in the site"),
        _s("site_label", "name and id of its site, to choose among sites that have such a device"),
        _s("profile", "maker/model"),
        _s("board", "uid of the dashboard of its kind; of a kind that is not known that of sites"),
        _i("lost", "1 while its gateway does not reach it"),
        _i("worst", "severity of its worst open live alarm that is heard: 4 critical to 0 none"),
        *_place("of the device, its gateway or its site"),
    ),
    keep=Keep.RAW,
    by="langyan cloud trades",
    every_s=3600,
)
VEHICLE_STATE = Measurement(
    name="vehicle_state",
    words="a vehicle where it was last heard",
    tags=("path", "vehicle"),
    fields=(
        _s("label", "name and id, for the variables of dashboards"),
        _s("name", "for people"),
        _f("latitude", "WGS 84", "degree"),
        _f("longitude", "WGS 84", "degree"),
        _f("speed_kmh", "over ground", "velocitykmh"),
        _f("heading", "0 north, 90 east", "degree"),
        _s("state", "`moving`, `standing` or `silent`"),
        _f("heard_s", "since it was heard", "s"),
        _s("terminal", "whose readings its track is made of: gateway and device, parted by a slash"),
    ),
    keep=Keep.RAW,
    by="langyan cloud trades",
    every_s=300,
)
FIRE_DANGER = Measurement(
    name="fire_danger",
    words="fire danger of a station: a day at its local noon, the hourly code at each hour",
    tags=("area", "path", "site", "station"),
    fields=(
        _s("label", "name and id, for the variables of dashboards"),
        _s("name", "of the station, for people"),
        *_place("of the station"),
        _f("ffmc", "fine fuel moisture code"),
        _f("dmc", "duff moisture code"),
        _f("dc", "drought code"),
        _f("isi", "initial spread index"),
        _f("bui", "build-up index"),
        _f("fwi", "fire weather index"),
        _f("dsr", "daily severity rating"),
        _i("effis", "class of EFFIS, 1 very low to 6 very extreme"),
        _i("canada", "class of Canada, 1 very low to 6 extreme"),
        _i("china", "class of the Chinese standard, 1 to 5"),
        _i("china_index", "its points"),
        _f("hourly_ffmc", "fine fuel moisture code of the hour"),
        _i("danger", "the class by the scheme that the settings name"),
        _s("rule", "how the day was worked out"),
        _s("temp_verdict", "what the noon's temperature was taken from"),
        _s("rh_verdict", "the same of the humidity"),
        _s("wind_verdict", "the same of the wind"),
        _s("rain_verdict", "the same of the rain"),
    ),
    keep=Keep.LONG,
    by="langyan cloud trades",
)
FIRE = Measurement(
    name="fire",
    words="a fire as towers see it, at each new piece of evidence",
    tags=("area", "mode", "path"),
    fields=(
        _s("fire", "its id"),
        _f("confidence", "0 to 1", "percentunit"),
        _i("evidence", "pieces of it", "short"),
        _i("towers", "that see it", "short"),
        _b("stands", "its alarm does"),
        _s("judgement", "of people: `confirmed`, `false` ..."),
        *_place("where it is thought to be"),
        _f("radius", "of where it may be", "lengthm"),
    ),
    keep=Keep.LONG,
    by="langyan cloud trades",
)
BIKE_STATION = Measurement(
    name="bike_station",
    words="an e-bike station as it stands",
    tags=("area", "gateway", "path", "site", "station"),
    fields=(
        _s("label", "its site's name and its gateway's id, for the variables of dashboards"),
        _s("name", "for people"),
        _i("present", "tags there", "short"),
        _i("moves", "tags that came from another station today", "short"),
        _i("low", "tags there with a low battery", "short"),
        *_place("of the station"),
    ),
    keep=Keep.RAW,
    by="langyan cloud trades",
    every_s=300,
)
BIKE_WATCH = Measurement(
    name="bike_watch",
    words="all e-bikes together",
    tags=(),
    fields=(
        _i("registered", "bikes", "short"),
        _i("present", "tags at a station", "short"),
        _i("armed", "bikes", "short"),
        _i("stolen", "bikes reported and not found", "short"),
        _i("cases", "open", "short"),
        _i("low", "tags with a low battery", "short"),
        _i("silent", "tags not heard for long", "short"),
        _i("unknown", "words of tags nobody registered, since the worker began", "short"),
        _i("late", "words that came too late, since the worker began", "short"),
    ),
    keep=Keep.LONG,
    by="langyan cloud trades",
    every_s=300,
)
PATROL = Measurement(
    name="patrol",
    words="a tour that is over, at its beginning; a correction writes it again",
    tags=("area", "path", "plan", "route"),
    fields=(
        _s("label", "the route's name and id, for the variables of dashboards"),
        _s("route_name", "for people"),
        _i("tours", "1"),
        _i("tours_on_time", "1 when it was"),
        _i("tours_late", "1 when something of it was late"),
        _i("tours_missed", "1 when nobody went"),
        _i("planned", "visits", "short"),
        _i("visited", "of these made", "short"),
        _i("on_time", "of these in their window", "short"),
        _i("early", "before it", "short"),
        _i("late", "after it", "short"),
        _i("wrong_order", "in another order than planned", "short"),
        _i("pending", "not heard of, and may still be uploaded", "short"),
        _i("unheard", "not heard of, and the wand is silent", "short"),
        _i("missed", "never", "short"),
        _i("unplanned", "visits nobody asked for", "short"),
    ),
    keep=Keep.LONG,
    by="langyan cloud trades",
)
VEHICLE = Measurement(
    name="vehicle",
    words="the vehicles of an area together",
    tags=("area", "path"),
    fields=(
        _i("moving", "heard and faster than the limit", "short"),
        _i("standing", "heard and slower", "short"),
        _i("silent", "not heard for long", "short"),
    ),
    keep=Keep.LONG,
    by="langyan cloud trades",
    every_s=60,
)
ALARMS_BY_AREA = Measurement(
    name="alarms_by_area",
    words="alarms of a local day in an area and all below it, by kind and severity",
    tags=("area", "kind", "severity"),
    fields=tuple(
        _f(name, words, "short")
        for name, words in (
            ("raised", "opened"),
            ("triggers", "raised, again and again counted"),
            ("late", "came long after they happened"),
            ("handled", "somebody took them"),
            ("chattering", "three in a minute"),
            ("fleeting", "gone before anybody could act"),
            ("stale", "stood for longer than a day"),
            ("test", "of a test"),
            ("drill", "of a drill"),
            ("closed", "with a code"),
            ("false_calls", "of these with a code of a false call"),
            ("closed_within", "of these within their target"),
        )
    ),
    keep=Keep.LONG,
    by="langyan cloud desk",
)
ALARMS_BY_HOUR = Measurement(
    name="alarms_by_hour",
    words="alarms of an hour; hours without any are left out",
    tags=("area",),
    fields=(_f("annunciated", "shown to people", "short"),),
    keep=Keep.LONG,
    by="langyan cloud desk",
)
ALARM_RESPONSE = Measurement(
    name="alarm_response",
    words="how soon people acted on a local day's alarms",
    tags=("area", "stage"),
    fields=(
        _f("count", "alarms that came so far", "short"),
        _f("p50_s", "median since raised", "s"),
        _f("p90_s", "nine of ten", "s"),
        _f("within", "of these within their target", "short"),
    ),
    keep=Keep.LONG,
    by="langyan cloud desk",
)
ALARM_LOAD = Measurement(
    name="alarm_load",
    words="what ISA-18.2 counts, of a local day and for one operator",
    tags=("area",),
    fields=(
        _f("alarms", "shown to people", "short"),
        _f("per_hour", "mean", "short"),
        _f("per_ten_minutes", "mean", "short"),
        _f("worst_ten_minutes", "most in ten minutes", "short"),
        _f("overfull_share", "ten minutes with more than ten", "percentunit"),
        _f("flood_share", "time in a flood", "percentunit"),
    ),
    keep=Keep.LONG,
    by="langyan cloud desk",
)
AVAILABILITY = Measurement(
    name="availability",
    words="how much of a local day the gateways of an area were there",
    tags=("area", "of"),
    fields=(
        _f("share", "of the time", "percentunit"),
        _f("losses", "how often one went", "short"),
        _f("lost_s", "for how long, all together", "s"),
    ),
    keep=Keep.LONG,
    by="langyan cloud desk",
)

_ALL = (
    TELEMETRY, INGEST, ALARM_STATE, ALARM_EVENT, AREA_STATE, SITE_STATE, GATEWAY_STATE, DEVICE_STATE, VEHICLE_STATE,
    FIRE_DANGER, FIRE, BIKE_STATION, BIKE_WATCH, PATROL, VEHICLE, ALARMS_BY_AREA, ALARMS_BY_HOUR, ALARM_RESPONSE,
    ALARM_LOAD, AVAILABILITY,
)  # fmt: skip
MEASUREMENTS: dict[str, Measurement] = {one.name: one for one in _ALL}
"""By name, in the order of the docs."""


def policy_of(measurement: str) -> str:
    """Name the retention policy that a measurement is written to; "" is the default one, also of what is not here."""
    known = MEASUREMENTS.get(measurement)
    return LONG_POLICY if known is not None and known.keep is Keep.LONG else ""
