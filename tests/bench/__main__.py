"""Measures what is quickly measured, and names the rest.

python -m tests.bench
"""

from collections.abc import Callable, Mapping

from tests.bench import acting, readings, start_up

CHEAP: Mapping[str, Callable[[], object]] = {
    "start-up": start_up.main,
    "acting": lambda: acting.main(acting.SIZES[:2]),
    "readings": lambda: readings.main(readings.SIZES[:2]),
}
LONG = {
    "python -m tests.bench.acting": "judging up to 100,000 machines, an incident's fold: a minute",
    "python -m tests.bench.confusion 1000000": "findings of confusion: a minute",
    "python -m tests.bench.agent": "memory, processor and bytes of the agent: a minute",
    "python -m tests.bench.readings": "readings up to 100,000 machines: minutes",
    "python -m tests.bench.custodian": "a patrol against Cloud Custodian, which it installs from"
    " PyPI: three minutes",
}


def main() -> None:
    for name, measure in CHEAP.items():
        print(f"— {name}")
        measure()
    print("— not run here")
    for command, what in LONG.items():
        print(f"{command}  # {what}")


if __name__ == "__main__":
    main()
