"""The test runner of Django's suites: knows the exclusions and counts what ran."""

import json
import os
import unittest
from collections import Counter
from pathlib import Path
from typing import Any

from django.test.runner import DiscoverRunner
from django.test.utils import iter_test_cases

from tests.proofs.django_suites import exclusions

COUNTS_FILE = "DJANGO_SCS_COUNTS_FILE"


class Result(unittest.TextTestResult):
    """Counts the tests that passed, which unittest only knows as a difference."""

    successes = 0

    def addSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802
        super().addSuccess(test)
        self.successes += 1


class Runner(DiscoverRunner):
    """Expects the excluded tests to fail and writes the counts to the file that COUNTS_FILE names."""

    def build_suite(self, *args: Any, **kwargs: Any) -> unittest.TestSuite:
        suite = super().build_suite(*args, **kwargs)
        tests = {test.id(): test for test in iter_test_cases(suite)}
        if gone := exclusions.gone(set(tests)):
            raise RuntimeError(f"Excluded, but Django has no such tests: {sorted(gone)}")
        for name in exclusions.REASONS.keys() & tests.keys():
            # On the instance, because classes inherit their tests from one another.
            tests[name].__unittest_expecting_failure__ = True
        return suite

    def get_resultclass(self) -> type[Result]:
        return Result

    def suite_result(self, suite: unittest.TestSuite, result: Any, **kwargs: Any) -> int:
        failed: int = super().suite_result(suite, result, **kwargs)
        self._explain(result)
        counts = {
            "passed": result.successes,
            "failed": failed,
            "skipped": len(result.skipped) + len(result.expectedFailures),
        }
        if file := os.environ.get(COUNTS_FILE):
            Path(file).write_text(json.dumps(counts))
        return failed

    def _explain(self, result: Any) -> None:
        reasons = Counter(reason for _, reason in result.skipped)
        reasons.update(
            f"excluded: {exclusions.REASONS.get(test.id(), 'Django expects it to fail')}"
            for test, _ in result.expectedFailures
        )
        for reason, count in reasons.most_common():
            self.log(f"{count} x {reason}")
        for test in result.unexpectedSuccesses:
            self.log(f"Passes, so it is no exclusion: {test.id()}")
