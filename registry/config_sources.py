"""Where settings come from: defaults < TOML file < environment < flags.

A key is dotted, `server.listen`. In the environment it is ENTREPOT_SERVER__LISTEN, and
ENTREPOT_SERVER__LISTEN_FILE names a file that holds the value, as orchestrators hand out secrets.
"""

import difflib
import functools
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from registry.config import ConfigError, Settings
from registry.drivers import driver_names

PREFIX = "ENTREPOT_"
CONFIG_VARIABLE = "ENTREPOT_CONFIG"

_NOT_OURS = re.compile(
    r"ENTREPOT_(FAILPOINT|TEST_\w+"  # switches of the test suite
    r"|SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
"""The second line: what Kubernetes puts into every pod's environment for a Service named entrepot."""

_SECRET_NAME = re.compile(r"secret|password|passphrase|token|credential|(^|_)key$", re.IGNORECASE)
_PASSWORD_IN_URL = re.compile(r"(?<=://)([^/@:]*):.*@|(?<=password=)[^&]+", re.IGNORECASE)
MASK = "********"


@dataclass(frozen=True, slots=True)
class Value:
    """One value that somebody set. `source` is said to people: `flag --listen`, `file x.toml`."""

    value: object
    source: str
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and for each key that is not a default who set it."""

    settings: Settings
    given: Mapping[str, Value]


@functools.cache
def known_keys() -> dict[str, FieldInfo]:
    """Every key with a type of its own; drivers' tables (`storage.<driver>.<key>`) come on top."""
    keys: dict[str, FieldInfo] = {}
    for name, field in Settings.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            keys |= {f"{name}.{inner}": found for inner, found in section.model_fields.items()}
        else:
            keys[name] = field
    return keys


def load(flags: Mapping[str, Value], config_file: Path | None, environment: Mapping[str, str]) -> Loaded:
    """The effective settings. `flags` are by dotted key. Raises ConfigError with all that is wrong."""
    problems: list[str] = []
    if config_file is None and environment.get(CONFIG_VARIABLE):
        config_file = Path(environment[CONFIG_VARIABLE])
    from_file = _read_toml(config_file, problems) if config_file is not None else {}
    from_environment = _read_environment(environment, problems)
    if problems:
        raise ConfigError(problems)
    given = {**from_file, **from_environment, **flags}
    try:
        settings = Settings.model_validate(_nest(given))
    except ValidationError as error:
        raise ConfigError(_explain(error, given)) from None
    return Loaded(settings, given)


def _read_toml(path: Path, problems: list[str]) -> dict[str, Value]:
    source = f"file {path}"
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        problems.append(f"{source}: can't be read: {error.strerror}")
        return {}
    except UnicodeDecodeError as error:
        problems.append(f"{source}: is not UTF-8: {error.reason} at byte {error.start}")
        return {}
    except tomllib.TOMLDecodeError as error:
        problems.append(f"{source}: is not TOML: {error}")
        return {}
    values: dict[str, Value] = {}
    for key, value in _flatten(document):
        if _is_known(key):
            values[key] = Value(value, source, _is_secret(key))
        elif not _is_table(key):
            problems.append(f"{source}: {_unknown(key, _candidates())}")
        elif value != {}:
            problems.append(
                f"{source}: {key} is a table of settings and not a value: write [{key}] above them"
            )
    return values


def _flatten(table: Mapping[str, object], above: str = "") -> Iterable[tuple[str, object]]:
    """(dotted key, value), three levels deep at most: what lies deeper is a value of a driver's own.

    So is what lies below a key that takes a table, and there a name may have dots.
    """
    for name, value in table.items():
        key = f"{above}{name}"
        if isinstance(value, Mapping) and value and key.count(".") < 2 and not _takes_table(key):
            yield from _flatten(value, f"{key}.")
        else:
            yield key, value


def _read_environment(environment: Mapping[str, str], problems: list[str]) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for name in sorted(environment):
        if not name.startswith(PREFIX) or name == CONFIG_VARIABLE or _NOT_OURS.fullmatch(name):
            continue
        source = f"environment {name}"
        key = name.removeprefix(PREFIX).lower().replace("__", ".")
        from_file = key.endswith("_file") and key not in known_keys()
        key = key.removesuffix("_file") if from_file else key
        if not _is_known(key):
            variables = [PREFIX + known.upper().replace(".", "__") for known in _candidates()]
            problems.append(f"{source}: {_unknown(name, [CONFIG_VARIABLE, *variables])}")
        elif key in values:
            problems.append(f"{source}: {key} is also set by {values[key].source}; keep one of them")
        elif not from_file:
            values[key] = Value(environment[name], source, _is_secret(key))
        else:
            try:
                text = Path(environment[name]).read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
                problems.append(f"{source}: can't read the file {environment[name]}: {reason}")
                continue
            values[key] = Value(text.removesuffix("\n").removesuffix("\r"), source, secret=True)
    return values


def _candidates() -> list[str]:
    return [*known_keys(), *(f"storage.{name}" for name in driver_names())]


def _is_table(key: str) -> bool:
    return any(known.startswith(f"{key}.") for known in known_keys()) or _is_known(f"{key}.any")


def _takes_table(key: str) -> bool:
    field = known_keys().get(key)
    return field is not None and get_origin(field.annotation) is dict


def _is_known(key: str) -> bool:
    if key in known_keys():
        return True
    parts = key.split(".")
    return len(parts) == 3 and parts[0] == "storage" and parts[1] in driver_names() and parts[2] != ""


def _is_secret(key: str) -> bool:
    field = known_keys().get(key)
    if field is None:
        return bool(_SECRET_NAME.search(key))
    return SecretStr in (field.annotation, *get_args(field.annotation))


def _unknown(name: str, candidates: list[str]) -> str:
    close = difflib.get_close_matches(name, candidates, n=1, cutoff=0.0)
    return f"{name} is unknown; the nearest is {close[0]}"


def _nest(given: Mapping[str, Value]) -> dict[str, object]:
    tree: dict[str, object] = {}
    for key, entry in given.items():
        *sections, last = key.split(".", 2)
        table: dict[str, object] = tree
        for section in sections:
            inner = table.setdefault(section, {})
            assert isinstance(inner, dict), "known keys are never both a value and a table"
            table = inner
        table[last] = entry.value
    return tree


def _explain(error: ValidationError, given: Mapping[str, Value]) -> list[str]:
    """A line for each thing that is wrong: who set it, what it is, what it should be."""
    problems: list[str] = []
    for fact in error.errors(include_url=False, include_context=False, include_input=False):
        message = fact["msg"].removeprefix("Value error, ")
        path = ".".join(str(part) for part in fact["loc"])
        key = next((key for key in given if path == key or path.startswith(f"{key}.")), None)
        if key is None:  # a rule between several settings, which names them itself
            problems += [f"settings: {line}" for line in message.splitlines()]
            continue
        entry = given[key]
        said = f"{message[:1].lower()}{message[1:]}"
        if entry.secret:
            problems.append(f"{entry.source}: {key}: what is set (hidden): {said}")
        elif path == key:
            problems.append(f"{entry.source}: {key}: {_short(_masked(entry.value))}: {said}")
        elif fact["type"] == "extra_forbidden":
            problems.append(f"{entry.source}: {_unknown(path, _names_beside(key, path))}")
        else:
            problems.append(f"{entry.source}: {path}: {said}")
    return problems


def _names_beside(key: str, path: str) -> list[str]:
    """What the last name in `path` could be: it lies in one of the tables that `key` is a list of."""
    (entry,) = (kind for kind in get_args(known_keys()[key].annotation) if kind is not Ellipsis)
    assert issubclass(entry, BaseModel), "only our own tables know which names they have"
    table = path.rpartition(".")[0]
    return [f"{table}.{name}" for name in entry.model_fields]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def effective(loaded: Loaded) -> list[tuple[str, object, str]]:
    """(key, value, source) for every setting, in the order of the tree, secrets masked."""
    rows: list[tuple[str, object, str]] = []
    for key in known_keys():
        value: object = loaded.settings
        for part in key.split("."):
            value = getattr(value, part)
        if isinstance(value, SecretStr):
            value = _masked(value.get_secret_value()) if key == "index.url" else MASK
        rows.append((key, _shown(value), _source(loaded, key)))
    for key, entry in loaded.given.items():
        if key not in known_keys():  # a driver's own
            rows.append((key, MASK if entry.secret else _masked(entry.value), _source(loaded, key)))
    sections = list(Settings.model_fields)
    return sorted(rows, key=lambda row: sections.index(row[0].split(".")[0]))


def _source(loaded: Loaded, key: str) -> str:
    return loaded.given[key].source if key in loaded.given else "default"


def _shown(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True)
    if isinstance(value, tuple):
        return [_shown(entry) for entry in value]
    if isinstance(value, dict):
        return value
    return value if isinstance(value, bool | int | float | None) else str(value)


def _masked(value: object) -> object:
    """Without passwords, in URLs and in nested tables."""
    if isinstance(value, str):
        return _PASSWORD_IN_URL.sub(
            lambda found: f"{found[1]}:{MASK}@" if found[1] is not None else MASK, value
        )
    if isinstance(value, Mapping):
        return {name: MASK if _SECRET_NAME.search(name) else _masked(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner) for inner in value]
    return value
