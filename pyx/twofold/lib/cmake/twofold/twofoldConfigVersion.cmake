# The version stands in version.hpp alone. A version will do for whoever asks for it or an older one of the same major.
file(STRINGS "${CMAKE_CURRENT_LIST_DIR}/../../../include/twofold/version.hpp" _twofold_lines
    REGEX "define TWOFOLD_VERSION_(MAJOR|MINOR|PATCH) ")
string(REGEX MATCHALL "[0-9]+" _twofold_numbers "${_twofold_lines}")
list(GET _twofold_numbers 0 _twofold_major)
string(REPLACE ";" "." PACKAGE_VERSION "${_twofold_numbers}")

set(PACKAGE_VERSION_COMPATIBLE FALSE)
if(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)
    set(PACKAGE_VERSION_EXACT TRUE)
endif()
if(PACKAGE_FIND_VERSION VERSION_LESS_EQUAL PACKAGE_VERSION AND PACKAGE_FIND_VERSION_MAJOR EQUAL _twofold_major)
    set(PACKAGE_VERSION_COMPATIBLE TRUE)
endif()
