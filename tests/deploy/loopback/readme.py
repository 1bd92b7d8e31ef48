"""The commands of a README, and the links of a page."""

import re


def commands(page):
    """Every command of a page: the lines after `$ ` in its console blocks."""
    for block in re.findall(r"^```console\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            assert line.startswith("$ ") or not line.startswith("$"), f"{page}: {line}"
            if line.startswith("$ "):
                yield line.removeprefix("$ ").split("  #")[0].strip()


def hold(pages, table):
    """Asserts that the table has exactly the commands of the pages. A test runs each command of the table or
    stands in for it."""
    written = {command for page in pages for command in commands(page)}
    unknown = written - table.keys()
    assert not unknown, f"no test runs {sorted(unknown)}"
    stale = table.keys() - written
    assert not stale, f"no README has {sorted(stale)}"


def broken_links(page):
    """Links of a page to files that do not exist."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if not re.match(r"https?:", link) and not (page.parent / link).exists():
            yield link
