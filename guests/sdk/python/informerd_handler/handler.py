"""The class that a handler is, and what the host calls instead of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable

from informerd_handler._bindings import Err, types
from informerd_handler.failure import ConfigError, Permanent, Retry
from informerd_handler.object import Object


@dataclass
class Watch:
    """One collection of objects that a handler watches."""

    api_version: str
    kind: str
    #: Empty means all of them, or a cluster-scoped kind.
    namespaces: list[str] = field(default_factory=list)
    label_selector: str = ""
    field_selector: str = ""


class Handler:
    """What a handler may answer; what it leaves out does nothing. Exceptions say what failed: see
    `informerd_handler.failure`.
    """

    @staticmethod
    def watches() -> list[Watch]:
        """What to watch. Empty leaves it to the handler spec."""
        return []

    def __init__(self) -> None:
        """A new instance: the place to read the configuration, and to refuse it with `ConfigError`."""

    def on_add(self, object: Object, is_in_initial_list: bool) -> None:
        """The object appeared, or was there before."""

    def on_update(self, old: Object, new: Object) -> None:
        """The object changed since the state that was handled last."""

    def on_delete(self, last: Object, final_state_unknown: bool) -> None:
        """The object is gone."""

    def on_synced(self) -> None:
        """Every object that was there at first has been handled."""


def export(handler: type[Handler]) -> type:
    """The class that componentize-py wants to find under the name `Handler`."""
    for name in vars(handler):
        if name.startswith("on_") and not hasattr(Handler, name):
            raise TypeError(f"{handler.__name__}.{name}: there is no such notification")

    class Exported:
        """The contract's interface `handler`. componentize-py makes a new one for each call, so what lives as
        long as the instance is kept in the class.
        """

        live: Handler

        def watches(self) -> list[Any]:
            return [types.Watch(**vars(watch)) for watch in handler.watches()]

        def init(self) -> None:
            try:
                Exported.live = handler()
            except ConfigError as refusal:
                raise Err(str(refusal)) from None

        def on_add(self, key: Any, object: int, is_in_initial_list: bool) -> None:
            _call(self.live.on_add, Object(object, key), is_in_initial_list)

        def on_update(self, key: Any, old: int, new: int) -> None:
            _call(self.live.on_update, Object(old), Object(new, key))

        def on_delete(self, key: Any, last: int, final_state_unknown: bool) -> None:
            _call(self.live.on_delete, Object(last, key), final_state_unknown)

        def on_synced(self) -> None:
            _call(self.live.on_synced)

    return Exported


def _call(notification: Callable[..., None], *arguments: Any) -> None:
    try:
        notification(*arguments)
    except Retry as failure:
        retry = types.Retry(failure.after_ms, str(failure))
        raise Err(types.Failure_Retry(retry)) from None
    except Permanent as failure:
        raise Err(types.Failure_Permanent(str(failure))) from None
