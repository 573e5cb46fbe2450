"""The executed notebooks of a profile as one HTML page that needs nothing from outside.

    write_report(open_study("laptop"))           # runs/laptop/report.html

First the contents, what was found and the figures, then the notebooks with their code folded, last the environment.
Formulas are MathML, pictures are in the page, paths are relative. Left out: running anything (that is ``azr run``),
and interactive output.
"""

import base64
import html
import re
import sys
import tempfile
from pathlib import Path

import nbformat
import yaml
from jinja2 import DictLoader, Template
from latex2mathml.converter import convert
from nbconvert.exporters import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

import azr
from azr.errors import UserError
from azr.runs import ROOT, write_whole
from azr.study import CHECK, DATA, Study
from azr.study.readme import claims_block

HIDDEN = {"parameters", "injected-parameters", "papermill-error-cell-tag"}
"""Tags of cells that are left out: the page says itself of which profile it is."""
FOLDED = """{%- extends 'basic/index.html.j2' -%}{%- block input_group -%}<details><summary>code</summary>
{{ cell.source | highlight_code(metadata=cell.metadata) }}</details>{%- endblock -%}"""
PAGE = Template(Path(__file__).with_name("report.html.j2").read_text(encoding="utf-8"))


class _Renderer(IPythonRenderer):
    """Writes formulas as MathML, which browsers draw by themselves."""

    def block_math(self, body: str) -> str:
        return f'<div class="formula">{convert(body, display="block")}</div>'

    def inline_math(self, body: str) -> str:
        return convert(body)


def _rendered(markdown: str) -> str:
    """Markdown as HTML; what it links of another notebook is in the page."""
    page = MarkdownWithMath(renderer=_Renderer(escape=False)).render(markdown)
    return re.sub(r'href="(?:[./\w]*/)?(\d\d_\w+)\.ipynb"', r'href="#\1"', page)


def relative(text: str, runs: Path) -> str:
    """Text in which no path says where this machine keeps its files."""
    for folder in (runs.resolve().parent, ROOT, Path(sys.prefix)):
        text = text.replace(f"{folder}/", "").replace(str(folder), ".")
    return re.sub(rf"{re.escape(tempfile.gettempdir())}/\w+/", "", text)


def _found(study: Study) -> str:
    """What was found, the claims with their verdicts, and the figures, each with a link to its notebook."""
    frames, lines = study.frames_of("fig09_claims"), ["This is a check of the pipeline, not a result."]
    if "selfplay" not in set(frames["test"]["method"]):
        lines = ["Self-play was not measured here, so there is nothing to say of the claims."]
    elif study.profile.name != CHECK:
        own = "the runs of this profile" if frames is study.frames else "the reference study, as it ships"
        lines = [f"Of {own}:", study.found, claims_block(study.claims)]
    drawn = list(study.figures.glob("fig*.png")) or DATA.parent.glob("fig*.png")
    pictures = sorted(drawn, key=lambda path: (path.stem != "fig09_claims", path.stem))
    coded = [(path.stem, base64.b64encode(path.read_bytes()).decode()) for path in pictures]
    gallery = [f'<a href="#{x[3:5]}"><img alt="{x}" src="data:image/png;base64,{data}"></a>' for x, data in coded]
    return _rendered("\n\n".join(lines)) + f'<div class="gallery">{"".join(gallery)}</div>'


def _environment(study: Study) -> str:
    """Versions, seeds and the profile's settings."""
    records = [job.run.record for job in study.jobs() if job.run.record]
    versions = {"azr": azr.__version__} | (records[0].get("versions", {}) if records else {})
    seeds = {f"{Path(model.name).name}, training seeds": model.seeds for model in study.profile.models}
    lines = [f"- {name}: {value}" for name, value in (versions | seeds).items()]
    settings = html.escape(yaml.safe_dump(study.profile.model_dump(mode="json"), sort_keys=False))
    return _rendered("\n".join(lines)) + f"<details><summary>all settings</summary><pre>{settings}</pre></details>"


def write_report(study: Study) -> Path:
    """Write ``runs/PROFILE/report.html`` and return its path.

    Raises UserError where no notebook of the study's profile was run.
    """
    profile, runs = study.profile.name, study.runs
    copies = sorted((runs / profile / "notebooks").glob("*.ipynb"))
    if not copies:
        raise UserError(f"No notebook of profile '{profile}' was run: run ./run_all.sh --profile {profile} first.")
    exporter = HTMLExporter(template_name="basic", extra_loaders=[DictLoader({"folded": FOLDED})])
    exporter.template_file = "folded"
    exporter.register_filter("markdown2html", _rendered)
    sections = [("findings", "What was found", _found(study))]
    for copy in copies:
        notebook = nbformat.reads(relative(copy.read_text(encoding="utf-8"), runs), as_version=4)
        notebook.cells = [cell for cell in notebook.cells if not HIDDEN & set(cell.metadata.get("tags", ()))]
        words = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
        heading = re.search(r"^#+ (.+)$", words, re.MULTILINE)
        body = exporter.from_notebook_node(notebook)[0]
        sections.append((copy.stem, heading[1] if heading else copy.stem, f'<i id="{copy.stem[:2]}"></i>{body}'))
    sections.append(("environment", "Environment", relative(_environment(study), runs)))
    path = runs / profile / "report.html"
    write_whole(path, PAGE.render(profile=profile, sections=sections))
    return path
