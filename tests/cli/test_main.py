"""The dispatcher: help without torch, one line for every mistake, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from outcomes import Disk, Run

from widedeep_kb.cli import list as list_command
from widedeep_kb.cli.main import NOT_COMMANDS, command_names, load_command

SCRIPT = str(Path(sys.executable).with_name("widedeep-kb"))


def test_files_are_commands_and_say_what_they_are() -> None:
    names = command_names()
    assert {"write", "erase", "ask", "list", "show", "stats", "export", "evaluate", "reader"} <= set(names)
    folder = Path(list_command.__file__).parent
    assert {path.stem for path in folder.glob("*.py")} == {*names, *NOT_COMMANDS, "__init__"}
    for name in names:
        command = load_command(name)
        assert command.EXAMPLE.startswith(f"widedeep-kb {name} ")
        assert command.HELP and "\n" not in command.HELP
        assert callable(command.run)


@pytest.mark.parametrize("name", command_names())
def test_every_command_has_help_with_an_example(name: str, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        run(name, "--help")
    assert stopped.value.code == 0
    assert f"example:\n  {load_command(name).EXAMPLE}\n" in capsys.readouterr().out


def test_help_imports_nothing_heavy() -> None:
    code = """
        import sys
        from widedeep_kb.cli import main
        assert main(["--help"]) == 0
        print({"torch", "transformers", "polars", "numpy"} & set(sys.modules))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize(
    ("set_before", "expected"),
    [({}, "0"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, None)],
)
def test_threads_wait_asleep_unless_told_otherwise(
    run: Run, monkeypatch: pytest.MonkeyPatch, set_before: dict[str, str], expected: str | None
) -> None:
    monkeypatch.setattr(os, "environ", dict(set_before))
    run("--help")
    assert os.environ.get("GOMP_SPINCOUNT") == expected


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name a command: "),
        (["--memory", "x"], "name a command: "),
        (["wirte"], "no command is called 'wirte'; did you mean 'write'?"),
        (["main"], "no command is called 'main'"),
        (["xyzzy"], "no command is called 'xyzzy'; known are "),
        (["ask", "--memory", "m"], "the following arguments are required: question (see widedeep-kb ask --help)"),
        (["ask", "--memory", "m", "  "], "the text is empty"),
        (["ask", "--mem", "m", "a"], "required: --memory"),
        (["list", "--memory", "m", "--limit", "0"], "'0' is not a whole number above 0"),
        (["ask", "--memory", "m", "caf\udce9?"], "not UTF-8 text: 'caf\\udce9?'"),
        (["reader", "--output", "r", "--steps", "-5"], "'-5' is not a whole number above 0"),
        (["reader", "--output", "r", "--workers", "0"], "'0' is not a whole number above 0"),
        (["reader", "--output", "r", "--lr", "nan"], "'nan' is not a number above 0"),
        (["reader", "--output", "r", "--minutes", "soon"], "'soon' is not a number above 0"),
        (["reader", "--output", "r", "--silence-weight", "-1"], "'-1' is not a number of at least 0"),
        (["reader", "--output", "r", "--synthetic-share", "1.5"], "'1.5' is not a number from 0 to 1"),
        (["erase", "--memory", "m"], "one of the arguments --facts --subject --source --fact-id is required"),
        (["erase", "--memory", "m", "--subject", "a", "--source", "b"], "not allowed with argument"),
        (["evaluate", "--questions", "q.csv", "--output", "o.parquet", "--system", "lookup"], "needs --facts FILE"),
        (
            ["evaluate", "--questions", "q.csv", "--output", "o.parquet", "--memory", "m", "--facts", "f.csv"],
            "--facts goes with --system",
        ),
        (
            ["evaluate", "--questions", "q", "--output", "o", "--system", "s", "--facts", "f", "--semantic"],
            "--semantic goes with --memory",
        ),
        (
            ["evaluate", "--questions", "q", "--output", "o", "--system", "s", "--facts", "f", "--no-gate"],
            "--no-gate goes with --memory",
        ),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line_and_2(run: Run, words: list[str], said: str) -> None:
    result = run(*words)
    assert result.code == 2
    assert result.out == ""
    assert said in result.err
    assert result.err.startswith("widedeep-kb: error: ") and result.err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (ValueError("one\ntwo\u2028three"), 1, "one two three"),
        (FileNotFoundError(2, "No such file or directory", "facts.csv"), 1, "facts.csv: No such file or directory"),
        (OSError("disk on fire"), 1, "disk on fire"),
    ],
)
def test_errors_are_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str
) -> None:
    def fail(_: object) -> int:
        raise error

    monkeypatch.setattr(list_command, "run", fail)
    result = run("list", "--memory", "m")
    assert (result.code, result.err) == (code, f"widedeep-kb: error: {said}\n")


def test_our_own_faults_are_not_hidden(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_command, "run", lambda _: {}["x"])
    with pytest.raises(KeyError):
        run("list", "--memory", "m")


def test_the_installed_script_answers_with_json_on_stdout_and_nothing_on_stderr(disk: Disk) -> None:
    command = [SCRIPT, "ask", "--memory", str(disk.memory), "Which port does Aurora use?", "--json"]
    done = subprocess.run([*command, "--max-new-tokens", "3"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["generated_tokens"] <= 3


def test_the_installed_script_fails_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run([SCRIPT, "list", "--memory", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f"widedeep-kb: error: {str(tmp_path)!r} is not a memory folder: it has no config.json\n"


def test_a_reader_of_our_output_may_leave_early(disk: Disk) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [SCRIPT, "list", "--memory", str(disk.memory)]
    done = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (1, "")
