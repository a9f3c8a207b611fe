"""The management API: what can be done with accounts, grants, repositories and the rest. No HTTP and no SQL.

The same operations serve two ways in: `registry.api.management` over HTTP, and the command line, which calls
them in its own process when it has the index at hand.
"""
