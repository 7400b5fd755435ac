# Google Benchmark, Debian package libbenchmark-dev. Defines GoogleBenchmark::GoogleBenchmark.
find_path(GOOGLEBENCHMARK_INCLUDE_DIR benchmark/benchmark.h)
find_library(GOOGLEBENCHMARK_LIBRARY benchmark)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(GoogleBenchmark
    REASON_FAILURE_MESSAGE
    "install the package libbenchmark-dev (./ci/test does it) or configure with -DSHARDMQ_PERF=OFF"
    REQUIRED_VARS GOOGLEBENCHMARK_LIBRARY GOOGLEBENCHMARK_INCLUDE_DIR)
if(GoogleBenchmark_FOUND AND NOT TARGET GoogleBenchmark::GoogleBenchmark)
    add_library(GoogleBenchmark::GoogleBenchmark UNKNOWN IMPORTED)
    set_target_properties(GoogleBenchmark::GoogleBenchmark PROPERTIES
        IMPORTED_LOCATION ${GOOGLEBENCHMARK_LIBRARY}
        INTERFACE_INCLUDE_DIRECTORIES ${GOOGLEBENCHMARK_INCLUDE_DIR}
        INTERFACE_LINK_LIBRARIES Threads::Threads)
endif()
