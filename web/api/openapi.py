"""The OpenAPI description of everything under `/api/`."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import FastAPI

from jobtrail.web.problem import Problem

PREFIX = "/api/"
_REFERENCE = "#/components/schemas/{model}"
_ABOUT = """What JobTrail knows of extractors, jobs and datasets, for programs.

- **Who may**: where the web asks for a token, send `Authorization: Bearer jt_…`. A *viewer* reads, an *operator* may
  change, too.
- **Lists** come page by page: `limit` rows, and `next`, the `cursor` of the next page, where the header `Link` leads,
  too. What is written meanwhile moves no other row.
- **Times** are RFC 3339, UTC, milliseconds.
- **Ids** may hold any character; one in a path is percent-encoded, `/` as `%2F`.
- **Polling**: answers carry an `ETag`; send it as `If-None-Match`, and what has not changed is 304, without a body.
- **Problems** are told as RFC 9457 writes them.
"""


def describe_api(app: FastAPI) -> None:
    """Make an application's OpenAPI describe its endpoints under `/api/`, and nothing else."""
    describe = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _only_api(describe())
        return app.openapi_schema

    app.title, app.description = "JobTrail", _ABOUT
    app.openapi = described  # type: ignore[method-assign]  # FastAPI's own way to change it


def _only_api(schema: dict[str, Any]) -> dict[str, Any]:
    schema["paths"] = {path: operations for path, operations in schema["paths"].items() if path.startswith(PREFIX)}
    for operation in _operations(schema["paths"]):
        # FastAPI adds its own form of 422 to whatever has parameters; here that is a 400, as a problem. What answers a
        # 422 all the same, as Clowder does, tells its form itself.
        if "HTTPValidationError" in str(operation["responses"].get("422")):
            del operation["responses"]["422"]
        for answer in operation["responses"].values():
            _read_example(answer.get("content", {}).get("application/json", {}))
    components = schema.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    problem = Problem.model_json_schema(ref_template=_REFERENCE, mode="serialization")
    schemas |= problem.pop("$defs", {}) | {"Problem": problem}
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "jt_…"}}
    # Without a token, too: on a loopback address none is needed.
    schema["security"] = [{"token": []}, {}]
    return schema


def _read_example(content: dict[str, Any]) -> None:
    """Read an example that `web.api.answers` wrote as text."""
    if isinstance(content.get("example"), str):
        content["example"] = json.loads(content["example"])


def _operations(paths: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for operations in paths.values():
        yield from operations.values()
