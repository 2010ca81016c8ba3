"""The handler spec's `config`. It never changes while an instance lives."""

from __future__ import annotations

import json as _json
from typing import Any, Optional

from informerd_handler._bindings import config as _config


def get(name: str) -> Optional[str]:
    """The value of this name as JSON text, a string with its quotes."""
    return _config.get(name)


def get_string(name: str) -> Optional[str]:
    """The string of this name; None if there is no such name, or its value is something else."""
    return _config.get_string(name)


def parse() -> dict[str, Any]:
    """All of it as Python has it."""
    return _json.loads(_config.json())
