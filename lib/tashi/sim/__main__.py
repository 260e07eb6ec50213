"""``python -m tashi.sim SEED``: one run, its whole log, and how it ended (status 1 when an invariant did not hold)."""

from __future__ import annotations

import sys

from tashi.sim.run import run

EVERY_LINE = 0


def main(argv: list[str]) -> int:
    """Print the run of a seed."""
    if len(argv) != 2 or not argv[1].isdecimal():
        sys.stderr.write("usage: python -m tashi.sim SEED\n")
        return 2
    result = run(int(argv[1]), keep_lines=EVERY_LINE)
    sys.stdout.write("\n".join(result.lines) + "\n\n")
    for what, count in sorted(result.ended.items()):
        sys.stdout.write(f"{count:6d} {what}\n")
    sys.stdout.write(f"{result.events} events in {result.seconds:.0f} simulated seconds\n")
    sys.stdout.write(f"seed {result.seed}: {result.violation or 'every invariant held'}\n")
    return 1 if result.violation else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
