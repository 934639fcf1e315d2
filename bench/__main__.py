"""The headline figures: one bench after the other, then which targets hold, and plots.

`python -m bench` (or `make bench`) takes under 15 minutes on two cores; `--full` (or `make bench
FULL=1`) takes all of each. Figures go to bench/results.json, plots to bench/plots/. Some alone:
`python -m bench NAME...`; one, with options of its own: `python -m bench.NAME`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from bench import plots, report
from bench.suite import SUITE, Bench

PLOTS = Path(__file__).with_name("plots")


def run(bench: Bench, full: bool) -> str:
    """Run one in a process of its own; why it has no figures, or nothing."""
    missing = bench.missing()
    if missing:
        return missing
    command = [sys.executable, "-m", f"bench.{bench.name}", *(bench.full if full else bench.short)]
    code = subprocess.run(command, check=False).returncode
    return "" if report.figures_of(bench.name) else f"it ended with exit code {code}"


def outcome(benches: list[Bench], without: dict[str, str]) -> str:
    """How many targets hold, those that do not, and what was not measured."""
    figures = [(b.name, f) for b in benches for f in report.figures_of(b.name)]
    judged = [(name, figure) for name, figure in figures if figure.holds is not None]
    missed = [f"  {name}: {figure.line()}" for name, figure in judged if not figure.holds]
    lines = [f"\n{len(judged) - len(missed)} of {len(judged)} targets hold"]
    if missed:
        lines += ["missed:", *missed]
    lines += [f"not measured: {name}: {reason}" for name, reason in without.items()]
    return "\n".join(lines)


def main() -> int:
    names = [bench.name for bench in SUITE]
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(f"  {bench.name:<12} {bench.about}" for bench in SUITE),
    )
    parser.add_argument("--full", action="store_true", help="all of each bench: hours")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", choices=[*names, []], help="default: all"
    )
    options = parser.parse_args()
    benches = [bench for bench in SUITE if not options.names or bench.name in options.names]
    report.RESULTS.unlink(missing_ok=True)
    without: dict[str, str] = {}
    began = time.monotonic()
    for number, bench in enumerate(benches, 1):
        passed = (time.monotonic() - began) / 60
        due = "" if options.full else f", about {bench.seconds} s"
        line = f"[{number} of {len(benches)}, {passed:.0f} min] {bench.name}: {bench.about}{due}"
        print(f"\n{line}", flush=True)
        reason = run(bench, options.full)
        if reason:
            without[bench.name] = reason
            print(f"not measured: {reason}", flush=True)
    print(outcome(benches, without))
    drawn = plots.draw(PLOTS)
    print(f"figures: {report.RESULTS}; plots: {', '.join(path.name for path in drawn)} in {PLOTS}")
    # A missed target is a figure; a bench without figures is a fault.
    broken = [b.name for b in benches if b.name in without and not b.missing()]
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
