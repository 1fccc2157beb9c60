"""`jobtrail token`: the bearer tokens by which the web knows who asks."""

from typing import Annotated

import typer

from jobtrail.cli.command_group import JsonOption, examples
from jobtrail.models.token import Role

token = typer.Typer(
    no_args_is_help=True,
    help="Make, list and revoke the bearer tokens by which the web knows who asks.",
    epilog=examples(
        "jobtrail token create alice-laptop --user alice --expires 90d",
        "jobtrail token list",
        "jobtrail token revoke alice-laptop",
    ),
)


@token.command(epilog=examples("jobtrail token create alice-laptop --user alice --expires 90d"))
def create(
    name: Annotated[str, typer.Argument(help="What the token is called: letters, digits and . _ @ -", metavar="NAME")],
    user: Annotated[str | None, typer.Option(help="The user it asks for, by the console's id.", metavar="ID")] = None,
    role: Annotated[
        Role, typer.Option(help="viewer: look at what concerns the user. operator: look at everything, and change it.")
    ] = Role.VIEWER,
    expires: Annotated[
        str | None, typer.Option(help="When it ends: after 12h, 90d, 52w. Without this it does not.", metavar="AGE")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token and print it. It is shown this once: only its hash is stored."""
    from datetime import UTC, datetime

    from jobtrail.cli.access.token_show import create_token, print_created, print_created_json
    from jobtrail.cli.interruptible import run_interruptible
    from jobtrail.cli.output.formats import parse_expiry
    from jobtrail.models.errors import SettingError
    from jobtrail.models.token import valid_token_name

    if user == "":
        raise SettingError("--user must be the id of a user")
    now = datetime.now(UTC)
    expires_at = parse_expiry(expires, now) if expires else None
    made, secret = run_interruptible(
        create_token(valid_token_name(name), role=role, user_id=user, now=now, expires_at=expires_at)
    )
    if as_json:
        print_created_json(made, secret)
    else:
        print_created(made, secret)


@token.command("list", epilog=examples("jobtrail token list --json"))
def list_(as_json: JsonOption = False) -> None:
    """List the tokens, also those that are expired or revoked."""
    from jobtrail.cli.access.token_show import print_tokens, print_tokens_json, read_tokens
    from jobtrail.cli.interruptible import run_interruptible

    found = run_interruptible(read_tokens())
    if as_json:
        print_tokens_json(found)
    else:
        print_tokens(found)


@token.command(epilog=examples("jobtrail token revoke alice-laptop"))
def revoke(
    name_or_id: Annotated[str, typer.Argument(help="Its name, or its id as list --json shows it.", metavar="NAME|ID")],
    as_json: JsonOption = False,
) -> None:
    """Revoke a token: from now on it opens nothing."""
    from jobtrail.cli.access.token_show import print_revoked, print_token_json, revoke_token
    from jobtrail.cli.interruptible import run_interruptible

    revoked = run_interruptible(revoke_token(name_or_id))
    if as_json:
        print_token_json(revoked)
    else:
        print_revoked(revoked)
