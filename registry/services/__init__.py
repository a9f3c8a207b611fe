"""The use cases of the registry, without HTTP and without SQL."""
