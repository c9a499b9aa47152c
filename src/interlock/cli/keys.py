"""What can be typed about API keys. As light as `commands`, of which it is a part; `keyring` performs it."""

from __future__ import annotations

from typing import Annotated

import typer

from interlock.cli.command import JsonOption, perform
from interlock.model.access import Role

keys = typer.Typer(help="Make, list and revoke API keys.", rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the program."""
    app.add_typer(keys, name="keys")


@keys.command("create")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is; the audit log names it so.")],
    role: Annotated[Role, typer.Option("--role", help="What the key allows.")],
    namespaces: Annotated[
        list[str] | None,
        typer.Option("--namespace", metavar="NAME", help="Limit it to this namespace; repeatable. All without."),
    ] = None,
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="DURATION", help="When it ends, such as 90d; never without.")
    ] = None,
) -> int:
    """Make a key and print it. It is shown this once: only a digest is stored."""
    from interlock.cli import keyring  # noqa: PLC0415 (start-up)

    return perform(keyring.created(name, role, namespaces or [], expires))


@keys.command("list")
def list_(as_json: JsonOption = False) -> int:
    """List the keys, also those that are over, the oldest first."""
    from interlock.cli import keyring  # noqa: PLC0415 (start-up)

    return perform(keyring.listed(as_json=as_json))


@keys.command("revoke")
def revoke(
    key: Annotated[str, typer.Argument(metavar="ID", help="The key: its id, or a name that only one live key has.")],
) -> int:
    """End a key for good; it opens nothing within 5 seconds."""
    from interlock.cli import keyring  # noqa: PLC0415 (start-up)

    return perform(keyring.revoked(key))
