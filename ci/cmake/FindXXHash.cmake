# xxHash, Debian package libxxhash-dev, used header-only so that small hashes are inlined.
# Defines XXHash::XXHash.
find_path(XXHASH_INCLUDE_DIR xxhash.h)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(XXHash
    REASON_FAILURE_MESSAGE "install the package libxxhash-dev (./ci/start does it)"
    REQUIRED_VARS XXHASH_INCLUDE_DIR)
if(XXHash_FOUND AND NOT TARGET XXHash::XXHash)
    add_library(XXHash::XXHash INTERFACE IMPORTED)
    set_target_properties(XXHash::XXHash PROPERTIES INTERFACE_INCLUDE_DIRECTORIES ${XXHASH_INCLUDE_DIR})
endif()
