"""Who may do what. Empty until accounts exist; knows no HTTP and no SQL."""

__all__: list[str] = []
