"""Fork after the parent has used threads, hundreds of times. While it forks, the parent has one thread."""

from checks import (
    FORKS,
    double_large,
    double_large_with_own_helpers,
    double_with_own_helpers,
    in_child,
    settles_at,
    threads,
)

double_large()
for i in range(FORKS):
    assert threads() == 3
    # The whole programme would take too long in every child; each has helpers of its own.
    in_child(double_with_own_helpers if i % 20 == 0 else double_large_with_own_helpers)
    assert settles_at(1), "the helpers came back without being asked"
    double_large()
