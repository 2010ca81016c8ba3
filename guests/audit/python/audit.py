"""The audit trail in Python, as `../README.md` describes it. `settings.py` reads what is to be reported, `failing.py`
fails on request, this file writes the trail.
"""

from __future__ import annotations

import json
from typing import Optional

import informerd_handler as informerd
from informerd_handler import Object, Watch, cache, config, log

from failing import Failing
from settings import Detail, Settings, watched


class Audit(informerd.Handler):
    """Writes one line per notification."""

    @staticmethod
    def watches() -> list[Watch]:
        return [Watch(*watched())]

    def __init__(self) -> None:
        self.settings = Settings.read()
        self.failing = Failing()
        #: Lines written.
        self.seq = 0
        log.debug("ready", pointers=len(self.settings.report), page=self.settings.page)

    def on_add(self, object: Object, is_in_initial_list: bool) -> None:
        self.fail_on_request(object)
        fields = self.fields(object, initial=is_in_initial_list)
        fields |= self.whole(object) | self.values(object)
        log.info(f"added {object.key}", **fields)

    def on_update(self, old: Object, new: Object) -> None:
        self.fail_on_request(new)
        fields = self.fields(new)
        if self.settings.detail is Detail.WHOLE:
            fields["newest"] = is_newest(new)
        fields |= self.whole(new)
        changes = self.changes(old, new)
        if changes or self.settings.detail is Detail.KEY:
            log.info(f"updated {new.key}", **fields, **changes)
        else:
            log.debug(f"unchanged {new.key}", **fields)

    def on_delete(self, last: Object, final_state_unknown: bool) -> None:
        self.fail_on_request(last)
        fields = self.fields(last, finalStateUnknown=final_state_unknown)
        fields |= self.whole(last) | self.values(last)
        log.info(f"deleted {last.key}", **fields)

    def on_synced(self) -> None:
        # An error of the cache is a permanent failure, unless it is caught.
        labels = config.get_string("labelSelector") or ""
        pages = cache.pages(*watched(), labels=labels, size=self.settings.page)
        sizes = [len(page) for page in pages]
        log.info("synced", seq=self.next_seq(), objects=sum(sizes), pages=len(sizes))

    def fail_on_request(self, object: Object) -> None:
        if self.settings.detail is not Detail.KEY:
            self.failing.check(object)

    def fields(self, object: Object, **more: object) -> dict[str, object]:
        """What every line about an object begins with."""
        key = object.key
        return {"seq": self.next_seq(), "uid": key.uid, "resourceVersion": key.resource_version, **more}

    def next_seq(self) -> int:
        self.seq += 1
        return self.seq

    def whole(self, object: Object) -> dict[str, object]:
        """What is told of the whole object."""
        if self.settings.detail is not Detail.WHOLE:
            return {}
        text = object.json()
        labels = json.loads(text)["metadata"].get("labels") or {}
        return {"bytes": len(text.encode()), "labels": len(labels)}

    def values(self, object: Object) -> dict[str, object]:
        """The value of each pointer."""
        return {pointer: shown(object.get(pointer)) for pointer in self.settings.pointers()}

    def changes(self, old: Object, new: Object) -> dict[str, object]:
        """The values that differ."""
        changes = {}
        for pointer in self.settings.pointers():
            before, after = old.get(pointer), new.get(pointer)
            if before != after:
                changes[pointer] = f"{shown(before)} -> {shown(after)}"
        return changes


Handler = informerd.export(Audit)


def is_newest(object: Object) -> bool:
    """Whether the cache has no other state of the object by now."""
    key = object.key
    cached = cache.get(key.api_version, key.kind, key.namespace, key.name)
    return cached is not None and cached.key.resource_version == key.resource_version


def shown(value: Optional[str]) -> str:
    """A value as it is written."""
    if value is None:
        return "absent"
    length = len(value.encode())
    return value if length <= VALUE_MAX else f"({length} bytes)"


# Longer values are only measured.
VALUE_MAX = 256
