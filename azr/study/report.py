"""The executed notebooks of a profile as one HTML page that needs nothing from outside.

    write_report("laptop")                       # runs/laptop/report.html

Left out: running anything (that is ``azr run``), and interactive output.
"""

from __future__ import annotations

import html
import re
from pathlib import Path

from azr.errors import UserError
from azr.runs import RUNS

HIDDEN = {"injected-parameters", "papermill-error-cell-tag"}
"""Tags of the cells that papermill adds."""
STYLE = """
:root { color-scheme: light dark; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.55 Georgia, serif; }
h1, h2, h3, nav { font-family: Helvetica, Arial, sans-serif; line-height: 1.25; }
section { border-top: 2px solid #888; margin-top: 4rem; }
pre { padding: .6rem .8rem; overflow-x: auto; font-size: 13px; line-height: 1.4; border-left: 3px solid #8884; }
img { max-width: 100%; background: white; }
table { border-collapse: collapse; font-size: 14px; display: block; overflow-x: auto; }
th, td { padding: .2rem .7rem; text-align: right; border: 0; border-bottom: 1px solid #8884; }
.prompt, .anchor-link { display: none; }
"""


def write_report(profile: str, out: Path | None = None, runs: Path = RUNS) -> Path:
    """Write the page to ``out`` (``runs/PROFILE/report.html``) and return its path.

    Raises UserError where no notebook of this profile was run.
    """
    import nbformat
    from nbconvert.exporters import HTMLExporter

    copies = sorted((runs / profile / "notebooks").glob("*.ipynb"))
    if not copies:
        raise UserError(f"No notebook of profile '{profile}' was run: run ./run_all.sh --profile {profile} first.")
    exporter, links, bodies = HTMLExporter(template_name="basic", embed_images=True), "", ""
    for copy in copies:
        notebook = nbformat.read(copy, as_version=4)
        notebook.cells = [cell for cell in notebook.cells if not HIDDEN & set(cell.metadata.get("tags", ()))]
        words = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
        heading = re.search(r"^#+ (.+)$", words, re.MULTILINE)
        links += f'<li><a href="#{copy.stem}">{html.escape(heading[1] if heading else copy.stem)}</a></li>'
        bodies += f'<section id="{copy.stem}">{exporter.from_notebook_node(notebook)[0]}</section>\n'
    heading = f"azr, profile {html.escape(profile)}"
    page = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{heading}</title>\n<style>{STYLE}</style></head>\n'
        f"<body><h1>{heading}</h1><nav><ol>{links}</ol></nav>\n{bodies}</body></html>\n"
    )
    path = out or runs / profile / "report.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    return path
