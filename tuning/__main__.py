"""`python -m tuning` is `zoo tune`."""

from __future__ import annotations

import sys

import typer

from tuning import cli
from zoo import console


def application() -> typer.Typer:
    """Returns the command line of searches alone."""
    app = typer.Typer(name="zoo", no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich",
                      context_settings={"help_option_names": ["-h", "--help"]})
    app.callback()(_general)
    cli.register(app)
    return app


def main() -> None:
    """Runs the command line and exits with its code."""
    console.leave(console.run(application, ["tune", *sys.argv[1:]]))


def _general() -> None:
    """Searches for hyperparameters."""


if __name__ == "__main__":
    main()
