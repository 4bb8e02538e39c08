"""What a wheel has beside the package: manifests and rows, which in a checkout lie next to it."""

from pathlib import Path

from setuptools.command.build_py import build_py


class BuildWithData(build_py):
    """Copies them into the package that is built; an editable install reads the checkout's own."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for pattern in ("data_manifests/*.yaml", "results/rows/*.jsonl"):
            for path in sorted(Path().glob(pattern)):
                target = Path(self.build_lib, "minilib", path)
                self.mkpath(str(target.parent))
                self.copy_file(str(path), str(target))
