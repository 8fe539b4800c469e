import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.areas import geojson, importing, spreadsheets
from cloud.areas.cells import addresses, clock, day, weekdays
from cloud.areas.faults import MAX_TOLD, Faults, ImportRefusedError
from cloud.areas.sheets import AREAS, CONTACTS, DEVICES, SHEETS, Sheet
from cloud.areas.spreadsheets import read_csv, write_csv
from tests.cloud.area_rig import collection, feature, point, policy_fault, polygon, sources
from tests.cloud.area_rig import told as told_of

HEADINGS = "id,parent,level,name,latitude_deg,longitude_deg\n"
SQUARE = ((120.0, 31.0), (120.1, 31.0), (120.1, 31.1), (120.0, 31.0))


def rows_of(data: bytes, sheet: Sheet = AREAS) -> list[dict[str, Any]]:
    faults = Faults()
    entries = list(read_csv(data, "areas.csv", sheet, faults))
    faults.settle()
    return [entry.row for entry in entries]


def faults_of(name: str, data: str | bytes) -> list[str]:
    """What is wrong with one file, before anything is asked of the database."""
    faults = Faults()
    with pytest.raises(ImportRefusedError) as caught:  # noqa: PT012 - the fault may be told by either
        importing.read_rows(sources({name: data}), policy_fault, faults, lambda *_: None)
        faults.settle()
    return told_of(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_spreadsheets_write_is_read(encoding: str, delimiter: str, end: str) -> None:
    lines = "编号,上级,级别,名称,纬度,经度", "32,,省,江苏省,,", '3205,32,市,"苏州, 市",31.299,120.585', ",,,,,", ""
    text = end.join(lines) + end
    if delimiter != ",":
        text = text.replace('"苏州, 市"', "苏州, 市").replace(", ", "\0").replace(",", delimiter).replace("\0", ", ")
    first, second = rows_of(text.encode(encoding))
    assert first == {"id": "32", "parent": None, "level": "province", "name": "江苏省", "latitude_deg": None,
                     "longitude_deg": None}  # fmt: skip
    assert (second["name"], second["latitude_deg"], second["longitude_deg"]) == ("苏州, 市", 31.299, 120.585)


def test_columns_may_stand_in_any_order_and_be_left_out() -> None:
    assert rows_of("name,level,ID\n甲,grid,c1\n".encode()) == [{"name": "甲", "level": "grid", "id": "c1"}]


names = st.text("王芳,;\"'| a=😀", min_size=1, max_size=20).map(str.strip)
degrees = st.none() | st.floats(-90, 90).map(lambda value: round(value, 9))


@settings(max_examples=40)
@given(st.lists(st.tuples(names.filter(bool), degrees), max_size=5))
def test_what_is_written_is_read_again(made: list[tuple[str, float | None]]) -> None:
    rows: list[dict[str, Any]] = [
        {"gateway": "g", "device": f"d{number}", "name": name, "place": name, "latitude_deg": value,
         "longitude_deg": value} for number, (name, value) in enumerate(made)
    ]  # fmt: skip
    assert rows_of(write_csv(DEVICES, rows), DEVICES) == rows


@given(st.binary(max_size=300), st.sampled_from(list(SHEETS)))
def test_no_bytes_break_the_readers(data: bytes, name: str) -> None:
    faults = Faults()
    for file in (f"{name}.csv" if name != "policies" else "policies.toml", "map.geojson"):
        with contextlib.suppress(ImportRefusedError):
            importing.read_rows(sources({file: data}), policy_fault, faults, lambda *_: None)


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("3.2E+11,,city,苏州市,,", "areas.csv:3: id: '3.2E+11' is no id: 1 to 64 of A-Z a-z 0-9 _ . -; where a "),
        ("a/b,,city,苏州市,,", "areas.csv:3: id: 'a/b' is no id"),
        (",,city,苏州市,,", "areas.csv:3: id: is empty"),
        ("x,,village,苏州市,,", "areas.csv:3: level: 'village' is no level: grid, street, town, county, city"),
        ("x,,city,,,", "areas.csv:3: name: is empty"),
        (f"x,,city,{'长' * 201},,", "areas.csv:3: name: 201 characters are too many: at most 200"),
        ("x,,city,a\0b,,", "areas.csv:3: name: holds the control character '\\x00'"),
        ('x,,city,"a\nb",,', "areas.csv:3: name: holds the control character '\\n'"),
        ("x,,city,苏州市,90.5,120", "areas.csv:3: latitude_deg: '90.5' is no coordinate: -90 to 90 degrees, as"),
        ("x,,city,苏州市,31.2,-181", "areas.csv:3: longitude_deg: '-181' is no coordinate: -180 to 180"),
        ("x,,city,苏州市,nan,120", "areas.csv:3: latitude_deg: 'nan' is no coordinate"),
        ("x,,city,苏州市,31°17',120", "areas.csv:3: latitude_deg: \"31°17'\" is no coordinate"),
        ("x,,city,苏州市,31.2,", "areas.csv:3: latitude_deg and longitude_deg come together"),
        ("x,,city,苏州市,31.2,120.5,extra", "areas.csv:3: 7 cells, but 6 columns"),
        ('x,,city,"苏州市,,', "areas.csv:3: no CSV from here on: unexpected end of data"),
    ],
)  # fmt: skip
def test_a_bad_cell_is_told_by_line_and_column(row: str, fault: str) -> None:
    (found,) = faults_of("areas.csv", f"{HEADINGS}32,,province,江苏省,,\n{row}")
    assert found.startswith(fault)


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("areas.csv", "id,level,name,colour\n", "areas.csv:1: no column is called 'colour'; there are: id, parent"),
        ("areas.csv", "id,level,name,ID\n", "areas.csv:1: column id stands there twice"),
        ("areas.csv", "id,level\n", "areas.csv:1: column name is missing"),
        ("areas.csv", "", "areas.csv:1: column id is missing"),
        ("areas.xlsx", "", "areas.xlsx: is called like none of areas.csv, contacts.csv, duties.csv, policies.toml"),
        ("people.csv", "", "people.csv: is called like none of"),
        ("areas.csv", "id,level,name\nx,city,苏州市\ny,city,".encode() + b"\xe8\x8b\n",
         "areas.csv:3: neither UTF-8 nor GBK"),
        ("areas.csv", "id,level,name\nx,city,苏州".encode("gbk") + b"\xff\n", "areas.csv:2: neither UTF-8 nor GBK"),
        ("policies.toml", "[[policy]]\narea = x\n", "policies.toml:2: no TOML: "),
        ("policies.toml", "a = 1\n", "policies.toml: 'a' is unknown; there are only [[policy]] tables"),
        ("policies.toml", "policy = 3\n", "policies.toml: policy: at most 100000 tables [[policy]]"),
        ("policies.toml", "policy = [3]\n", "policies.toml: policy: a table [[policy]] is meant"),
        ("policies.toml", b"\xff", "policies.toml:1: not UTF-8"),
        ("policies.toml", '\n[[policy]]\narea = "a"\nseverity = "dire"\n',
         "policies.toml:2: severity: 'dire' is no severity: critical, high, medium, low"),
        ("policies.toml", '[[policy]]\narea = "a"\nseverity = "low"\nsteps = []\n',
         "policies.toml:1: Expected `array` of length >= 1 - at `$.steps`"),
        ("policies.toml", '[[policy]]\narea = "a"\nseverity = "low"\ntarget = 5\n',
         "policies.toml:1: Object contains unknown field `target`"),
        ("map.geojson", "{", "map.geojson: no FeatureCollection of GeoJSON: "),
        ("map.json", '{"type": "Feature", "features": []}', "map.json: no FeatureCollection of GeoJSON: "),
    ],
)  # fmt: skip
def test_a_bad_file_is_told(name: str, text: str | bytes, fault: str) -> None:
    assert faults_of(name, text)[0].startswith(fault)


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        (feature(what="tree", id="a"), "the property what is none of area, site, gateway, device"),
        (feature(what="area", id="a", level="city", name="x", colour="red"), "no property is called colour"),
        (feature(what="area", id="a", level="city"), "name: is empty"),
        (feature(point(181, 0), what="area", id="a", level="city", name="x"), "longitude_deg: '181' is no"),
        (feature(polygon(*SQUARE), what="site", id="a", area="c", name="x"), "only an area has an outline"),
        (feature(polygon(*SQUARE[:-1], (1, 1)), what="area", id="a", level="city", name="x"),
         "a ring of the outline does not end where it begins"),
        (feature(polygon((31, 120), (31, 121), (32, 121), (31, 120)), what="area", id="a", level="city", name="x"),
         "a position of the outline is not [longitude, latitude] in degrees"),
        (feature(polygon(*SQUARE[:2]), what="area", id="a", level="city", name="x"), "no feature of GeoJSON"),
        (feature({"type": "Circle"}, what="area"), "no feature of GeoJSON"),
        ({"type": "Feature"}, "no feature of GeoJSON"),
        (7, "no feature of GeoJSON"),
    ],
)  # fmt: skip
def test_a_bad_feature_is_told_by_line_and_number(bad: Any, fault: str) -> None:
    good = feature(polygon(*SQUARE), what="area", id="c1", level="grid", name="甲")
    (found,) = faults_of("map.geojson", collection(good, bad))
    assert found.startswith(f"map.geojson:3 #2: {fault}")


def test_an_outline_of_too_many_positions_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geojson, "MAX_POSITIONS", 3)
    (found,) = faults_of("m.json", collection(feature(polygon(*SQUARE), what="area", id="a", level="city", name="x")))
    assert found == "m.json:2 #1: the outline has more than 3 positions"


def test_too_many_rows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spreadsheets, "MAX_ROWS", 2)
    text = HEADINGS + "".join(f"a{number},,city,x,,\n" for number in range(3))
    assert faults_of("areas.csv", text) == ["areas.csv:4: more than 2 rows"]


def test_all_faults_are_told_in_the_order_of_the_lines_but_no_more_than_anybody_reads() -> None:
    text = HEADINGS + "".join(f"a{number},,village,x,100,200\n" for number in range(1000))
    faults = Faults()
    importing.read_rows(sources({"areas.csv": text}), policy_fault, faults, lambda *_: None)
    with pytest.raises(ImportRefusedError) as caught:
        faults.settle()
    lines = [fault.where.line for fault in caught.value.faults]
    assert (caught.value.count, len(lines), lines) == (3000, MAX_TOLD, sorted(lines))


@pytest.mark.parametrize(
    ("cell", "days"),
    [("mon", "mon"), ("fri mon", "mon fri"), ("mon-fri", "mon tue wed thu fri"), ("Sat,Sun", "sat sun"),
     ("fri-mon", "mon fri sat sun"), ("daily", "mon tue wed thu fri sat sun"), ("周一至周五", "mon tue wed thu fri"),
     ("星期六、星期日", "sat sun"), ("mon-mon", "mon")],
)  # fmt: skip
def test_days_of_the_week_are_read_as_people_write_them(cell: str, days: str) -> None:
    assert weekdays(cell) == days


@pytest.mark.parametrize(
    ("cell", "read"),
    [("8:00", "08:00"), ("08:30:00", "08:30"), ("24:00", "00:00"), ("20：15", "20:15")],
)
def test_times_are_read_as_spreadsheets_write_them(cell: str, read: str) -> None:
    assert clock(cell) == read


@pytest.mark.parametrize("cell", ["2026-11-02", "2026/11/2", "2026.11.02"])
def test_dates_are_read_as_spreadsheets_write_them(cell: str) -> None:
    assert str(day(cell)) == "2026-11-02"


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("c,p,mon,25:00,08:00,,,", "begins: '25:00' is no time of day: HH:MM"),
        ("c,p,mon,08:00,8,,,", "ends: '8' is no time of day: HH:MM"),
        (
            "c,p,someday,08:00,09:00,,,",
            "weekdays: 'someday' is no day of the week: mon tue wed thu fri sat sun, mon-fri",
        ),
        ("c,p,mon-,08:00,09:00,,,", "weekdays: 'mon-' is no day of the week"),
        ("c,p,mon,08:00,09:00,2026-02-30,,", "first_day: '2026-02-30' is no date: YYYY-MM-DD"),
        ("c,p,mon,08:00,09:00,2026-03-02,2026-03-01,", "last_day comes before first_day"),
        ("c,p,mon,08:00,09:00,,,0", "rank: '0' is no number from 1 to 100"),
        ("c,p,mon,08:00,,,,", "ends: is empty"),
    ],
)
def test_a_bad_shift_is_told(row: str, fault: str) -> None:
    (found,) = faults_of("duties.csv", f"area,contact,weekdays,begins,ends,first_day,last_day,rank\n{row}\n")
    assert found.startswith(f"duties.csv:2: {fault}")


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("p,c,王芳,fr,,,,", "language: 'fr' is none of zh, en"),
        ("p,c,王芳,zh,13900000001,,,", "addresses: '13900000001' is no address: channel:address, with | between two"),
        ("p,c,王芳,zh,sms:,,,", "addresses: 'sms:' is no address"),
        (f"p,c,王芳,zh,{' | '.join(['sms:1'] * 17)},,,", "addresses: 17 addresses are too many: at most 16"),
        ("p,c,王芳,zh,,22:00,,", "quiet_from and quiet_to come together"),
        ("p,c,王芳,zh,,,,many", "max_per_hour: 'many' is no number from 1 to 3600"),
    ],
)
def test_a_bad_contact_is_told(row: str, fault: str) -> None:
    heading = ",".join(column.name for column in CONTACTS.columns)
    (found,) = faults_of("contacts.csv", f"{heading}\n{row}\n")
    assert found.startswith(f"contacts.csv:2: {fault}")


def test_addresses_keep_their_order_and_their_colons() -> None:
    read = addresses("wecom:a:b | sms : +86 139")
    assert read == [{"channel": "wecom", "address": "a:b"}, {"channel": "sms", "address": "+86 139"}]
