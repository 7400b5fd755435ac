# mimalloc, Debian package libmimalloc-dev. Defines MiMalloc::MiMalloc.
find_path(MIMALLOC_INCLUDE_DIR mimalloc.h PATH_SUFFIXES mimalloc mimalloc-2.0 mimalloc-2.1)
find_library(MIMALLOC_LIBRARY mimalloc)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(MiMalloc
    REASON_FAILURE_MESSAGE "install the package libmimalloc-dev (./ci/start does it)"
    REQUIRED_VARS MIMALLOC_LIBRARY MIMALLOC_INCLUDE_DIR)
if(MiMalloc_FOUND AND NOT TARGET MiMalloc::MiMalloc)
    add_library(MiMalloc::MiMalloc UNKNOWN IMPORTED)
    set_target_properties(MiMalloc::MiMalloc PROPERTIES IMPORTED_LOCATION ${MIMALLOC_LIBRARY}
        INTERFACE_INCLUDE_DIRECTORIES ${MIMALLOC_INCLUDE_DIR})
endif()
