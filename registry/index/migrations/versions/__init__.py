"""The steps, in the order that `down_revision` gives. A released one is never changed."""
