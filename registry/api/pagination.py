"""Lists in pages: the parameter `n`, and the Link to the next page (distribution-spec, "Listing Tags")."""

from collections.abc import Iterable
from urllib.parse import quote, urlencode

from registry.oci.errors import PaginationInvalid
from registry.oci.quoting import quoted


def page_size(n: str | None, default: int, maximum: int) -> int:
    """The number of entries to send: `n` if given, but never more than `maximum`; 0 is allowed.

    Raises PaginationInvalid unless `n` is a number in ASCII digits.
    """
    if n is None:
        return min(default, maximum)
    if not (n.isascii() and n.isdigit()):
        raise PaginationInvalid(f"n must be a number of entries, 0 or more; not {quoted(n)}")
    return min(
        int(n.lstrip("0")[:20] or "0"), maximum
    )  # 20 digits of a longer number exceed any maximum, too


def next_link(path: str, last: str, n: int, extra: Iterable[tuple[str, str]] = ()) -> str:
    """The header Link to the page of `n` entries behind `last`; `extra` are more query parameters.

    `path` is the list's own URL path, percent-encoded, external prefix included. The link is relative to
    the host: crane refuses another scheme or host. Characters that a header or URL can't carry are encoded.
    """
    # A lone surrogate of a query has no UTF-8: "?" stands in for it.
    query = urlencode([("last", last), ("n", n), *extra], errors="replace", quote_via=quote, safe="")
    return f'<{quote(path, safe="/%:@!$&()*+,;=~", errors="replace")}?{query}>; rel="next"'
