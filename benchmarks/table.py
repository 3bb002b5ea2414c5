"""What was measured, as a table for people and for documents."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from typing import Any

import torch

HEADER = ("row", "work", "ours", "peer", "ratio (range)", "target", "")


def machine(threads: int) -> dict[str, Any]:
    """What the figures were measured on."""
    names = ("torch", "transformers", "peft", "accelerate", "striata")
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "bf16": torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported(),
        "amx": torch.cpu._is_amx_tile_supported(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in names},
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _figure(value: float, unit: str) -> str:
    if unit == "FLOP/s":
        return f"{value / 1e12:.3g} TFLOP/s"
    return f"{value:.3g} {unit}"


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """A row of the JSON as text."""
    sign = "≥" if row["better"] == "higher" else "≤"
    return (
        row["name"],
        row["work"],
        _figure(row["ours"], row["unit"]),
        f"{_figure(row['peer'], row['unit'])} ({row['versus']})",
        f"{row['ratio']:.2f} ({row['lowest']:.2f}-{row['highest']:.2f})",
        f"{sign} {row['target']:g}",
        "met" if row["met"] else "not met",
    )


def markdown(report: dict[str, Any]) -> str:
    """The table of a report, and what it was measured on."""
    lines = ["| " + " | ".join(HEADER) + " |", "|" + "---|" * len(HEADER)]
    lines += ["| " + " | ".join(cells(row)) + " |" for row in report["rows"]]
    on, settings = report["machine"], report["settings"]
    about = (
        f"{on['processor']}, {on['cores']} cores, {on['threads']} threads"
        + (f", {on['gpu']}" if on["gpu"] else "")
        + f", AMX {'yes' if on['amx'] else 'no'}; torch {on['versions']['torch']}, "
        f"transformers {on['versions']['transformers']}, peft {on['versions']['peft']}; "
        f"{settings['alternations']} alternations, {settings['steps']} steps of the peer in each."
    )
    return "\n".join([*lines, "", about, *report["skipped"]])


def plain(report: dict[str, Any]) -> str:
    """The table with aligned columns."""
    rows = [HEADER, *(cells(row) for row in report["rows"])]
    widths = [max(len(row[at]) for row in rows) for at in range(len(HEADER))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    for name, points in report["curves"].items():
        lines += ["", f"cost by {name}:"]
        lines += [
            f"  {point['at']:>4}  {point['seconds']:.3f} s a step ({point['lowest']:.3f}-{point['highest']:.3f}), "
            f"{point['tokens']:.0f} tokens, {1e6 * point['seconds'] / point['tokens']:.0f} us a token"
            for point in points
        ]
    return "\n".join([*lines, *report["skipped"]])
