"""The strict schemas of Kubernetes, each read once; the package that brings them reads a megabyte for every manifest."""

from __future__ import annotations

import functools
from typing import Any

import jsonschema
from kubernetes_validate.utils import all_versions, major_minor, schema_contents
from referencing import Registry, Resource

VERSIONS = sorted({major_minor(version) for version in all_versions()}, key=lambda text: int(text.partition(".")[2]))


def complaint(manifest: dict[str, Any], version: str = VERSIONS[-1]) -> str:
    """Say what is wrong with a manifest by a version of Kubernetes; "" for nothing."""
    group = manifest["apiVersion"].replace("/", "-")
    errors = _validator(f"{manifest['kind'].lower()}-{group}", version).iter_errors(manifest)
    return "; ".join(f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in errors)


@functools.cache
def _validator(name: str, version: str) -> Any:
    folder = f"kubernetes-json-schema/v{version}.0-local-strict"
    schema = schema_contents(f"{folder}/{name}.json", version)
    definitions = schema_contents(f"{folder}/_definitions.json", version)
    registry: Registry[Any] = Registry()
    registry = Resource.from_contents(definitions) @ (Resource.from_contents(schema) @ registry)
    return jsonschema.validators.Draft202012Validator(schema, registry=registry)
