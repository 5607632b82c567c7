"""Checks what PyPI would: that metadata is valid, and that a distribution of pytest-tcpecho has what it needs.

    wheel.py FILE...
"""

import fnmatch
import sys
import tarfile
import zipfile

from packaging.metadata import Metadata

WHEEL = [
    "pytest_tcpecho/plugin.py",
    "pytest_tcpecho/py.typed",
    "pytest_tcpecho-*.data/scripts/tcpecho",
    "pytest_tcpecho-*.dist-info/entry_points.txt",
    "pytest_tcpecho-*.dist-info/licenses/LICENSE-APACHE",
    "pytest_tcpecho-*.dist-info/licenses/LICENSE-MIT",
]
SOURCES = [
    "pytest_tcpecho-*/Cargo.lock",
    "pytest_tcpecho-*/LICENSE-APACHE",
    "pytest_tcpecho-*/LICENSE-MIT",
    "pytest_tcpecho-*/README.md",
    "pytest_tcpecho-*/src/pytest_tcpecho/py.typed",
]


def main() -> None:
    for path in sys.argv[1:]:
        if path.endswith(".whl"):
            with zipfile.ZipFile(path) as wheel:
                names, wanted = wheel.namelist(), WHEEL
                [about] = fnmatch.filter(names, "*.dist-info/METADATA")
                text = wheel.read(about)
        else:
            with tarfile.open(path) as sources:
                names, wanted = sources.getnames(), SOURCES
                [about] = fnmatch.filter(names, "pytest_tcpecho-*/PKG-INFO")
                file = sources.extractfile(about)
                assert file is not None
                text = file.read()
        metadata = Metadata.from_email(text, validate=True)
        missing = [pattern for pattern in wanted if not fnmatch.filter(names, pattern)]
        if missing:
            sys.exit(f"{path} lacks {', '.join(missing)}")
        if not metadata.description or not metadata.summary or not metadata.license_expression:
            sys.exit(f"{path}: description, summary or license are missing")
        print(f"{path.rpartition('/')[2]}: {metadata.name} {metadata.version}, {len(names)} files")


main()
