"""What a handler raises to be told again, or not.

Any other exception is a bug: it costs the instance and everything that it remembered, and the host delivers the
state again to a new one. The traceback is in the host's log.
"""

from __future__ import annotations

from typing import Optional


class ConfigError(Exception):
    """Refuses the configuration: raised in `__init__`. The text says why."""


class Retry(Exception):
    """Deliver this state, or a newer one, again later. The text says why.

    `after_ms`: milliseconds to wait; without it the host decides.
    """

    def __init__(self, reason: str, after_ms: Optional[int] = None) -> None:
        super().__init__(reason)
        self.after_ms = after_ms


class Permanent(Exception):
    """Do not deliver this state again. The text says why."""
