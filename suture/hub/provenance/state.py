"""From the manifests of artifacts to a statement: no path, no host name and no token is in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any

from pydantic import JsonValue, TypeAdapter

from suture.hub.builtin import find_builtin
from suture.hub.fetch import AdapterFetch, BuiltinFetch, FetchSpec, HubFetch, LocalFetch
from suture.hub.provenance.form import (
    BuildDefinition,
    Builder,
    FileDigest,
    Metadata,
    Predicate,
    Resource,
    RunDetails,
    Statement,
    Subject,
)
from suture.store import Artifact, Manifest

_PATHS = ("/", "~", "./", "../")
_MACHINE = ("system", "processors")


def state(files: Mapping[str, str], made_of: Sequence[Artifact], recipe: JsonValue) -> Statement:
    """Return the statement of published files; the same artifacts give the same one.

    Args:
        files: Name -> sha256.
        made_of: The artifacts that hold them and all that these were made of, parents before children.
        recipe: What was asked for; None where no run of it is known.
    """
    manifests = [artifact.manifest for artifact in made_of]
    return Statement(
        subject=tuple(Subject(name=name, digest=FileDigest(sha256=digest)) for name, digest in sorted(files.items())),
        predicate=Predicate(
            build_definition=BuildDefinition(
                external_parameters={"recipe": without_paths(recipe)},
                internal_parameters={"steps": [_step(each) for each in manifests], "machines": _machines(manifests)},
                resolved_dependencies=tuple(_once([*_sources(manifests), *_texts(manifests)])),
            ),
            run_details=RunDetails(builder=Builder(version=_versions(manifests)), metadata=_times(manifests)),
        ),
    )


def without_paths(value: JsonValue) -> JsonValue:
    """Return JSON in which every path of this machine is cut down to its last name."""
    if isinstance(value, dict):
        return {key: without_paths(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_paths(item) for item in value]
    if isinstance(value, str) and value.startswith(_PATHS):
        return PurePosixPath(value).name
    return value


def _step(manifest: Manifest) -> JsonValue:
    return {
        "step": manifest.step,
        "version": manifest.version,
        "key": manifest.key,
        "parents": list(manifest.parents),
        "tool": manifest.tool,
        "digest": {"sutureFiles": manifest.digest},
        "spec": without_paths(manifest.spec),
    }


def _machines(manifests: Iterable[Manifest]) -> JsonValue:
    """Return the classes of machine that steps ran on: system, processors, and what a training ran on."""
    classes: list[JsonValue] = []
    for manifest in manifests:
        found: dict[str, JsonValue] = {name: manifest.host[name] for name in _MACHINE if name in manifest.host}
        device = manifest.facts.get("device")
        if isinstance(device, str) and device:
            found["device"] = device
        if found not in classes:
            classes.append(found)
    return classes


def _versions(manifests: Iterable[Manifest]) -> dict[str, str]:
    pairs = {pair for manifest in manifests for pair in manifest.host.items() if pair[0] not in _MACHINE}
    tools = {(f"tool of {manifest.step}", manifest.tool) for manifest in manifests if manifest.tool}
    found: dict[str, str] = {}
    for name, version in sorted(pairs | tools):
        found[name] = f"{found[name]}, {version}" if name in found else version
    return found


def _times(manifests: Sequence[Manifest]) -> Metadata:
    return Metadata(
        started_on=min(each.created - timedelta(seconds=each.seconds) for each in manifests),
        finished_on=max(each.created for each in manifests),
    )


def _sources(manifests: Iterable[Manifest]) -> Iterator[Resource]:
    for manifest in manifests:
        if manifest.step == "fetch":
            spec: FetchSpec = TypeAdapter[Any](FetchSpec).validate_python(_with_path(manifest.spec))
            yield _source(spec, manifest)


def _with_path(spec: JsonValue) -> JsonValue:
    """Return a fetch's spec with the path that its manifest leaves out; it is not used."""
    if isinstance(spec, dict) and spec.get("kind") == "local":
        return {**spec, "path": "."}
    if isinstance(spec, dict) and spec.get("kind") == "adapter":
        return {**spec, "files": _with_path(spec["files"])}
    return spec


def _source(spec: FetchSpec, manifest: Manifest) -> Resource:
    annotations: dict[str, JsonValue] = {
        "licence": manifest.facts.get("licence", "unknown"),
        "files": {file.path: file.sha256 for file in manifest.files},
    }
    match spec:
        case AdapterFetch():
            return _source(spec.files, manifest)
        case HubFetch():
            return Resource(
                name=spec.repo,
                uri=f"pkg:huggingface/{spec.repo}@{spec.commit}",
                digest={"gitCommit": spec.commit},
                annotations=annotations,
            )
        case BuiltinFetch():
            package = find_builtin(spec.name).package
            return Resource(
                name=spec.name,
                uri=f"pkg:pypi/{package.name}@{package.version}",
                digest={"sha256": spec.package_sha256},
                annotations=annotations,
            )
        case LocalFetch():
            name = str(manifest.facts.get("model", "a folder"))
            return Resource(name=name, digest={"sutureFiles": manifest.digest}, annotations=annotations)


def _texts(manifests: Iterable[Manifest]) -> Iterator[Resource]:
    for manifest in manifests:
        if manifest.step == "fetch_dataset":
            name, commit = str(manifest.facts["dataset"]), str(manifest.facts["commit"])
            files: dict[str, JsonValue] = {file.path: file.sha256 for file in manifest.files}
            yield Resource(
                name=name,
                uri=f"pkg:huggingface/datasets/{name}@{commit}",
                digest={"gitCommit": commit},
                annotations={"licence": manifest.facts.get("licence", "unknown"), "files": files},
            )
        texts = manifest.spec.get("texts") if manifest.step == "dataset" and isinstance(manifest.spec, dict) else None
        for text in texts if isinstance(texts, list) else ():
            if isinstance(text, dict) and "files" not in text:
                yield Resource(name=str(text["name"]), digest={"sha256": str(text["sha256"])})


def _once(resources: Iterable[Resource]) -> Iterator[Resource]:
    seen: list[Resource] = []
    for resource in resources:
        if resource not in seen:
            seen.append(resource)
            yield resource
