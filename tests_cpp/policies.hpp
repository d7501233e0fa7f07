// The overflow policies, for loops over all of them.
#pragma once

#include <twofold/options.hpp>

using twofold::overflow_policy;

inline constexpr overflow_policy policies[] = {overflow_policy::wrap, overflow_policy::saturate,
                                               overflow_policy::raise};
