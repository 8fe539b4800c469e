"""The fuzzing of conversations, with small counts: every language and every declared grammar."""

import pytest

from benchmarks import fuzz
from device_profiles.model import Language

SUBJECTS = fuzz.subjects()


def test_every_grammar_and_other_languages_are_fuzzed() -> None:
    names = {subject.name for subject in SUBJECTS}
    assert names >= {
        "ingics/igs",
        "sonoff/rf-bridge",
        Language.DC09.value,
        Language.JT808.value,
        Language.EB_WAND.value,
    }


@pytest.mark.parametrize("subject", SUBJECTS, ids=[subject.name for subject in SUBJECTS])
def test_bytes_that_are_none_do_no_harm(subject: fuzz.Subject) -> None:
    result = fuzz.fuzz(subject, 5_000, 300, seed=3)
    assert result.good_read == result.good_said == 2 * fuzz.STRETCHES
    assert result.mutated_frames == 300
