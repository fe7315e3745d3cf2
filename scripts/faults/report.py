"""What a scenario is held against, as tables for people and for `docs/reliability-report.md`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

from scripts.faults.watch import GOES_ON_SECONDS, Fault


@dataclass(frozen=True)
class Goal:
    what: str
    limit: str
    measured: str
    met: bool


@dataclass
class Report:
    """One run of a scenario."""

    title: str
    goals: list[Goal] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def exactly(self, what: str, wanted: object, measured: object) -> None:
        self.goals.append(Goal(what, str(wanted), str(measured), measured == wanted))

    def at_most(self, what: str, limit: float, measured: float | None, unit: str = "s") -> None:
        """`measured` None: it never came to that."""
        said = "never" if measured is None else f"{measured:.1f} {unit}"
        self.goals.append(Goal(what, f"<= {limit:g} {unit}", said, measured is not None and measured <= limit))

    def at_least(self, what: str, limit: float, measured: float, unit: str = "%") -> None:
        self.goals.append(Goal(what, f">= {limit:g} {unit}", f"{measured:.2f} {unit}", measured >= limit))

    @property
    def met(self) -> bool:
        return bool(self.goals) and all(goal.met for goal in self.goals)

    def tables(self) -> list[list[Sequence[str]]]:
        goals: list[Sequence[str]] = [
            ("goal", "limit", "measured", ""),
            *((g.what, g.limit, g.measured, "met" if g.met else "MISSED") for g in self.goals),
        ]
        return [goals, *([self._faults_table()] if self.faults else [])]

    def _faults_table(self) -> list[Sequence[str]]:
        rows: list[Sequence[str]] = [
            ("fault", "times", "away, longest", "jobs hit", "went on, median", "went on, last")
        ]
        for kind, found in groupby(sorted(self.faults, key=lambda each: each.kind), key=lambda each: each.kind):
            faults = list(found)
            away = max((each.back or each.at) - each.at for each in faults)
            took = sorted(seconds for each in faults for seconds in each.recovery)
            times = (f"{took[len(took) // 2]:.1f} s", f"{took[-1]:.1f} s") if took else ("-", "-")
            rows.append((kind, str(len(faults)), f"{away:.1f} s" if away else "-", str(len(took)), *times))
        return rows

    def note_recovery(self) -> None:
        """Every job that was hit must have gone on in time."""
        left = sum(len(each.hit) for each in self.faults)
        slowest = max((seconds for each in self.faults for seconds in each.recovery), default=0.0)
        self.at_most("a job that was hit goes on, last", GOES_ON_SECONDS, None if left else slowest)


def plain(report: Report) -> str:
    """For a terminal."""
    lines = [f"== {report.title}"]
    for table in report.tables():
        widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
        lines += [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
        ]
        lines.append("")
    return "\n".join(lines)


def markdown(reports: Sequence[Report], machine: str) -> str:
    """The whole file."""
    lines = ["# Reliability, measured", "", f"Written by `make faults`. {machine}", ""]
    for report in reports:
        lines += [f"## {report.title}", ""]
        for table in report.tables():
            rows = [f"| {' | '.join(row)} |" for row in table]
            lines += [rows[0], "|" + "---|" * len(table[0]), *rows[1:], ""]
    return "\n".join(lines)
