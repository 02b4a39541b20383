"""The `zoo` command."""

from __future__ import annotations

from zoo import console
from zoo.cli import application


def main() -> None:
    """Runs the command line and exits with its code."""
    console.leave(console.run(application))


if __name__ == "__main__":
    main()
