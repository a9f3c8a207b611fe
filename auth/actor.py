"""Who does something, from where, in which request: what audit and history write down."""

from typing import NamedTuple


class Actor(NamedTuple):
    """`principal` is written as `user:alice`; `address` and `request_id` are empty where there are none."""

    principal: str
    address: str = ""
    request_id: str = ""


SYSTEM = Actor("system")
"""The registry itself: expiry, collection."""
