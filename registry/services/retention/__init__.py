"""Retention: rules that say what is kept, what they decide, and a look at it before anything goes."""
