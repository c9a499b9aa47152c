"""Where settings come from: files, the environment and flags, in that order of strength, checked together."""

from __future__ import annotations

import dataclasses
import difflib
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from interlock import errors
from interlock.config.settings import UNITS, Settings

RESERVED: Final = frozenset(
    "INTERLOCK_" + name
    for name in (
        *("TESTING", "FAULT", "REQUIRE", "OWS"),  # read by the tests and by crash injection
        *("KEY", "TOKEN", "URL"),  # secrets and addresses that a command uses for one call
        *("TASK", "RUN", "STEP", "ATTEMPT", "IDEMPOTENCY_KEY"),  # what a runner finds in its environment
        *("LOCK", "LOCK_FENCE"),  # what `interlock locks run` tells its command
        *("SERVER", "API_KEY"),  # which server a client talks to, and as whom
    )
)
"""Variables of the environment that start like settings and are none."""

_SECRET_PREFIX: Final = "INTERLOCK_SECRET_"  # noqa: S105 (the start of a name; values of secrets are not settings)
_VARIABLE: Final = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One value with its story. `origin` is `default`, the path of a file, the name of a variable or `flag`.

    `unit` of a number: `seconds`, `bytes`, or empty.
    """

    key: str
    variable: str
    value: object
    unit: str
    default: object
    origin: str
    meaning: str


def load(flags: Mapping[str, object], environ: Mapping[str, str], working_folder: Path, home: Path) -> Settings:
    """Give the settings in force. `flags` are by key (`store.url`); None means that the flag was not given.

    Raises InvalidSettings, which lists every problem of every source at once.
    """
    return _resolve(flags, environ, working_folder, home)[0]


def explain(
    flags: Mapping[str, object], environ: Mapping[str, str], working_folder: Path, home: Path
) -> tuple[Setting, ...]:
    """Give every setting with its value and where that came from, sorted by key. Raises as `load` does."""
    settings, origins = _resolve(flags, environ, working_folder, home)
    return tuple(
        Setting(
            key=key,
            variable=declared.variable,
            value=getattr(getattr(settings, declared.section), declared.name),
            unit=declared.unit,
            default=declared.default,
            origin=origins.get(key, "default"),
            meaning=declared.meaning,
        )
        for key, declared in sorted(_declared().items())
    )


def files(environ: Mapping[str, str], working_folder: Path, home: Path) -> tuple[Path, ...]:
    """Give the files that are read where they exist, the weakest first."""
    config_folder = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    return config_folder / "interlock" / "interlock.toml", working_folder / "interlock.toml"


# -- resolution ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Declared:
    section: str
    name: str
    key: str
    read: Callable[[object], object]
    low: float | None
    high: float | None
    default: object
    meaning: str

    @property
    def variable(self) -> str:
        return "INTERLOCK_" + self.key.replace(".", "_").upper()

    @property
    def unit(self) -> str:
        return next((unit[1:] for unit in UNITS if self.name.endswith(unit)), "")


@dataclass(frozen=True, slots=True)
class _Given:
    """A value as some source gives it. `origin` names the source for the reader."""

    origin: str
    key: str
    value: object


def _declared() -> dict[str, _Declared]:
    table = {}
    for section in dataclasses.fields(Settings):
        for each in dataclasses.fields(type(section.default)):  # type: ignore[arg-type]  # an instance of a section
            short = next((each.name.removesuffix(unit) for unit in UNITS if each.name.endswith(unit)), each.name)
            key = f"{section.name}.{short}"
            table[key] = _Declared(
                section=section.name,
                name=each.name,
                key=key,
                default=getattr(section.default, each.name),
                **each.metadata,
            )
    return table


def _resolve(
    flags: Mapping[str, object], environ: Mapping[str, str], working_folder: Path, home: Path
) -> tuple[Settings, dict[str, str]]:
    table = _declared()
    problems: list[str] = []
    given: list[_Given] = []
    for path in files(environ, working_folder, home):
        given += _from_file(path, environ, problems)
    given += _from_environment(environ, table)
    given += [_Given("flag", key, value) for key, value in flags.items() if value is not None]

    values: dict[str, object] = {}
    origins: dict[str, str] = {}
    for each in given:  # every source is checked, also where a stronger one wins: the file is wrong all the same
        if _check(each, table, values, problems):
            origins[each.key] = each.origin
    settings = _build(table, values)
    problems += _relations(settings, origins, environ)
    if problems:
        count = "1 setting is wrong" if len(problems) == 1 else f"{len(problems)} settings are wrong"
        raise errors.InvalidSettings("\n  ".join([f"{count}:", *problems]))
    return settings, origins


def _from_file(path: Path, environ: Mapping[str, str], problems: list[str]) -> Iterator[_Given]:
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        problems.append(f"{path}: cannot be read: {error}")
        return
    for section, table in tables.items():
        if not isinstance(table, dict):
            problems.append(f"{path}: {section} stands outside a section; write it under [{section}] or remove it")
            continue
        for name, value in table.items():
            missing: list[str] = []
            expanded = _expand(value, environ, missing)
            problems += [
                f"{path}: {section}.{name} names ${{{variable}}}, which is not set; set it, or write $${{ for ${{"
                for variable in missing
            ]
            if not missing:
                yield _Given(str(path), f"{section}.{name}", expanded)


def _expand(value: object, environ: Mapping[str, str], missing: list[str]) -> object:
    def replaced(match: re.Match[str]) -> str:
        variable = match.group(1)
        if variable is None:
            return "${"
        if variable not in environ:
            missing.append(variable)
        return environ.get(variable, "")

    if isinstance(value, str):
        return _VARIABLE.sub(replaced, value)
    if isinstance(value, list):
        return [_expand(item, environ, missing) for item in value]
    if isinstance(value, dict):
        return {name: _expand(item, environ, missing) for name, item in value.items()}
    return value


def _from_environment(environ: Mapping[str, str], table: Mapping[str, _Declared]) -> Iterator[_Given]:
    keys = {declared.variable: key for key, declared in table.items()}
    for variable, value in environ.items():
        if variable.startswith("INTERLOCK_") and variable not in RESERVED and not variable.startswith(_SECRET_PREFIX):
            yield _Given(variable, keys.get(variable, variable), value)


def _check(each: _Given, table: Mapping[str, _Declared], values: dict[str, object], problems: list[str]) -> bool:
    """Read and store one given value; or add what is wrong with it to `problems`."""
    declared = table.get(each.key)
    if declared is None:
        problems.append(_unknown(each, table))
        return False
    shown = each.origin if each.origin == declared.variable else f"{each.origin}: {each.key}"
    try:
        value = declared.read(each.value)
    except ValueError as wanted:
        problems.append(f"{shown} is {each.value!r}; it must be {wanted}")
        return False
    if isinstance(value, int | float) and not isinstance(value, bool):
        if declared.low is not None and value < declared.low:
            problems.append(f"{shown} is {each.value}; the least is {_measured(declared, declared.low)}")
            return False
        if declared.high is not None and value > declared.high:
            problems.append(f"{shown} is {each.value}; the most is {_measured(declared, declared.high)}")
            return False
    values[each.key] = value
    return True


def _unknown(each: _Given, table: Mapping[str, _Declared]) -> str:
    of_environment = each.origin == each.key
    names = [declared.variable for declared in table.values()] if of_environment else list(table)
    near = difflib.get_close_matches(each.key, names, n=1, cutoff=0.6)
    shown = each.key if of_environment else f"{each.origin}: {each.key}"
    return f"{shown} is no setting" + (f"; did you mean {near[0]}?" if near else "; `interlock config show` lists all")


def _measured(declared: _Declared, bound: float) -> str:
    return f"{bound:g} {declared.unit}".rstrip() if bound < 1e6 else f"{bound:.0f} {declared.unit}".rstrip()


def _build(table: Mapping[str, _Declared], values: Mapping[str, object]) -> Settings:
    sections: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        sections.setdefault(table[key].section, {})[table[key].name] = value
    defaults = Settings()
    return dataclasses.replace(
        defaults,
        **{name: dataclasses.replace(getattr(defaults, name), **fields) for name, fields in sections.items()},
    )


def _relations(settings: Settings, origins: Mapping[str, str], environ: Mapping[str, str]) -> Iterator[str]:
    """Give what is wrong between settings that are each right."""
    if settings.payload.inline_bytes > settings.payload.max_bytes:
        yield (
            f"payload.inline is {settings.payload.inline_bytes} bytes and payload.max {settings.payload.max_bytes};"
            " raise payload.max or lower payload.inline"
        )
    if settings.http.hosts and environ.get("INTERLOCK_TESTING") != "1":
        yield f"{origins['http.hosts']}: http.hosts is for tests; set INTERLOCK_TESTING=1 or remove it"
