"""Moving images between registries, image layouts and archives; HTTP as a client of any registry.

Nothing here knows the command line or the index. Every byte is compared with the digest that it goes by.
"""
