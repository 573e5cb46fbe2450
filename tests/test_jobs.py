"""Jobs as processes: in order, side by side, relayed, stopped; and those that have run."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial

import pytest

from azr import jobs
from azr.jobs import Job, JobError, PastJobs


def shell(command: Sequence[str]) -> int:
    """In place of azr: a command is one line of the shell; with ``exec`` before it, it takes the job's process over."""
    line = command[0]
    if line.startswith("exec "):
        os.execv("/bin/sh", ["sh", "-c", line.removeprefix("exec ")])
    return subprocess.run(line, shell=True, check=False).returncode


run_jobs = partial(jobs.run_jobs, command=shell)


def test_commands_of_a_job_run_in_order_and_their_lines_are_relayed(tmp_path, capsys):
    file = tmp_path / "file"
    first, second = f"sleep 0.05; echo one; echo first > {file}", f"cat {file}; echo two >&2"
    run_jobs([Job("job", ((first,), (second,)))], side_by_side=2, threads=1)
    assert capsys.readouterr().out.splitlines() == ["one", "first", "two"]


def test_every_job_runs_however_few_run_side_by_side(tmp_path, capsys):
    five = [Job(f"job{n}", ((f"echo {n}; touch {tmp_path}/done{n}",),)) for n in range(5)]
    run_jobs(five, side_by_side=2, threads=1)
    assert sorted(capsys.readouterr().out.split()) == list("01234")
    assert len(list(tmp_path.glob("done*"))) == 5


def at_once(command: Sequence[str]) -> int:
    return 0


def test_jobs_that_end_while_others_start_have_run():
    many, ended = [Job(f"job{n}", (("",),)) for n in range(80)], []
    jobs.run_jobs(many, 8, 1, ended.append, at_once)
    assert sorted(job.name for job in ended) == sorted(job.name for job in many)


def test_processes_are_told_how_many_threads_they_may_use(capsys):
    run_jobs([Job("job", (("echo $OMP_NUM_THREADS $TOKENIZERS_PARALLELISM",),))], 1, threads=3)
    assert capsys.readouterr().out == "3 false\n"


def test_a_failing_command_names_itself_with_its_last_lines_and_ends_its_job(tmp_path):
    failing = "for n in 1 2 3 4 5 6 7 8 9; do echo line $n; done; echo the reason >&2; exit 3"
    later = f"touch {tmp_path}/later"
    both = [Job("selfplay-seed7", ((failing,), (later,))), Job("next", ((later,),))]
    with pytest.raises(JobError) as failed:
        run_jobs(both, side_by_side=1, threads=1)
    said = str(failed.value).splitlines()
    assert said == ["selfplay-seed7 failed (exit code 3):", *(f"line {n}" for n in range(3, 10)), "the reason"]
    assert not (tmp_path / "later").exists()


def test_a_real_command_that_fails_says_why():
    with pytest.raises(JobError, match=r"odd failed \(exit code 2\):\nazr: there is no command 'fly'"):
        jobs.run_jobs([Job("odd", (("fly",),))], 1, 1)


def test_a_failure_ends_the_other_jobs(tmp_path):
    other = Job("other", ((f"exec sleep 1; touch {tmp_path}/first",), (f"touch {tmp_path}/second",)))
    with pytest.raises(JobError, match="bad"):
        run_jobs([Job("bad", (("exit 1",),)), other], side_by_side=2, threads=1)
    time.sleep(1.5)
    assert list(tmp_path.iterdir()) == []


def test_what_has_run_is_not_asked_for_again_unless_a_file_or_the_code_changed(tmp_path, monkeypatch, capsys):
    file = tmp_path / "made.csv"
    job = Job("job", ((f"echo made; touch {file}",),), (file,))
    past = PastJobs(tmp_path / "jobs.json")
    assert job not in past
    run_jobs([job], 1, 1, past.add)
    assert job in PastJobs(tmp_path / "jobs.json")
    assert Job("other", (("echo other",),)) not in past
    file.unlink()
    assert job not in past
    file.touch()
    assert job in past
    file.write_text("of something else")
    assert job not in past
    file.write_text("")
    monkeypatch.setattr(jobs, "code_hash", lambda: "other code")
    assert job not in past


def test_a_list_of_jobs_that_cannot_be_read_counts_as_none(tmp_path):
    for text in ("", "[\n", '["stamp"]', "3"):
        (tmp_path / "jobs.json").write_text(text)
        assert Job("job", ()) not in PastJobs(tmp_path / "jobs.json")


def test_a_job_that_fails_has_not_run(tmp_path):
    past = PastJobs(tmp_path / "jobs.json")
    bad = Job("bad", (("exit 1",),))
    with pytest.raises(JobError):
        run_jobs([bad], 1, 1, past.add)
    assert bad not in past


def test_jobs_share_nothing_but_what_was_imported(capsys):
    """Each is forked from the same server: it finds transformers imported, and no trace of the job before."""
    jobs.run_jobs([Job(str(n), (("",),)) for n in range(2)], 1, 1, command=what_it_finds)
    assert capsys.readouterr().out.splitlines() == ["True None", "True None"]


def what_it_finds(command: Sequence[str]) -> int:
    """Says whether transformers is there, and what an earlier job left in the environment."""
    print("transformers" in sys.modules, os.environ.get("AZR_MARK"))
    os.environ["AZR_MARK"] = "left"
    return 0
