"""The data source by which Grafana reads InfluxDB 1.x, 2.x or 3.x: one dialect, three ways of signing in. Pure.

Source: "Configure the InfluxDB data source", Grafana 12 and 13; `AddDataSourceCommand` of its OpenAPI document.
"""

from collections.abc import Callable
from typing import Any

from cloud.grafana.influxql import DATASOURCE_UID
from cloud.settings import BasicAuth, Influx, Influx1, Influx3, TokenAuth

NAME = "Langyan InfluxDB"
LEAST_INTERVAL = "10s"
"""No point of a panel is narrower: gateways report on themselves so often."""
MAX_SERIES = 5_000
"""Grafana shows no more series of one question."""


def data_source(influx: Influx, *, secret: Callable[[str], str], url: str = "") -> dict[str, Any]:
    """Describe the data source as Grafana's API takes it, and its provisioning.

    Args:
        influx: where the cloud writes to.
        secret: gives what is written for the environment variable of a secret: its value, or how Grafana names it.
        url: of InfluxDB as Grafana reaches it; "" is as the cloud does.
    """
    is_first = isinstance(influx, Influx1)
    about: dict[str, Any] = {
        "dbName": influx.database if isinstance(influx, Influx1) else influx.bucket,
        "httpMode": "POST",
        "version": "InfluxQL",
        "product": f"InfluxDB OSS {'1' if is_first else '3' if isinstance(influx, Influx3) else '2'}.x",
        "timeInterval": LEAST_INTERVAL,
        "maxSeries": MAX_SERIES,
    }
    source: dict[str, Any] = {
        "name": NAME, "uid": DATASOURCE_UID, "type": "influxdb", "access": "proxy", "url": url or influx.url,
        "isDefault": False,
    }  # fmt: skip
    secrets: dict[str, str] = {}
    auth = influx.auth
    if isinstance(auth, BasicAuth):
        source["user"] = auth.user
        secrets["password"] = secret(auth.password_env)
    elif isinstance(auth, TokenAuth):
        about["httpHeaderName1"] = "Authorization"
        secrets["httpHeaderValue1"] = f"Token {secret(auth.token_env)}"
    return source | {"jsonData": about} | ({"secureJsonData": secrets} if secrets else {})
