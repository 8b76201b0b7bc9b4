"""The command `concord`: a file per noun. Commands hold no logic of the exchange; they ask the running gateway."""

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    # Imported here so that importing the package costs nothing.
    from gateway.cli.application import run

    return run(arguments)
