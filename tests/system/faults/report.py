"""The goals of a scenario, as tables that read well in a terminal and in Markdown."""

import textwrap
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.tables import Row, table
from tests.system.faults.watch import GOES_ON_SECONDS, Fault


@dataclass
class Report:
    """One run of a scenario. A row of goals: what, limit, measured, met or MISSED.

    Speed and frequency depend on the machine: without `timed`, such goals are reported only.
    """

    title: str
    timed: bool = True
    goals: list[Row] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def goal(self, what: str, limit: str, measured: str, met: bool) -> None:
        self.goals.append((what, limit, measured, "met" if met else "MISSED"))

    def exactly(self, what: str, wanted: object, measured: object) -> None:
        self.goal(what, str(wanted), str(measured), measured == wanted)

    def at_most(self, what: str, limit: float, measured: float, unit: str = "s") -> None:
        self._measured(what, f"<= {limit:g} {unit}", f"{measured:.1f} {unit}", measured <= limit)

    def at_least(self, what: str, limit: float, measured: float, unit: str = "%") -> None:
        self._measured(what, f">= {limit:g} {unit}", f"{measured:.2f} {unit}", measured >= limit)

    def tell(self, what: str, measured: float, unit: str = "s") -> None:
        """A measurement without a goal."""
        self.goals.append((what, "", f"{measured:.2f} {unit}", ""))

    def _measured(self, what: str, limit: str, measured: str, met: bool) -> None:
        if self.timed or met:
            self.goal(what, limit, measured, met)
        else:
            self.goals.append((what, limit, measured, "missed, reported only"))

    def recovery(self, faults: list[Fault]) -> None:
        """Every job that was hit must have gone on in time."""
        self.faults = faults
        self.exactly("jobs that were hit and did not continue", 0, sum(len(each.hit) for each in faults))
        slowest = max((seconds for each in faults for seconds in each.recovery), default=0.0)
        self.at_most("a job that was hit continues, slowest", GOES_ON_SECONDS, slowest)

    @property
    def met(self) -> bool:
        return all(row[-1] != "MISSED" for row in self.goals)

    def __str__(self) -> str:
        return "\n".join([self.summary(), *fault_table(self.faults)])

    def summary(self) -> str:
        """Without the faults. Goals that ask for an exact value and have it are a sentence; all others are a table."""
        exact = [row for row in self.goals if row[1] == row[2] and row[-1] == "met"]
        others = [row for row in self.goals if row not in exact]
        lines = [f"## {self.title}", ""]
        zero = [what for what, wanted, *_ in exact if wanted == "0"]
        rest = [f"{what} ({wanted.rstrip('.')})" for what, wanted, *_ in exact if wanted != "0"]
        told = [
            f"{head}: {'; '.join(each)}." for head, each in (("Did not happen", zero), ("As required", rest)) if each
        ]
        lines += [*textwrap.wrap(" ".join(told), 120), ""] if told else []
        lines += [*table([("goal", "limit", "measured", ""), *others]), ""] if others else []
        return "\n".join(lines)


def fault_table(faults: Sequence[Fault]) -> list[str]:
    """A row for each kind of fault: how often, how long it was away, how soon the jobs that it hit continued."""
    if not faults:
        return []
    rows: list[Row] = [("fault", "times", "away, longest", "jobs hit", "continued, slowest")]
    kinds: dict[str, list[Fault]] = defaultdict(list)
    for each in faults:
        kinds[each.kind].append(each)
    for kind, of_kind in sorted(kinds.items()):
        away = max((each.back or each.at) - each.at for each in of_kind)
        took = [seconds for each in of_kind for seconds in each.recovery]
        slowest = f"{max(took):.1f} s" if took else ""
        rows.append((kind, str(len(of_kind)), f"{away:.1f} s" if away else "", str(len(took)), slowest))
    return [*table(rows), ""]
