"""One repository of the tree: its manifests with their blobs, then its tags."""
