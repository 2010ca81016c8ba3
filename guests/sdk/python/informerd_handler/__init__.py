"""Write handlers for informerd in Python.

A handler is a class; `export` makes of it what componentize-py looks for under the name `Handler`:

    import informerd_handler as informerd
    from informerd_handler import Object, Watch, log


    class Phases(informerd.Handler):
        @staticmethod
        def watches():
            return [Watch("v1", "Pod")]

        def on_update(self, old: Object, new: Object) -> None:
            before, after = old.get_string("/status/phase"), new.get_string("/status/phase")
            if before != after:
                log.info(f"{new.key} is {after or 'without a phase'}")


    Handler = informerd.export(Phases)

The order of calls, and what can be relied on, is in the contract, `wit/handler.wit`; what is different in Python
is said here. A module is a snapshot of the interpreter after it has imported the handler, so what stands at the top of
a file runs once, when the module is built, and `__init__` in each new instance. What is imported inside a function is
not there any more.

Handlers are tested with plain Python: there, `informerd_handler.testing` is the host.
"""

from informerd_handler import cache, config, log
from informerd_handler.cache import CacheError
from informerd_handler.failure import ConfigError, Permanent, Retry
from informerd_handler.handler import Handler, Watch, export
from informerd_handler.object import Key, Object

__all__ = [
    "CacheError",
    "ConfigError",
    "Handler",
    "Key",
    "Object",
    "Permanent",
    "Retry",
    "Watch",
    "cache",
    "config",
    "export",
    "log",
]
