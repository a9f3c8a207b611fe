"""Accounts: users, groups, robots, their grants, the trust rules, and the credentials they sign in with."""
