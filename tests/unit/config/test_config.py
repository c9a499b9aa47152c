"""Settings: sources, their order, what is refused and how it is told (OP-01)."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlock import config, errors


class Sources:
    """A working folder, a home and an environment, which a test fills."""

    def __init__(self, root: Path) -> None:
        self.working = root / "work"
        self.home = root / "home"
        self.environ: dict[str, str] = {}
        self.flags: dict[str, object] = {}
        self.working.mkdir()
        (self.home / ".config" / "interlock").mkdir(parents=True)

    def user_file(self, text: str) -> None:
        (self.home / ".config" / "interlock" / "interlock.toml").write_text(text)

    def folder_file(self, text: str) -> None:
        (self.working / "interlock.toml").write_text(text)

    def load(self) -> config.Settings:
        return config.load(self.flags, self.environ, self.working, self.home)

    def refusal(self) -> str:
        with pytest.raises(errors.InvalidSettings) as caught:
            self.load()
        return str(caught.value)

    def origin(self, key: str) -> str:
        explained = config.explain(self.flags, self.environ, self.working, self.home)
        return next(each.origin for each in explained if each.key == key)


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    return Sources(tmp_path)


def test_defaults_need_no_source(sources: Sources) -> None:
    settings = sources.load()

    assert settings == config.Settings()
    assert settings.store.url == "sqlite:///.interlock/interlock.db"
    assert settings.limits == config.Limits(max_steps=100, max_branches=20, max_retries=10)
    assert settings.expressions == config.Expressions(deadline_seconds=2.0, memory_bytes=512 * 2**20, evaluators=2)
    assert settings.payload == config.Payload(inline_bytes=65_536, max_bytes=64 * 2**20)
    assert settings.python.allow == ()
    assert settings.http.allow_private is False


@pytest.mark.parametrize(
    ("given", "expected", "origin"),
    [
        ((), 100, "default"),
        (("user",), 1, "home"),
        (("user", "folder"), 2, "work"),
        (("user", "folder", "variable"), 3, "INTERLOCK_LIMITS_MAX_STEPS"),
        (("user", "folder", "variable", "flag"), 4, "flag"),
        (("folder",), 2, "work"),
        (("variable", "user"), 3, "INTERLOCK_LIMITS_MAX_STEPS"),
        (("flag", "user"), 4, "flag"),
    ],
)
def test_the_stronger_source_wins(sources: Sources, given: tuple[str, ...], expected: int, origin: str) -> None:
    """OP-01: file over default, environment over file, flags over all."""
    put = {
        "user": lambda: sources.user_file("[limits]\nmax_steps = 1\n"),
        "folder": lambda: sources.folder_file("[limits]\nmax_steps = 2\n"),
        "variable": lambda: sources.environ.update(INTERLOCK_LIMITS_MAX_STEPS="3"),
        "flag": lambda: sources.flags.update({"limits.max_steps": "4"}),
    }
    for source in given:
        put[source]()

    assert sources.load().limits.max_steps == expected
    assert origin in sources.origin("limits.max_steps")


def test_a_flag_that_was_not_given_changes_nothing(sources: Sources) -> None:
    sources.environ["INTERLOCK_STORE_URL"] = "sqlite:///a.db"
    sources.flags["store.url"] = None

    assert sources.load().store.url == "sqlite:///a.db"


def test_the_config_folder_of_the_desktop_standard_is_honoured(sources: Sources) -> None:
    other = sources.home / "elsewhere"
    (other / "interlock").mkdir(parents=True)
    (other / "interlock" / "interlock.toml").write_text('[store]\nurl = "sqlite:///b.db"\n')
    sources.environ["XDG_CONFIG_HOME"] = str(other)

    assert sources.load().store.url == "sqlite:///b.db"


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("[expressions]\ndeadline = '500ms'", ("expressions", "deadline_seconds", 0.5)),
        ("[expressions]\ndeadline = 3", ("expressions", "deadline_seconds", 3.0)),
        ("[expressions]\nmemory = '1 GiB'", ("expressions", "memory_bytes", 2**30)),
        ("[payload]\ninline = 1024", ("payload", "inline_bytes", 1024)),
        ("[payload]\nmax = '10 MB'", ("payload", "max_bytes", 10_000_000)),
        ("[node]\norphan_grace = '0.5m'", ("node", "orphan_grace_seconds", 30.0)),
        ("[node]\nslots = '7'", ("node", "slots", 7)),
        ("[http]\nallow_private = true", ("http", "allow_private", True)),
        ("[http]\nallow_private = 'False'", ("http", "allow_private", False)),
        ("[http]\nallow_private = ['db', '10.0.0.0/8']", ("http", "allow_private", ("db", "10.0.0.0/8"))),
        ("[http]\nallow_private = '127.0.0.1, ::1'", ("http", "allow_private", ("127.0.0.1", "::1"))),
        ("[python]\nallow = ['shop']", ("python", "allow", ("shop",))),
        ("[python]\nallow = ''", ("python", "allow", ())),
        ("[python.functions]\nprice = 'shop.prices:total'", ("python", "functions", {"price": "shop.prices:total"})),
        ("[python]\nfunctions = 'a=m:f, b=m:C.g'", ("python", "functions", {"a": "m:f", "b": "m:C.g"})),
        ("[python]\nfunctions = ''", ("python", "functions", {})),
    ],
)
def test_values_are_read_with_their_units(sources: Sources, section: str, expected: tuple[str, str, object]) -> None:
    sources.folder_file(section)
    name, attribute, value = expected

    assert getattr(getattr(sources.load(), name), attribute) == value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${ROOT}/a.db", "sqlite:///data/a.db"),
        ("$${ROOT}.db", "sqlite:///${ROOT}.db"),
        ("$ROOT.db", "sqlite:///$ROOT.db"),
        ("${ROOT}${ROOT}", "sqlite:///datadata"),
    ],
)
def test_variables_in_files_are_expanded(sources: Sources, text: str, expected: str) -> None:
    """OP-01"""
    sources.environ["ROOT"] = "data"
    sources.folder_file(f'[store]\nurl = "sqlite:///{text}"\n')

    assert sources.load().store.url == expected


def test_variables_are_expanded_inside_lists_and_maps(sources: Sources) -> None:
    sources.environ.update(HOST="db.internal", PORT="5432", INTERLOCK_TESTING="1")
    sources.folder_file('[http]\nallow_private = ["${HOST}"]\nhosts = {"A.example" = "127.0.0.1:${PORT}"}\n')

    http = sources.load().http

    assert http.allow_private == ("db.internal",)
    assert http.hosts == {"a.example": "127.0.0.1:5432"}


def test_maps_can_stand_in_the_environment(sources: Sources) -> None:
    sources.environ.update(INTERLOCK_HTTP_HOSTS="a.example=127.0.0.1:80,b.example=[::1]:81", INTERLOCK_TESTING="1")

    assert sources.load().http.hosts == {"a.example": "127.0.0.1:80", "b.example": "[::1]:81"}


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("[store]\nurl = '${NOWHERE}'", "store.url names ${NOWHERE}, which is not set"),
        ("[store]\nurl = ''", "store.url is ''; it must be a text that is not empty"),
        ("[limits]\nmax_step = 3", "limits.max_step is no setting; did you mean limits.max_steps?"),
        ("[zebra]\nqqq = 3", "zebra.qqq is no setting; `interlock config show` lists all"),
        ("max_steps = 3", "max_steps stands outside a section"),
        ("[limits]\nmax_steps = 0", "limits.max_steps is 0; the least is 1"),
        ("[limits]\nmax_steps = true", "limits.max_steps is True; it must be a whole number"),
        ("[limits]\nmax_retries = 'many'", "limits.max_retries is 'many'; it must be a whole number"),
        ("[expressions]\ndeadline = '2h'", "expressions.deadline is 2h; the most is 60 seconds"),
        ("[expressions]\ndeadline = 'soon'", "it must be a duration such as"),
        ("[expressions]\nmemory = '1 MiB'", "expressions.memory is 1 MiB; the least is 67108864 bytes"),
        ("[payload]\nmax = 'big'", "it must be a size such as"),
        ("[payload]\nmax = '2 KiB'", "payload.inline is 65536 bytes and payload.max 2048"),
        ("[python]\nfunctions = 'price'", "it must be a map of name to module:function"),
        ("[python]\nfunctions = {price = 'shop.prices'}", "it must be a map of name to module:function"),
        ("[python]\nfunctions = {price = 3}", "it must be a map of name to module:function"),
        ("[python]\nfunctions = {'a:1' = 'm:f'}", "it must be a map of name to module:function"),
        ("[python]\nallow = [3]", "it must be a list of texts"),
        ("[http]\nallow_private = 3", "it must be true, false or a list of host names"),
        ("[http]\nallow_private = ['10.0.0.0/99']", "host names, addresses and networks ('10.0.0.0/99'"),
        ("[http]\nhosts = {a = 'b'}", "it must be a map of host to address and port"),
        ("[http]\nhosts = {a = '127.0.0.1:99999'}", "it must be a map of host to address and port"),
        ("[http]\nhosts = 3", "it must be a map of host to address and port"),
        ("[http]\nhosts = {a = '127.0.0.1:80'}", "http.hosts is for tests; set INTERLOCK_TESTING=1 or remove it"),
        ("[store\n", "interlock.toml: cannot be read"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(sources: Sources, section: str, message: str) -> None:
    sources.folder_file(section)

    refusal = sources.refusal()

    assert "1 setting is wrong:" in refusal
    assert str(sources.working / "interlock.toml") in refusal or "payload" in refusal
    assert message in refusal


def test_every_problem_of_every_source_is_told_at_once(sources: Sources) -> None:
    sources.user_file("[limits]\nmax_steps = 0\n[nodes]\nslots = 1\n")
    sources.environ["INTERLOCK_NODE_SLOTS"] = "none"
    sources.environ["INTERLOCK_NODE_SLOT"] = "1"
    sources.flags["limits.max_branches"] = -1

    refusal = sources.refusal()

    assert refusal.startswith("5 settings are wrong:")
    assert "nodes.slots is no setting; did you mean node.slots?" in refusal
    assert "INTERLOCK_NODE_SLOTS is 'none'; it must be a whole number" in refusal
    assert "INTERLOCK_NODE_SLOT is no setting; did you mean INTERLOCK_NODE_SLOTS?" in refusal
    assert "flag: limits.max_branches is -1; the least is 1" in refusal


def test_reserved_variables_are_no_settings(sources: Sources) -> None:
    sources.environ.update(dict.fromkeys(config.RESERVED, "x"), INTERLOCK_SECRET_SHOP="s")

    assert sources.load() == config.Settings()


def test_every_setting_explains_itself(sources: Sources) -> None:
    explained = config.explain({}, {}, sources.working, sources.home)

    assert [each.key for each in explained] == sorted(each.key for each in explained)
    assert all(len(each.meaning) > 40 and each.value == each.default for each in explained)
    assert next(each.variable for each in explained if each.key == "expressions.deadline") == (
        "INTERLOCK_EXPRESSIONS_DEADLINE"
    )


def test_a_folder_that_is_a_file_has_no_settings(sources: Sources) -> None:
    (sources.working / "file").write_text("")

    assert config.load({}, {}, sources.working / "file", sources.home) == config.Settings()
