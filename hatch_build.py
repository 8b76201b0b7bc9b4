"""Build hook: makes the package `concord.v1` from protos/ so that generated code is never committed."""

import pathlib
import sys

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class GenerateCode(BuildHookInterface):
    def initialize(self, version: str, build_data: dict) -> None:
        if self.target_name == "sdist":
            return
        root = pathlib.Path(self.root)
        sys.path.insert(0, str(root / "tools"))
        import gen

        gen.generate(root / "protos", root / "generated")
