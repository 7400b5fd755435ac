# BoringSSL: Debian's android-libboringssl-dev (headers under /usr/include/android, libraries in the
# multiarch android folder), or an upstream tree named with -DBORINGSSL_ROOT=. The libraries carry
# OpenSSL's symbol names, so nothing that links OpenSSL may come into the same process.
# Defines BoringSSL::Crypto and BoringSSL::SSL.
set(BORINGSSL_ROOT "" CACHE PATH "An upstream BoringSSL tree (with include/ and a build of ssl and crypto)")
if(BORINGSSL_ROOT)
    set(_hints ${BORINGSSL_ROOT} ${BORINGSSL_ROOT}/build ${BORINGSSL_ROOT}/build/ssl
        ${BORINGSSL_ROOT}/build/crypto ${BORINGSSL_ROOT}/lib)
    find_path(BORINGSSL_INCLUDE_DIR openssl/base.h PATHS ${BORINGSSL_ROOT}/include NO_DEFAULT_PATH)
else()
    set(_hints /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/android)
    find_path(BORINGSSL_INCLUDE_DIR openssl/base.h PATHS /usr/include/android NO_DEFAULT_PATH)
endif()
find_library(BORINGSSL_SSL_LIBRARY ssl PATHS ${_hints} NO_DEFAULT_PATH)
find_library(BORINGSSL_CRYPTO_LIBRARY crypto PATHS ${_hints} NO_DEFAULT_PATH)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(BoringSSL
    REASON_FAILURE_MESSAGE "install the package android-libboringssl-dev (./ci/start does it) or pass -DBORINGSSL_ROOT="
    REQUIRED_VARS BORINGSSL_CRYPTO_LIBRARY BORINGSSL_SSL_LIBRARY BORINGSSL_INCLUDE_DIR)
if(BoringSSL_FOUND AND NOT TARGET BoringSSL::Crypto)
    add_library(BoringSSL::Crypto UNKNOWN IMPORTED)
    set_target_properties(BoringSSL::Crypto PROPERTIES IMPORTED_LOCATION ${BORINGSSL_CRYPTO_LIBRARY}
        INTERFACE_INCLUDE_DIRECTORIES ${BORINGSSL_INCLUDE_DIR})
    add_library(BoringSSL::SSL UNKNOWN IMPORTED)
    set_target_properties(BoringSSL::SSL PROPERTIES IMPORTED_LOCATION ${BORINGSSL_SSL_LIBRARY}
        INTERFACE_INCLUDE_DIRECTORIES ${BORINGSSL_INCLUDE_DIR}
        INTERFACE_LINK_LIBRARIES BoringSSL::Crypto)
    get_filename_component(BORINGSSL_LIBRARY_DIR ${BORINGSSL_CRYPTO_LIBRARY} DIRECTORY)
endif()
