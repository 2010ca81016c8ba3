"""The contract as componentize-py generates it; in plain Python, as `testing` plays it."""

import sys

if sys.platform == "wasi":
    from componentize_py_types import Err
    from wit_world.imports import cache, config, log, objects, types
else:
    from informerd_handler.testing import Err, cache, config, log, objects, types

__all__ = ["Err", "cache", "config", "log", "objects", "types"]
