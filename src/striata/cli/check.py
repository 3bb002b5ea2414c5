"""`striata check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..study import Member, Prepared


def check(
    study: Annotated[Path, typer.Argument(help="Study file (YAML).")],
    settings: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the study.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Validate a study and its data, and show members, plans and cost, without training."""
    from ..evidence import foresee
    from ..study import load_study, members, prepare, shared_plans
    from .output import note, print_json, say

    asked = load_study(study, settings or [])
    prepared = prepare(asked)
    found = members(asked, len(prepared.splits.labels))
    foreseen = foresee(found, len(prepared.splits.validation))
    if as_json:
        print_json(
            {
                "study": asked.to_dict(),
                "audit": prepared.audit.to_json(),
                "members": [
                    {"name": m.name, "seed": m.seed, "aliases": m.aliases, "plan": m.plan.to_json(), "cost": _cost(m, prepared)}
                    for m in found
                ],
                "resolves": foreseen.to_json(),
            }
        )
        return
    for line in prepared.audit.lines():
        say(line)
    say()
    show_members(found)
    for line in shared_plans(found):
        note(line)
    costs = [_cost(member, prepared) for member in found]
    trained, validated = (sum(cost[key] for cost in costs) for key in ("training_tokens", "validation_tokens"))
    say()
    say(f"cost: up to {trained:,} tokens of training and {validated:,} of validation, over all members")
    if validated > 2 * trained:
        note("validation costs more than training; lower recipe.validation_rows (what is kept is always measured on all rows)")
    result, *remarks = foreseen.lines()
    say(result)
    for remark in remarks:
        note(remark)


def show_members(found: tuple[Member, ...]) -> None:
    """Prints the members of a study with their totals."""
    from .output import note, table

    rows = []
    for member in found:
        plan = member.plan
        share = "-" if plan.budget is None else f"{plan.trainable / plan.budget:.1%}"
        rows.append(
            (member.name, plan.hash[:8], f"{plan.trainable:,}", f"{plan.lora:,}", f"{plan.head.parameters:,}", share, plan.text)
        )
    table(["member", "plan", "trainable", "LoRA", "head", "of budget", "sections"], rows)
    for remark in dict.fromkeys(remark for member in found for remark in member.plan.notes):
        note(remark)


def _cost(member: Member, prepared: Prepared) -> dict[str, int]:
    """Steps, and tokens that pass through the encoder at most."""
    recipe = member.recipe
    steps = recipe.steps(len(prepared.splits.train))
    lengths = {name: float(prepared.encoded[name].lengths.mean()) for name in ("train", "validation")}
    whole = len(prepared.splits.validation)
    rows = whole if recipe.validation_rows == "all" else min(whole, recipe.validation_rows)
    evaluations = -(-steps // recipe.evaluate_every)
    final = 0 if rows == whole else whole
    return {
        "steps": steps,
        "training_tokens": round(steps * recipe.batch_size * lengths["train"]),
        "validation_tokens": round((evaluations * rows + final) * lengths["validation"]),
    }
