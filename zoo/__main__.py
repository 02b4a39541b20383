"""The `zoo` command."""

from __future__ import annotations

import sys

from zoo import console
from zoo.cli import application


def main() -> None:
    """Runs the command line and exits with its code."""
    sys.exit(console.run(application))


if __name__ == "__main__":
    main()
