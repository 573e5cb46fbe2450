"""The command line: every command of ``azr``, parsed here and nowhere else; the work is done by the rooms below.

    azr doctor
    azr train selfplay --profile smoke --seed 0

What takes seconds to import is imported by the command that needs it, after the arguments have been checked, so that
``azr --help`` and every refusal answer at once. Exit codes: 0 done, 1 our mistake or a failed run, 2 the user's
mistake, 130 interrupted. Left out on purpose: any work of its own.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import yaml

from azr import __version__
from azr.errors import FailedError, UserError, in_a_sentence
from azr.runs import DEFAULT_PROFILE, RUNS, Run, profile_names, run_folder, stamp

FOLDER, THERE = click.Path(path_type=Path, file_okay=False), click.Path(path_type=Path, exists=True)
NEW, FILE = click.Path(path_type=Path, dir_okay=False), click.Path(path_type=Path, exists=True, dir_okay=False)
COUNT, SEED = click.IntRange(min=1), click.IntRange(min=0, max=2**31 - 1)


def settings_of(_: click.Context, __: click.Parameter, given: Sequence[str]) -> dict[str, Any]:
    """The values of ``--set NAME=VALUE`` options by name, read as YAML. Raises UserError where one has no value."""
    values = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"--set {name} has no value: write it as NAME=VALUE, for instance train.steps=3.")
        try:
            values[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UserError(f"--set {text}: '{value}' is no YAML; close its brackets or quote it.") from None
    return values


def table_file(_: click.Context, __: click.Parameter, given: Path | None) -> Path | None:
    """Where a table is written in the end. Raises UserError, before the work, where it could not be."""
    if given and given.suffix not in (".csv", ".parquet"):
        raise UserError(f"{given} is no name of a table: let it end in .csv or .parquet.")
    if given and not given.parent.is_dir():
        raise UserError(f"There is no folder {given.parent} for {given.name}: make it, or name another.")
    return given


def profile_option(default: str | None = DEFAULT_PROFILE) -> Callable[[Any], Any]:
    text = f"{', '.join(profile_names())}" + (f" (default: {default})" if default else "")
    return click.option("--profile", metavar="NAME", default=default, help=text)


set_option = click.option(
    "--set", "changes", multiple=True, metavar="NAME=VALUE", callback=settings_of, help="any setting of azr/config.py"
)
model_option = click.option("--model", metavar="MODEL", help="nano, micro, smollm2, a local folder or a hub id")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, message="azr %(version)s")
def azr() -> None:
    """Self-play for language models, small enough to study.

    \b
    azr doctor                                   what this machine has
    azr train selfplay --profile smoke --seed 0  one run, into runs/smoke/nano/selfplay-seed0
    azr evaluate runs/smoke/nano/selfplay-seed0  measure it
    azr run --profile smoke                      all notebooks
    """


@azr.command()
@model_option
@profile_option(default=None)
@set_option
def doctor(model: str | None, profile: str | None, changes: dict[str, Any]) -> None:
    """What this machine has; with --model, --profile or --set, whether that model fits.

    Example: azr doctor --model Qwen/Qwen2.5-Coder-3B --profile gpu --set model.full=true
    """
    from azr.config import choose_profile

    if model is not None or profile or changes:
        chosen = choose_profile(profile, model, changes)
        from azr.models.memory import fit_report

        lines = fit_report(chosen)
    else:
        from azr.models.machine import machine_report

        lines = machine_report()
    for heading, line in lines:
        click.echo(f"{heading:<10}{line}")


@azr.group()
def base() -> None:
    """The built-in base models. (Notebook 00 shows what they can do.)"""


@base.command()
@click.option("--size", type=click.Choice(["nano", "micro"]), required=True)
@click.option("--out", type=FOLDER, required=True, metavar="FOLDER", help="where the model is written")
@click.option("--steps", type=COUNT, help="optimizer steps instead of those of the shipped model")
def build(size: str, out: Path, steps: int | None) -> None:
    """Train a built-in model again from scratch (nano: about an hour on two cores)."""
    from azr.world.base import build as build_base

    build_base(size, out, steps)


@azr.command()
@click.argument("arm")
@profile_option(default=None)
@model_option
@click.option("--seed", type=SEED, default=0, help="seed of sampling and of the adapter (default: 0)")
@click.option("--seed-file", type=FILE, multiple=True, help="start self-play from seeds in AZR's format (repeatable)")
@click.option("--out", type=FOLDER, metavar="FOLDER", help="run folder (default: runs/PROFILE/MODEL/ARM-seedN)")
@set_option
def train(
    arm: str,
    profile: str | None,
    model: str | None,
    seed: int,
    seed_file: tuple[Path, ...],
    out: Path | None,
    changes: dict[str, Any],
) -> None:
    """Train ARM with one seed; a finished run is left alone, a killed one continues.

    A run with settings of its own lies in a folder that names them, and leaves the study's runs alone.

    Example: azr train rlvr --profile smoke --set train.learning_rate=1e-4
    """
    from azr.arms import arm_named, arm_profile
    from azr.config import choose_profile

    settings = arm_profile(arm, choose_profile(profile, model, changes))
    if seed_file and arm_named(arm).method != "selfplay":
        raise UserError(f"--seed-file goes with self-play; {arm} proposes nothing: leave it out.")
    folder = out or run_folder(RUNS, settings.name, settings.model.name, custom_name(arm, changes), seed)
    Run(folder).record  # noqa: B018  (a run of an earlier version is refused at once)
    from azr.training.ranks import PartialState
    from azr.training.run import train as train_run

    run = train_run(arm, settings, seed, folder, seed_file)
    if PartialState().is_main_process:
        click.echo(f"trained: {run.folder}")


def custom_name(arm: str, changes: dict[str, Any]) -> str:
    """The name of a run with settings of its own, but for its model, which the folder above names.

    >>> custom_name("selfplay", {"train.steps": 3, "rollout.temperature": 0.7})
    'selfplay,train.steps=3,rollout.temperature=0.7'
    """
    own = {name: value for name, value in changes.items() if name != "model.name"}
    name = ",".join([arm, *(f"{key}={value}" for key, value in own.items())]).replace("/", "_").replace(" ", "")
    return name if len(name) < 80 else f"{arm},{stamp(own)}"


@azr.command()
@click.argument("target", metavar="RUN|MODEL")
@click.option("--problems", multiple=True, metavar="NAME|FILE", help="a problem set, by name or as JSONL (repeatable)")
@click.option("--data", type=THERE, help="the file of the one named set, not the hub's")
@click.option("--samples", type=COUNT, help="samples a problem instead of the profile's")
@click.option("--limit", type=COUNT, help="problems of each group instead of the profile's")
@click.option("--sampling-seed", type=SEED, default=0, help="seed of sampling (default: 0)")
@click.option("--out", type=NEW, metavar="FILE", callback=table_file, help="write the table there (.parquet or .csv)")
@profile_option(default=None)
@set_option
def evaluate(
    target: str,
    problems: tuple[str, ...],
    data: Path | None,
    samples: int | None,
    limit: int | None,
    sampling_seed: int,
    out: Path | None,
    profile: str | None,
    changes: dict[str, Any],
) -> None:
    """How many of n responses to each problem are right: of a run, or of a model as it is.

    Without --problems a run has all that the study measures of its arm.

    Example: azr evaluate nano --problems world/test --limit 8 --samples 16
    """
    from azr.study.subject import subject_of

    if data and len(problems) != 1:
        raise UserError("--data is the file of one problem set: name it by --problems, once.")
    sizes = {"evaluation.samples": samples, "evaluation.problems": limit}
    changes = {name: value for name, value in (changes | sizes).items() if value is not None}
    subject = subject_of(target, profile, changes, sampling_seed)
    from azr.study import measures

    if problems:
        measures.evaluate_sets(subject, problems, data, out)
    else:
        measures.measure(subject)
        click.echo(f"measured: {subject.run.folder / 'measures'}")


@azr.command()
@click.argument("first", type=THERE)
@click.argument("second", type=THERE)
@click.option("--k", type=COUNT, multiple=True, help="pass@k at these k (default: 1 and half the samples)")
def compare(first: Path, second: Path, k: tuple[int, ...]) -> None:
    """Paired differences of pass@k between two runs, or two tables of azr evaluate, problem by problem.

    Example: azr compare runs/smoke/nano/base-seed0 runs/smoke/nano/selfplay-seed0
    """
    from azr import compare as compare_runs

    click.echo(compare_runs(first, second, k).to_string(index=False, float_format=lambda x: f"{x:+.3f}"))


@azr.command()
@click.argument("before", metavar="BASE")
@click.argument("after", metavar="TRAINED")
@click.option("--by", type=click.Choice(["layer", "module"]), help="one number for each layer or module type")
@click.option("--csv", type=NEW, metavar="FILE", callback=table_file, help="write the numbers there as well")
def sparsity(before: str, after: str, by: str | None, csv: Path | None) -> None:
    """The share of parameters that training left unchanged, by what one calls unchanged.

    BASE and TRAINED are built-in models, runs, checkpoint folders or .safetensors files; an adapter is merged.

    Example: azr sparsity nano runs/smoke/nano/rlvr-full-seed0
    """
    from azr.metrics.sparsity import sparsity_report
    from azr.models.loading import checkpoint, weights_folder

    table, text = sparsity_report(weights_folder(before), checkpoint(after, before), by)
    click.echo(text)
    if csv:
        table.to_csv(csv, index=False, float_format="%.10g")
        click.echo(f"written: {csv}")


@azr.command()
@click.argument("files", nargs=-1, required=True, type=FILE)
@click.option("--out", type=NEW, metavar="FILE", help="write what stands, in the format of a run's seeds.jsonl")
def seeds(files: tuple[Path, ...], out: Path | None) -> None:
    """Check seed files in AZR's published format by running every entry.

    Example: azr seeds 7b_coder_seed_io.jsonl --out seeds.jsonl
    """
    from azr.training.seeds import check_seed_files

    check_seed_files(files, out)


@azr.command()
@profile_option()
@click.option("--only", metavar="NUMBERS", help="notebooks by number, as 04,06")
@click.option("--jobs", type=COUNT, help="runs side by side (default: one a core)")
@click.option("--fresh", is_flag=True, help="move the profile's runs away and train again; stopped, it goes on")
def run(profile: str, only: str | None, jobs: int | None, fresh: bool) -> None:
    """Run the notebooks of a profile; what is trained and measured is not done again.

    Example: azr run --profile smoke --only 04
    """
    from azr.config import load_profile

    load_profile(profile)
    from azr.study.notebooks import run_notebooks

    run_notebooks(profile, only, jobs, fresh)


@azr.command()
@profile_option()
def report(profile: str) -> None:
    """The executed notebooks of a profile as one HTML page, runs/PROFILE/report.html."""
    from azr.study import open_study
    from azr.study.report import write_report

    click.echo(f"written: {write_report(open_study(profile))}")


def guarded(work: Callable[[], Any]) -> int:
    """Call ``work`` and turn what it raises into one sentence on stderr and an exit code.

    Our own mistakes keep their traceback.
    """
    try:
        with in_a_sentence():
            work()
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)
        return 2
    except (UserError, click.ClickException) as error:
        sentence = error.format_message() if isinstance(error, click.ClickException) else str(error)
        print(f"azr: {' '.join(sentence.split())}", file=sys.stderr)
        return 2
    except FailedError as error:
        print(f"azr: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, click.Abort):
        print("\nazr: interrupted; the same command goes on from what is finished", file=sys.stderr)
        return 130
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``azr``; returns the exit code."""
    return guarded(lambda: azr.main(argv, prog_name="azr", standalone_mode=False))
