"""The OpenAPI document of the table of routes (https://spec.openapis.org/oas/v3.1.1)."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import JsonSchemaMode, models_json_schema

from contentworker.desk.api.base import PREFIX, ApiRoute
from contentworker.desk.api.models import Problem
from contentworker.version import VERSION

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["document"]

SCHEMAS = "#/components/schemas/"
PROBLEM = {"$ref": "#/components/responses/Problem"}
VERSION_OF_RECORD = {
    "name": "If-Match",
    "in": "header",
    "required": True,
    "description": 'The `ETag` of the record. Its version alone counts: `"3"` will do. `*`: any.',
    "schema": {"type": "string"},
}


def document(routes: Sequence[ApiRoute]) -> dict[str, Any]:
    """The document of these routes."""
    wanted: list[tuple[type[BaseModel], JsonSchemaMode]] = [(Problem, "serialization")]
    for route in routes:
        wanted += [(route.output, "serialization")]
        wanted += [(model, "validation") for model in (route.body, route.query) if model]
    names, schemas = models_json_schema(wanted, ref_template=SCHEMAS + "{model}")
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        operation = _operation(route, names, schemas["$defs"])
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    in_address = {
        names[route.query, "validation"]["$ref"].removeprefix(SCHEMAS) for route in routes if route.query
    }
    return {
        "openapi": "3.1.1",
        "info": {"title": "Content Worker: the desk", "version": VERSION},
        "servers": [{"url": PREFIX}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": {
                "Problem": {
                    "description": "What is wrong, and what to do",
                    "content": {"application/problem+json": {"schema": names[Problem, "serialization"]}},
                }
            },
            "schemas": {name: each for name, each in schemas["$defs"].items() if name not in in_address},
        },
    }


def _operation(route: ApiRoute, names: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", route.path)
    ]
    if route.query:
        asked = schemas[names[route.query, "validation"]["$ref"].removeprefix(SCHEMAS)]
        parameters += [_parameter(name, schema) for name, schema in asked["properties"].items()]
    if route.needs_version:
        parameters.append(VERSION_OF_RECORD)
    done = {
        "description": HTTPStatus(route.status).phrase,
        "content": _json(names[route.output, "serialization"]),
    }
    who = (
        f"Takes a token with the role {' or '.join(sorted(route.roles))}."
        if route.roles
        else "For everybody."
    )
    operation: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{route.method.lower()}{route.path}").strip("_"),
        "summary": route.summary,
        "description": who,
        "tags": [route.path.split("/")[1].partition(".")[0]],
        "responses": {str(route.status): done, **{str(status): PROBLEM for status in route.problems}},
    }
    if parameters:
        operation["parameters"] = parameters
    if route.body:
        operation["requestBody"] = {"required": True, "content": _json(names[route.body, "validation"])}
    if route.roles is None:
        operation["security"] = []
    return operation


def _parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    described = {key: value for key, value in schema.items() if key != "description"}
    parameter = {"name": name, "in": "query", "schema": described}
    return {**parameter, "description": schema["description"]} if "description" in schema else parameter


def _json(schema: Any) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
