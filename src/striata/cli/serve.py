"""`striata serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Bases, Device, Json, Precision

Models = Annotated[
    list[str],
    typer.Argument(
        metavar="MODEL...", help="Folders of runs, ensembles, packs or studies; NAME=FOLDER for another name than the folder's."
    ),
]
Host = Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for every one of this machine.")]
Port = Annotated[int, typer.Option(help="Port to listen on; 0 for one that is free.")]
KeyFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="A key in each line; requests have to show one. Without it all are let in.")
]
MaxQueue = Annotated[int, typer.Option(help="Texts that may wait; above, requests are refused with 429.")]
MaxBatch = Annotated[int, typer.Option(help="Most texts that are answered in one pass.")]
WaitMs = Annotated[float, typer.Option(help="Milliseconds in which a first text waits for others.")]
Timeout = Annotated[float, typer.Option(help="Seconds that a request may take.")]
MaxBytes = Annotated[int, typer.Option(help="Most bytes of a request.")]
Watch = Annotated[
    bool, typer.Option("--watch", help="Use a model that is put in the place of an old one, as soon as it is sound.")
]


def serve(
    models: Models,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    key_file: KeyFile = None,
    max_queue: MaxQueue = 1024,
    max_batch: MaxBatch = 64,
    wait_ms: WaitMs = 0.0,
    timeout: Timeout = 30.0,
    max_bytes: MaxBytes = 8 * 2**20,
    watch: Watch = False,
    base: Bases = None,
    device: Device = "auto",
    precision: Precision = "auto",
    as_json: Json = False,
) -> None:
    """Serve models over HTTP: JSON, the Open Inference Protocol, metrics, and a page to try them.

    Ends with 0 at SIGTERM or Ctrl-C, once what was accepted is answered. Texts are never logged.

    Example: striata serve runs/mine/ensemble --port 8080 --key-file keys.txt --watch
    """
    from ..extras import require

    require("a server", "fastapi", "uvicorn", "prometheus_client")
    from ..evidence.sentences import counted
    from ..serving import Limits
    from ..serving.keys import Keys
    from ..serving.served import Library, name_places
    from ..serving.server import address_of, open_port
    from ..serving.server import serve as run
    from ..serving.service import Service
    from .output import note, print_json, say

    limits = Limits(max_queue=max_queue, max_batch=max_batch, wait_ms=wait_ms, timeout=timeout, max_bytes=max_bytes)
    keys = None if key_file is None else Keys.read(key_file)
    library = Library(name_places(models), base=base, device=device, precision=precision, tell=note)
    library.check()
    listener = open_port(host, port)
    address = address_of(listener)

    def ready() -> None:
        served = list(library.models.values())
        if as_json:
            print_json({"address": address, "models": {one.name: one.version for one in served}})
        else:
            for one in served:
                say(f"{address}: {one.name}, {len(one.model.labels)} labels, {counted(len(one.model.runs), 'member')}")

    if keys is None and host not in ("127.0.0.1", "::1", "localhost"):
        note("anyone who reaches this address may ask: give --key-file to let in those with a key only")
    run(Service(library=library, limits=limits), listener, keys=keys, watch=watch, ready=ready)
