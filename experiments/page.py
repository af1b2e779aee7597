"""A report as Markdown and as one HTML file: sentences, a table, figures, and what was run."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any

import pandas as pd

from .files import write_text


@dataclass(frozen=True)
class Page:
    """What a report says.

    Attributes:
        title: in one line.
        findings: sentences at its head.
        table: the scores as strings.
        notes: what the table's columns mean, a sentence each.
        captions: of the figures, by their names without ``.png``.
        setting: what was run, as pairs of a name and a text.
        further: more tables, by their headings.
    """

    title: str
    findings: Sequence[str]
    table: pd.DataFrame
    notes: Sequence[str]
    captions: Mapping[str, str]
    setting: Sequence[tuple[str, str]]
    further: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write report.md and report.html beside the figures, which must be there."""
        write_text(folder / "report.md", self.markdown())
        write_text(folder / "report.html", self.html(folder))

    def markdown(self) -> str:
        """As Markdown that shows the figures beside it."""
        lines = [f"# {self.title}", "", *(f"- {line}" for line in self.findings), ""]
        lines += ["## Scores", "", *_table(self.table)]
        lines += ["", *(f"- {note}" for note in self.notes), ""]
        for heading, table in self.further.items():
            lines += [f"## {heading}", "", *_table(table), ""]
        lines += ["## Figures", ""]
        for name, caption in self.captions.items():
            lines += [f"![{name}]({name}.png)", "", caption, ""]
        lines += ["## What was run", "", "| | |", "|---|---|"]
        return "\n".join([*lines, *(_row(pair) for pair in self.setting)]) + "\n"

    def html(self, folder: Path) -> str:
        """As HTML that holds the figures of ``folder`` itself."""
        figures = []
        for name, caption in self.captions.items():
            data = base64.b64encode((folder / f"{name}.png").read_bytes()).decode()
            image = f'<img alt="{name}" src="data:image/png;base64,{data}">'
            caption = f"<figcaption>{html.escape(caption)}</figcaption>"
            figures.append(f"<figure>{image}{caption}</figure>")
        rows = [
            f'<tr><td>{html.escape(name)}</td><td class="text">{html.escape(text)}</td></tr>'
            for name, text in self.setting
        ]
        further = (
            f"<h2>{html.escape(heading)}</h2>{table.to_html(index=False, border=0)}"
            for heading, table in self.further.items()
        )
        template = Template((Path(__file__).parent / "report.html").read_text(encoding="utf-8"))
        return template.substitute(
            title=html.escape(self.title),
            findings=_bullets(self.findings),
            scores=self.table.to_html(index=False, border=0),
            notes=_bullets(self.notes) + "".join(further),
            figures="\n".join(figures),
            setting=f"<table>{''.join(rows)}</table>",
        )


def _table(table: pd.DataFrame) -> list[str]:
    rule = _row(["---"] + ["---:"] * (table.shape[1] - 1))
    return [_row(table.columns), rule, *(_row(values) for values in table.itertuples(index=False))]


def _row(values: Any) -> str:
    return "| " + " | ".join(map(str, values)) + " |"


def _bullets(sentences: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{html.escape(s)}</li>" for s in sentences) + "</ul>"
