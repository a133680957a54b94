"""The test runner of Django's suites: adapts those that differ here and counts what ran."""

import json
import os
import unittest
from collections import Counter
from pathlib import Path
from typing import Any

from django.test.runner import DiscoverRunner

from tests.proofs.django_suites import adaptations

COUNTS_FILE = "DJANGO_SCS_COUNTS_FILE"


class Result(unittest.TextTestResult):
    """Counts the tests that passed, which unittest only knows as a difference."""

    successes = 0

    def addSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802
        super().addSuccess(test)
        self.successes += 1


class Runner(DiscoverRunner):
    """Adapts tests, runs all of them and writes the counts to the file that COUNTS_FILE names."""

    def build_suite(self, *args: Any, **kwargs: Any) -> unittest.TestSuite:
        suite = super().build_suite(*args, **kwargs)
        self.log(f"{len(adaptations.apply())} tests assert what is different here")
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
        reasons.update("Django expects it to fail" for _ in result.expectedFailures)
        for reason, count in reasons.most_common():
            self.log(f"{count} x {reason}")
