"""What files make of what stands, and what is wrong with them; no database."""

import pytest

from cloud.areas.faults import Faults, ImportRefusedError
from cloud.areas.importing import read_rows
from cloud.areas.merging import Merged, State, merge
from cloud.areas.sheets import SHEETS
from tests.cloud.area_rig import CHANNELS, CITY, DUTIES, collection, counts, feature, policy_fault, sources, told

MORE_DUTIES = "cell-2,nobody,mon,08:00,09:00,1\ncell-9,li,mon,08:00,09:00,1\ncell-1,wang,mon-sun,8:00,20:00,1\n"
TWICE = "duty cell-1/wang/mon tue wed thu fri sat sun/08:00/20:00/1 stands there twice, first at duties.csv:2"
HEAD = "[[policy]]\narea = 'x'\nseverity = 'low'\n"


def merged(standing: State, files: dict[str, str], *, replace: bool = False) -> Merged:
    faults = Faults()
    incoming = read_rows(sources(files), policy_fault, faults, lambda *_: None)
    return merge(standing, incoming, faults, channels=CHANNELS, hanging={} if replace else None)


def after(standing: State, made: Merged) -> State:
    """What stands once it has been written."""
    state = {name: dict(rows) for name, rows in standing.items()}
    for name, changes in made.changes.items():
        for row in changes.removed:
            del state[name][SHEETS[name].key_of(row)]
        state[name] |= {SHEETS[name].key_of(row): row for row in (*changes.added, *changes.changed)}
    return state


@pytest.fixture(scope="module")
def city() -> State:
    made = merged({name: {} for name in SHEETS}, CITY)
    return {name: {SHEETS[name].key_of(row): row for row in one.added} for name, one in made.changes.items()}


@pytest.mark.parametrize(
    ("name", "text", "faults"),
    [
        ("areas.csv", "id,parent,level,name\na,b,grid,x\nb,c,street,x\nc,a,town,x\n",
         ["areas.csv:2: a cycle of parents: a -> b -> c -> a",
          "areas.csv:4: area c is a town and cannot lie in a, a grid"]),
        ("areas.csv", "id,parent,level,name\na,a,grid,x\n",
         ["areas.csv:2: a cycle of parents: a -> a", "areas.csv:2: area a is a grid and cannot lie in a, a grid"]),
        ("areas.csv", "id,parent,level,name\n32,cell-1,province,x\n",
         ["areas.csv:2: a cycle of parents: 32 -> cell-1 -> 320506 -> 3205 -> 32",
          "areas.csv:2: area 32 is a province and cannot lie in cell-1, a grid"]),
        ("areas.csv", "id,parent,level,name\na,nowhere,grid,x\nb,a,grid,x\n",
         ["areas.csv:2: there is no area nowhere", "areas.csv:3: area b is a grid and cannot lie in a, a grid"]),
        ("areas.csv", "id,parent,level,name\n3205,32,street,x\n",
         ["areas.csv:2: area 320506 is a county and cannot lie in 3205, a street"]),
        ("areas.csv", "id,parent,level,name\na,32,city,x\nb,32,city,x\na,32,city,y\n",
         ["areas.csv:4: area a stands there twice, first at areas.csv:2"]),
        ("areas.csv", "id,parent,level,name\na,32,hamlet,x\nb,a,grid,x\nb,a,,y\n",
         ["areas.csv:2: level: 'hamlet' is no level: grid, street, town, county, city, province",
          "areas.csv:4: level: is empty", "areas.csv:4: area b stands there twice, first at areas.csv:3"]),
        ("contacts.csv", "id,area,name,addresses\np,nowhere,x,pigeon:1 | sms:2\n",
         ["contacts.csv:2: there is no area nowhere",
          "contacts.csv:2: no channel of the settings is called pigeon; there are: mail, sms"]),
        ("duties.csv", DUTIES + MORE_DUTIES,
         ["duties.csv:5: there is no contact nobody", "duties.csv:6: there is no area cell-9",
          "duties.csv:7: " + TWICE]),
        ("policies.toml", f"{HEAD}steps = [{{ contacts = ['nobody'], channels = ['p'] }}]",
         ["policies.toml:1: there is no area x", "policies.toml:1: there is no contact nobody",
          "policies.toml:1: no channel of the settings is called p; there are: mail, sms"]),
        ("sites.csv", "id,area,name,transmission_class\ns,cell-7,x,SP9\n",
         ["sites.csv:2: transmission_class: 'SP9' is none of SP1, SP2, SP3, SP4, SP5, SP6, DP1, DP2, DP3, DP4",
          "sites.csv:2: there is no area cell-7"]),
        ("gateways.csv", "id,site\ng,s\n", ["gateways.csv:2: there is no site s"]),
        ("devices.csv", "gateway,device\ng,d\n", ["devices.csv:2: there is no gateway g"]),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_all_its_faults(city: State, name: str, text: str, faults: list[str]) -> None:
    with pytest.raises(ImportRefusedError) as caught:
        merged(city, {name: text, "sites-more.csv": "id,area,name\nnew,cell-2,新\n"})
    assert told(caught.value) == faults


def test_areas_are_added_from_the_top_down_and_removed_from_the_leaves_up(city: State) -> None:
    faults = Faults()
    upside_down = CITY["areas.csv"].splitlines()
    files = {"areas.csv": "\n".join([upside_down[0], *reversed(upside_down[1:])])}
    incoming = read_rows(sources(files), policy_fault, faults, lambda *_: None)
    made = merge({name: {} for name in SHEETS}, incoming, faults, channels=None).changes["areas"]
    assert [row["path"].count("/") for row in made.added] == [1, 2, 3, 4, 4]
    nothing = read_rows(sources({"areas.csv": upside_down[0]}), policy_fault, faults, lambda *_: None)
    only_areas = {name: city[name] if name == "areas" else {} for name in SHEETS}
    gone = merge(only_areas, nothing, faults, channels=None, hanging={}).changes["areas"]
    assert [row["path"].count("/") for row in gone.removed] == [4, 4, 3, 2, 1]


def test_columns_that_a_file_does_not_have_stay_as_they_are(city: State) -> None:
    made = merged(city, {"sites.csv": "id,area,name\nschool,cell-2,十七小\n"})
    assert counts(made) == {"sites": (0, 1, 0, 0)}
    (row,) = after(city, made)["sites"].values()
    assert (row["area"], row["name"], row["latitude_deg"]) == ("cell-2", "十七小", 31.25)


def test_two_areas_may_change_places(city: State) -> None:
    swapped = "id,parent,level,name\n32,3205,county,江苏\n3205,320506,city,苏州市\n320506,,province,吴中\n"
    with pytest.raises(ImportRefusedError) as caught:
        merged(city, {"areas.csv": swapped.replace("province", "grid")})
    assert told(caught.value) == ["areas.csv:3: area 3205 is a city and cannot lie in 320506, a grid",
                                  "areas.csv:4: area cell-1 is a grid and cannot lie in 320506, a grid",
                                  "areas.csv:4: area cell-2 is a grid and cannot lie in 320506, a grid"]  # fmt: skip
    areas = after(city, merged(city, {"areas.csv": swapped}))["areas"]
    assert {row["path"] for row in areas.values()} == {
        "320506/", "320506/3205/", "320506/3205/32/", "320506/cell-1/", "320506/cell-2/",
    }  # fmt: skip


def test_a_roster_is_replaced_as_a_whole_and_only_that_of_the_areas_named(city: State) -> None:
    made = merged(city, {"duties.csv": "area,contact,begins,ends\ncell-1,li,08:00,20:00\n"})
    assert counts(made) == {"duties": (1, 0, 2, 1)}
    assert {(row["area"], row["contact"], row["rank"]) for row in after(city, made)["duties"].values()} == {
        ("cell-1", "li", 1),
        ("320506", "li", 1),
    }


def test_a_duplicate_between_two_files_is_told_with_both_places(city: State) -> None:
    files = {
        "areas-east.csv": "id,parent,level,name\ne1,320506,grid,东一\n",
        "map.geojson": collection(feature(what="area", id="e1", parent="320506", level="grid", name="东一")),
    }
    with pytest.raises(ImportRefusedError) as caught:
        merged(city, files)
    assert told(caught.value) == ["map.geojson:2 #1: area e1 stands there twice, first at areas-east.csv:2"]


def test_replace_removes_what_the_files_do_not_have(city: State) -> None:
    areas = CITY["areas.csv"].replace("cell-2,320506,grid,第二网格\n", "")
    files = CITY | {"areas.csv": areas, "devices.csv": "gateway,device\nschool-17,new\n"}
    made = merged(city, files, replace=True)
    assert (counts(made)["areas"], counts(made)["devices"], made.kept_count) == ((0, 0, 1, 4), (1, 0, 1, 0), 0)


def test_replace_keeps_what_the_sheets_that_are_not_given_refer_to(city: State) -> None:
    made = merged(city, {"areas.csv": "id,level,name\n32,province,江苏省\n"}, replace=True)
    assert {one.key[0] for one in made.kept} == {"3205", "320506", "cell-1"}
    assert [row["id"] for row in made.changes["areas"].removed] == ["cell-2"]
    assert {one.why.values["row"] for one in made.kept if one.key == ("3205",)} == {"area 320506"}
