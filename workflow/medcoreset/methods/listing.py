"""The list of methods that `medcoreset methods` and the README show."""

from medcoreset.evidence.arrays import RECIPES
from medcoreset.methods.registry import METHODS, Method


def as_text() -> str:
    """Return one paragraph per method."""
    return "\n\n".join(_paragraph(method) for _, method in sorted(METHODS.items()))


def as_markdown() -> str:
    """Return a Markdown table with one row per method."""
    columns = ("method", "needs", "options", "kept first", "balance", "cost", "reference")
    rows = [columns, ("---",) * len(columns)]
    for name, method in sorted(METHODS.items()):
        options = "<br>".join(f"`{option}`" for option in _options(method)) or "–"
        rows.append(
            (
                f"`{name}`: {method.summary}",
                "<br>".join(f"`{need}`" for need in method.needed()) or "–",
                options.replace("|", "\\|"),
                method.keep or "–",
                method.balance,
                method.cost,
                method.reference + (f". Departs: {method.departs}" if method.departs else ""),
            )
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _paragraph(method: Method) -> str:
    lines = [
        f"{method.name}: {method.summary}",
        f"  needs      {', '.join(map(_with_recipes, method.needed())) or 'nothing'}",
        *(f"  --set      {option}" for option in _options(method)),
        f"  keeps      {f'the {method.keep} scores' if method.keep else 'its own picks'}; "
        f"--balance {method.balance} by default",
        f"  cost       {method.cost}",
        f"  reference  {method.reference}",
    ]
    if method.departs:
        lines.append(f"  departs    {method.departs}")
    return "\n".join(lines)


def _with_recipes(need: str) -> str:
    ways = [" and ".join(ingredients) for ingredients in RECIPES.get(need, ())]
    return need + (f" (or {', or '.join(ways)})" if ways else "")


def _options(method: Method) -> list[str]:
    return [
        f"{option.name}={'none' if option.default is None else option.default} ({option.allowed})"
        for option in method.options.values()
    ]
