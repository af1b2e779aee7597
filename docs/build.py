"""What mkdocs is told when it builds the site: the generated pages, and formulas as MathML.

One page per environment from ``results/gate.json`` and ``simulators/domains/*.toml``, one page of
reference per room from the files on the disk: neither can fall behind the code.
"""

from __future__ import annotations

import html
import importlib
import inspect
import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from griffe import Docstring
from latex2mathml.converter import convert
from markdown import Markdown
from markdown.extensions import Extension
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files

from driftrec.envs import ENV_IDS
from driftrec.experiments.gate import summary
from driftrec.simulators.domain import load_domain

ROOT = Path(__file__).parents[1]
ROOMS = ("simulators", "envs", "agents", "experiments")
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)

_links = tempfile.TemporaryDirectory()  # where the rooms lie under their names, and nothing else


class NoHtml(Extension):
    """Takes <u, x> for what it is in a docstring, a product, and not for an element of HTML."""

    def extendMarkdown(self, md: Markdown) -> None:
        """Leaves HTML out of what Markdown knows."""
        md.preprocessors.deregister("html_block")
        md.inlinePatterns.deregister("html")


@event_priority(100)  # before mkdocstrings reads what it is told
def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Shows the rooms to the reference as the package that they are, and lists the domains."""
    config.markdown_extensions.append(NoHtml())
    package = Path(_links.name) / "driftrec"
    if not package.exists():
        package.mkdir()
        for room in ROOMS:
            (package / room).symlink_to(ROOT / room)
    domains = next(part["Domains"] for part in config.nav if "Domains" in part)
    domains += [f"domains/{page_name(env_id)}" for env_id in ENV_IDS]
    handlers = config.plugins["mkdocstrings"].config.handlers
    handlers["python"]["paths"] = [_links.name]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the generated pages."""
    for path, text in (*domain_pages(), *api_pages()):
        files.append(File.generated(config, path, content=text))
    return files


def on_page_content(text: str, **_: Any) -> str:
    """Turns formulas into MathML, which browsers draw without a script."""
    return FORMULA.sub(_mathml, text)


def _mathml(match: re.Match[str]) -> str:
    display = "block" if match[2] == "[" else "inline"
    return convert(html.unescape(match[3]).strip(), display=display)


# --- the environments ----------------------------------------------------------------------------


def domain_pages() -> Iterator[tuple[str, str]]:
    """Path and Markdown of the table of all environments, and of each one's page."""
    text = (ROOT / "results" / "gate.json").read_text(encoding="utf-8")
    reports = {report["env_id"]: report for report in json.loads(text)["reports"]}
    lines = [
        "# Environments",
        "",
        "A world that one constant slate wins, or in which a bandit is all that is needed, is not",
        "worth training in. `driftrec gate` holds every id to criteria, see",
        "[Bounds and the gate](../concepts/bounds.md#the-gate). Scores as shares of the oracle's:",
        "",
        summary(list(reports.values())),
        "",
        *(
            f"- [{env_id}]({page_name(env_id)}): {headline(name)}"
            for env_id, name in ENV_IDS.items()
        ),
    ]
    yield "domains/index.md", "\n".join(lines) + "\n"
    for env_id, name in ENV_IDS.items():
        yield f"domains/{page_name(env_id)}", domain_page(env_id, name, reports.get(env_id))


def page_name(env_id: str) -> str:
    """``driftrec/Video-v0`` -> ``video.md``."""
    return env_id.removeprefix("driftrec/").rsplit("-v", 1)[0].lower() + ".md"


def source_of(name: str) -> str:
    """The TOML file of a domain."""
    return (ROOT / "simulators" / "domains" / f"{name}.toml").read_text(encoding="utf-8")


def headline(name: str) -> str:
    """What a domain says of itself in the first line of its file."""
    return source_of(name).splitlines()[0].removeprefix("#").strip()


def domain_page(env_id: str, name: str, report: dict[str, Any] | None) -> str:
    """Gate row, verdicts and knobs of one environment."""
    parts = [f"# {env_id}", headline(name), *_gate_parts(report), "## Knobs"]
    domain = load_domain(name)
    parts.append(
        f"The file is `simulators/domains/{name}.toml`; what it leaves out has its default."
    )
    plain = ("words", "affinity", "hours_per_request", "exploration", "long_term")
    parts.append(_knobs(domain, plain))
    for title, part in (
        ("Population", domain.population),
        (f"Choice: `{type(domain.choice).__name__}`", domain.choice),
        (f"Response: `{type(domain.response).__name__}`", domain.response),
        ("Patience", domain.patience),
        *((f"Drift: `{p.name}` (`{type(p).__name__}`)", p) for p in domain.drift),
    ):
        rule = inspect.cleandoc(type(part).__doc__ or "").splitlines()[0]
        parts += [f"### {title}", rule, _knobs(part)]
    parts += ["## The file", f"```toml\n{source_of(name)}```"]
    return "\n\n".join(part for part in parts if part) + "\n"


def _gate_parts(report: dict[str, Any] | None) -> list[str]:
    if report is None:
        return ["## Gate", "`results/gate.json` does not hold this environment yet."]
    size = f"{report['config']['seeds']} blocks of {report['config']['users']} users"
    checks = ["| criterion | measured | |", "| --- | --- | --- |"]
    for check in report["checks"]:
        verdict = "pass" if check["passed"] else "FAIL"
        checks.append(f"| {check['name']} | {check['detail'].replace('|', '&#124;')} | {verdict} |")
    chosen = ["| rung | who |", "| --- | --- |"]
    chosen += [f"| {rung} | {who} |" for rung, who in report["chosen"].items()]
    return [
        "## Gate",
        f"Measured on {size} by `driftrec gate`, from `results/gate.json`; scores as shares of the "
        "oracle's.",
        summary([report]),
        "\n".join(checks),
        "Chosen on validation users, the best of its kind in each rung:",
        "\n".join(chosen),
    ]


def _knobs(part: Any, only: tuple[str, ...] | None = None) -> str:
    """A table of the knobs of a dataclass: name, value, and what its docstring says of it."""
    said = _attributes(type(part))
    names = only or tuple(field.name for field in fields(part))
    if not names:
        return ""
    rows = ["| knob | value | what it is |", "| --- | ---: | --- |"]
    rows += [f"| `{n}` | {_plain(getattr(part, n))} | {said.get(n, '')} |" for n in names]
    return "\n".join(rows)


def _attributes(cls: type) -> dict[str, str]:
    """What the docstrings of a class and its bases say of each attribute."""
    said: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if base is object or not base.__doc__:
            continue
        for section in Docstring(inspect.cleandoc(base.__doc__)).parse("google"):
            if section.kind.value == "attributes":
                said |= {a.name: " ".join(a.description.split()) for a in section.value}
    return said


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


# --- the reference -------------------------------------------------------------------------------


def api_pages() -> Iterator[tuple[str, str]]:
    """Path and Markdown of each room's reference: every public module, in order of its name."""
    for room in ROOMS:
        package = importlib.import_module(f"driftrec.{room}")
        says = inspect.cleandoc(package.__doc__ or "")
        entries = "\n\n".join(f"::: driftrec.{name}" for name in _modules(room))
        yield f"api/{room}.md", f"# driftrec.{room}\n\n{says}\n\n{entries}\n"


def _modules(room: str) -> list[str]:
    found = []
    for path in sorted((ROOT / room).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[-1] != "__init__" and not parts[-1].startswith("_"):
            found.append(".".join(parts))
    return found
