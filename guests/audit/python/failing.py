"""Failing on request, so that one can see what the host makes of it."""

from __future__ import annotations

import re

from informerd_handler import Object, Permanent, Retry


class Failing:
    """The state that was failed last, and how often."""

    def __init__(self) -> None:
        self.state = ("", "")
        self.times = 0

    def check(self, object: Object) -> None:
        """Fails as the object's annotation asks for."""
        request = object.get_string("/metadata/annotations/audit.informerd.dev~1fail")
        if request is None:
            return
        if request == "permanent":
            raise Permanent("asked to fail for good")
        if request == "trap":
            raise RuntimeError("asked to trap")
        retry = _RETRY.fullmatch(request)
        if retry:
            self.retry(object, int(retry[1]))

    def retry(self, object: Object, times: int) -> None:
        state = (object.key.uid, object.key.resource_version)
        if self.state != state:
            self.state, self.times = state, 0
        if self.times == times:
            return
        self.times += 1
        raise Retry(f"asked to fail, {self.times} of {times}", after_ms=1)


_RETRY = re.compile(r"retry ([1-9])")
