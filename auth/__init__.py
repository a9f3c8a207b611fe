"""Who may do what: principals, roles, tokens, keys, passwords. No HTTP and no SQL; nothing of registry.

Import from the modules: `from auth.decisions import decide`.
"""

__all__: list[str] = []
