import re

import vmt
from vmt.launch import CLONE


def test_the_package_says_the_version_that_the_project_has():
    declared = re.search(r'^version = "(.+)"$', (CLONE / "pyproject.toml").read_text(encoding="utf-8"), re.M)[1]
    assert declared == vmt.VERSION
