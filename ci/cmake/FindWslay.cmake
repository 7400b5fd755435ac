# wslay, Debian package libwslay-dev. Defines Wslay::Wslay.
find_path(WSLAY_INCLUDE_DIR wslay/wslay.h)
find_library(WSLAY_LIBRARY wslay)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Wslay
    REASON_FAILURE_MESSAGE "install the package libwslay-dev (./ci/start does it)"
    REQUIRED_VARS WSLAY_LIBRARY WSLAY_INCLUDE_DIR)
if(Wslay_FOUND AND NOT TARGET Wslay::Wslay)
    add_library(Wslay::Wslay UNKNOWN IMPORTED)
    set_target_properties(Wslay::Wslay PROPERTIES IMPORTED_LOCATION ${WSLAY_LIBRARY}
        INTERFACE_INCLUDE_DIRECTORIES ${WSLAY_INCLUDE_DIR})
endif()
