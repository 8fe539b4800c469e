"""The `[grafana]` table of the settings file."""

from typing import Annotated

from msgspec import Meta, Struct


class Grafana(Struct, frozen=True, forbid_unknown_fields=True):
    """Where Grafana is, and what it is told.

    Attributes:
        url: its address as the workers reach it; "" for none: nothing is told, and dashboards are read from files.
            Without user and password.
        token_env: environment variable with a service account's token.
        language: of the dashboards.
        annotations: whether an alarm is marked on trends, from its raise to its end.
        live: stream of Grafana Live to which alarms are pushed as they come; "" for none.
        timeout_s: for one request.
        alert_secret_env: environment variable with the secret by which Grafana's alerts are taken as alarms; without
            one they are refused.
    """

    url: Annotated[str, Meta(pattern=r"^(https?://[^\s?#@]+)?$")] = ""
    token_env: str | None = None
    language: Annotated[str, Meta(pattern=r"^(en|zh(_CN)?)$")] = "en"
    annotations: bool = True
    live: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{0,64}$")] = ""
    timeout_s: Annotated[float, Meta(gt=0, le=60)] = 10.0
    alert_secret_env: str | None = None
