"""What the API's document promises, asked by a foreign reader of it; and that the written copy is not stale."""

import json
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import one_of
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sqlalchemy import make_url

from cloud.api.app import make_routes
from cloud.api.context import make_context
from cloud.api.document import make_document
from cloud.database import Database
from cloud.people.roles import Role
from cloud.settings import Settings
from tests.cloud.api_rig import Rig

PAGE = Path(__file__).parents[2] / "docs" / "api" / "openapi.json"
# It lasts; it has tests of its own.
LASTING = "/api/v1/stream"
# These would end the token that asks, or make every further password wait.
LEFT_OUT = (LASTING, "/api/v1/logout", "/api/v1/login")

EXAMPLES = 3
# Each a test of its own, so that none takes too long.
PARTS = 5
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The document; to write it takes longer than to read it, and no database has a part in it."""
    with Database(make_url("sqlite://")) as nowhere:
        return make_document(make_routes(make_context(nowhere, Settings())))


def test_the_written_document_is_the_routes(document: dict[str, Any]) -> None:
    assert json.loads(PAGE.read_text("utf-8")) == document, "run scripts/generate"


def test_every_path_is_named_on_the_page(document: dict[str, Any]) -> None:
    text = (PAGE.parents[1] / "api.md").read_text("utf-8")
    assert [path for path in document["paths"] if path.removeprefix("/api/v1") not in text] == []


@pytest.mark.parametrize("part", range(PARTS))
def test_the_api_keeps_what_its_document_promises(database: Database, document: dict[str, Any], part: int) -> None:
    rig = Rig(database)
    token = rig.add("admin", Role.ADMIN)
    rig.raise_alarms(3)
    schema = schemathesis.openapi.from_dict(document)
    schema.app = rig.app
    found = [one.ok() for one in schema.get_all_operations() if isinstance(one, Ok)]
    assert len(found) == sum(len(operations) for operations in document["paths"].values())
    mine = [operation for operation in found if operation.path not in LEFT_OUT][part::PARTS]
    assert len(mine) > 30 // PARTS
    for operation in mine:
        _ask(operation, token)


def _ask(operation: schemathesis.APIOperation[Any, Any, Any, Any], token: str) -> None:
    cases = one_of(operation.as_strategy(GenerationMode.POSITIVE), operation.as_strategy(GenerationMode.NEGATIVE))

    @given(cases)
    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    def once(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(headers={"Authorization": f"Bearer {token}"}, checks=CHECKS)

    once()
