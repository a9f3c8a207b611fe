"""Entrepot, a private container registry. The server: see docs/architecture.md."""

__all__: list[str] = []
