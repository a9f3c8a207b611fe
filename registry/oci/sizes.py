"""Bytes as people say them."""

UNITS = "KMGTPE"


def said_size(count: int) -> str:
    """Bytes with a unit, which `entrepot` takes back: `10 GiB`, `1.5 MiB`."""
    number, unit = float(count), ""
    for letter in UNITS:
        if number < 1024:
            break
        number, unit = number / 1024, f"{letter}i"
    return f"{number:.1f}".removesuffix(".0") + f" {unit}B"
