"""The list of methods that `medcoreset methods` and the documentation show."""

from medcoreset.evidence.arrays import RECIPES
from medcoreset.methods.registry import METHODS, Method


def as_text() -> str:
    """Return one paragraph per method."""
    return "\n\n".join(_paragraph(method) for _, method in sorted(METHODS.items()))


def as_markdown() -> str:
    """Return a Markdown table with one row per method."""
    columns = ("method", "evidence", "cost", "reference", "where well-known public code differs")
    rows = [columns, ("---",) * len(columns)]
    for name, method in sorted(METHODS.items()):
        about = f" ({method.keep} first)" if method.keep else ""
        about += f" (anew in every {_turn(method)})" if method.dynamic else ""
        rows.append(
            (
                f"`{name}`{about}",
                ", ".join(f"`{need}`" for need in method.needed()) or "–",
                method.cost,
                method.reference,
                method.departs or "–",
            )
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _paragraph(method: Method) -> str:
    lines = [
        f"{method.name}: {method.summary}",
        f"  needs      {', '.join(map(_with_recipes, method.needed())) or 'nothing'}",
        *(f"  --set      {option}" for option in _options(method)),
        f"  keeps      {kept(method)}",
        f"  cost       {method.cost}",
        f"  reference  {method.reference}",
    ]
    if method.departs:
        lines.append(f"  differs    {method.departs}")
    return "\n".join(lines)


def kept(method: Method) -> str:
    """Say in words what a method keeps, and how its budget is shared."""
    if method.dynamic:
        return f"its own picks, others in every {_turn(method)} of a training"
    picks = f"the {method.keep} scores" if method.keep else "its own picks"
    return f"{picks}; --balance {method.balance} by default"


def _turn(method: Method) -> str:
    return "step" if method.prioritize is not None else "epoch"


def _with_recipes(need: str) -> str:
    ways = [" and ".join(ingredients) for ingredients in RECIPES.get(need, ())]
    return need + (f" (or {', or '.join(ways)})" if ways else "")


def _options(method: Method) -> list[str]:
    return [
        f"{option.name}={'none' if option.default is None else option.default} ({option.allowed})"
        for option in method.options.values()
    ]
