"""The API as a process runs it: a real socket, TLS with an authority of its own, the first admin, an orderly end."""

import datetime as dt
import ipaddress
import socket
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.from_thread
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cloud.api.server import ListenError, run_api
from cloud.api.settings import Api
from cloud.database import Database
from cloud.people.store import FIRST_ADMIN
from cloud.settings import DatabaseSettings, Settings
from langyan.desk_client import Access, DeskClient, DeskError
from langyan.servers import accepts, wait_until
from tests.cloud.api_process import Running, serving

pytestmark = pytest.mark.anyio


class Authority:
    """An authority of this test's own, and what it has signed for 127.0.0.1."""

    def __init__(self, folder: Path) -> None:
        self.key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
        self.span = now - dt.timedelta(hours=1), now + dt.timedelta(hours=1)
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of a test")])
        basic = x509.BasicConstraints(ca=True, path_length=0)
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        own = self._builder(self.key, self.name).add_extension(basic, critical=True).add_extension(usage, critical=True)
        identifier = x509.SubjectKeyIdentifier.from_public_key(self.key.public_key())
        self.certificate = own.add_extension(identifier, critical=False).sign(self.key, hashes.SHA256())
        self.file = folder / "ca.pem"
        self.file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        key = ec.generate_private_key(ec.SECP256R1())
        named = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        above = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "desk of a test")])
        signed = self._builder(key, name).add_extension(named, critical=False).add_extension(above, critical=False)
        self.desk = folder / "desk.pem"
        self.desk.write_bytes(signed.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        self.desk_key = folder / "desk.key"
        plain = serialization.NoEncryption()
        pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        self.desk_key.write_bytes(key.private_bytes(pem, form, plain))

    def _builder(self, key: ec.EllipticCurvePrivateKey, name: x509.Name) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(self.name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        return builder.not_valid_before(self.span[0]).not_valid_after(self.span[1])


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def running(authority: Authority, tmp_path: Path) -> Iterator[tuple[Running, anyio.from_thread.BlockingPortal]]:
    api = Api(port=0, certificate=str(authority.desk), key_file=str(authority.desk_key))
    with serving(Settings(database=DatabaseSettings(url=f"sqlite:///{tmp_path}/desk.db"), api=api)) as both:
        yield both


def test_tls_the_first_admin_and_an_orderly_end(
    running: tuple[Running, anyio.from_thread.BlockingPortal], authority: Authority
) -> None:
    process, portal = running
    (password,) = process.told
    url = f"https://127.0.0.1:{process.port}"
    with DeskClient(Access(url)) as stranger, pytest.raises(DeskError) as caught:
        stranger.get("/me")
    assert caught.value.code == "certificate"
    with DeskClient(Access(url, ca=str(authority.file))) as desk:
        me = desk.post("/login", {"name": FIRST_ADMIN, "password": password})
        assert me["must_change"]
        body = {"password": password, "new_password": "staple battery horse"}
        me = desk.post("/me/password", body, headers={"X-CSRF-Token": me["csrf"]})
        assert desk.get("/alarms") == {"alarms": [], "next": None, "first_outs": {}, "flood_since_us": None}
        events = desk.follow()
        assert next(events).name == "hello"
        portal.call(process.stop)
        assert list(events) == []
    # The stream ends before the server does.
    assert wait_until(lambda: not accepts(process.port), 30.0)


def test_a_second_start_tells_no_password(tmp_path: Path) -> None:
    settings = Settings(database=DatabaseSettings(url=f"sqlite:///{tmp_path}/desk.db"), api=Api(port=0))
    told: list[list[str]] = []
    for _ in range(2):
        with serving(settings) as (process, _portal):
            told.append(process.told)
    assert [len(words) for words in told] == [1, 0]


async def test_a_port_that_is_taken_and_a_certificate_that_is_none_are_said(tmp_path: Path, database: Database) -> None:
    stop, url = anyio.Event(), database.url.render_as_string(hide_password=False)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        taken = Settings(database=DatabaseSettings(url=url), api=Api(port=port))
        with pytest.raises(ListenError, match=str(port)):
            await run_api(taken, stop=stop, tell=lambda _: None)
    none = str(tmp_path / "none.pem")
    bad = Settings(database=DatabaseSettings(url=url), api=Api(port=0, certificate=none, key_file=none))
    with pytest.raises(ListenError, match=r"none\.pem"):
        await run_api(bad, stop=stop, tell=lambda _: None)
