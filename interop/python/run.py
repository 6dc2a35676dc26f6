"""Runs all tests and writes a report for `cargo xtask test`. Usage: `run.py REPORT`."""

import sys
import unittest


# The end of a traceback holds the failed assertion.
LINES = 20


class Report(unittest.TextTestResult):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.passed = 0

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1


def main():
    here = sys.path[0]
    tests = unittest.defaultTestLoader.discover(here, "test_*.py", here)
    result = unittest.TextTestRunner(stream=sys.stdout, resultclass=Report, verbosity=2).run(tests)
    failed = result.failures + result.errors
    with open(sys.argv[1], "w", encoding="utf-8") as report:
        for n, (test, traceback) in enumerate(failed, 1):
            print(f"not ok {n} - {test}\n  error: |-", file=report)
            for line in traceback.strip().splitlines()[-LINES:]:
                print(f"    {line}", file=report)
        print(f"# pass {result.passed}\n# fail {len(failed)}", file=report)
    sys.exit(bool(failed))


main()
