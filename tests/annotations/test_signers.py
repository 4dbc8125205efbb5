"""The numbers of signers, whatever people call them."""

import pytest

from wlasl_tfrecord.annotations.signers import signer_numbers


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["3", "3.0", "12,0", "-7", ""], [3, 3, 12, -1, -1]),
        (["P52", "P9"], [52, 9]),
        (["signer_03", "Signer 4", "signer-10"], [3, 4, 10]),
        # Two of the same number, or other words: alphabetical.
        (["p1", "p01"], [1, 0]),
        (["P1", "Q2"], [0, 1]),
        (["berta", "anna", "berta", ""], [1, 0, 1, -1]),
        (["1", "anna"], [0, 1]),
        (["3.5", "4"], [0, 1]),
        (["9" * 30, "4"], [1, 0]),
        ([], []),
    ],
)
def test_signers_are_numbered(names, numbers):
    found, note = signer_numbers(names)
    assert [found[name] for name in names] == numbers
    known = {name for name in names if name}
    is_note_due = bool(known) and not all(
        n.strip("-").isdigit() for n in known - {"3.0", "12,0"}
    )
    assert bool(note) == (is_note_due or "9" * 30 in known)


def test_the_note_has_an_example():
    assert signer_numbers(["P52"])[1] == (
        "signers take the number in their name: P52 is 52"
    )
    assert signer_numbers(["b", "a"])[1] == (
        "2 signers are numbered in alphabetical order: a is 0"
    )
