"""Fork after the parent has used threads: 1000 times. While it forks, the parent has one thread."""

from checks import FORKS, double_large, double_small, double_with_own_helpers, in_child, threads

double_large()
for i in range(FORKS):
    assert threads() == 3
    # The whole programme is too long for every child; each child makes a call that would use its helpers.
    in_child(double_with_own_helpers if i % 20 == 0 else double_small)
    assert threads() == 1, "the helpers came back without being asked"
    double_large()
