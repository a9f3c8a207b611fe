"""The SQL metadata index: the truth about what exists, who may see it and where its bytes are.

SQLAlchemy is imported here and nowhere else.
"""

from registry.index import upkeep_tables as _upkeep_tables  # noqa: F401 - declares its tables
from registry.index.engine import Connection, Index, open_index

__all__ = ["Connection", "Index", "open_index"]
