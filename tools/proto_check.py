"""Check the protocol: lint, format, and no breaking change since the last release; run by `make check`.

buf reads descriptor images instead of sources, because buf/validate/validate.proto is not vendored (see gen.py).
"""

import io
import pathlib
import subprocess
import sys
import tarfile
import tempfile

import gen

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUF = pathlib.Path(sys.executable).parent / "buf"
CONFIG = ROOT / "protos" / "buf.yaml"


def main() -> int:
    """Run every check, say what failed, and return 0 only if none did."""
    image = ROOT / "generated" / "image.binpb"
    checks = [
        ("lint", [BUF, "lint", image, "--config", CONFIG, "--path", "concord"]),
        ("format", [BUF, "format", "--diff", "--exit-code", ROOT / "protos"]),
    ]
    failed = [name for name, command in checks if not _passes(name, command)]
    if not _compatible(image):
        failed.append("breaking")
    if failed:
        print(f"protos: {', '.join(failed)} failed", file=sys.stderr)
    return 1 if failed else 0


def _passes(name: str, command: list[object]) -> bool:
    passed = subprocess.run([str(part) for part in command], cwd=ROOT, check=False).returncode == 0
    print(f"protos: {name} {'ok' if passed else 'FAILED'}")
    return passed


def _compatible(image: pathlib.Path) -> bool:
    tag = _git("describe", "--tags", "--abbrev=0").decode().strip()
    if not tag:
        print("protos: breaking not checked: there is no released version (tag) to compare with")
        return True
    with tempfile.TemporaryDirectory() as folder:
        old = pathlib.Path(folder)
        archive = _git("archive", "--format=tar", tag, "protos")
        if not archive:
            print(f"protos: breaking not checked: {tag} has no protos")
            return True
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(old, filter="data")
        write_image(old / "protos", old / "image.binpb")
        against = ["--against", old / "image.binpb", "--config", CONFIG, "--path", "concord"]
        return _passes(f"breaking against {tag}", [BUF, "breaking", image, *against])


def write_image(protos: pathlib.Path, image: pathlib.Path) -> None:
    """Write the descriptor image of a folder of protos.

    Raises:
        SystemExit: They do not compile.
    """
    from grpc_tools import protoc

    imports = image.with_suffix(".imports")
    imports.write_bytes(gen.descriptor_set())
    sources = [str(path.relative_to(protos)) for path in sorted(protos.rglob("*.proto"))]
    options = [f"--descriptor_set_in={imports}", f"-I{protos}", f"--descriptor_set_out={image}"]
    code = protoc.main(["protoc", *options, "--include_imports", "--include_source_info", *sources])
    if code:
        raise SystemExit(code)


def _git(*arguments: str) -> bytes:
    """Return what git prints; nothing when it fails, as in a source archive without history."""
    try:
        return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return b""


if __name__ == "__main__":
    sys.exit(main())
