"""Errors of what speaks with a Grafana, sorted by who can mend them."""

from cloud.errors import CloudError


class GrafanaError(CloudError):
    """Root of what goes wrong with Grafana.

    Attributes:
        said: its answer as plain values; None where it was no JSON.
    """

    said: object = None


class GrafanaAwayError(GrafanaError):
    """Grafana does not answer now, is busy or broken; time mends it.

    Attributes:
        retry_after_s: how long it asked us to wait; None when it did not say.
        status: of HTTP; 0 when there was no answer.
    """

    hint = "Check that Grafana runs and can be reached; alarms do not wait for it."

    def __init__(self, why: str, *, retry_after_s: float | None = None, status: int = 0) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s
        self.status = status


class GrafanaRefusedError(GrafanaError):
    """Grafana will not do what it is asked; asking again does not help.

    Attributes:
        status: of HTTP.
    """

    hint = "Read what Grafana says; its version may be older than 10 or newer than 13."

    def __init__(self, why: str, *, status: int) -> None:
        super().__init__(why)
        self.status = status


class GrafanaTokenError(GrafanaRefusedError):
    """401: Grafana does not know the token, or it has expired."""

    hint = "Make a token of a service account (Administration, Users and access), and put it into the variable named."


class GrafanaRightsError(GrafanaRefusedError):
    """403: the token is good, but what its service account may do is not enough."""

    hint = "Give the service account the role Admin for a push, Editor for a check and for annotations."


class GrafanaMissingError(GrafanaRefusedError):
    """404: what is asked for is not there."""

    hint = "Check the URL: Grafana behind a proxy may have a path of its own, https://example.org/grafana."


class GrafanaConflictError(GrafanaRefusedError):
    """409 or 412: something else has that name, or somebody changed it meanwhile."""

    hint = "Look at it in Grafana: rename what is there, or push again with --force."


class NotGrafanaError(GrafanaRefusedError):
    """Somebody answers who is not Grafana's HTTP API: a page for people, a redirect, another program."""

    hint = "Check the URL: the address and path at which Grafana itself answers, past any page for signing in."
