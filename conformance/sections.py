"""The sections of the suite, in the order of the tables: those of the specification, then our own."""

SPECIFICATION = (
    "Pulling manifests",
    "Names",
    "Content negotiation",
    "Pulling blobs",
    "Several ranges",
    "Checking if content exists in the registry",
    "Pushing blobs",
    "POST then PUT",
    "Single POST",
    "Pushing a blob in chunks",
    "Cancel a blob upload",
    "Mounting a blob from another repository",
    "Pushing Manifests",
    "Pushing tags with a digest",
    "Pushing Manifests with Subject",
    "Listing Tags",
    "Listing Referrers",
    "Deleting tags",
    "Deleting Manifests",
    "Deleting Blobs",
    "Registry Proxying",
    "Determining Support",
    "Endpoints",
    "Error Codes",
    "Headers of every answer",
)
OWN = ("Digest algorithms", "Conditional requests", "Manifest validation", "Catalog", "Faults")
SECTIONS = (*SPECIFICATION, *OWN)
