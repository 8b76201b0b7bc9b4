"""concord demo."""

import typer


def register(application: typer.Typer) -> None:
    """Add the command."""
