"""The compiled kernels, without loading Numba before the first of them is called."""

from __future__ import annotations

import sys
from importlib.util import LazyLoader, find_spec, module_from_spec
from types import ModuleType
from typing import TYPE_CHECKING


def _lazily(name: str) -> ModuleType:
    """The module of this name, run when something of it is first asked for."""
    spec = find_spec(name)
    assert spec is not None and spec.loader is not None
    spec.loader = loader = LazyLoader(spec.loader)
    module = module_from_spec(spec)
    sys.modules[name] = module
    loader.exec_module(module)
    return module


if TYPE_CHECKING:
    from . import bonuses, draws, kernels
else:
    bonuses = _lazily(f"{__package__}.bonuses")
    draws = _lazily(f"{__package__}.draws")
    kernels = _lazily(f"{__package__}.kernels")

__all__ = ["bonuses", "draws", "kernels"]
