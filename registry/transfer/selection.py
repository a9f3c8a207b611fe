"""Which images are meant: names, tags and patterns made into a list of what to move."""

from collections.abc import Sequence

from auth.patterns import TagPattern
from registry.transfer.errors import Missing, TransferError
from registry.transfer.layout import Named
from registry.transfer.references import Reference, repository_of, tag_of
from registry.transfer.remote import RemoteSource
from registry.transfer.transfer import Item

LATEST = "latest"
ALL_TAGS = (TagPattern("*"),)


async def from_registry(
    source: RemoteSource, wanted: Reference, to: Reference, tags: Sequence[TagPattern]
) -> list[Item]:
    """Items for `wanted` at a registry. A pattern of repositories takes all tags unless `tags` says which.

    Raises TransferError.
    """
    if wanted.is_pattern != to.is_pattern:
        raise TransferError("either both sides stand for many repositories, by ** at their ends, or none")
    if not wanted.is_pattern:
        return await _of_repository(source, wanted, to, tags)
    names = [name for name in await source.repositories() if name.startswith(wanted.prefix)]
    if not names:
        raise Missing(f"{source.client.name} lists no repository {wanted.repository}")
    items: list[Item] = []
    for name in names:
        mapped = to.prefix + name.removeprefix(wanted.prefix)
        items += [
            Item(name, tag, mapped, (tag,))
            for tag in sorted(await source.tags(name))
            if _matches(tag, tags or ALL_TAGS)
        ]
    return items


async def _of_repository(
    source: RemoteSource, wanted: Reference, to: Reference, tags: Sequence[TagPattern]
) -> list[Item]:
    if not tags:
        reference = wanted.digest or wanted.tag or LATEST
        tag = to.tag or wanted.tag or (None if wanted.digest else LATEST)
        return [Item(wanted.repository, reference, to.repository, () if tag is None else (tag,))]
    if wanted.tag or wanted.digest or to.tag:
        raise TransferError("--tags says which tags are meant, so no reference should name one")
    found = [tag for tag in sorted(await source.tags(wanted.repository)) if _matches(tag, tags)]
    if not found:
        raise Missing(
            f"{source.client.name}/{wanted.repository} has no tag like {' or '.join(map(str, tags))}"
        )
    return [Item(wanted.repository, tag, to.repository, (tag,)) for tag in found]


def from_archive(images: Sequence[Named], to: Reference, tags: Sequence[TagPattern]) -> list[Item]:
    """Items for the images of a layout or an archive. One image gets the tag that `to` names; several go by
    the tags they have there, and with `**` at the end of `to` into the repositories they have there.

    Raises TransferError.
    """
    chosen = [
        image
        for image in images
        if not tags or (image.name is not None and _matches(tag_of(image.name) or LATEST, tags))
    ]
    # Without other images a referrer is what the archive is about; with them it goes where its subject goes.
    if any(not image.is_referrer for image in chosen):
        chosen = [image for image in chosen if not image.is_referrer]
    if not chosen:
        raise Missing("the archive holds no image" + (f" like {' or '.join(map(str, tags))}" if tags else ""))
    if to.tag is not None:
        digests = {image.digest for image in chosen}
        if len(digests) > 1:
            names = ", ".join(str(image.name or image.digest) for image in chosen[:20])
            raise TransferError(f"one tag can't stand for {len(digests)} images; choose with --tags: {names}")
        return [Item("", chosen[0].digest, to.repository, (to.tag,))]
    return _without_clashes([_item(image, to) for image in chosen])


def _item(image: Named, to: Reference) -> Item:
    repository = to.repository
    if to.is_pattern:
        own = None if image.name is None else repository_of(image.name)
        if own is None:
            raise TransferError(f"{image.name or image.digest} has no repository of its own, so name one")
        repository = to.prefix + own
    tag = None if image.name is None else tag_of(image.name)
    return Item("", image.digest, repository, () if tag is None else (tag,))


def _without_clashes(items: Sequence[Item]) -> list[Item]:
    """Raises TransferError if two images would get one tag."""
    taken: dict[tuple[str, str], str] = {}
    for item in items:
        for tag in item.tags:
            if taken.setdefault((item.repository, tag), item.reference) != item.reference:
                raise TransferError(
                    f"two images would be {item.repository}:{tag}; ** at the end keeps their repositories"
                )
    return list(items)


def _matches(tag: str, patterns: Sequence[TagPattern]) -> bool:
    return any(pattern.matches(tag) for pattern in patterns)
