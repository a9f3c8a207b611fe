"""Patterns in which `*` stands for any run of characters, also none."""


def matches(pattern: str, text: str) -> bool:
    """Whether the whole text fits. In linear time: the first place where a part fits is as good as any."""
    first, *rest = pattern.split("*")
    if not rest:
        return text == first
    *middle, last = rest
    end = len(text) - len(last)
    if not (text.startswith(first) and text.endswith(last) and len(first) <= end):
        return False
    position = len(first)
    for part in middle:
        position = text.find(part, position, end)
        if position < 0:
            return False
        position += len(part)
    return True
