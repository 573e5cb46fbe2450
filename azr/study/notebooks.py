"""The notebooks of a profile, run without a browser, once all is trained and measured that they read.

    run_notebooks("smoke", only="04,06")

The executed copies go to ``runs/PROFILE/notebooks``, figures to ``runs/PROFILE/figures``, the page of all of them to
``runs/PROFILE/report.html``; the profile ``reference`` renews what the repository ships. Notebooks always run again:
runs and measures are what is kept. With ``only`` a notebook trains what it misses itself.
"""

import os
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import nbformat

from azr.arms import ARMS
from azr.errors import FailedError, UserError
from azr.progress import duration
from azr.runs import ALGORITHM, ROOT, RUNS, read_json, stamp, write_whole
from azr.study import BEGUN, CHECK, DATA, REFERENCE, Study, open_study
from azr.study.collect import Frames, save_frames, save_runs
from azr.study.jobs import default_side_by_side


def choose(only: str | None, available: Mapping[str, Path]) -> list[Path]:
    """The notebooks to run; ``only`` are numbers as typed ("4,06"). Raises UserError for one that no notebook has."""
    wanted = list(available) if only is None else [word.strip().zfill(2) for word in only.split(",")]
    for number in wanted:
        if number not in available:
            raise UserError(f"There is no notebook '{number}'; choose from {', '.join(available)}, as in --only 04,06.")
    return [path for number, path in available.items() if number in wanted]


def left_out(paths: list[Path], study: Study) -> list[Path]:
    """Those whose metadata (``azr: {needs: [...]}``) name what a study has not: runs of self-play, or training."""
    has = set(study.profile.arms) | (set() if study.ships else {"training"})  # what ships is read, not trained
    return [path for path in paths if set(nbformat.read(path, 4).metadata.get("azr", {}).get("needs", [])) - has]


def run_notebooks(
    profile: str,
    only: str | None = None,
    jobs: int | None = None,
    fresh: bool = False,
    notebooks: Path = ROOT / "notebooks",
    runs: Path = RUNS,
) -> None:
    """Run the notebooks of a profile up to the first that fails, and write the report.

    ``jobs`` is how many runs are trained, and notebooks run, side by side; ``fresh`` moves the profile's runs away
    first, or goes on where it was stopped. Raises FailedError, and UserError for a number that no notebook has.
    """
    from azr.study.report import write_report

    chosen = choose(only, {path.name[:2]: path for path in sorted(notebooks.glob("[0-9][0-9]_*.ipynb"))})
    folder, began = runs / profile, time.monotonic()
    if fresh and not (folder / BEGUN).exists():
        if folder.exists():
            folder.rename(folder.with_name(f"{profile}.old-{time.strftime('%Y%m%d-%H%M%S')}"))
        write_whole(folder / BEGUN, "--fresh has begun these runs; without this file it would begin again.\n")
    figures = ROOT / "figures" if profile == REFERENCE and runs == RUNS else folder / "figures"
    with tempfile.TemporaryDirectory(prefix="azr-") as own:
        # Nothing of a person's settings of IPython and Matplotlib: they could change results, or leave out pictures.
        os.environ |= {"IPYTHONDIR": own, "JUPYTER_RUNTIME_DIR": own, "JUPYTER_PREFER_ENV_PATH": "1"}
        os.environ |= {"AZR_FIGURES": str(figures), "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
        os.environ.pop("MPLBACKEND", None)
        study = open_study(profile, jobs=jobs, runs=runs)
        if left := left_out(chosen, study):
            print(f"Left out, as {profile} trains no self-play or nothing at all: {', '.join(p.stem for p in left)}.")
            chosen = [path for path in chosen if path not in left]
        threads = str(study.profile.threads)  # of each kernel: those that run side by side would fight for cores
        os.environ |= {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        if only is None:
            if profile not in (REFERENCE, CHECK) and study.reference:
                redraw(study.reference)
            study.ensure(list(ARMS))
        side_by_side = 1 if only else jobs or default_side_by_side(study.profile)
        known = {"profile": profile, "jobs": jobs, "runs": str(runs)}
        failed = []

        def run_one(path: Path) -> None:
            if not failed:  # after the first that fails none begins
                try:
                    execute(path, folder / "notebooks" / path.name, known, study.profile.threads, side_by_side == 1)
                except BaseException:
                    failed.append(path)
                    raise

        with ThreadPoolExecutor(side_by_side) as pool:
            if only is None:  # with it notebooks may still train
                pool.submit(lambda: study.found)  # README and the page wait for it, and a core would idle
            list(pool.map(run_one, chosen if side_by_side == 1 else chosen[::-1]))  # the last trains runs of its own
    if figures == ROOT / "figures" and only is None:
        from azr.study.readme import write_readme

        if not study.ships:
            save_frames(study.frames, DATA)
            save_runs(study.jobs(), DATA / "runs")
        write_readme(study)
        keep_outputs(folder / "notebooks", notebooks, runs)
    report, tools = write_report(study), Path(sys.executable).parent
    if only is None:
        (folder / BEGUN).unlink(missing_ok=True)
    here = tools.relative_to(ROOT) if tools.is_relative_to(ROOT) else tools
    print(f"Done in {duration(time.monotonic() - began)}. Figures: {figures}. All notebooks as one page: {report}.")
    print(f"To read and change them: {here}/jupyter lab notebooks. One run at a time: {here}/azr --help.", flush=True)


def shown(notebook: nbformat.NotebookNode) -> str:
    """Names what a notebook's outputs follow from: its code and the reference study's measurements.

    Of one that trains, in place of these, the version of the algorithm.
    """
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    if "training" in notebook.metadata.get("azr", {}).get("needs", []):
        return stamp(ALGORITHM, code)
    return stamp(read_json(DATA / "record.json", "restore it from the repository")["sha256"], code)


def keep_outputs(copies: Path, notebooks: Path, runs: Path) -> None:
    """Take the outputs of executed copies into the notebooks; those that show the same numbers already stay.

    The reference study does so by itself; a notebook that trains is renewed by a call of this, from laptop's copies.
    """
    from azr.study.report import relative

    for path in sorted(notebooks.glob("[0-9][0-9]_*.ipynb")):
        own, copy = nbformat.read(path, 4), copies / path.name
        about = own.metadata.setdefault("azr", {})
        if not copy.exists() or about.get("shown") == (now := shown(own)):
            continue
        outputs = {cell.id: cell.get("outputs", []) for cell in nbformat.read(copy, 4).cells}
        for cell in (cell for cell in own.cells if cell.cell_type == "code"):
            cell.outputs, cell.execution_count = outputs.get(cell.id, []), None
        about["shown"] = now
        write_whole(path, relative(nbformat.writes(own), runs) + "\n")


def redraw(reference: Frames, folder: Path = ROOT / "figures") -> None:
    """Draw the figures of the reference study from its measurements; a file whose numbers are the same stays."""
    from azr.figures.catalogue import FIGURES, draw
    from azr.figures.style import save
    from azr.study.claims import claims_table

    frames = dict(reference) | {"claims": claims_table(reference)}
    for name in FIGURES:
        with suppress(UserError):  # an arm of it is not there yet
            figure, frame = draw(name, frames)
            save(figure, name, frame, folder)
    print(f"The reference study's figures, drawn from its measurements: {folder}.", flush=True)


def execute(path: Path, copy: Path, known: Mapping[str, object], threads: int = 1, echoed: bool = True) -> None:
    """Run one notebook with those of the ``known`` parameters that it has, and say so. Raises FailedError."""
    import papermill

    from azr.study.kernels import kernel

    began = time.monotonic()
    log = copy.parent.with_name("logs") / f"{copy.stem}.txt"
    for file in (copy, log):
        file.parent.mkdir(parents=True, exist_ok=True)
    has = papermill.inspect_notebook(path)
    parameters = {name: value for name, value in known.items() if name in has and value is not None}
    options = {"kernel_name": "python3", "language": "python", "progress_bar": False, "cwd": ROOT}
    quiet = ["--IPKernelApp.log_level=50"]  # the kernel's own remarks; errors of cells come anyhow
    options |= {"extra_arguments": quiet, "stdout_file": sys.stdout if echoed else None}
    try:
        with kernel(log, threads) as manager:
            papermill.execute_notebook(path, copy, parameters, km=manager, **options)
    except papermill.exceptions.PapermillExecutionError as error:
        first = error.source.strip().partition("\n")[0]
        problem = f"{error.ename}: {error.evalue}".strip()
        where = f"{path.stem} failed at `{first}`"
        raise FailedError(f"{where}:\n{problem[:1000]}\nThe executed copy is {copy}.") from None
    except RuntimeError as error:  # the kernel died, or did not start
        raise FailedError(f"{path.stem} failed: {error} (out of memory?)") from error
    print(f"{path.stem} is done ({duration(time.monotonic() - began)})", flush=True)
