"""Conditional requests (RFC 9110 section 13).

The entity tag of content is its digest in quotes. A digest is as strong as a validator can be, so a tag
that a proxy weakened (`W/`), or a client left unquoted, still names the same bytes.
"""

import re
from collections.abc import Sequence

_ENTITY_TAG = re.compile(r'(?:W/)?"([^"]*)"|(?:W/)?([^\s,"]+)')


def etag_matches(header_values: Sequence[str], etag: str) -> bool:
    """Whether the lines of If-None-Match or If-Match name `etag`, quoted or not, or are `*`.

    `*` means anything that exists: to be asked only about content that does.
    """
    wanted = etag.strip('"')
    return any(
        value.strip() == "*" or any(wanted in match.groups() for match in _ENTITY_TAG.finditer(value))
        for value in header_values
    )


def range_applies(if_range: str | None, etag: str) -> bool:
    """Whether `Range` holds under the header If-Range: it is absent, or names `etag`.

    A weak tag or a date doesn't do (section 13.1.5): the whole content is to be sent then.
    """
    return if_range is None or if_range.strip().strip('"') == etag.strip('"')
