"""`striata plan`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .options import Budget, Head, Json, count

if TYPE_CHECKING:
    from ..layout import Plan


def plan(
    layout: Annotated[
        str, typer.Argument(help="Built-in name (`striata layouts`), text form ('0-5 r4 query | 6-11 r8 query') or YAML file.")
    ],
    base: Annotated[str, typer.Option(help="Encoder: Hub name or local folder.")],
    labels: Annotated[int, typer.Option(help="Number of labels; 1 for a number.")],
    head: Head = "native",
    budget: Budget = None,
    fit: Annotated[
        int | None, typer.Option(parser=count, metavar="NUMBER", help="Scale the ranks to the largest within this budget.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what a layout trains on an encoder, to the parameter, without loading weights.

    Example: striata plan s8 --base roberta-base --labels 4
    """
    from ..errors import PlanError
    from ..layout import fit as fit_layout
    from ..layout import make_plan
    from .output import print_json

    if fit is not None and budget is not None:
        raise PlanError("--fit and --budget were both given; --fit BUDGET already keeps to BUDGET")
    if fit is not None:
        result = fit_layout(layout, base=base, labels=labels, head=head, budget=fit)
    else:
        result = make_plan(layout, base=base, labels=labels, head=head, budget=budget)
    if as_json:
        print_json(result.to_json())
    else:
        show_plan(result)


def show_plan(plan: Plan) -> None:
    """Prints a plan: sections, a table by layer, totals."""
    from .output import note, say, table

    outputs = "a number" if plan.labels == 1 else f"{plan.labels} labels"
    say(f"{plan.layout} on {plan.base}, {outputs}, head {plan.head.kind}")
    for section in plan.text.split(" | "):
        say(f"  {section}")
    for remark in plan.notes:
        note(remark)
    say()
    rows: dict[tuple[int, int, float, float, float], list[str]] = {}
    sums: dict[tuple[int, int, float, float, float], int] = {}
    for site in plan.sites:
        key = (site.layer, site.rank, site.alpha, site.scale, site.dropout)
        rows.setdefault(key, []).append(site.target)
        sums[key] = sums.get(key, 0) + site.parameters
    table(
        ["layer", "rank", "alpha", "scale", "dropout", "parameters", "targets"],
        [
            (
                layer,
                rank,
                f"{alpha:g}",
                f"{scale:.4g}",
                f"{dropout:g}",
                f"{sums[layer, rank, alpha, scale, dropout]:,}",
                " ".join(targets),
            )
            for (layer, rank, alpha, scale, dropout), targets in rows.items()
        ],
        fold="targets",
    )
    say()
    say(f"LoRA       {plan.lora:>11,}")
    say(f"head       {plan.head.parameters:>11,}")
    share = "" if plan.budget is None else f"   {plan.trainable / plan.budget:.1%} of the budget of {plan.budget:,}"
    say(f"trainable  {plan.trainable:>11,}{share}")
    say(f"hash       {plan.hash}")
