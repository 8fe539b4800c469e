"""The corner of a city that the demo's sites lie in: areas, who is on duty, what must happen; files to import."""

from pathlib import Path

from cloud.database import Database
from cloud.people.roles import Role
from langyan.demo.sites import SCHOOL, TOWER, WEST_TOWER
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
{TOWER},smoke-north,北侧烟感 smoke north,塔顶 tower top
""",
}


def write_city(folder: Path) -> Path:
    """Write the files that `langyan cloud areas import` reads; returns their folder."""
    place = folder / "areas"
    place.mkdir()
    for name, text in _FILES.items():
        (place / name).write_text(text, encoding="utf-8")
    return place


def make_duty_token(database: Database) -> str:
    """Make the user of the alarm desk's duty officer, and a token for a day; nobody ever sees the password."""
    return make_user(database, name="duty", display="值班员 duty officer", role=Role.DISPATCHER, by="demo")
