"""The corner of a city that the demo's sites lie in: areas, who is on duty, what must happen; files to import."""

from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from cloud.database import Database
from cloud.people.roles import Role
from langyan.demo.sites import BUS, CARDS, MACHINE, SCHOOL, TAG, TOWER, WEST_TOWER
from langyan.own_user import make_user

CHANNEL = "phone"
PHONE_VARIABLE = "LANGYAN_DEMO_PHONE"
STREET_WAIT_S = 4
TOWN_WAIT_S = 8
UPWARDS = frozenset({"street", "town"})
"""Who is told when nobody acknowledges."""

_FILES = {
    "areas.csv": """id,parent,level,name,latitude_deg,longitude_deg
county,,county,示范县 demo county,29.30,120.07
town,county,town,示范镇 demo town,,
street-east,town,street,东街 East Street,,
grid-7,street-east,grid,东街七网格 East Street grid 7,29.3010,120.0740
forest,county,town,示范林场 demo forest,29.4200,120.1100
""",
    # Whoever is on duty; the address is what the channel of the settings makes a message of.
    "contacts.csv": f"""id,area,name,language,addresses
grid-7-duty,grid-7,网格值班 grid duty,zh,{CHANNEL}:grid-7
street-duty,street-east,街道值班 street duty,zh,{CHANNEL}:street
town-duty,town,镇值班 town duty,en,{CHANNEL}:town
forest-duty,forest,林场值班 forest duty,zh,{CHANNEL}:forest
""",
    "duties.csv": """area,contact,weekdays,begins,ends
grid-7,grid-7-duty,mon tue wed thu fri sat sun,00:00,00:00
street-east,street-duty,mon tue wed thu fri sat sun,00:00,00:00
town,town-duty,mon tue wed thu fri sat sun,00:00,00:00
forest,forest-duty,mon tue wed thu fri sat sun,00:00,00:00
""",
    # A minute is short: the next ones are told after seconds.
    "policies.toml": "".join(
        f"""[[policy]]
area = "county"
severity = "{severity}"
target_s = 300
steps = [
  {{ wait_s = 0, whom = "area" }},
  {{ wait_s = {STREET_WAIT_S}, whom = "next" }},
  {{ wait_s = {TOWN_WAIT_S}, whom = "next" }},
]

"""
        for severity in ("critical", "high")
    ),
    "sites.csv": """id,area,name,kind,address,latitude_deg,longitude_deg,transmission_class
school,grid-7,示范学校 demo school,school,东街一号 1 East Street,29.3011,120.0741,DP2
forest-station,forest,示范林场 demo forest,forest,望火楼 fire tower,29.4203,120.1102,SP3
forest-west,forest,西山瞭望塔 west tower,tower,西山 west hill,29.4251,120.0985,SP3
""",
    "gateways.csv": f"""id,site,name
{SCHOOL},school,学校网关 school gateway
{TOWER},forest-station,瞭望塔网关 tower gateway
{WEST_TOWER},forest-west,西塔网关 west tower gateway
""",
    "devices.csv": f"""gateway,device,name,place
{SCHOOL},gate-buttons,校门按钮 gate buttons,门卫室 gate house
{SCHOOL},bicycle-shed,车棚读卡器 bicycle shed,车棚 bicycle shed
{SCHOOL},gate-reader,校门读卡器 gate reader,校门 gate
{TOWER},smoke-north,北侧烟感 smoke north,塔顶 tower top
""",
}


_BIKES = {
    "bikes.csv": f"""id,area,tag,plate
B-117,grid-7,{TAG},浙A12345
""",
    "owners.csv": """bike,name,phone
B-117,王芳,13800000000
""",
}
_PATROLS = {
    "points.csv": "id,area,name,cards\n" + "".join(
        f"{point},grid-7,{name},{CARDS[point]}\n"
        for point, name in (("gate", "校门 gate"), ("kitchen", "厨房 kitchen"), ("dormitory", "宿舍 dormitory"))
    ),
    # An hour early is early enough: the night of the demo begins within the minute.
    "routes.csv": """id,area,site,name,order,early_min,late_min
night,grid-7,school,夜间巡更 night patrol,ordered,60,0
""",
    "route_points.csv": """route,position,point
night,1,gate
night,2,kitchen
night,3,dormitory
""",
    "wands.csv": f"""id,area,name,machine,gateway,device
wand,grid-7,巡更棒 wand,{MACHINE},{SCHOOL},wand
""",
}  # fmt: skip
_VEHICLES = {
    "vehicles.csv": f"""id,plate,name,kind,fleet,area,gateway,device
bus-1,浙A00001,一号校车 school bus 1,bus,校车 school buses,grid-7,{BUS.gateway},{BUS.device}
""",
}
_PLAN = """id,route,starts,duration_min,wands
night,night,{starts},60,wand
"""
# Tours are made from the import of their plan on; however slow the machine is, that is over by then.
_AHEAD = timedelta(minutes=3)
_ZONE = ZoneInfo("Asia/Shanghai")
"""Of the desk, unless its settings say otherwise."""


def write_city(folder: Path) -> dict[str, Path]:
    """Write what is imported, a folder for each command: `areas`, `bikes`, `patrols`, `vehicles`."""
    plan = _PLAN.format(starts=(datetime.now(_ZONE) + _AHEAD).strftime("%H:%M"))
    groups = {
        "areas": _FILES,
        "bikes": _BIKES,
        "patrols": _PATROLS | {"plans.csv": plan},
        "vehicles": _VEHICLES,
    }
    for group, files in groups.items():
        (folder / group).mkdir()
        for name, text in files.items():
            (folder / group / name).write_text(text, encoding="utf-8")
    return {group: folder / group for group in groups}


def make_duty_token(database: Database) -> str:
    """Make the user of the alarm desk's duty officer, and a token for a day; nobody ever sees the password."""
    return make_user(database, name="duty", display="值班员 duty officer", role=Role.DISPATCHER, by="demo")
