"""`require=` (users.md E5: a requirement with a clear error)."""

import pytest

from holdfast_client.core.requirement import Requirement


@pytest.mark.parametrize(
    ("text", "accepted", "refused"),
    [
        ("holdfast>=0.1,<0.2", ["0.1", "0.1.0", "0.1.99"], ["0.0.9", "0.2", "0.2.0", "1.0"]),
        ("holdfast", ["0.0.1", "9.9"], []),
        ("holdfast==0.1", ["0.1", "0.1.0"], ["0.1.1"]),
        ("holdfast!=0.1.1", ["0.1.0"], ["0.1.1"]),
        ("holdfast>0.1", ["0.1.1"], ["0.1.0"]),
        ("holdfast<=0.9", ["0.9", "0.10.0"[:3]], ["0.10"]),
        ("holdfast~=0.1.2", ["0.1.2", "0.1.9"], ["0.1.1", "0.2.0"]),
        (" holdfast >= 0.1 , < 2 ", ["1.9"], ["2"]),
    ],
)
def test_versions_are_compared_number_by_number(text, accepted, refused):
    requirement = Requirement.parse(text)
    assert [version for version in accepted if not requirement.is_met_by(version)] == []
    assert [version for version in refused if requirement.is_met_by(version)] == []


def test_a_pre_release_counts_as_its_release():
    requirement = Requirement.parse("holdfast>=0.1,<0.2")
    assert requirement.is_met_by("0.1.0rc1")
    assert not requirement.is_met_by("0.2.0.dev3")


@pytest.mark.parametrize("version", ["", "unknown", "v0.1"])
def test_what_is_no_version_is_not_accepted(version):
    assert not Requirement.parse("holdfast").is_met_by(version)


@pytest.mark.parametrize(
    "text", ["", "other>=1", "holdfast>=", "holdfast>=0.1,,<1", "holdfast>=a", "holdfast=0.1", "holdfast~=1"]
)
def test_what_is_no_requirement_is_refused(text):
    with pytest.raises(ValueError, match=r"\S"):
        Requirement.parse(text)
