"""Writes to the host's log, under the handler's name.

    log.info("resized", replicas=3, ready=True)
    log.info("moved", **{"/spec/nodeName": "n-1"})

A field that is no string is written as JSON. What is printed on standard error is in the log too, as warnings.
"""

from __future__ import annotations

import json as _json
from typing import Any

from informerd_handler._bindings import log as _log


def trace(message: str, /, **fields: Any) -> None:
    """A line that is shown only on request, as with `debug`."""
    _write(_log.Level.TRACE, message, fields)


def debug(message: str, /, **fields: Any) -> None:
    """A line that is shown only if the host's `--log` says so."""
    _write(_log.Level.DEBUG, message, fields)


def info(message: str, /, **fields: Any) -> None:
    """A line of what the handler did."""
    _write(_log.Level.INFO, message, fields)


def warn(message: str, /, **fields: Any) -> None:
    """A line of what may be wrong."""
    _write(_log.Level.WARN, message, fields)


def error(message: str, /, **fields: Any) -> None:
    """A line of what is wrong."""
    _write(_log.Level.ERROR, message, fields)


def _write(level: Any, message: str, fields: dict[str, Any]) -> None:
    _log.log(level, message, [_log.Field(name, _text(value)) for name, value in fields.items()])


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _json.dumps(value, ensure_ascii=False)
