"""Called by every Python of .venv when it starts: Airflow uses the database of this folder.

`airflow ...` and a DAG file that calls `dag.test()` start that database if it does not run. Other
programs, such as the debugger of an editor, need a running `make airflow`.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
MAIN = (
    "import sys; sys.path[0] = sys.argv.pop(1); from local.__main__ import main; sys.exit(main())"
)


def uses_database(arguments: list[str]) -> bool:
    """Whether a command line is that of `airflow`, or of a file that calls `dag.test()`."""
    if arguments[1:3] == ["-m", "airflow"]:
        return True
    program = Path(arguments[1]).absolute() if len(arguments) > 1 else Path()
    if program.parent.name == "bin":
        return program.name == "airflow"
    is_own = program.suffix == ".py" and program.is_relative_to(ROOT) and program.is_file()
    return is_own and ".test(" in program.read_text(errors="replace")


def attach() -> None:
    # Airflow's processes and the checks have set it.
    if "AIRFLOW_HOME" in os.environ:
        return
    if (ROOT / ".airflow" / "ports.json").exists():
        from local import env_file, environment

        ports = environment.running_ports()
        if ports:
            os.environ |= environment.environment(env_file.ensure(), ports)
            return
    if os.geteuid() != 0 and uses_database(sys.orig_argv):
        command = [sys.executable, "-c", MAIN, str(ROOT), "exec", sys.executable]
        os.execv(sys.executable, [*command, *sys.orig_argv[1:]])
