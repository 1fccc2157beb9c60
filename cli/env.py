"""`jobtrail env`: how to connect to the running private stack."""

import json
import shlex

import typer

from jobtrail.cli.command_group import JsonOption
from jobtrail.models.errors import NotFoundError
from jobtrail.models.settings import load_settings
from jobtrail.stack.state import find_running


def env(as_json: JsonOption = False) -> None:
    """Print the URLs of the running private stack as shell exports, so that other clients can connect to it."""
    data_dir = load_settings().data_dir
    urls = find_running(data_dir)
    if urls is None:
        raise NotFoundError(
            f"no private stack is running in {data_dir}: start one with `make run` (or `jobtrail up`), "
            "or set JOBTRAIL_DATA_DIR to the folder of a running one"
        )
    variables = {"JOBTRAIL_AMQP_URL": urls.amqp_url, "JOBTRAIL_MONGO_URL": urls.mongo_url}
    if as_json:
        typer.echo(json.dumps(variables, indent=2))
        return
    for name, value in variables.items():
        # shlex.quote leaves plain words bare; a URL is always quoted, so that it can be pasted anywhere.
        typer.echo(f"export {name}={_quoted(value)}")


def _quoted(value: str) -> str:
    quoted = shlex.quote(value)
    return quoted if quoted.startswith("'") else f"'{quoted}'"
