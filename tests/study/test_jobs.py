"""Jobs: what there is to do, and processes side by side that stop together."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from azr.errors import FailedError, UserError
from azr.progress import AHEAD
from azr.runs import alone, append_lines
from azr.study import jobs
from azr.study.jobs import estimate, jobs_of, responses, run_jobs
from study.small import finish, small_jobs, small_profile


@pytest.fixture(autouse=True)
def little_preloaded(monkeypatch):
    monkeypatch.setattr(jobs, "PRELOADED", ["study.test_jobs"])


def note(job) -> None:
    """Leave a file that says which process ran the job."""
    job.run.folder.mkdir(parents=True)
    (job.run.folder / "note").write_text(str(os.getpid()))


def look_ahead(job) -> None:
    """Say how long it takes, as training does of a model of unknown speed, and take longer than a look at the log."""
    print(f"smollm2: {AHEAD} 3 min 20 s here, 5 steps 16 min 40 s")
    time.sleep(3)


def fail_first(job) -> None:
    """The first job says something and fails, the others would go on for a minute."""
    if job.seed == 0:
        print("one\ntwo")
        raise UserError("the disk is full")
    time.sleep(60)
    note(job)


def test_jobs_are_the_base_with_a_seed_more_then_all_arms_with_each_seed(tmp_path):
    base = [("base", 0), ("base", 1), ("base", 2)]
    found = [(job.arm, job.seed) for job in small_jobs(tmp_path)]
    assert found == [*base, ("sft", 0), ("selfplay", 0), ("sft", 1), ("selfplay", 1)]
    chosen = jobs_of(small_profile(), tmp_path, arms=["selfplay"], seeds=[4])
    assert [(job.arm, job.seed) for job in chosen] == [*base, ("base", 5), ("selfplay", 4)]
    assert chosen[-1].run.folder == tmp_path / "smoke" / "nano" / "selfplay-seed4"


def test_a_job_is_done_until_its_settings_change(tmp_path):
    for job in small_jobs(tmp_path):
        assert not job.is_done()
        finish(job)
        assert job.is_done()

    def undone(**changes):
        return {job.arm for job in small_jobs(tmp_path, **changes) if not job.is_done()}

    assert undone() == set()
    assert undone(**{"rollout.chunk": 64, "train.save_every": 1}) == set()
    assert undone(**{"train.proposer_reward": "half"}) == {"selfplay"}
    assert undone(**{"train.learning_rate": 0.5}) == {"sft", "selfplay"}
    assert undone(**{"evaluation.validation_samples": 9}) == {"base", "sft", "selfplay"}


def test_asking_whether_a_job_is_done_loads_no_library(tmp_path):
    ask = """
import sys
from azr.study import open_study
assert not any(job.is_done() for job in open_study("smoke", runs=sys.argv[1]).jobs())
sys.exit(any(name in sys.modules for name in ("torch", "pandas", "transformers")))
"""
    assert subprocess.run([sys.executable, "-c", ask, str(tmp_path)]).returncode == 0


def test_every_job_runs_once_in_a_process_of_its_own(tmp_path, capsys):
    chosen = small_jobs(tmp_path)[:4]
    run_jobs(chosen, side_by_side=2, work=note)
    assert len({(job.run.folder / "note").read_text() for job in chosen} | {str(os.getpid())}) == 5
    assert capsys.readouterr().out.startswith("Loading libraries ...\n4 runs, responses: ")


def test_what_a_job_says_of_its_time_before_its_first_step_is_shown_once(tmp_path, capsys):
    job = small_jobs(tmp_path)[3]
    run_jobs([job], side_by_side=1, work=look_ahead)
    assert capsys.readouterr().out.count(f"\n{job}: {AHEAD} 3 min 20 s here, 5 steps 16 min 40 s\n") == 1


def test_what_is_left_of_a_job_shrinks_with_each_step_and_each_problem_that_is_measured(tmp_path):
    job = small_jobs(tmp_path)[4]
    assert job.arm == "selfplay"
    job.notes("world/test", 0).parent.mkdir(parents=True)
    whole = responses(job)
    append_lines(job.run.folder / "log.jsonl", [{}] * 2)
    trained = responses(job)
    append_lines(job.notes("world/test", job.last), [{}] * 3)
    assert whole > trained
    assert trained - responses(job) == pytest.approx(0.75 * 3 * job.samples(job.last), abs=1)


def test_a_failed_job_is_named_with_its_last_lines_and_stops_the_others(tmp_path):
    chosen = small_jobs(tmp_path)
    with pytest.raises(FailedError, match=r"nano base seed 0 failed [^\n]*:\none\ntwo\nthe disk is full"):
        run_jobs(chosen, side_by_side=2, work=fail_first)
    assert not list(tmp_path.rglob("note"))


SCRIPT = """
import sys, time
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from azr.errors import Stopped
from azr.study import jobs
from study.small import small_jobs
from study.test_jobs import wait_long
jobs.PRELOADED = ["study.test_jobs"]
try:
    jobs.run_jobs(small_jobs(Path(sys.argv[1])), 2, wait_long)  # no guard of the main part
except Stopped as stopped:
    print(stopped)
"""


def wait_long(job) -> None:
    """Leave the process's number, then wait."""
    note(job)
    time.sleep(60)


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_jobs_end_with_the_script_that_started_them_guarded_or_not(tmp_path, end):
    (tmp_path / "script.py").write_text(SCRIPT)
    tests = Path(__file__).parent.parent
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "runs"), str(tests)]
    script = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while len(notes := list(tmp_path.rglob("note"))) < 2:
        assert script.poll() is None
        time.sleep(0.05)
    script.send_signal(end)
    said, wrong = script.communicate(timeout=30)
    if end is signal.SIGINT:
        assert said.endswith("run the same again to continue.\n")
        assert wrong == ""
    processes = [int(file.read_text()) for file in notes]
    while any(Path(f"/proc/{process}").exists() for process in processes):
        time.sleep(0.05)


def test_two_processes_do_not_train_into_one_folder(tmp_path):
    chosen = small_jobs(tmp_path)
    (tmp_path / "smoke" / "logs").mkdir(parents=True)
    with alone(tmp_path / "smoke" / "logs"), pytest.raises(UserError, match="another process"):
        run_jobs(chosen, side_by_side=2, work=note)


def test_an_estimate_is_shared_by_the_processes_and_absent_for_models_of_unknown_speed(tmp_path):
    chosen = small_jobs(tmp_path)
    assert estimate(chosen, 2) == pytest.approx(estimate(chosen, 1) / 2)
    assert estimate(small_jobs(tmp_path, models=[{"name": "someone/else"}]), 2) is None
