"""Charts, packed as helm packs them."""

from pathlib import Path

from tests.engines.clients import Client


def package(helm: Client, folder: Path, version: str) -> Path:
    """A chart named `box` with one config map."""
    source = folder / f"source-{version}"
    (source / "templates").mkdir(parents=True)
    (source / "Chart.yaml").write_text(f"apiVersion: v2\nname: box\nversion: {version}\n")
    (source / "values.yaml").write_text("colour: blue\n")
    (source / "templates" / "map.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: box}\ndata: {colour: {{ .Values.colour }}}\n"
    )
    helm("package", source, "--destination", folder)
    return folder / f"box-{version}.tgz"
