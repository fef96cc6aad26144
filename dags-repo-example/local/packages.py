"""python -m local.packages: make .venv from both lock files, with the image's version of Python.

Only the standard library: .venv does not exist yet.
"""

import ast
import hashlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from local.env_file import ROOT
from local.errors import OperationError
from local.platform_yaml import scalar

ADDED = "requirements-image.txt"
LOCK = "requirements.lock"
ADDED_LOCK = "requirements-image.lock"
# Executed when Python starts; sys.prefix is .venv. See attach.py.
ATTACH = (
    "import os, sys; sys.path.insert(0, os.path.dirname(sys.prefix)); "
    "from local.attach import attach; sys.path.pop(0); attach()"
)
SEPARATORS = {"UV_FIND_LINKS": ","}
BLOCK = re.compile(r"^(?P<name>[a-z0-9._-]+)==.*\n(?:[ ]{4}.*\n)*", re.MULTILINE)


def requirements(root: Path) -> list[str]:
    lines = (root / ADDED).read_text().splitlines() if (root / ADDED).exists() else []
    return [text for line in lines if (text := line.partition("#")[0].strip())]


def pip_settings(text: str) -> dict[str, str]:
    """The package index of pip's configuration, which uv does not read."""
    found = dict(re.findall(r"^(?:global|install|:env:)\.([a-z-]+)=('.*')$", text, re.M))
    names = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX"}
    names |= {"find-links": "UV_FIND_LINKS"}
    return {
        variable: SEPARATORS.get(variable, " ").join(ast.literal_eval(found[name]).split())
        for name, variable in names.items()
        if name in found
    }


def environment(python: Path) -> dict[str, str]:
    pip = [str(python), "-m", "pip", "config", "list"]
    listed = subprocess.run(pip, capture_output=True, text=True, check=False).stdout
    # Like pip, uv trusts the certificates of the operating system.
    return {"UV_SYSTEM_CERTS": "1", **pip_settings(listed), **os.environ}


class Uv:
    """uv of .venv, else of a temporary virtual environment."""

    def __init__(self, root: Path, folder: Path) -> None:
        self._root = root
        programs = root / ".venv" / "bin"
        if not (programs / "uv").exists():
            programs = folder / "bin"
            block = re.search(r"^uv==.*\n(?:[ ]{4}--hash.*\n)+", (root / LOCK).read_text(), re.M)
            (folder / "uv.txt").write_text(block[0])
            pip = ["pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
            for python, words in (
                (sys.executable, ["venv", str(folder)]),
                (str(programs / "python"), [*pip, "-r", "uv.txt"]),
            ):
                if subprocess.run([python, "-m", *words], cwd=folder, check=False).returncode:
                    raise OperationError("The set-up of .venv failed; the cause is printed above.")
        self._program = programs / "uv"
        self._environment = environment(programs / "python")

    def succeeds(self, *words: str) -> bool:
        return self.run(*words, capture_output=True).returncode == 0

    def run(self, *words: str, **options: bool) -> subprocess.CompletedProcess[str]:
        command = [str(self._program), *words]
        return subprocess.run(
            command, cwd=self._root, env=self._environment, text=True, check=False, **options
        )


def header(root: Path) -> str:
    """First lines of requirements-image.lock, which name the files that it was resolved from."""
    inputs = "\n".join([*requirements(root), (root / LOCK).read_text()])
    digest = hashlib.sha256(inputs.encode()).hexdigest()
    return f"# {ADDED}, resolved by `make check`; the sha256 of it and {LOCK} is\n# {digest}\n"


def is_resolved(root: Path) -> bool:
    lock = root / ADDED_LOCK
    return lock.exists() and lock.read_text().startswith(header(root))


def resolve(root: Path, uv: Uv) -> None:
    """Update requirements-image.lock: the packages that the image lacks, with their hashes."""
    if is_resolved(root):
        return
    wanted, pins, lock = requirements(root), (root / LOCK).read_text(), root / ADDED_LOCK
    if lock.exists() and os.environ.get("CI"):
        raise OperationError(
            f"{ADDED_LOCK} does not match {ADDED}; run `make check` on your machine and commit "
            f"{ADDED_LOCK}"
        )
    resolved = ""
    if wanted:
        words = ["pip", "compile", ADDED, "--constraint", LOCK, "--universal", "--no-header"]
        words += ["--python-version", "3.11", "--generate-hashes", "--no-annotate", "--quiet"]
        found = uv.run(*words, "--no-emit-index-url", "--no-progress", capture_output=True)
        if found.returncode:
            raise OperationError(
                f"{ADDED}: the packages cannot be added to those of the image ({LOCK}). Choose another "
                f"version.\n{found.stderr.strip()}"
            )
        resolved = found.stdout
    image = {block["name"] for block in BLOCK.finditer(pins)}
    added = [block[0] for block in BLOCK.finditer(resolved) if block["name"] not in image]
    lock.write_text(header(root) + "".join(added))
    if added:
        print(f"{ADDED_LOCK} is updated; commit it with {ADDED}.")


def create(root: Path, uv: Uv) -> None:
    """Create .venv with the image's version of Python, else with that of `make`."""
    config, wanted = root / ".venv" / "pyvenv.cfg", scalar("python", root=root)
    if config.exists():
        current = re.search(r"^version(?:_info)? *= *(\d+\.\d+)", config.read_text(), re.M)
        is_wanted = not wanted or (current and current[1] == wanted)
        # Without a download: the first run tried it.
        if is_wanted or not uv.succeeds("python", "find", "--no-python-downloads", wanted):
            return
    venv = ["venv", "--quiet", "--clear", ".venv", "--python"]
    if not wanted or not uv.succeeds(*venv, wanted):
        uv.run(*venv, sys.executable)


def update_lock(root: Path = ROOT) -> bool:
    """Update requirements-image.lock; return whether it has packages."""
    if not is_resolved(root):
        with tempfile.TemporaryDirectory() as folder:
            resolve(root, Uv(root, Path(folder)))
    return BLOCK.search((root / ADDED_LOCK).read_text()) is not None


def install(root: Path = ROOT) -> None:
    with tempfile.TemporaryDirectory() as folder:
        uv = Uv(root, Path(folder))
        resolve(root, uv)
        create(root, uv)
        words = ["pip", "sync", "--quiet", "--python", ".venv/bin/python", "--require-hashes"]
        if uv.run(*words, LOCK, ADDED_LOCK).returncode:
            raise OperationError("The installation failed; the cause is printed above.")
    (site_packages,) = (root / ".venv" / "lib").glob("python*/site-packages")
    (site_packages / "airflow_of_this_folder.pth").write_text(f"{ATTACH}\n")


def main() -> int:
    try:
        install()
    except OperationError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
