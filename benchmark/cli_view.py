"""The command that opens a run's page: `view`. It parses and prints, and computes nothing."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

import typer

from benchmark.screen import say

view = typer.Typer()
"""``cli`` takes its command in at the top level"""


@view.command(name="view")
def view_run(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run, as `run` or `score` left it.")],
    serve: Annotated[
        bool, typer.Option("--serve", help="Show the page from a server on this machine alone, which reads images from where they lie.")
    ] = False,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Of the server; a free one if not given.")] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open it, or only say where it is.")] = True,
    images: Annotated[
        Literal["auto", "embed", "none"] | None,
        typer.Option(
            metavar="auto|embed|none",
            help="Write the page anew with copies of the images beside it, or without; auto = of public data with up to 1,000 cases.",
            show_default=False,
        ),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Write the page anew, also if it is whole: by this version of the program.")] = False,
    without_dataset: Annotated[
        bool, typer.Option("--without-dataset", help="Write it anew even if boxes and context are lost, since the dataset cannot be opened.")
    ] = False,
) -> None:
    """Open the page on which a run's cases are read: radiograph, reference and every model's report side by side, with what is right and wrong.

    python -m benchmark view results/runs/phantom-test

    python -m benchmark view results/runs/chest_imagenome-test --serve

    python -m benchmark view results/runs/chest_imagenome-test --images embed --no-browser
    """
    from benchmark.records import UserError
    from benchmark.shows_view import show_page
    from benchmark.viewer.opening import page_of

    if port is not None and not serve:
        raise UserError(f"--port {port} was given, and without --serve there is no server; add --serve, or leave --port away")
    page = page_of(run, images=images, again=again, without_dataset=without_dataset)
    show_page(page)
    if serve:
        _serve(run, port, opens=browser)
    elif browser:
        _open(page.file.resolve().as_uri())


def _serve(run: Path, port: int | None, *, opens: bool) -> None:
    """Serve until Ctrl-C, or what a scheduler or a closed terminal sends: so a server is meant to end, and nothing of it was interrupted."""
    from benchmark.records import Interrupted
    from benchmark.viewer.serve import redirecting_file, served

    try:
        with served(run, port or 0) as server, redirecting_file(server.address, run) as door:
            say(f"serving on this machine alone, until Ctrl-C: {server.address}")
            if opens:
                say("if the browser finds nothing, open that address in it")
                _open(door.as_uri())
            server.serve_forever()
    except (Interrupted, KeyboardInterrupt):
        with suppress(OSError):  # the terminal may be what went
            say("the server has ended")


def _open(address: str) -> None:
    import webbrowser

    if not webbrowser.open(address):
        say("no browser could be started here; open that address in one yourself", err=True)
