"""Load on a server: how long requests take at 1, 16 and 128 connections, and whether any that was accepted is lost.

python -m benchmarks.serving MODEL [--seconds 10] [--texts FILE]

Starts `striata serve` in a process of its own; each connection sends one text, waits for its answer, and sends the next. Server
and clients share the machine's cores, so that the figures are lower bounds.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

CONNECTIONS = (1, 16, 128)
TEXTS = (
    "Stocks rise on hopes of a deal as oil falls for a third day",
    "The striker scored twice in the last minutes of the final, and the crowd would not leave",
    "Scientists find water on a moon of Saturn",
    "Parliament votes on the budget after a night of talks between the two parties in power, said a spokesman on Tuesday",
)


async def _client(host: str, port: int, texts: Sequence[str], until: float, seconds: list[float], statuses: list[int]) -> None:
    """One connection, kept open; its texts in turn."""
    reader, writer = await asyncio.open_connection(host, port)
    at = 0
    while time.perf_counter() < until:
        body = json.dumps({"texts": [texts[at % len(texts)]]}).encode()
        begin = time.perf_counter()
        head = (
            f"POST /v1/classify HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        await reader.readexactly(int(answer.partition("content-length:")[2].split()[0]))
        seconds.append(time.perf_counter() - begin)
        statuses.append(int(answer.split()[1]))
        at += 1
    writer.close()


async def _load(host: str, port: int, texts: Sequence[str], connections: int, duration: float) -> dict[str, float]:
    seconds: list[float] = []
    statuses: list[int] = []
    begin = time.perf_counter()
    clients = (
        _client(host, port, texts[place % len(texts) :] + texts[: place % len(texts)], begin + duration, seconds, statuses)
        for place in range(connections)
    )
    await asyncio.gather(*clients)
    whole = time.perf_counter() - begin
    p50, p99 = np.percentile(seconds, [50, 99]) * 1000
    return {
        "connections": connections,
        "requests": len(seconds),
        "per_second": len(seconds) / whole,
        "p50_ms": p50,
        "p99_ms": p99,
        "other_than_200": sum(status != 200 for status in statuses),
    }


def measure(model: str, texts: Sequence[str], duration: float, options: Sequence[str] = ()) -> list[dict[str, float]]:
    """Figures at each number of connections.

    Args:
        model: folder.
        texts: sent in turn.
        duration: seconds at each.
        options: more of `striata serve`.

    Raises:
        RuntimeError: the server did not begin, or did not end with 0.
    """
    command = [sys.executable, "-c", "from striata.cli import main; main()", "serve", model, "--port", "0", "--json", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line == "}\n":
            break
    else:
        raise RuntimeError("the server did not begin")
    host, _, port = json.loads("".join(lines))["address"].removeprefix("http://").partition(":")
    asyncio.run(_load(host, int(port), texts, 1, 1.0))  # warm
    rows = [asyncio.run(_load(host, int(port), texts, connections, duration)) for connections in CONNECTIONS]
    process.send_signal(signal.SIGTERM)
    if process.wait(60) != 0:
        raise RuntimeError("the server did not end with 0")
    return rows


def main() -> None:
    """Prints the figures as a table."""
    parser = argparse.ArgumentParser(description="Load on a server.")
    parser.add_argument("model", help="folder of a run, an ensemble or a study")
    parser.add_argument("--seconds", type=float, default=10.0, help="at each number of connections")
    parser.add_argument("--texts", type=Path, help="a CSV file with a column `text`")
    parser.add_argument("options", nargs="*", help="of `striata serve`, after --")
    arguments = parser.parse_args()
    texts: Sequence[str] = TEXTS
    if arguments.texts is not None:
        with open(arguments.texts, newline="") as file:
            texts = [row["text"] for row in csv.DictReader(file)]
    print("| connections | requests/s | p50 ms | p99 ms | requests | other than 200 |\n|---|---|---|---|---|---|")
    for row in measure(arguments.model, texts, arguments.seconds, arguments.options):
        print(
            f"| {row['connections']} | {row['per_second']:.1f} | {row['p50_ms']:.1f} | {row['p99_ms']:.1f} | {row['requests']} "
            f"| {row['other_than_200']} |"
        )


if __name__ == "__main__":
    main()
