"""What `footnote up` prints when everything runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from footnote import __version__


@dataclass(frozen=True)
class BannerLine:
    """A service: its name, version (may be empty) and state."""

    name: str
    version: str
    state: str


@dataclass(frozen=True)
class Banner:
    """`api_key` is given only by the start that created it; `flower_password` says where it is stored."""

    data_dir: Path
    api_url: str
    flower_url: str
    flower_user: str
    flower_password: str
    services: Sequence[BannerLine]
    away: Sequence[str]  # stores that cannot be reached
    embedder: str | None
    generator: str | None
    api_key: str | None
    commands: str

    def __str__(self) -> str:
        without = f" without {' and '.join(self.away)}, which must be back before everything works" if self.away else ""
        lines = ["", f"Footnote {__version__} is ready{without}: {self.api_url}/"]
        lines += ["`footnote open` opens this page and logs you in.", ""]
        lines += [f"  {line.name:<11} {line.version:<10} {line.state}".rstrip() for line in self.services]
        lines += [
            "",
            f"  Data        {self.data_dir}",
            f"  API         {self.api_url}/v1",
            f"  API docs    {self.api_url}/docs",
            f"  Flower      {self.flower_url}/",
            f"              user {self.flower_user}, password {self.flower_password}",
        ]
        if self.embedder:
            lines.append(f"  Embeddings  {self.embedder}")
        if self.generator:
            lines.append(f"  Answers     {self.generator}")
        if self.api_key:
            lines += [
                "",
                f"  API key     {self.api_key}",
                f"              stored in {self.data_dir}/api_key; shown only now",
            ]
        lines += [
            "",
            "  footnote add report.pdf",
            "  footnote status",
            '  footnote ask "What is report.pdf about?"',
            f"  ({self.commands})",
        ]
        return "\n".join([*lines, "", "Ctrl-C to stop.", ""])
