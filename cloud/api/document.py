"""The OpenAPI document: FastAPI's, with our errors in place of its own, and the numbers' structs."""

from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from cloud.api.problems import MEDIA_TYPE, Problem
from cloud.numbers.figures import Numbers

_REF = "#/components/schemas/{}"
_METHODS = ("get", "post", "put", "patch", "delete")
_ERROR = {
    "description": "What is wrong (RFC 9457).",
    "content": {MEDIA_TYPE: {"schema": {"$ref": _REF.format("Problem")}}},
}
_THEIRS = ("HTTPValidationError", "ValidationError")


def make_document(app: FastAPI) -> dict[str, Any]:
    """Write the document of the application's routes; equal routes give an equal document."""
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes, openapi_version="3.1.0"
    )
    for operations in document["paths"].values():
        for method in _METHODS:
            if operation := operations.get(method):
                operation["responses"].pop("422", None)
                operation["responses"]["default"] = _ERROR
    schemas: dict[str, Any] = document["components"]["schemas"]
    for name in _THEIRS:
        schemas.pop(name, None)
    schemas |= _problem_schemas()
    (_root,), parts = msgspec.json.schema_components((Numbers,), ref_template="#/components/schemas/{name}")
    document["components"]["schemas"] = dict(sorted((schemas | parts).items()))
    return document


def _problem_schemas() -> dict[str, Any]:
    whole = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    parts: dict[str, Any] = whole.pop("$defs", {})
    return {"Problem": whole} | parts
