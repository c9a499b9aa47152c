"""What the author of a step says about its calls, checked once when it is decorated."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final, TypeAlias

from interlock import errors
from interlock.flow import requirements
from interlock.model import duration
from interlock.model.call import Backoff, LimitOf, Requirements, StepCall
from interlock.model.json import Json
from interlock.model.task import FailureClass

Duration: TypeAlias = str | float | timedelta
"""A time span: "30s", "5m", "PT5M", a number of seconds, or a timedelta."""

LOCAL: Final = "local"
IN_PROCESS: Final = "in-process"
"""The pools that every node has: processes of their own, and the node itself."""

_MOST_RETRIES: Final = 1_000_000
_KINDS: Final = ("fixed", "linear", "exponential", "random")
_RATE: Final = re.compile(r"^\s*(\d+)\s*/\s*(\d*\s*[a-z]+)\s*$")


def seconds(value: Duration, what: str) -> float:
    """Give a time span in seconds. Raises Invalid naming `what` it was for."""
    if isinstance(value, timedelta):
        found = value.total_seconds()
    else:
        try:
            found = duration.parse(value)
        except (ValueError, OverflowError) as error:
            raise errors.Invalid(f"{what}: {error}") from None
    if found < 0:
        raise errors.Invalid(f"{what}: {value!r} lies in the past")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How often a failed attempt of a step is made again, and when.

    `count`: retries after an error of the function. `timeout`: retries after a timeout; None: as many as `count`.
    `out_of_memory`: retries after its process ran out of memory. `lost`: retries after its process died; None: 3.
    `preempted`: retries after the place that it ran in was taken away; None: 10. `launch`: retries after it could not be
    started; None: 3. `backoff`: how the pauses grow: fixed, linear, exponential or random. `delay`: the first pause.
    `longest`: what no pause exceeds. `jitter`: the part of a pause that is random, from 0 to 1.
    """

    count: int = 0
    timeout: int | None = None
    out_of_memory: int = 0
    lost: int | None = None
    preempted: int | None = None
    launch: int | None = None
    backoff: str = "exponential"
    delay: Duration = 1.0
    longest: Duration = 60.0
    jitter: float = 0.1

    def budgets(self) -> dict[str, int]:
        """Give the budgets by failure class that the author set. Raises Invalid for negative ones."""
        given = {
            FailureClass.APPLICATION: self.count,
            FailureClass.TIMEOUT: self.count if self.timeout is None else self.timeout,
            FailureClass.OUT_OF_MEMORY: self.out_of_memory,
            FailureClass.LOST: self.lost,
            FailureClass.PREEMPTED: self.preempted,
            FailureClass.LAUNCH: self.launch,
        }
        for failure, count in given.items():
            if count is not None and not 0 <= count <= _MOST_RETRIES:
                raise errors.Invalid(
                    f"retries: {count} retries for `{failure}`; a number from 0 to {_MOST_RETRIES} is needed"
                )
        return {str(failure): count for failure, count in given.items() if count is not None}

    def plan(self) -> Backoff:
        """Give the back-off. Raises Invalid for a kind there is not."""
        if self.backoff not in _KINDS:
            raise errors.Invalid(f"retries: there is no back-off {self.backoff!r}; there are {', '.join(_KINDS)}")
        if not 0.0 <= self.jitter <= 1.0:
            raise errors.Invalid(f"retries: jitter is {self.jitter}; a part from 0 to 1 is needed")
        return Backoff(
            kind=self.backoff,
            delay_seconds=seconds(self.delay, "retries: delay"),
            longest_seconds=seconds(self.longest, "retries: longest"),
            jitter=self.jitter,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How many attempts of a step may run at once, over all nodes of the store.

    `limit`: that number. `key`: what is counted apart: a text with the step's arguments in braces, such as
    "account {account}", or a function of them; None: the step.
    """

    limit: int
    key: str | Callable[..., str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How often attempts of a step may start, over all nodes of the store; "10/s" is short for `Rate(count=10, per="1s")`.

    `count`: how many in each `per`, evenly. `per`: a duration. `burst`: how many of them may start at once. `key`: as for
    `Limit`.
    """

    count: int
    per: Duration
    burst: int = 1
    key: str | Callable[..., str] | None = None

    @classmethod
    def of(cls, text: str) -> Rate:
        """Read `10/s`, `100/m` or `5/30s`. Raises Invalid."""
        found = _RATE.match(text)
        if found is None or not int(found[1]):
            raise errors.Invalid(f'rate: {text!r} is no rate; write it as "10/s", "100/m" or "5/30s"')
        per = found[2].replace(" ", "")
        return cls(count=int(found[1]), per=per if per[0].isdigit() else f"1{per}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a step's decorator said."""

    name: str = ""
    budgets: dict[str, int]
    backoff: Backoff | None = None
    retry_on: tuple[type[BaseException], ...] | None = None
    timeout_seconds: float | None = None
    compensate: Callable[..., object] | None = None
    pool: str = ""
    isolated: bool = False
    priority: int = 0
    concurrency: Limit | None = None
    rate: Rate | None = None
    cache_seconds: float | None = None
    requires: Requirements | None = None

    @classmethod
    def of(cls, **given: Any) -> Options:
        """Check what a decorator was given. Raises Invalid, TypeError for what it does not know."""
        retries = given.pop("retries", 0)
        plan = retries if isinstance(retries, Retries) else Retries(count=retries)
        retry_on = given.pop("retry_on", None)
        timeout, cache = given.pop("timeout", None), given.pop("cache", None)
        concurrency, rate = given.pop("concurrency", None), given.pop("rate", None)
        requires = given.pop("requires", None)
        made = cls(
            budgets=plan.budgets(),
            backoff=plan.plan() if retries else None,
            retry_on=(retry_on,) if isinstance(retry_on, type) else retry_on,
            timeout_seconds=None if timeout is None else seconds(timeout, "timeout"),
            cache_seconds=None if cache is None else seconds(cache, "cache"),
            concurrency=Limit(limit=concurrency) if isinstance(concurrency, int) else concurrency,
            rate=Rate.of(rate) if isinstance(rate, str) else rate,
            requires=_requirements(requires),
            **given,
        )
        made._check()
        return made

    def changed(self, name: str, given: dict[str, Any]) -> Options:
        """Give other options for one place."""
        fields: dict[str, Any] = {"name": self.name or name}
        if "retries" in given:
            retries = given.pop("retries")
            plan = retries if isinstance(retries, Retries) else Retries(count=retries)
            fields |= {"budgets": plan.budgets(), "backoff": plan.plan()}
        if "timeout" in given:
            fields["timeout_seconds"] = seconds(given.pop("timeout"), "timeout")
        if "requires" in given:
            fields["requires"] = _requirements(given.pop("requires"))
        made = replace(self, **fields | given)
        made._check()
        return made

    def _check(self) -> None:
        if self.isolated and self.pool not in ("", LOCAL):
            raise errors.Invalid(
                f"isolated: a step of the pool {self.pool!r} runs in a process of its own anyway; leave it out"
            )
        if self.requires is not None and self.pool in ("", LOCAL, IN_PROCESS):
            raise errors.Invalid(f"requires: {requirements.NO_POOL}")
        if self.concurrency is not None and self.concurrency.limit < 1:
            raise errors.Invalid(f"concurrency: {self.concurrency.limit} attempts at once; at least 1 is needed")
        if self.compensate is not None and not callable(self.compensate):
            raise errors.Invalid(f"compensate: {self.compensate!r} is no function")

    @property
    def limits(self) -> bool:
        """Whether its attempts are counted, which the queue does."""
        return self.concurrency is not None or self.rate is not None

    @property
    def queues_here(self) -> bool:
        """Whether its attempts go through the queue and back into the node."""
        return self.pool == IN_PROCESS or (self.limits and not self.pool and not self.isolated)

    @property
    def depends_on_arguments(self) -> bool:
        """Whether calls with these options differ by more than their arguments."""
        return self.limits or self.cache_seconds is not None

    def call(self, function: str, undo: StepCall | None, step: str, arguments: dict[str, Json], key: str) -> StepCall:
        """Give the call of a step with these options. `key`: what tells its calls apart, for the cache."""
        pool = self.pool
        if not pool and self.limits:
            pool = LOCAL if self.isolated else IN_PROCESS
        return StepCall(
            function=function,
            pool=pool,
            isolated=self.isolated,
            priority=self.priority,
            timeout_seconds=self.timeout_seconds,
            retries=self.budgets if any(self.budgets.values()) else {},
            backoff=self.backoff,
            undo=undo,
            limits=tuple(self._limits(step, arguments)) if self.limits else (),
            cache=None if self.cache_seconds is None else (step, key, self.cache_seconds),
            requires=self.requires,
        )

    def _limits(self, step: str, arguments: dict[str, Json]) -> list[LimitOf]:
        found = []
        if self.concurrency is not None:
            name = f"concurrency:{_counted(self.concurrency.key, step, arguments)}"
            found.append(LimitOf(name=name, capacity=self.concurrency.limit))
        if self.rate is not None:
            name = f"rate:{_counted(self.rate.key, step, arguments)}"
            interval = seconds(self.rate.per, "rate") / self.rate.count
            found.append(LimitOf(name=name, interval_seconds=interval, burst=self.rate.burst))
        return found


def _requirements(given: Mapping[str, Json] | None) -> Requirements | None:
    """Give what a worker must have. Raises Invalid."""
    if given is None:
        return None
    asked = dict(given) if isinstance(given, Mapping) else given
    if found := requirements.mistakes(asked):
        raise errors.Invalid(f"requires: {found[0].message}")
    return requirements.of(asked)


def _counted(key: str | Callable[..., str] | None, step: str, arguments: dict[str, Json]) -> str:
    if key is None:
        return step
    try:
        return key(**arguments) if callable(key) else key.format(**arguments)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise errors.Invalid(f"the key of a limit of the step {step} does not fit its arguments: {error}") from error


__all__ = ["Duration", "Limit", "Options", "Rate", "Retries", "seconds"]
