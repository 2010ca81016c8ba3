"""The host's cache: other objects than the one that a call is about. What can be read, and how stale it may be, stands in
the contract, `wit/cache.wit`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Callable, Optional

from informerd_handler._bindings import Err
from informerd_handler._bindings import cache as _cache
from informerd_handler.failure import Permanent
from informerd_handler.object import Object


class CacheError(Permanent):
    """A question that the cache does not answer: its text says what to change. If nobody catches it, it is a
    permanent failure.
    """


def get(api_version: str, kind: str, namespace: Optional[str], name: str) -> Optional[Object]:
    """The object of this name; `namespace` is None for a cluster-scoped one."""
    ticket = _cache.get(api_version, kind, namespace, name)
    return None if ticket is None else Object(ticket)


def pages(
    api_version: str, kind: str, *, namespace: Optional[str] = None, labels: str = "", size: int = 0
) -> Iterator[list[Object]]:
    """The objects of a kind, in one namespace or in all, that a label selector selects, by namespace and name. At most
    `size` a page; 0 is 500, the most there can be.

    A page's objects can be read until the next one is asked for, so that a call can go through any number of them.
    """
    return _pages(lambda cursor: _cache.list_objects(api_version, kind, namespace, labels, size, cursor))


def pages_by_index(
    api_version: str, kind: str, index: str, value: str, *, size: int = 0
) -> Iterator[list[Object]]:
    """The objects of a kind under one value of an index: `namespace`, or `owner` with a uid. As `pages`, without
    visiting the others.
    """
    return _pages(lambda cursor: _cache.list_by_index(api_version, kind, index, value, size, cursor))


def _pages(ask: Callable[[Optional[str]], Any]) -> Iterator[list[Object]]:
    cursor = None
    while True:
        try:
            page = ask(cursor)
        except Err as error:
            raise CacheError(error.value) from None
        try:
            yield [Object(ticket) for ticket in page.objects]
        finally:
            _cache.release(page.objects)
        cursor = page.cursor
        if cursor is None:
            return
