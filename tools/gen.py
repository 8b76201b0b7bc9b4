"""Generate `concord.v1` (and `buf.validate`) from protos/; run by the build hook and by `make gen`.

The rules file `buf/validate/validate.proto` is not vendored: the protovalidate wheel carries its
descriptor, which protoc accepts as an input set. Also writes image.binpb, which buf lints and compares.
"""

import os
import pathlib
import sys
import tempfile

WELL_KNOWN = ("descriptor", "duration", "field_mask", "timestamp")


def descriptor_set() -> bytes:
    """Return the FileDescriptorSet of everything our protos import."""
    import importlib

    from google.protobuf import descriptor_pb2
    from protovalidate._gen.buf.validate import validate_pb

    files = descriptor_pb2.FileDescriptorSet()
    for name in WELL_KNOWN:
        module = importlib.import_module(f"google.protobuf.{name}_pb2")
        files.file.add().ParseFromString(module.DESCRIPTOR.serialized_pb)
    files.file.add().ParseFromString(validate_pb.desc().proto.to_binary())
    return files.SerializeToString()


def generate(protos: pathlib.Path, out: pathlib.Path) -> None:
    """Write Python code, type stubs and the descriptor image below out."""
    from grpc_tools import protoc

    out.mkdir(parents=True, exist_ok=True)
    # protoc finds its mypy plug-ins by PATH, and an isolated build has them beside its own python.
    os.environ["PATH"] = f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    sources = [str(path.relative_to(protos)) for path in sorted(protos.rglob("*.proto"))]
    with tempfile.NamedTemporaryFile(suffix=".binpb") as imports:
        imports.write(descriptor_set())
        imports.flush()
        common = ["protoc", f"--descriptor_set_in={imports.name}", f"-I{protos}"]
        for arguments in (
            [
                f"--python_out={out}",
                f"--grpc_python_out={out}",
                f"--mypy_out=quiet:{out}",
                f"--mypy_grpc_out=quiet:{out}",
                *sources,
                "buf/validate/validate.proto",
            ],
            [f"--descriptor_set_out={out / 'image.binpb'}", "--include_imports", "--include_source_info", *sources],
        ):
            code = protoc.main([*common, *arguments])
            if code:
                raise SystemExit(code)


if __name__ == "__main__":
    generate(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
