"""What the API's document promises, asked by a foreign reader of it; and that the written copy is not stale."""

import json
from pathlib import Path
from typing import Any

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
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def test_the_written_document_is_the_routes(database: Database) -> None:
    document = make_document(make_routes(make_context(database, Settings())))
    assert json.loads(PAGE.read_text("utf-8")) == document, "run scripts/generate"


def test_every_path_is_named_on_the_page(database: Database) -> None:
    text = (PAGE.parents[1] / "api.md").read_text("utf-8")
    document = make_document(make_routes(make_context(database, Settings())))
    assert [path for path in document["paths"] if path.removeprefix("/api/v1") not in text] == []


def test_the_api_keeps_what_its_document_promises(database: Database) -> None:
    rig = Rig(database)
    token = rig.add("admin", Role.ADMIN)
    rig.raise_alarms(3)
    schema = schemathesis.openapi.from_dict(make_document(make_routes(rig.context)))
    schema.app = rig.app
    asked = 0
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        if operation.path in LEFT_OUT:
            continue
        asked += 1
        _ask(operation, token)
    assert asked > 30


def _ask(operation: schemathesis.APIOperation[Any, Any, Any, Any], token: str) -> None:
    cases = one_of(operation.as_strategy(GenerationMode.POSITIVE), operation.as_strategy(GenerationMode.NEGATIVE))

    @given(cases)
    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    def once(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(headers={"Authorization": f"Bearer {token}"}, checks=CHECKS)

    once()
