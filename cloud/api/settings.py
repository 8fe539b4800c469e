"""The `[api]` table of the settings file."""

import ipaddress
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct


class Api(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the API listens, and what one caller may take of it.

    Attributes:
        host, port: without TLS only a loopback address, unless a proxy that has TLS stands in front.
        certificate, key_file: PEM files, from the settings file's folder; both or none.
        behind_proxy: a proxy with TLS stands in front of `host`, and says who asks (X-Forwarded-For).
        trusted_proxies: addresses or networks whose word on that is taken.
        public_url: how people reach it, for links; "" leaves links as paths.
        max_body_bytes: of one request.
        timeout_s: for one request, the stream excepted.
        streams, streams_per_user: live streams at once, in this process.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8443
    certificate: str = ""
    key_file: str = ""
    behind_proxy: bool = False
    trusted_proxies: tuple[str, ...] = ("127.0.0.1",)
    public_url: Annotated[str, Meta(pattern=r"^(https?://[^\s?#]+)?$")] = ""
    max_body_bytes: Annotated[int, Meta(ge=1_024, le=16_777_216)] = 65_536
    timeout_s: Annotated[float, Meta(gt=0, le=300)] = 30.0
    streams: Annotated[int, Meta(ge=1, le=10_000)] = 200
    streams_per_user: Annotated[int, Meta(ge=1, le=1_000)] = 8

    @property
    def has_tls(self) -> bool:
        """Whether this process itself speaks TLS."""
        return bool(self.certificate)

    @property
    def is_secure(self) -> bool:
        """Whether people reach it by TLS, so that cookies may be marked Secure."""
        return self.has_tls or self.behind_proxy


def fault_of(api: Api) -> tuple[str, str] | None:
    """Find what must not be: the key and why; None when all is well."""
    if bool(api.certificate) != bool(api.key_file):
        return "api.certificate", "certificate and key_file go together"
    for proxy in api.trusted_proxies:
        if not _is_network(proxy):
            return "api.trusted_proxies", f"{proxy!r} is neither an address nor a network"
    if not api.is_secure and not _is_loopback(api.host):
        why = f"{api.host} without TLS: passwords would travel in the clear; set certificate and key_file"
        return "api.host", f"{why}, or behind_proxy"
    return None


def located(api: Api, folder: Path) -> Api:
    """Make the paths of its files absolute, as seen from `folder`."""
    if not api.has_tls:
        return api
    certificate, key_file = str(folder / api.certificate), str(folder / api.key_file)
    return msgspec.structs.replace(api, certificate=certificate, key_file=key_file)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True
