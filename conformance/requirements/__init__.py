"""The suite: a file for each section, a test for each requirement in it."""
