"""Registries for tests: files as words, brought into a database."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from cloud.areas import importing
from cloud.areas.faults import Faults, ImportRefusedError
from cloud.areas.importing import Options, Source, bring_in, read_rows
from cloud.areas.merging import Merged
from cloud.database import Database
from cloud.desk.changes import Actor
from cloud.escalation.plan import Policy

AT_US = 1_795_305_600_000_000
"""2026-11-22 00:00 UTC, a Sunday; 08:00 in Shanghai."""
CHANNELS = frozenset({"sms", "mail"})
WANG = Actor("王芳", "console")

AREAS = """id,parent,level,name
32,,province,江苏省
3205,32,city,苏州市
320506,3205,county,吴中区
cell-1,320506,grid,第一网格
cell-2,320506,grid,第二网格
"""
CONTACTS = """id,area,name,addresses
wang,cell-1,王芳,sms:+8613900000001 | mail:wang@example.org
li,320506,李伟,sms:+8613900000002
"""
DUTIES = """area,contact,weekdays,begins,ends,rank
cell-1,wang,daily,08:00,20:00,1
cell-1,li,daily,08:00,20:00,2
320506,li,daily,00:00,00:00,1
"""
POLICIES = """[[policy]]
area = "320506"
severity = "critical"
target_s = 180
steps = [{ wait_s = 0 }, { wait_s = 60, whom = "contacts", contacts = ["li"], channels = ["sms"] }]
"""
SITES = "id,area,name,latitude_deg,longitude_deg\nschool,cell-1,第十七小学,31.25,120.62\n"
GATEWAYS = "id,site,name\nschool-17,school,门卫室\n"
DEVICES = "gateway,device,name,place\nschool-17,gate-buttons,大门按钮,窗边\n"
CITY = {
    "areas.csv": AREAS, "contacts.csv": CONTACTS, "duties.csv": DUTIES, "policies.toml": POLICIES, "sites.csv": SITES,
    "gateways.csv": GATEWAYS, "devices.csv": DEVICES,
}  # fmt: skip


def policy_fault(policy: dict[str, Any]) -> str | None:
    try:
        msgspec.convert(policy, Policy)
    except msgspec.ValidationError as error:
        return str(error)
    return None


def sources(files: Mapping[str, str | bytes]) -> list[Source]:
    return [Source(name, text.encode() if isinstance(text, str) else text) for name, text in files.items()]


def import_(
    database: Database, files: dict[str, Any], *, replace: bool = False, dry_run: bool = False, at_us: int = AT_US
) -> Merged:
    """Import as the command does.

    Raises:
        ImportRefusedError: as it does.
    """
    faults = Faults()
    incoming = read_rows(sources(files), policy_fault, faults, lambda *_: None)
    options = Options(policy_fault, channels=CHANNELS, replace=replace, dry_run=dry_run)
    return bring_in(
        database, incoming, faults, options=options, actor=WANG, at_us=at_us, on_progress=lambda *_: None
    )  # fmt: skip


def told(error: ImportRefusedError) -> list[str]:
    return [fault.told() for fault in error.faults]


def counts(merged: Merged) -> dict[str, tuple[int, ...]]:
    """New, changed, removed and unchanged rows of each sheet."""
    return {name: tuple(importing.counts_of(one).values()) for name, one in merged.changes.items()}


def feature(geometry: dict[str, Any] | None = None, **properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def point(longitude_deg: float, latitude_deg: float) -> dict[str, Any]:
    return {"type": "Point", "coordinates": [longitude_deg, latitude_deg]}


def polygon(*positions: tuple[float, float]) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [[list(at) for at in positions]]}


def collection(*features: Any) -> str:
    lines = ",\n".join(json.dumps(one, ensure_ascii=False) for one in features)
    return '{"type": "FeatureCollection", "features": [\n' + lines + "\n]}"
