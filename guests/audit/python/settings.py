"""What is to be reported."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum
from typing import Optional

from informerd_handler import ConfigError, config


class Detail(Enum):
    """How much of an object is read."""

    KEY = "key"
    FIELDS = "fields"
    WHOLE = "whole"


def watched() -> tuple[str, str]:
    """The apiVersion and kind of what is watched."""
    api_version, kind = config.get_string("apiVersion"), config.get_string("kind")
    return "v1" if api_version is None else api_version, "Pod" if kind is None else kind


@dataclass
class Settings:
    """The handler's configuration."""

    #: JSON pointers.
    report: list[str]
    detail: Detail
    #: Objects of the cache at once.
    page: int

    @classmethod
    def read(cls) -> Settings:
        report = config.get("report")
        pointers = None if report is None else _pointers(report)
        if pointers is None:
            raise ConfigError(
                'config.report must be a list of 1 to 16 JSON pointers, for example ["/status/phase"]'
            )
        detail = config.get("detail")
        details = {f'"{it.value}"': it for it in Detail} | {None: Detail.WHOLE}
        if detail not in details:
            raise ConfigError('config.detail must be "key", "fields" or "whole"')
        page = config.get("page")
        if page is not None and not (_NUMBER.fullmatch(page) and int(page) <= PAGE_MAX):
            raise ConfigError("config.page must be a number from 1 to 500")
        return cls(pointers, details[detail], PAGE if page is None else int(page))

    def pointers(self) -> list[str]:
        """What is read of each object."""
        return [] if self.detail is Detail.KEY else self.report


def _pointers(text: str) -> Optional[list[str]]:
    pointers = json.loads(text)
    is_list = isinstance(pointers, list) and 1 <= len(pointers) <= POINTERS_MAX
    return pointers if is_list and all(map(_is_pointer, pointers)) else None


def _is_pointer(value: object) -> bool:
    return isinstance(value, str) and _POINTER.fullmatch(value) is not None


_POINTER = re.compile(r'/[^"\\\x00-\x1f]*')
_NUMBER = re.compile(r"[1-9][0-9]{0,2}")
POINTERS_MAX = 16
PAGE = 100
PAGE_MAX = 500
