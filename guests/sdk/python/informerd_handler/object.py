"""One object in one state."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Optional

from informerd_handler._bindings import objects


@dataclass(frozen=True)
class Key:
    """Names one state of one object. Written as a string: `namespace/name`, or `name`."""

    group: str
    version: str
    kind: str
    namespace: Optional[str]
    name: str
    uid: str
    #: Compare it for equality, never for order.
    resource_version: str

    @property
    def api_version(self) -> str:
        """As in a manifest: `v1`, `apps/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def __str__(self) -> str:
        return self.name if self.namespace is None else f"{self.namespace}/{self.name}"


class Object:
    """One object in one state, which never changes. It can be read until the call that brought it returns; keep what
    was read, or `key`, never the object. Reading it later costs the instance.
    """

    __slots__ = ("_key", "_ticket")

    def __init__(self, ticket: int, key: Any = None) -> None:
        self._ticket = ticket
        self._key = None if key is None else Key(**vars(key))

    @property
    def key(self) -> Key:
        """Name, uid and resource version."""
        if self._key is None:
            self._key = Key(**vars(objects.key(self._ticket)))
        return self._key

    def get(self, pointer: str) -> Optional[str]:
        """The value at a JSON pointer as JSON text, a string with its quotes."""
        return objects.get(self._ticket, pointer)

    def get_string(self, pointer: str) -> Optional[str]:
        """The string at a JSON pointer; None if there is nothing, or something else than a string."""
        return objects.get_string(self._ticket, pointer)

    def value(self, pointer: str, default: Any = None) -> Any:
        """The value at a JSON pointer as Python has it, or `default` if there is nothing."""
        text = objects.get(self._ticket, pointer)
        return default if text is None else json.loads(text)

    def json(self) -> str:
        """The whole object as JSON text."""
        return objects.json(self._ticket)

    def parse(self) -> dict[str, Any]:
        """The whole object as Python has it. Costs far more than to read the values that are needed."""
        return json.loads(objects.json(self._ticket))
