"""What pages are made of: values that the components of the templates take."""

from __future__ import annotations

from dataclasses import dataclass

from interlock.server.dashboard.times import Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A name and a value. `moment`: the value is a time; `copies`: what a button copies, `href`: where the value
    leads; empty for none."""

    name: str
    text: str = ""
    moment: Moment | None = None
    copies: str = ""
    href: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A step that is open: where the run is at this moment. `took`: for how long; `open_since`: UTC seconds."""

    name: str
    href: str
    took: str
    open_since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Something that can be done, by a form. `does`: what it will do, in a sentence; `confirm`: what its button says.

    `fields`: what the form sends besides what it asks for; `asks`: a line of text, as its label and name; `asks_json`: a
    value, as its label and name. `is_dangerous`: it cannot be taken back.
    """

    name: str
    label: str
    does: str
    confirm: str
    post: str
    fields: tuple[tuple[str, str], ...] = ()
    asks: tuple[str, str] | None = None
    asks_json: tuple[str, str] | None = None
    can_roll_back: bool = False
    is_dangerous: bool = False
