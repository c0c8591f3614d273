"""A group of commands whose help prints examples as they are typed."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup


class Commands(TyperGroup):
    """Their examples are printed in the lines in which they are typed: one that is broken over two lines cannot be copied."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, its examples marked as click marks text that is not to be wrapped."""
        command = super().get_command(ctx, cmd_name)
        if command is not None and command.help:
            command.help = command.help.replace("\n\npython -m benchmark", "\n\n\b\npython -m benchmark")
        return command
