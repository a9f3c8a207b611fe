"""The command `entrepot`. Each group of commands is a module with a function `add`; `main` lists them."""

from registry.cli.main import main

__all__ = ["main"]
