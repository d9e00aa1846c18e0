"""Builds the compiled modules of `shortwire.native` where it can; where not, says why and installs without them.

Nothing is missing then but speed: all of it exists in Python too. SHORTWIRE_BUILD_NATIVE=0 leaves it out.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
SOURCES = sorted((ROOT / "src/shortwire/native").glob("_*.pyx"))


class NativeBuildHook(BuildHookInterface):
    """Found by hatchling under `[tool.hatch.build.targets.wheel.hooks.custom]`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        del version
        for old in (ROOT / "src/shortwire/native").glob("_*.so"):
            old.unlink()
        if os.environ.get("SHORTWIRE_BUILD_NATIVE") == "0":
            return
        if sys.platform != "linux":  # its clock must be the one of time.monotonic_ns: only looked at on Linux
            self.app.display_info("shortwire: the compiled media path is for Linux; the Python one serves")
            return
        try:
            built = _build()
        except (Exception, SystemExit) as error:
            self.app.display_warning(f"shortwire: no compiled media path ({error}); the Python one serves, slower")
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        for made in built:
            build_data["force_include"][str(made)] = f"shortwire/native/{made.name}"


def _build() -> list[Path]:
    """Compile beside the sources, where an editable installation finds it: all of them or none."""
    import picows
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension

    with tempfile.TemporaryDirectory() as folder:
        extensions = [
            Extension(f"shortwire.native.{source.stem}", [str(source)], extra_compile_args=["-O3", "-g0"])
            for source in SOURCES
        ]
        # picows publishes its declarations; what is built here fits this very version of it.
        extensions = cythonize(
            extensions,
            include_path=[str(Path(picows.__file__).parents[1]), str(ROOT / "src")],
            build_dir=folder,
            quiet=True,
        )
        build = Distribution({"name": "shortwire", "ext_modules": extensions}).get_command_obj("build_ext")
        build.build_lib, build.build_temp = f"{folder}/lib", f"{folder}/temp"
        build.ensure_finalized()
        build.run()
        made = [next(Path(folder, "lib").rglob(f"{source.stem}*.so")) for source in SOURCES]
        return [Path(shutil.copy2(one, SOURCES[0].parent / one.name)) for one in made]
