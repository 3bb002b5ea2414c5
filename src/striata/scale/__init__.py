"""The same work on the machines of a Ray cluster, and what it will take, foreseen. Ray is loaded when it is used."""

from .cluster import LOCAL, Machine, connected
from .dealing import Deal, Memory, deal, estimate

__all__ = ["LOCAL", "Deal", "Machine", "Memory", "connected", "deal", "estimate"]
