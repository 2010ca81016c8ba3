"""Says hello to pods, and tells of their phases."""

from __future__ import annotations

import informerd_handler as informerd
from informerd_handler import Object, Watch, config, log


class Greeter(informerd.Handler):
    @staticmethod
    def watches() -> list[Watch]:
        return [Watch("v1", "Pod")]

    def __init__(self) -> None:
        self.greeting = config.get_string("greeting") or "hello"

    def on_add(self, pod: Object, is_in_initial_list: bool) -> None:
        log.info(f"{self.greeting} {pod.key}")

    def on_update(self, old: Object, new: Object) -> None:
        before, after = old.get_string("/status/phase"), new.get_string("/status/phase")
        if before != after:
            log.info(f"{new.key} is {after or 'without a phase'}")


Handler = informerd.export(Greeter)
