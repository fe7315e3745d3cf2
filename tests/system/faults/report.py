"""The goals of a scenario, as tables that read well in a terminal and in Markdown."""

from collections import defaultdict
from dataclasses import dataclass, field

from benchmarks.tables import Row, table
from tests.system.faults.watch import GOES_ON_SECONDS, Fault


@dataclass
class Report:
    """One run of a scenario. A row of goals: what, limit, measured, met or MISSED.

    How fast and how often depends on the machine and what else it does: not `timed`, such goals are told only.
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
        """What is no goal."""
        self.goals.append((what, "", f"{measured:.2f} {unit}", ""))

    def _measured(self, what: str, limit: str, measured: str, met: bool) -> None:
        if self.timed or met:
            self.goal(what, limit, measured, met)
        else:
            self.goals.append((what, limit, measured, "missed, told only"))

    def recovery(self, faults: list[Fault]) -> None:
        """Every job that was hit must have gone on in time."""
        self.faults = faults
        self.exactly("jobs that were hit and never went on", 0, sum(len(each.hit) for each in faults))
        slowest = max((seconds for each in faults for seconds in each.recovery), default=0.0)
        self.at_most("a job that was hit goes on, slowest", GOES_ON_SECONDS, slowest)

    @property
    def met(self) -> bool:
        return all(row[-1] != "MISSED" for row in self.goals)

    def __str__(self) -> str:
        lines = [f"## {self.title}", "", *table([("goal", "limit", "measured", ""), *self.goals]), ""]
        return "\n".join([*lines, *table(self._fault_rows()), ""] if self.faults else lines)

    def _fault_rows(self) -> list[Row]:
        rows: list[Row] = [("fault", "times", "away, longest", "jobs hit", "went on, median", "slowest")]
        kinds: dict[str, list[Fault]] = defaultdict(list)
        for each in self.faults:
            kinds[each.kind].append(each)
        for kind, faults in sorted(kinds.items()):
            away = max((each.back or each.at) - each.at for each in faults)
            took = sorted(seconds for each in faults for seconds in each.recovery)
            times = (f"{took[len(took) // 2]:.1f} s", f"{took[-1]:.1f} s") if took else ("", "")
            rows.append((kind, str(len(faults)), f"{away:.1f} s" if away else "", str(len(took)), *times))
        return rows
