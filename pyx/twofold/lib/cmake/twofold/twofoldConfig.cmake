# find_package(twofold CONFIG REQUIRED) gives the target twofold::twofold: the headers, those of xsimd among them.
include(CMakeFindDependencyMacro)
find_dependency(Threads)

if(NOT TARGET twofold::twofold)
    get_filename_component(_twofold_include "${CMAKE_CURRENT_LIST_DIR}/../../../include" ABSOLUTE)
    add_library(twofold::twofold INTERFACE IMPORTED)
    set_target_properties(twofold::twofold PROPERTIES
        INTERFACE_INCLUDE_DIRECTORIES "${_twofold_include}"
        INTERFACE_COMPILE_FEATURES cxx_std_20
        INTERFACE_LINK_LIBRARIES "Threads::Threads;${CMAKE_DL_LIBS}")
    unset(_twofold_include)
endif()
