"""Fork before the parent has used the library, then use it in both."""

from checks import double_in_every_way, double_with_own_helpers, in_child

in_child(double_with_own_helpers)
double_in_every_way()
