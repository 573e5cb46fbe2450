"""The executed notebooks of a profile as one HTML page that needs nothing from outside.

    azr report --profile laptop        # writes runs/laptop/report.html

Pictures are inside the page, formulas are drawn by Matplotlib (what it cannot draw stays as it was written). Left out
on purpose: running anything (that is ``azr run``), and interactive output.
"""

from __future__ import annotations

import argparse
import base64
import html
import io
import re
from collections.abc import Sequence
from pathlib import Path

from azr.errors import UserError
from azr.files import REMOVE, reading
from azr.notebooks import Record, Settings
from azr.paths import DEFAULT_PROFILE, profile_names

# Code comes first, so that a dollar sign within it is no formula; nor is one before an amount of money.
FORMULA = re.compile(
    r"(?P<code>```.*?```|`[^`\n]*`)|\$\$(?P<block>.+?)\$\$|\$(?P<line>[^\s$`](?:[^$`\n]*[^\s$`])?)\$(?!\d)", re.S
)

STYLE = """
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.55 Georgia, serif; color: #222; }
h1, h2, h3, nav { font-family: Helvetica, Arial, sans-serif; line-height: 1.25; }
section { border-top: 2px solid #444; margin-top: 4rem; }
pre { background: #f6f6f6; padding: .6rem .8rem; overflow-x: auto; font-size: 13px; line-height: 1.4; }
img { max-width: 100%; }
table { border-collapse: collapse; font-size: 14px; }
th, td { padding: .2rem .7rem; text-align: right; border: 0; border-bottom: 1px solid #ddd; }
.prompt, .anchor-link { display: none; }
.formula { text-align: center; }
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``azr report``."""
    parser.add_argument("--profile", default=DEFAULT_PROFILE, help="whose notebooks (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="the page to write (default: runs/PROFILE/report.html)")


def formula_image(tex: str, block: bool) -> str:
    """``tex``, without its dollar signs, as an HTML image; as code if Matplotlib cannot draw it."""
    from matplotlib.mathtext import math_to_image

    picture = io.BytesIO()
    try:
        depth = math_to_image(f"${' '.join(tex.split())}$", picture, format="svg", dpi=72)
    except ValueError:
        return f"<code>{html.escape(tex)}</code>"
    data = base64.b64encode(picture.getvalue()).decode()
    image = (
        f'<img alt="{html.escape(tex)}" style="vertical-align: {-depth:.1f}pt" src="data:image/svg+xml;base64,{data}">'
    )
    return f'<div class="formula">{image}</div>' if block else image


def draw_formulas(markdown: str) -> str:
    """``markdown`` with its formulas, ``$...$`` and ``$$...$$``, replaced by images; code is left alone."""

    def replace(match: re.Match[str]) -> str:
        if match["code"]:
            return match[0]
        return formula_image(match["block"] or match["line"], block=bool(match["block"]))

    return FORMULA.sub(replace, markdown)


def notebook_body(path: Path) -> tuple[str, str]:
    """An executed notebook's title (its first heading, else its name) and its HTML, pictures included."""
    import nbformat
    from nbconvert.exporters import HTMLExporter

    with reading(path, f"{REMOVE}run azr run --profile NAME, which makes it anew"):
        try:
            notebook = nbformat.read(path, as_version=4)
        except nbformat.ValidationError as error:  # no ValueError, unlike what it raises for text that is no JSON
            raise ValueError(str(error)) from error
        texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    headings = [line for text in texts for line in text.splitlines()]
    title = next((line.lstrip("# ") for line in headings if line.startswith("#")), path.stem)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = draw_formulas(cell.source)
    exporter = HTMLExporter(template_name="basic", embed_images=True, sanitize_html=False)
    body, _ = exporter.from_notebook_node(notebook, {"metadata": {"path": str(path.parent)}})
    return title, body


def page(profile: str, sections: Sequence[tuple[str, str, str]], incomplete: Sequence[str]) -> str:
    """The whole page.

    Args:
        profile: the profile's name.
        sections: (anchor, title, HTML) of each notebook, in order.
        incomplete: names of notebooks that are shown although they did not complete.
    """
    from pygments.formatters import HtmlFormatter

    style = STYLE + HtmlFormatter().get_style_defs(".highlight")
    links = "".join(f'<li><a href="#{name}">{html.escape(title)}</a></li>' for name, title, _ in sections)
    note = f"<p><b>Not complete: {html.escape(', '.join(incomplete))}.</b></p>" if incomplete else ""
    bodies = "".join(f'<section id="{name}">{body}</section>\n' for name, _, body in sections)
    heading = f"azr, profile {html.escape(profile)}"
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{heading}</title>\n'
        f"<style>{style}</style></head>\n<body><h1>{heading}</h1>{note}<nav><ol>{links}</ol></nav>\n{bodies}</body></html>\n"
    )


def write_report(settings: Settings, out: Path) -> Path:
    """Write the page of ``settings.profile`` to ``out`` and return ``out``.

    Raises:
        UserError: no notebook of this profile was run.
    """
    copies = sorted(settings.executed.glob("*.ipynb"))
    if not copies:
        raise UserError(
            f"no notebook of profile {settings.profile!r} was run: ./run_all.sh --profile {settings.profile}"
        )
    record = Record(settings.folder / "notebooks.json")
    sections = [(copy.stem, *notebook_body(copy)) for copy in copies]
    incomplete = [copy.stem for copy in copies if not record.fingerprint(copy.stem)]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page(settings.profile, sections, incomplete), encoding="utf-8")
    return out


def main(args: argparse.Namespace) -> int:
    """``azr report``."""
    if args.profile not in profile_names():
        raise UserError(f"there is no profile {args.profile!r}: choose one of {', '.join(profile_names())}")
    settings = Settings(args.profile)
    out = write_report(settings, args.out or settings.folder / "report.html")
    print(f"{out} ({out.stat().st_size / 2**20:.1f} MiB)")
    return 0
