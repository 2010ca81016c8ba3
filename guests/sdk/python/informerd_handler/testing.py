"""The host of tests, which run with plain Python.

    from informerd_handler import testing

    testing.reset()
    pod = testing.object({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}})
    Phases().on_update(pod, pod)
    assert testing.take_log() == []

It is simpler than the real one: its cache knows every object that the test has made, the newest of a name last, and
selectors and indices are answered with an error. What it must be exact about, the real host shows: `informerd dev`.
"""

from __future__ import annotations

import json as _json
from dataclasses import dataclass
from enum import Enum
from types import SimpleNamespace
from typing import Any, Optional


class Err(Exception):
    """What componentize-py makes a failure of."""

    def __init__(self, value: Any) -> None:
        super().__init__(value)
        self.value = value


class Level(Enum):
    """How important a line is."""

    TRACE = 0
    DEBUG = 1
    INFO = 2
    WARN = 3
    ERROR = 4


@dataclass
class Line:
    """One line that was logged."""

    level: Level
    message: str
    fields: dict[str, str]


def reset(config: Optional[dict[str, Any]] = None) -> None:
    """A new host with this configuration, nothing in its log, and no objects."""
    _host.config = config or {}
    _host.made = []
    _host.states = []
    _host.log = []


def object(manifest: dict[str, Any]) -> Any:
    """An `Object` in this state."""
    from informerd_handler.object import Object

    return Object(ticket(manifest))


def ticket(manifest: dict[str, Any]) -> int:
    """The ticket of an object in this state, as what `export` makes takes it."""
    _host.made.append(manifest)
    return _ticket(manifest)


def take_log() -> list[Line]:
    """What was logged since the last time, oldest first."""
    lines, _host.log = _host.log, []
    return lines


_host = SimpleNamespace()
reset()


def _spell(value: Any) -> str:
    return _json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _string(value: Any) -> Optional[str]:
    return value if isinstance(value, str) else None


_NOTHING = SimpleNamespace()


def _ticket(manifest: dict[str, Any]) -> int:
    _host.states.append(_json.loads(_json.dumps(manifest)))
    return len(_host.states) - 1


def _release(tickets: list[int]) -> None:
    for ticket in tickets:
        _host.states[ticket] = None


def _state(ticket: int) -> Any:
    state = _host.states[ticket]
    if state is None:
        raise AssertionError(f"ticket {ticket} was given back: the real host traps")
    return state


def _at(ticket: int, pointer: str) -> Any:
    value = _state(ticket)
    if pointer and not pointer.startswith("/"):
        return _NOTHING
    for step in pointer.split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return _NOTHING
    return value


@dataclass
class _ObjectKey:
    group: str
    version: str
    kind: str
    namespace: Optional[str]
    name: str
    uid: str
    resource_version: str


def _key(ticket: int) -> _ObjectKey:
    manifest = _state(ticket)
    group, _, version = manifest["apiVersion"].rpartition("/")
    about = manifest["metadata"]
    uid, resource_version = about.get("uid", ""), about.get("resourceVersion", "")
    return _ObjectKey(
        group, version, manifest["kind"], about.get("namespace"), about["name"], uid, resource_version
    )


def _get(ticket: int, pointer: str) -> Optional[str]:
    value = _at(ticket, pointer)
    return None if value is _NOTHING else _spell(value)


def _newest(api_version: str, kind: str) -> dict[tuple[str, str], dict[str, Any]]:
    """The objects of a kind by namespace and name, in their order."""
    newest = {}
    for manifest in _host.made:
        if (manifest["apiVersion"], manifest["kind"]) == (api_version, kind):
            about = manifest["metadata"]
            newest[about.get("namespace") or "", about["name"]] = manifest
    return dict(sorted(newest.items()))


def _cache_get(api_version: str, kind: str, namespace: Optional[str], name: str) -> Optional[int]:
    manifest = _newest(api_version, kind).get((namespace or "", name))
    return None if manifest is None else _ticket(manifest)


def _list_objects(
    api_version: str, kind: str, namespace: Optional[str], labels: str, limit: int, cursor: Optional[str]
) -> SimpleNamespace:
    if labels:
        raise Err("the host of tests has no selectors")
    newest = _newest(api_version, kind).items()
    found = [it for (where, _), it in newest if namespace is None or where == namespace]
    start, limit = int(cursor or 0), limit or 500
    more = str(start + limit) if start + limit < len(found) else None
    page = [_ticket(it) for it in found[start : start + limit]]
    return SimpleNamespace(objects=page, cursor=more)


def _list_by_index(*_: Any) -> SimpleNamespace:
    raise Err("the host of tests has no indices")


def _write(level: Level, message: str, fields: list[SimpleNamespace]) -> None:
    _host.log.append(Line(level, message, {it.name: it.value for it in fields}))


def _record(name: str, *fields: str) -> type:
    return dataclass(type(name, (), {"__annotations__": dict.fromkeys(fields, Any)}))


# What stands in for the modules that componentize-py generates, name for name.

types = SimpleNamespace(
    ObjectKey=_ObjectKey,
    Watch=_record("Watch", "api_version", "kind", "namespaces", "label_selector", "field_selector"),
    Retry=_record("Retry", "after_ms", "reason"),
    Failure_Retry=_record("Failure_Retry", "value"),
    Failure_Permanent=_record("Failure_Permanent", "value"),
)
objects = SimpleNamespace(
    key=_key,
    get=_get,
    get_string=lambda ticket, pointer: _string(_at(ticket, pointer)),
    json=lambda ticket: _spell(_state(ticket)),
)
config = SimpleNamespace(
    get=lambda name: _spell(_host.config[name]) if name in _host.config else None,
    get_string=lambda name: _string(_host.config.get(name)),
    json=lambda: _spell(_host.config),
)
log = SimpleNamespace(Level=Level, Field=_record("Field", "name", "value"), log=_write)
cache = SimpleNamespace(
    get=_cache_get,
    list_objects=_list_objects,
    list_by_index=_list_by_index,
    release=_release,
)
