"""The typed tree of a document whose structure is valid.

Nothing is checked here: a value that `structure` would refuse gives an arbitrary exception. Names, defaults and shapes
are those of `flow.document`; values that may hold expressions stay as they were written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import UNSET

from interlock.flow import document
from interlock.flow.document import TaskList
from interlock.flow.grammar.authentication import SCHEMES
from interlock.flow.grammar.calls import CALLS
from interlock.flow.grammar.processes import PROCESSES
from interlock.flow.grammar.shapes import fits
from interlock.flow.grammar.tasks import kinds_of, undo_of
from interlock.model.json import Json


def workflow(value: dict[str, Json]) -> document.Workflow:
    """Give the typed tree of a structurally valid document."""
    evaluate = value.get("evaluate", {})
    return document.Workflow(
        document=document.DocumentHeader(**value["document"]),
        do=_tasks(value["do"]),
        input=_input(value.get("input")),
        output=_output(value.get("output")),
        use=_use(value.get("use", {})),
        timeout=_timeout(value.get("timeout")),
        schedule=_schedule(value["schedule"]) if "schedule" in value else None,
        language=evaluate.get("language", "jq"),
        mode=evaluate.get("mode", "strict"),
    )


def task(value: dict[str, Json]) -> document.Task:
    """Give the typed task of a structurally valid one."""
    (kind,) = kinds_of(value)
    return _KINDS[kind](value)


def _tasks(value: list[dict[str, Json]]) -> TaskList:
    return tuple(document.NamedTask(name=name, task=task(content)) for item in value for name, content in item.items())


# -- reusable components ---------------------------------------------------------------------------------------------


def _use(value: dict[str, Json]) -> document.Use:
    return document.Use(
        authentications={name: _scheme(item) for name, item in value.get("authentications", {}).items()},
        errors={name: _error(item) for name, item in value.get("errors", {}).items()},
        extensions=tuple(
            _extension(name, content) for item in value.get("extensions", []) for name, content in item.items()
        ),
        functions={name: task(item) for name, item in value.get("functions", {}).items()},
        retries={name: _retry(item) for name, item in value.get("retries", {}).items()},
        secrets=tuple(value.get("secrets", ())),
        timeouts={name: document.Timeout(after=item["after"]) for name, item in value.get("timeouts", {}).items()},
        catalogs={
            name: document.Catalog(endpoint=_endpoint(item["endpoint"]))
            for name, item in value.get("catalogs", {}).items()
        },
    )


def _extension(name: str, value: dict[str, Json]) -> document.Extension:
    return document.Extension(
        name=name,
        extend=value["extend"],
        when=value.get("when"),
        before=_tasks(value.get("before", [])),
        after=_tasks(value.get("after", [])),
    )


def _authentication(value: dict[str, Json]) -> document.Authentication | document.AuthenticationReference:
    return document.AuthenticationReference(use=value["use"]) if "use" in value else _scheme(value)


def _scheme(value: dict[str, Json]) -> document.Authentication:
    """Give the one valid scheme; a reusable authentication may hold broken ones beside it, which count for nothing."""
    scheme = next(name for name in SCHEMES if name in value and fits(SCHEMES[name], value[name]))
    properties = value[scheme]
    if "use" in properties:
        return document.Authentication(scheme=scheme, properties=document.SecretReference(use=properties["use"]))
    make: Callable[..., document.Basic | document.Bearer | document.Digest | document.OAuth2] = {
        "basic": document.Basic,
        "bearer": document.Bearer,
        "digest": document.Digest,
    }.get(scheme, lambda **given: document.OAuth2(properties=given))
    return document.Authentication(scheme=scheme, properties=make(**properties))


def _endpoint(value: str | dict[str, Json]) -> document.Endpoint:
    if isinstance(value, str):
        return document.Endpoint(uri=value)
    authentication = _authentication(value["authentication"]) if "authentication" in value else None
    return document.Endpoint(uri=value["uri"], authentication=authentication)


def _resource(value: dict[str, Json]) -> document.ExternalResource:
    return document.ExternalResource(endpoint=_endpoint(value["endpoint"]), name=value.get("name"))


def _error(value: dict[str, Json]) -> document.ErrorDefinition:
    return document.ErrorDefinition(**{**value, "status": int(value["status"])})


def _retry(value: dict[str, Json]) -> document.RetryPolicy:
    limit, jitter = value.get("limit", {}), value.get("jitter", {})
    attempt = limit.get("attempt", {})
    return document.RetryPolicy(
        when=value.get("when"),
        except_when=value.get("exceptWhen"),
        delay=value.get("delay"),
        backoff=next(iter(value.get("backoff", {})), None),
        attempt_count=_whole(attempt.get("count")),
        attempt_duration=attempt.get("duration"),
        limit_duration=limit.get("duration"),
        jitter_from=jitter.get("from"),
        jitter_to=jitter.get("to"),
    )


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


# -- data flow -------------------------------------------------------------------------------------------------------


def _schema(value: dict[str, Json] | None) -> document.Schema | None:
    if value is None:
        return None
    return document.Schema(
        format=value.get("format", "json"),
        document=value.get("document", UNSET),
        resource=_resource(value["resource"]) if "resource" in value else None,
    )


def _input(value: dict[str, Json] | None) -> document.Input | None:
    if value is None:
        return None
    return document.Input(schema=_schema(value.get("schema")), from_=value.get("from", UNSET))


def _output(value: dict[str, Json] | None) -> document.Output | None:
    if value is None:
        return None
    return document.Output(schema=_schema(value.get("schema")), as_=value.get("as", UNSET))


def _export(value: dict[str, Json] | None) -> document.Export | None:
    if value is None:
        return None
    return document.Export(schema=_schema(value.get("schema")), as_=value.get("as", UNSET))


def _timeout(value: str | dict[str, Json] | None) -> document.Timeout | str | None:
    return document.Timeout(after=value["after"]) if isinstance(value, dict) else value


# -- events ----------------------------------------------------------------------------------------------------------


def _filter(value: dict[str, Json]) -> document.EventFilter:
    return document.EventFilter(with_=value["with"], correlate=value.get("correlate", {}))


def _strategy(value: dict[str, Json]) -> document.EventStrategy:
    mode = next(name for name in ("all", "any", "one") if name in value)
    until = value.get("until")
    return document.EventStrategy(
        mode=mode,
        filters=tuple(map(_filter, [value[mode]] if mode == "one" else value[mode])),
        until=_strategy(until) if isinstance(until, dict) else until,
    )


def _iterator(value: dict[str, Json]) -> document.SubscriptionIterator:
    return document.SubscriptionIterator(
        item=value.get("item", "item"),
        at=value.get("at", "index"),
        do=_tasks(value["do"]) if "do" in value else None,
        output=_output(value.get("output")),
        export=_export(value.get("export")),
    )


def _schedule(value: dict[str, Json]) -> document.Schedule:
    return document.Schedule(
        every=value.get("every"),
        cron=value.get("cron"),
        after=value.get("after"),
        on=_strategy(value["on"]) if "on" in value else None,
        read=value.get("read", "data"),
    )


# -- tasks -----------------------------------------------------------------------------------------------------------


def _base(value: dict[str, Json]) -> dict[str, Json]:
    return {
        "if_": value.get("if"),
        "input": _input(value.get("input")),
        "output": _output(value.get("output")),
        "export": _export(value.get("export")),
        "timeout": _timeout(value.get("timeout")),
        "then": value.get("then"),
        "metadata": value.get("metadata", {}),
        "undo": None if (undo := undo_of(value)) is None else task(undo),
    }


def _call(value: dict[str, Json]) -> document.Task:
    protocol = value["call"]
    if protocol == "http":
        return _call_http(value, value["with"])
    if protocol == "openapi":
        return _call_openapi(value, value["with"])
    if protocol in CALLS:
        return document.CallProtocol(protocol=protocol, with_=value["with"], **_base(value))
    return document.CallFunction(function=protocol, with_=value.get("with", {}), **_base(value))


def _call_http(value: dict[str, Json], given: dict[str, Json]) -> document.CallHttp:
    return document.CallHttp(
        method=given["method"],
        endpoint=_endpoint(given["endpoint"]),
        headers=given.get("headers"),
        body=given.get("body", UNSET),
        query=given.get("query"),
        output_format=given.get("output", "content"),
        redirect=given.get("redirect", False),
        **_base(value),
    )


def _call_openapi(value: dict[str, Json], given: dict[str, Json]) -> document.CallOpenApi:
    return document.CallOpenApi(
        document=_resource(given["document"]),
        operation_id=given["operationId"],
        parameters=given.get("parameters", {}),
        authentication=_authentication(given["authentication"]) if "authentication" in given else None,
        output_format=given.get("output", "content"),
        redirect=given.get("redirect", False),
        **_base(value),
    )


def _do(value: dict[str, Json]) -> document.Task:
    return document.Do(do=_tasks(value["do"]), **_base(value))


def _emit(value: dict[str, Json]) -> document.Task:
    return document.Emit(event=value["emit"]["event"].get("with", {}), **_base(value))


def _for(value: dict[str, Json]) -> document.Task:
    loop = value["for"]
    return document.For(
        in_=loop["in"],
        each=loop.get("each", "item"),
        at=loop.get("at", "index"),
        while_=value.get("while"),
        do=_tasks(value["do"]),
        **_base(value),
    )


def _fork(value: dict[str, Json]) -> document.Task:
    fork = value["fork"]
    return document.Fork(branches=_tasks(fork["branches"]), compete=fork.get("compete", False), **_base(value))


def _listen(value: dict[str, Json]) -> document.Task:
    return document.Listen(
        to=_strategy(value["listen"]["to"]),
        read=value["listen"].get("read", "data"),
        foreach=_iterator(value["foreach"]) if "foreach" in value else None,
        **_base(value),
    )


def _raise(value: dict[str, Json]) -> document.Task:
    error = value["raise"]["error"]
    return document.Raise(error=error if isinstance(error, str) else _error(error), **_base(value))


def _run(value: dict[str, Json]) -> document.Task:
    run = value["run"]
    process = next(name for name in PROCESSES if name in run)
    common = {"await_": run.get("await", True), "return_": run.get("return", "stdout"), **_base(value)}
    return _PROCESSES[process](run[process], common)


def _container(given: dict[str, Json], common: dict[str, Json]) -> document.Task:
    return document.RunContainer(container=given, **common)


def _script(given: dict[str, Json], common: dict[str, Json]) -> document.Task:
    return document.RunScript(
        language=given["language"],
        code=given.get("code"),
        source=_resource(given["source"]) if "source" in given else None,
        stdin=given.get("stdin"),
        arguments=tuple(given.get("arguments", ())),
        environment=given.get("environment", {}),
        **common,
    )


def _shell(given: dict[str, Json], common: dict[str, Json]) -> document.Task:
    return document.RunShell(
        command=given["command"],
        stdin=given.get("stdin"),
        arguments=tuple(given.get("arguments", ())),
        environment=given.get("environment", {}),
        **common,
    )


def _subflow(given: dict[str, Json], common: dict[str, Json]) -> document.Task:
    return document.RunWorkflow(
        namespace=given["namespace"],
        name=given["name"],
        version=given["version"],
        child_input=given.get("input", UNSET),
        **common,
    )


def _set(value: dict[str, Json]) -> document.Task:
    return document.Set(set=value["set"], **_base(value))


def _switch(value: dict[str, Json]) -> document.Task:
    cases = tuple(
        document.SwitchCase(name=name, when=case.get("when"), then=case["then"])
        for item in value["switch"]
        for name, case in item.items()
    )
    return document.Switch(cases=cases, **_base(value))


def _try(value: dict[str, Json]) -> document.Task:
    catch = value["catch"]
    retry = catch.get("retry")
    return document.Try(
        try_=_tasks(value["try"]),
        errors=_error_filter(catch.get("errors", {}).get("with")),
        as_=catch.get("as", "error"),
        when=catch.get("when"),
        except_when=catch.get("exceptWhen"),
        retry=_retry(retry) if isinstance(retry, dict) else retry,
        catch_do=_tasks(catch["do"]) if "do" in catch else None,
        catch_then=catch.get("then"),
        **_base(value),
    )


def _error_filter(value: dict[str, Json] | None) -> document.ErrorFilter | None:
    if value is None:
        return None
    known = {name: value[name] for name in ("type", "instance", "title", "detail") if name in value}
    others = {name: item for name, item in value.items() if name not in known and name != "status"}
    return document.ErrorFilter(status=_whole(value.get("status")), others=others, **known)


def _wait(value: dict[str, Json]) -> document.Task:
    return document.Wait(wait=value["wait"], **_base(value))


_KINDS: Final[dict[str, Callable[[dict[str, Json]], document.Task]]] = {
    "call": _call,
    "do": _do,
    "emit": _emit,
    "for": _for,
    "fork": _fork,
    "listen": _listen,
    "raise": _raise,
    "run": _run,
    "set": _set,
    "switch": _switch,
    "try": _try,
    "wait": _wait,
}
_PROCESSES: Final[dict[str, Callable[[dict[str, Json], dict[str, Json]], document.Task]]] = {
    "container": _container,
    "script": _script,
    "shell": _shell,
    "workflow": _subflow,
}
