"""The table of names in docs/policy.md. `python -m tests.policies.policy_doc` writes it anew."""

from pathlib import Path

from policies.names import NAMES, Name, NameType

DOC = Path(__file__).resolve().parents[2] / "docs" / "policy.md"
BEGIN, END = "<!-- names: begin -->\n", "<!-- names: end -->\n"
TYPES = {
    NameType.NUMBER: "number",
    NameType.TEXT: "text",
    NameType.TRUTH: "true or false",
    NameType.TAGS: "map of texts",
}


def table() -> str:
    head = "| name | type, unit | meaning | no value where |\n| --- | --- | --- | --- |\n"
    return head + "".join(map(_row, NAMES))


def _row(each: Name) -> str:
    kind = " ".join(f"`{value}`" for value in each.values) or TYPES[each.type]
    unit = "" if each.unit is None else f", {each.unit}"
    return f"| `{each.name}` | {kind}{unit} | {each.meaning} | {each.unknown} |\n"


def parts() -> tuple[str, str, str]:
    """What stands before the table, the table, and what stands after it."""
    before, _, rest = DOC.read_text(encoding="utf-8").partition(BEGIN)
    told, _, after = rest.partition(END)
    return before, told, after


if __name__ == "__main__":
    before, _, after = parts()
    DOC.write_text(f"{before}{BEGIN}{table()}{END}{after}", encoding="utf-8")
