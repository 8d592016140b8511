"""Help texts, completions and man pages."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import Program
from programs import SECONDS

COMMANDS = ["run", "acquire", "extend", "ls", "inspect", "release", "doctor", "completions", "man"]


@pytest.fixture
def program(path: str) -> Program:
    """The program without any store."""
    return Program(path, "")


def needs(shell: str) -> str:
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"{shell} is not installed")
    return found


def run_in(command: list[str], script: str, **variables: str) -> str:
    ended = subprocess.run(
        command,
        input=script,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout
    return ended.stdout


def test_every_command_explains_itself(program: Program) -> None:
    overview = program.run("--help")
    assert (overview.returncode, overview.stderr) == (0, "")
    for command in COMMANDS:
        assert f"\n  {command} " in overview.stdout
        short, long = program.run(command, "-h"), program.run(command, "--help")
        assert (short.returncode, short.stderr, long.returncode, long.stderr) == (0, "", 0, "")
        assert long.stdout == program.run("help", command).stdout
        assert "Examples:\n" in long.stdout
        assert f"leaselock {command}" in long.stdout
        assert all(len(line) <= 100 for line in (short.stdout + long.stdout).splitlines())


def test_the_version(program: Program) -> None:
    package = json.loads((Path(__file__).resolve().parents[2] / "package.json").read_text())
    assert program.run("--version").stdout == f"leaselock {package['version']}\n"


def test_no_command_is_an_error_that_shows_them(program: Program) -> None:
    ended = program.run()
    assert (ended.returncode, ended.stdout) == (64, "")
    assert "Commands:" in ended.stderr


def test_bash_completes(program: Program, tmp_path: Path) -> None:
    script = tmp_path / "completions"
    script.write_text(program.run("completions", "bash").stdout)
    complete = f"""
        source {script}
        complete -p leaselock >/dev/null
        COMP_WORDS=(leaselock in); COMP_CWORD=1; _leaselock leaselock in leaselock; echo "${{COMPREPLY[*]}}"
        COMP_WORDS=(leaselock run --on); COMP_CWORD=2; _leaselock leaselock --on run; echo "${{COMPREPLY[*]}}"
        COMP_WORDS=(leaselock run --on-lost ''); COMP_CWORD=3; _leaselock leaselock '' --on-lost
        echo "${{COMPREPLY[*]}}"
    """
    run_in(["bash", "-n", str(script)], "")
    assert run_in(["bash", "--norc"], complete) == "inspect\n--on-lost\nkill warn\n"


def test_zsh_completions_load(program: Program, tmp_path: Path) -> None:
    zsh = needs("zsh")
    (tmp_path / "_leaselock").write_text(program.run("completions", "zsh").stdout)
    run_in([zsh, "-n", str(tmp_path / "_leaselock")], "")
    load = f"fpath=({tmp_path} $fpath); autoload -U compinit; compinit -u -d {tmp_path}/dump; echo $_comps[leaselock]"
    assert run_in([zsh, "-f"], load) == "_leaselock\n"


def test_fish_completes(program: Program, tmp_path: Path) -> None:
    fish = needs("fish")
    script = tmp_path / "leaselock.fish"
    script.write_text(program.run("completions", "fish").stdout)
    wanted = ["leaselock rel", "leaselock run --on-lost "]
    complete = "; ".join([f"source {script}", *(f"complete --do-complete '{line}'" for line in wanted)])
    completed = run_in([fish, "--no-config"], complete, HOME=str(tmp_path))
    words = [line.split("\t")[0] for line in completed.splitlines()]
    assert words == ["release", "kill", "warn"]


def test_other_shells_have_completions_too(program: Program) -> None:
    for shell in ("elvish", "powershell"):
        assert "leaselock" in program.run("completions", shell).stdout
    unknown = program.run("completions", "cmd.exe")
    assert unknown.returncode == 64
    assert "bash, elvish, fish, powershell, zsh" in unknown.stderr


@pytest.mark.parametrize("command", [[], *([command] for command in COMMANDS)])
def test_the_man_pages_render(program: Program, command: list[str]) -> None:
    groff = needs("groff")
    page = program.run("man", *command).stdout
    rendered = run_in([groff, "-man", "-Tutf8", "-ww", "-k"], page, GROFF_NO_SGR="1")
    title = "-".join(["leaselock", *command])
    assert rendered.lstrip().lower().startswith(f"{title}(1)")
    plain = subprocess.run(["col", "-bx"], input=rendered, capture_output=True, text=True, check=True).stdout
    for heading in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES"):
        assert f"\n{heading}\n" in plain
    if command == ["run"]:
        assert "           leaselock run backup -- pg_dump --file=all.sql shop\n" in plain
        assert "       75   someone else has the lock, and the wait ran out\n" in plain


def test_a_man_page_of_nothing(program: Program) -> None:
    ended = program.run("man", "fly")
    assert ended.returncode == 64
    assert ended.stderr == 'leaselock: there is no command "fly"; those there are: leaselock --help\n'
