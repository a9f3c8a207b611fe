"""Work in the background that frees space and keeps what matters: jobs, collection."""

__all__: list[str] = []
