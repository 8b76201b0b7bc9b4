"""Values that nobody changes, cheap to make.

A message is some thirty small objects on its way. `dataclasses` guards a frozen class at every assignment, its own
constructor included, which makes an object of fifteen fields four times as expensive. Here the type checker is the
guard: it reads the classes as frozen, and every module of ours is checked strictly.
"""

import dataclasses
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(cls: type | None = None, /, *, frozen: bool = False, **options: bool) -> Any:
        """`dataclasses.dataclass`; what is declared frozen is left open and keeps its hash by value."""
        return dataclasses.dataclass(cls, unsafe_hash=frozen, **options)
