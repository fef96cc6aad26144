"""`python -m ops <verb>`: the commands of ops/verbs.py."""

import argparse
import atexit
import gc
import importlib
import io
import os
import signal
import sys

import pulumi

from ops import signals
from ops.shell import OperationError
from ops.stack_files import stack_names
from ops.verbs import VERBS


def main() -> int:
    # The SDKs load as 400,000 objects, which the collector would scan again and again. Without it,
    # `make plan STACK=prod` takes 2.7 instead of 3.4 s: docs/benchmarks.md.
    gc.disable()
    signals.as_interrupts()
    parser = argparse.ArgumentParser(prog="python -m ops")
    stacks = ", ".join(stack_names())
    commands = parser.add_subparsers(dest="verb", required=True)
    for verb in VERBS:
        command = commands.add_parser(verb.name, help=verb.help, description=verb.help)
        command.add_argument("--stack", required=True, help=f"one of {stacks}")
        for flag, options in verb.options.items():
            command.add_argument(flag, **options)
    arguments = vars(parser.parse_args())
    name = arguments.pop("verb")
    module, _, function = next(v.function for v in VERBS if v.name == name).partition(":")
    run = getattr(importlib.import_module(module), function)
    try:
        return run(arguments.pop("stack"), **arguments)
    except (OperationError, pulumi.RunError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: re-run the command to continue", file=sys.stderr)
        return 130


def leave(status: int) -> None:
    """End the process before the interpreter frees the SDKs, object by object.

    That is 0.5 s of 3.1 s of `make plan STACK=prod` (docs/benchmarks.md), which has nothing to clean
    up.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    if sys.argv[1:2] in (["plan"], ["queues"]):
        # `make plan | head` must end without a traceback. Other commands have cleanup to do.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    # Our lines and those of child processes must keep their order in a pipe.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    status = main()
    if sys.argv[1:2] == ["plan"]:
        atexit.register(leave, status)
    sys.exit(status)
