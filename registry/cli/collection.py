"""`entrepot gc`: free what nothing needs any more, and tell how that is going."""

import argparse
import json
import sys
import time
from typing import Any

from registry.cli.client.connection import Api, connect, connection_parent
from registry.cli.client.rows import Row, add_row
from registry.cli.client.tables import NOTHING, Values, facts, table, when
from registry.cli.commands import Commands, add_command, add_group
from registry.cli.progress import bar
from registry.oci.sizes import said_size

SLICE_SECONDS = 2
"""After which the next request goes on: so nothing waits for long, and people see how far it is."""

ELSEWHERE_SECONDS = 1

KINDS = {
    "garbage": "nothing needs them",
    "needed": "a manifest needs them",
    "removed": "a removed manifest needs them, which can be restored until then",
    "leased": "a client was promised them until then",
}


def add(commands: Commands, settings: argparse.ArgumentParser) -> None:
    """Add `gc`."""
    group = add_group(commands, "gc", "free what nothing needs any more")
    parser = add_command(group, "run", _run, "collect now, to the end", connection_parent())
    parser.add_argument(
        "--dry-run", action="store_true", help="only tell what would go, and why the rest stays"
    )
    parser.add_argument(
        "--purge-removed",
        action="store_true",
        help="take what can be restored, too: nothing deleted so far can be undone any more",
    )
    add_row(group, STATUS)


def _run(parsed: argparse.Namespace) -> int:
    with connect(parsed) as api:
        if parsed.dry_run:
            query = [("purge_removed", "true")] if parsed.purge_removed else []
            preview = api.call("GET", "/gc/preview", query)
            print(json.dumps(preview, indent=2) if parsed.json else preview_text(preview))
            return 0
        collected = _collect(api, parsed.purge_removed)
        status = api.call("GET", "/gc")
    print(json.dumps(collected, indent=2) if parsed.json else "\n".join(run_lines(collected, status)))
    return 0


def _collect(api: Api, purge_removed: bool) -> Any:
    """Ask again and again until it is done; what was collected."""
    waiting = api.call("GET", "/gc")["waiting"]
    whole = waiting["links"] + waiting["blobs"]
    while True:
        wish = {"purge_removed": purge_removed, "seconds": SLICE_SECONDS}
        answer = api.call("POST", "/gc/run", body=wish)
        if answer["finished"]:
            _show("")
            return answer["collected"]
        _show(_progress(answer, whole))
        if answer["elsewhere"]:
            time.sleep(ELSEWHERE_SECONDS)


def _progress(answer: Any, whole: int) -> str:
    collected = answer["collected"]
    seen = collected["links"] + collected["blobs"] + collected["needed"] + collected["leased"]
    said = f"{collected['blobs']} blobs taken, {said_size(collected['freed'])} freed"
    where = " (another process is at it)" if answer["elsewhere"] else ""
    return f"{bar(min(seen, whole), whole)} {said}{where}".strip()


def _show(line: str) -> None:
    """At a terminal, in place of the line before."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


def run_lines(collected: Any, status: Any) -> list[str]:
    """What a collection did, and what is left for later."""
    lines = [
        f"{collected['links']} blobs were taken out of a repository that does not need them",
        f"{collected['blobs']} blobs, {said_size(collected['bytes'])}, were given up: nothing needs them",
        f"{collected['objects']} objects, {said_size(collected['freed'])}, were deleted from the storage",
        f"of those that stay, {collected['needed']} were looked at and are needed, and "
        f"{collected['leased']} are promised to clients",
    ]
    if collected["expired"]:
        lines.append(f"{collected['expired']} removed things can't be restored any more")
    waiting = status["waiting"]
    if waiting["objects"]:
        lines.append(
            f"{waiting['objects']} objects, {said_size(waiting['bytes'])}, wait for those who may still read "
            f"them; they are deleted by a collection from {when('delete_at')(waiting)} on"
        )
    return lines


def preview_text(preview: Any) -> str:
    """What would go, and why the rest stays."""
    if not preview["shares"]:
        return "there is nothing to look at"
    columns = (
        ("BLOBS", lambda share: f"{share['blobs']}"),
        ("SIZE", lambda share: said_size(share["bytes"])),
        ("", lambda share: "would go" if share["kind"] == "garbage" else "stay"),
        ("WHY", lambda share: KINDS[share["kind"]]),
        ("UNTIL", when("until")),
    )
    return table(columns, preview["shares"])


def _status_text(status: Any, _values: Values) -> str:
    waiting, last = status["waiting"], status["last"]
    columns = (
        ("RUNNING SINCE", when("running_since")),
        ("LAST FINISHED", when("finished_at")),
        ("IT TOOK", lambda _: NOTHING if last is None else _taken(last)),
        ("IT FREED", lambda _: NOTHING if last is None else said_size(last["freed"])),
        ("NEXT", when("next_at", never="when it is asked for")),
        ("MARKED", lambda _: f"{waiting['links']} in repositories, {waiting['blobs']} without"),
        ("CAN BE RESTORED", lambda _: f"{waiting['removed']} removed manifests and repositories"),
        ("TO BE DELETED", lambda _: f"{waiting['objects']} objects, {said_size(waiting['bytes'])}"),
        ("FROM", lambda _: when("delete_at")(waiting)),
        ("EVER TAKEN", lambda _: f"{_taken(status['ever'])}" if status["ever"] else NOTHING),
    )
    return facts(columns, status)


def _taken(counts: Any) -> str:
    return f"{counts['blobs']} blobs, {said_size(counts['bytes'])}"


STATUS = Row("status", "tell how collection is going, and what waits for it", "GET", "/gc", (), _status_text)
