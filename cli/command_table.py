"""Commands that are imported when they run, so that the help which lists them needs none of their modules."""

import inspect
import re
from collections.abc import Callable
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

from jobtrail.cli.command_group import examples


class LazyCommand(TyperCommand):
    """A row in the list of commands; the command itself is imported when it runs or shows its own help."""

    def __init__(
        self, name: str, target: str, summary: str, *lines: str, panel: str | None = None, hidden: bool = False
    ) -> None:
        """Describe a command.

        Args:
            name: The word that is typed.
            target: `module:attribute`; the attribute is a function, a Typer app, or a group made by `command_group`.
            summary: What the list of commands says. The command's own help is its docstring, or its group's help.
            lines: Examples of use, each a whole command line; a Typer app and a group bring their own.
            panel: The heading in the list under which the command stands.
            hidden: Whether the list leaves it out, as for an old name that still works.
        """
        super().__init__(name, help=summary, rich_help_panel=panel, hidden=hidden)
        self._target = target
        self._examples = lines

    def make_context(self, *args: Any, **kwargs: Any) -> Any:  # the base class names internal types
        """Parse the arguments with the real command, which then runs in place of this one."""
        module, _, attribute = self._target.partition(":")
        command = getattr(import_module(module), attribute)
        if isinstance(command, typer.Typer):
            command = get_group(command)
        elif not isinstance(command, TyperGroup):
            app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            app.command(self.name, help=_unwrapped(command), epilog=examples(*self._examples))(command)
            command = get_command(app)
        return command.make_context(*args, **kwargs)


def _unwrapped(command: Callable[..., None]) -> str:
    """Return a docstring with each paragraph on one line, because Typer keeps line breaks where they are."""
    return re.sub(r"(?<!\n)\n(?!\n)", " ", inspect.getdoc(command) or "")


def command_group(text: str, *commands: LazyCommand, epilog: str) -> TyperGroup:
    """Make a group of lazy commands, such as `jobtrail deadletters`; `text` is its help."""
    return TyperGroup(help=text, commands=commands, epilog=epilog, no_args_is_help=True)
