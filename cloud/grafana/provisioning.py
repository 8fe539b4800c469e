"""Everything Grafana reads from files: dashboards by folder, their provisioning, data source and alerts. Pure.

Below one folder, which Grafana takes as `dashboards/` and `provisioning/` (its setting `paths.provisioning`):

    dashboards/<role>/<uid>.json
    provisioning/datasources/langyan.yaml
    provisioning/dashboards/langyan.yaml
    provisioning/alerting/langyan.yaml

No secret is in any file: Grafana puts in the environment variables that the settings name. A `$` of our own is doubled
where Grafana would look for a variable.

Source: "Provision Grafana" and "Use configuration files to provision alerting resources", Grafana 12 and 13.
"""

import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import yaml
from msgspec import Struct

from cloud.grafana.board import Context
from cloud.grafana.build import Folder, build_all
from cloud.grafana.digest import marked, sealed
from cloud.grafana.folders import alerts_title, title_of, uid_of
from cloud.grafana.rules import EVERY_S, GROUP, RECEIVER, alert_rules, contact_point
from cloud.grafana.source import data_source
from cloud.settings import Influx

DASHBOARDS = "dashboards"
"""Folder of the dashboards, a folder a role in it."""
PROVISIONING = "provisioning"
"""Folder that Grafana's `paths.provisioning` names."""

_NAME = "langyan.yaml"
_API_VERSION = 1
_ORGANISATION = 1
_RESCAN_S = 30


class Target(Struct, frozen=True, kw_only=True):
    """The Grafana that reads the files.

    Attributes:
        influx: where the cloud writes to.
        folder: where Grafana finds the files.
        influx_url: of InfluxDB as Grafana reaches it; "" is as the cloud does.
        alert_secret_env: variable with the secret by which the desk takes Grafana's alerts; None for none: then the
            rules notify whom Grafana's own policies say.
    """

    influx: Influx
    folder: PurePosixPath
    influx_url: str = ""
    alert_secret_env: str | None = None


def files(context: Context, target: Target) -> dict[str, str]:
    """Write every file, by its path below the folder."""
    written = {
        f"{DASHBOARDS}/{one.folder.value}/{one.uid}.json": _json(marked(one.model)) for one in build_all(context)
    }
    for part, content in (
        ("datasources", _sources(target)),
        ("dashboards", _providers(context, target)),
        ("alerting", _alerting(context, target)),
    ):
        written[f"{PROVISIONING}/{part}/{_NAME}"] = sealed(_yaml({"apiVersion": _API_VERSION} | content))
    return written


def _sources(target: Target) -> dict[str, Any]:
    # Only what stands for a secret is a variable.
    written = data_source(target.influx, secret="\0{}\0".format, url=target.influx_url)
    source = {"orgId": _ORGANISATION, "editable": False} | _literal(written)
    return {"datasources": [source]}


def _providers(context: Context, target: Target) -> dict[str, Any]:
    return {
        "providers": [
            {
                "name": uid_of(folder),
                "orgId": _ORGANISATION,
                "folder": _literal(title_of(context, folder)),
                "folderUid": uid_of(folder),
                "type": "file",
                # A kind of device that is gone takes its dashboard along.
                "disableDeletion": False,
                # What is saved in the browser would be lost at the next change of the file: Grafana offers a copy.
                "allowUiUpdates": False,
                "updateIntervalSeconds": _RESCAN_S,
                "options": {"path": _literal(str(target.folder / DASHBOARDS / folder.value))},
            }
            for folder in Folder
        ]
    }


def _alerting(context: Context, target: Target) -> dict[str, Any]:
    has_contact = bool(context.desk_url and target.alert_secret_env)
    group = {
        "orgId": _ORGANISATION,
        "name": GROUP,
        "folder": alerts_title(context),
        "interval": f"{EVERY_S}s",
        # Questions are the one thing in which Grafana looks for no variables of the environment.
        "rules": alert_rules(context, receiver=RECEIVER if has_contact else ""),
    }
    if not has_contact:
        return {"groups": [group]}
    point = contact_point(_literal(context.desk_url), f"${{{target.alert_secret_env}}}")
    receiver = {key: value for key, value in point.items() if key != "name"}
    contact = {"orgId": _ORGANISATION, "name": point["name"], "receivers": [receiver]}
    return {"contactPoints": [contact], "groups": [group]}


def _literal(value: Any) -> Any:
    """Double each `$` in all texts, and write `NUL name NUL` as the variable of that name."""
    if isinstance(value, Mapping):
        return {key: _literal(one) for key, one in value.items()}
    if isinstance(value, str):
        plain, *rest = value.replace("$", "$$").split("\0")
        return plain + "".join(f"${{{one}}}" if index % 2 == 0 else one for index, one in enumerate(rest))
    return value


def _json(model: Mapping[str, Any]) -> str:
    return json.dumps(model, ensure_ascii=False, indent=2) + "\n"


def _yaml(content: Mapping[str, Any]) -> str:
    text: str = yaml.safe_dump(content, allow_unicode=True, sort_keys=False, width=110)
    return text
