"""`python -m serving`: the serving commands on their own."""

from __future__ import annotations

import typer

from serving.cli import register
from zoo import console


def main() -> None:
    """Runs the serving commands and exits with their code."""
    console.leave(console.run(_application))


def _application() -> typer.Typer:
    app = typer.Typer(name="serving", help="Export, validate, serve and ask models.", no_args_is_help=True,
                      pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]})
    register(app)
    return app


if __name__ == "__main__":
    main()
